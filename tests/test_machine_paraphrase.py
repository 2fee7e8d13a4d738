"""The adapter for the machine-paraphrase corpus, on a small file of its schema whose paragraphs are our own."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import f1_score

from detector.errors import InputError
from eval import machine_paraphrase as mp
from eval.__main__ import main
from eval.blocks import to_markdown
from eval.systems import FixedFunction
from train.corpora import read_hub

pytest.importorskip("datasets", reason="train.corpora reads tables through datasets (extra 'dev')")
DOMAINS = ("arxiv_test", "thesis_test", "wikipedia_documents_test")
METHODS = ("SpinBot", "SpinnerChief_DF", "SpinnerChief_IF")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Columns text, label, dataset, method; per domain 12 originals and 6 rewritten by each spinner."""
    path = tmp_path_factory.mktemp("corpus") / "part.jsonl"
    rows = []
    for d, domain in enumerate(DOMAINS):
        rows += [
            {"text": f"The pump of mill {i} stands by the river {d}.", "label": 0, "dataset": domain, "method": "og"}
            for i in range(12)
        ]
        for m, method in enumerate(METHODS):
            # The first spinner is easy, the others leave every other paragraph as it was.
            rows += [
                {
                    "text": f"The {'siphon' if m == 0 or i % 2 else 'pump'} of plant {i} remains by stream {d} {m}.",
                    "label": 1,
                    "dataset": domain,
                    "method": method,
                }
                for i in range(6)
            ]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return path


def siphons(texts):
    return [float("siphon" in t) for t in texts]


class Probability:
    name, model_id, calibrated = "by-word", "by-word@1", True
    points = {"argmax": 0.5}  # noqa: RUF012

    def fit(self, documents, seed):
        return lambda texts: np.array(siphons(texts))


def test_layout_and_numbers_are_those_of_macro_f1(corpus):
    out = mp.run([Probability()], 1, "test", corpus, None)
    row = out["systems"]["by-word, argmax"]
    assert [(c["spinner"], c["domain"]) for c in row["cells"]] == [
        (s, d) for s in ("SpinBot", "SpinnerChief-DF", "SpinnerChief-IF") for d in ("Wikipedia", "arXiv", "theses")
    ]
    truth, easy, hard = [0] * 12 + [1] * 6, [0] * 12 + [1] * 6, [0] * 12 + [0, 1] * 3
    values = [c["macro_f1"]["value"] for c in row["cells"]]
    assert values[0] == f1_score(truth, easy, average="macro") == 1.0
    assert values[3] == pytest.approx(f1_score(truth, hard, average="macro"), abs=1e-6)
    for c in row["cells"]:
        assert c["macro_f1"]["n"] == {"rewritten": 6, "original": 12}
        assert c["macro_f1"]["low"] <= c["macro_f1"]["value"] <= c["macro_f1"]["high"]


def test_a_system_without_probabilities_takes_its_threshold_from_other_domains(corpus):
    documents = read_hub(mp.CORPUS, "test", data_file=corpus)
    found = mp.decisions(FixedFunction("words", siphons), documents * 9, 0)["words, 1 % FPR"]
    spun = np.array([d.label == "spun" for d in documents * 9])
    assert found[~spun].sum() == 0
    assert 0.5 < found[spun].mean() < 1
    one_domain = [d for d in documents if d.domain.startswith("arxiv")]
    with pytest.raises(InputError, match="second domain"):
        mp.decisions(FixedFunction("words", siphons), one_domain, 0)


def test_originals_alone_are_refused(corpus):
    documents = [d for d in read_hub(mp.CORPUS, "test", data_file=corpus) if d.label == "original"]
    with pytest.raises(InputError, match="originals and rewritten"):
        mp.evaluate(documents, [Probability()], 0, "x")


def test_macro_f1_of_one_sided_answers():
    spun = np.array([1.0, 1, 0, 0])
    for flags in (np.zeros(4), np.ones(4)):
        assert mp.macro_f1(spun, flags) == pytest.approx(f1_score(spun, flags, average="macro", zero_division=0))


def test_command_prints_the_table_and_writes_it_twice_the_same(corpus, tmp_path):
    arguments = ["machine-paraphrase", "--file", str(corpus), "--system", "ours", "--out"]
    for name in ("a", "b"):
        done = CliRunner().invoke(main, [*arguments, str(tmp_path / name)])
        assert done.exit_code == 0, done.output
    assert "SpinnerChief-IF theses" in done.output
    assert "ours, balanced" in done.output
    for name in ("metrics.json", "report.md", "report.html"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    result = json.loads((tmp_path / "a" / "metrics.json").read_text(encoding="utf-8"))
    assert "siphon" not in to_markdown(mp.blocks(result))
