"""Rounds without a tool, run for real with a tiny encoder: what is trained on, joined on and judged, and the scores."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import numpy as np
import pyarrow.parquet as pq
import pytest

from eval.joined_rounds import ROUNDS, Scored, join_round, make_pool, score_round, training_texts, write
from eval.protocols import Settings as Rules
from eval.protocols import family_of, fold_of
from tests.tiny_encoder import write_encoder
from tests.tiny_model import article, make_document, settings, spinner, tiny
from train.corpora import Document
from train.examiner import Settings as ExaminerSettings
from train.examiner import is_held_out, load_tokenizer
from train.examiner_data import Labelled
from train.screen import Settings as ScreenSettings

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None or importlib.util.find_spec("transformers") is None,
    reason="needs torch and transformers: pip install -e '.[train]'",
)
ROUND = "wild-2"
FOLD = ROUNDS[ROUND][2]


@dataclass(frozen=True)
class Made:
    """A round that was run: its documents, what its examiner may train on, and what came of it."""

    documents: list[Document]
    pool: list[Labelled]
    screen: ScreenSettings
    examiner: ExaminerSettings
    found: Scored


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("rounds")
    encoder = write_encoder(folder / "encoder")
    data = tiny().data
    rng, spin = Random(5), spinner(data)
    documents = [d for d in tiny().documents if d.label != "spun"]
    documents += [make_document(f"human/{t}", i + 100, article(rng)) for t in ("harbour", "school") for i in range(150)]
    for table, family in (("spun/wild", "wild"), ("spun/spinbot_news", "spinbot")):
        documents += [
            make_document(table, i, spin.spin(article(rng), rng).text, tool_family=family, group=f"{table} {i}")
            for i in range(50)
        ]
    recipe = ExaminerSettings.read()
    examiner = replace(
        recipe,
        encoder=str(encoder),
        max_tokens=64,
        documents={},
        held_out=0.4,
        simulation={**recipe.simulation, **settings().simulation, "documents": 12},
        optimiser={**recipe.optimiser, "steps": 4, "batch": 4, "save_every": 4},
        further={**recipe.further, "steps": 0},
        first_look={"width": 8, "layers": 1, "steps": 4, "batch": 4, "learning_rate": 1e-3},
    )
    join = {
        "examined_human_share": 0.8,
        "look_on_human_share": 0.7,
        "read_on_human_share": 0.6,
        "look_segments": 2,
        "most_segments": 4,
        "penalty": 1.0,
        "gate_penalty": 1.0,
    }
    screen = settings(join=join)
    pool = make_pool(documents, examiner, data, folder)
    given = (documents, pool, screen, examiner, data, folder, load_tokenizer(encoder))
    return Made(documents, pool, screen, examiner, score_round(ROUND, *given))


def test_the_examiner_of_a_round_knows_neither_tool_nor_fold_nor_the_groups_of_its_join(made: Made) -> None:
    texts = training_texts(made.pool, made.documents, "wild", FOLD, made.examiner.held_out)
    trained = {t.group for t in texts}
    assert trained
    assert any(t.table == "spun/spinbot_news" for t in texts), "the other tools are known"
    out = {d.group for d in made.documents if d.label == "spun" and family_of(d) == "wild"}
    out |= {d.group for d in made.documents if d.label != "spun" and fold_of(d, Rules()) == FOLD}
    assert not trained & out
    assert not trained & set(made.found.known.groups)
    assert not set(made.found.known.groups) & out, "nor is it joined on them"
    assert any(is_held_out(g, made.examiner.held_out) for g in made.found.known.groups)
    assert "spun/spinbot_news" in made.found.known.tables
    assert "spun/wild" not in made.found.known.tables


def test_all_texts_of_the_tool_left_out_are_judged_and_people_of_the_fold(made: Made) -> None:
    rows = made.found.rows
    judged = [made.documents[i] for i in rows]
    assert len(set(rows)) == len(rows) == len(made.found.read)
    assert sum(d.table == "spun/wild" for d in judged) == 50
    assert not any(d.table == "spun/spinbot_news" for d in judged)
    people = judged[: made.found.pool]
    assert people and all(d.label == "original" and fold_of(d, Rules()) == FOLD for d in people)


def test_probabilities_of_a_round_rank_spun_text_above_people(made: Made, tmp_path: Path) -> None:
    probabilities = join_round(made.found, made.screen)
    assert ((probabilities >= 0.0) & (probabilities <= 1.0)).all()
    spun = np.array([made.documents[i].label == "spun" for i in made.found.rows])
    assert probabilities[spun].mean() > probabilities[: made.found.pool].mean() + 0.3
    stopped = np.array([r is not None and r.odds.gate < made.found.gate for r in made.found.read])
    assert stopped[: made.found.pool].any()
    assert probabilities[stopped].max() <= probabilities[~stopped].max()

    file = tmp_path / "scores.parquet"
    write(file, {ROUND: made.found}, made.documents, made.screen)
    rows = pq.read_table(file).to_pylist()
    assert {r["system"] for r in rows} == {"ours", "screen", "examiner"}
    ours = [r for r in rows if r["system"] == "ours"]
    assert [r["id"] for r in ours] == [made.documents[i].id for i in made.found.rows]
    assert [r["probability"] for r in ours] == pytest.approx(probabilities.tolist())
    assert {r["suite"] for r in rows} == {"leave-one-tool-out"}
