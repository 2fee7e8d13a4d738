"""The experiments, run for real with a tiny encoder, and the arithmetic of their report (which needs no torch)."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from detector.errors import InputError
from detector.results import KINDS
from eval import experiments_markdown, swaps
from eval.experiments_report import VARIANTS, Judged, Table, area, read_variants, recall, threshold
from tests.tiny_encoder import TOKENIZER, write_encoder
from tests.tiny_model import article, make_document, spinner, tiny
from train.corpora import Document
from train.examiner import Settings, load_tokenizer
from train.examiner_data import REPLACED, Labelled, cut_windows
from train.spinners.embedding import Neighbours

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None or importlib.util.find_spec("transformers") is None,
    reason="needs torch and transformers: pip install -e '.[train]'",
)


def test_the_committed_variants_are_read_and_mistakes_in_them_are_named(tmp_path: Path) -> None:
    sizes, variants = read_variants()
    assert variants[0].name == "base"
    assert all(v.expected for v in variants), "what is expected is written before the run"
    assert len({v.name for v in variants}) == len(variants)
    assert sizes.change_rates
    text = VARIANTS.read_text(encoding="utf-8")
    wrong = tmp_path / "v.toml"
    for before, after, message in (
        ("halves = true", "halfs = true", "halfs"),
        ("steps =", "step =", "step"),
        ('against = "two-layers"', 'against = "no-such"', "no-such"),
    ):
        assert before in text
        wrong.write_text(text.replace(before, after), encoding="utf-8")
        with pytest.raises(InputError, match=message):
            read_variants(wrong)


def test_thresholds_let_through_what_they_promise() -> None:
    rng = np.random.default_rng(3)
    human = rng.random(499)
    assert np.mean(human > threshold(human, 0.01)) <= 0.01
    assert threshold(human, 0.01) == np.sort(human)[-5], "five of 500"
    assert threshold(human[:50], 0.01) == np.inf, "too few for such a rate"
    rates = [np.mean(rng.random(200) > threshold(rng.random(199), 0.05)) for _ in range(400)]
    assert np.mean(rates) == pytest.approx(0.05, abs=0.005), "in the mean it is the target"


def test_recall_differences_and_false_positives_are_those_of_the_scores() -> None:
    people = [Judged("human/a", "original", f"g{i}", "") for i in range(400)]
    spun = [Judged("spun/x", "spun", f"s{i}", "wild") for i in range(60)]
    sizes = read_variants()[0]
    table = Table([*people, *spun], np.ones(460, np.bool_), sizes)
    assert sorted(np.concatenate(table.halves).tolist()) == list(range(400))
    rng = np.random.default_rng(1)
    good = np.concatenate([rng.random(400), 2.0 + rng.random(60)])
    bad = np.concatenate([rng.random(400), rng.random(60)])
    assert recall(good, table.rows["spun/x"], table.halves) == 1.0
    assert recall(bad, table.rows["spun/x"], table.halves) < 0.1
    found = table.differences(good, bad, ["spun/x"])
    assert found["recall"]["spun/x"] == found["recall"]["mean"], "one set is its own mean"
    assert 0.8 < found["recall"]["spun/x"][0] <= found["recall"]["spun/x"][1] <= 1.0
    low, high = found["auc"]["spun/x"]
    rows = table.rows["spun/x"]
    assert low < area(good, table.human, rows) - area(bad, table.human, rows) < high
    same = table.differences(good, good, ["spun/x"])
    assert same["recall"]["spun/x"] == same["auc"]["spun/x"] == (0.0, 0.0)
    flagged, n = table.false_positives(good)["human/a"]
    assert n == 400
    assert flagged <= 12


def test_the_wanted_share_of_words_is_swapped_and_marked(tmp_path: Path) -> None:
    rng = Random(2)
    documents = [make_document("human/dailymail_2020", i, article(rng)) for i in range(40)]
    near = {"house": ("garden", "school"), "road": ("bridge", "wall"), "money": ("price", "food"), "old": ("new",)}
    neighbours = Neighbours({w: tuple((o, 0.9) for o in others) for w, others in near.items()}, dict.fromkeys(near, 1))
    texts, share = swaps.swapped(documents, neighbours, "own", 0.01, 5)
    assert share == pytest.approx(0.01, abs=0.004)
    assert texts == swaps.swapped(documents, neighbours, "own", 0.01, 5)[0]
    groups = {d.group: d.text for d in documents}
    for text in texts:
        assert text.replaced
        assert {text.text[a:b].lower() for a, b in text.replaced} <= {o for others in near.values() for o in others}
        assert text.text != groups[text.group]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny BERT encoder."""
    return write_encoder(tmp_path_factory.mktemp("encoder"))


@needs_torch
def test_ids_carry_the_case_of_their_piece() -> None:
    from eval.experiments import CaseTokenizer

    plain = load_tokenizer(TOKENIZER)
    packed = CaseTokenizer(plain)
    text = "The council agreed with NATO, and I know."
    (found,) = packed.encode_batch([text])
    (expected,) = plain.encode_batch([text])
    assert [i % packed.vocabulary for i in found.ids] == expected.ids
    cases = {}
    for i, (start, end) in zip(found.ids, found.offsets, strict=True):
        cases.setdefault(text[start:end], i // packed.vocabulary)
    assert cases["The"] == cases["I"] == 1
    assert cases["and"] == cases[","] == 0
    capitals = [c for piece, c in cases.items() if len(piece) > 1 and piece.isupper()]
    assert set(capitals) <= {2}


@needs_torch
def test_halves_hold_all_pieces_once_and_are_spun_where_something_was_replaced() -> None:
    from eval.experiments import halved

    text = "The council concurred to the span and the thoroughfare. " + "The bus closed the road in winter again. " * 9
    start = text.index("concurred")
    given = Labelled(text, "spun", "simulated/x", "g", ((start, start + 9),))
    windows = cut_windows([given], load_tokenizer(TOKENIZER), tiny().fitted.counts, 1000, 0.0)
    assert len(windows) == 1
    halves = halved(windows, 0.0)
    assert len(halves) == 2
    inner = [halves.pieces[halves.offsets[i] + 1 : halves.offsets[i + 1] - 1] for i in range(2)]
    np.testing.assert_array_equal(np.concatenate(inner), windows.pieces[1:-1])
    assert [KINDS[k] for k in halves.kinds] == ["spun", "original"]
    assert (halves.labels == REPLACED).sum() == (windows.labels == REPLACED).sum()
    assert len(halved(windows, 0.9)) == 1, "the half with too little replaced is left out"


def small_documents(data: Path) -> list[Document]:
    """Enough human texts of one fold for a threshold at 1 %."""
    rng = Random(11)
    rows = [make_document("human/harbour", i, article(rng, sentences=5)) for i in range(1100)]
    rows += [make_document("human/dailymail_2020", i, article(rng, sentences=5)) for i in range(40)]
    spin = spinner(data)
    for table, family in (("spun/wild", "wild"), ("spun/spinbot_news", "spinbot")):
        rows += [
            make_document(table, i, spin.spin(article(rng, sentences=5), rng).text, tool_family=family)
            for i in range(40)
        ]
    return [*rows, *[make_document("llm/wild", i, article(rng, sentences=5)) for i in range(40)]]


@needs_torch
def test_variants_are_trained_scored_and_reported(encoder: Path, tmp_path: Path) -> None:
    from eval.experiments import make_pool, run_variant, training_windows

    made = tiny()
    recipe = Settings.read()
    simulation = {**recipe.simulation, "presets": ["dictionary", "spinbot-2022"], "most_of_a_table": 30}
    settings = replace(recipe, encoder=str(encoder), max_tokens=48, documents={}, simulation=simulation)
    sizes = replace(
        read_variants()[0], steps=30, batch=4, layers=2, simulated_documents=30, change_rates=[0.5, 1.0], swap_texts=9,
        bootstrap=20,
    )  # fmt: skip
    rows = small_documents(made.data)
    pool = make_pool(rows, settings, sizes, made.data, tmp_path)
    known = {v.name: v for v in read_variants()[1]}
    names = ["base", "without-dictionary", "two-layers-taught", "case", "halves", "real-spinbot"]
    for name in names:
        variant = known[name]
        windows = training_windows(pool, variant, sizes)
        drawn = {pool.texts[t] for t in np.unique(windows.texts).tolist()}
        assert not {group for _, group in drawn} & pool.held[variant.real]
        tables = {table for table, _ in drawn}
        assert any(t.startswith("spun/") for t in tables) == bool(variant.real)
        assert any(t.startswith("simulated/dictionary") for t in tables) == ("dictionary" not in variant.leave_out)
    assert {j.table for j in pool.judged} >= {"human/harbour", "spun/wild", "spun/spinbot_news", "llm/wild"}
    trained = {group for _, group in pool.texts} - pool.held[""]
    assert not {j.group for j in pool.judged if j.label != "spun"} & trained

    for name in names:
        file = run_variant(known[name], pool, settings, sizes, tmp_path)
        scores = np.load(file)
        windows_judged = len(scores["texts"])
        assert windows_judged >= len(pool.judged_windows)
        assert np.isfinite(scores["kinds"]).all()
        assert ((scores["replaced"] > 0) & (scores["replaced"] < 1)).all()
    written = file.stat().st_mtime_ns
    run_variant(replace(known[name], found="a tie"), pool, settings, sizes, tmp_path)
    assert file.stat().st_mtime_ns == written, "what was run is not run again"
    run_variant(known[name], pool, settings, replace(sizes, steps=2), tmp_path)
    assert file.stat().st_mtime_ns != written, "other steps, another run"

    (tmp_path / "judged.json").write_text(json.dumps([j.__dict__ for j in pool.judged]), encoding="utf-8")
    report, figures = experiments_markdown.write(tmp_path, tmp_path / "report")
    found = json.loads(figures.read_text(encoding="utf-8"))
    assert set(found["variants"]) == set(names)
    assert found["human"] == sum(j.label == "original" for j in pool.judged)
    base = found["variants"]["base"]["heads"]["token head"]["sets"]
    assert set(base) == {"spun/wild", "spun/spinbot_news"}
    text = report.read_text(encoding="utf-8")
    assert set(found["variants"]["real-spinbot"]["heads"]["token head"]["sets"]) == {"spun/spinbot_news"}
    assert "| two-layers-taught |" in text
    assert "Not run: " in text


def test_an_empty_cache_is_reported_as_such(tmp_path: Path) -> None:
    report, _ = experiments_markdown.write(tmp_path, tmp_path / "report")
    assert "No variant has been run yet." in report.read_text(encoding="utf-8")
