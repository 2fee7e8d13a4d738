"""The attacks report: its statistics against simulation, and a whole run on a small real model and own texts."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from click.testing import CliRunner

from eval import robustness
from eval.__main__ import main
from eval.sampling import balanced_sample
from tests.tiny_model import make_document, tiny, write_tables


def test_ratio_interval_covers_its_parameter():
    # 4,000 simulated studies at each point; nominal 95 %. Bonett and Price report 94.5 to 97 %.
    rng = np.random.default_rng(5)
    for first, kept, gained, n in ((0.9, 0.95, 0.3, 200), (0.5, 0.6, 0.05, 100), (0.97, 0.995, 0.0, 60)):
        true = (first * kept + (1 - first) * gained) / first
        draws = rng.multinomial(n, [first * kept, first * (1 - kept), (1 - first) * gained, (1 - first) * (1 - gained)],
                                size=4000)  # fmt: skip
        bounds = [robustness.ratio_interval(*row[:3].tolist()) for row in draws]
        covered = np.mean([low <= true <= high for _, low, high in bounds])
        assert 0.93 < covered <= 1.0, (first, kept, covered)


def test_ratio_interval_where_nothing_changes_is_not_a_point():
    value, low, high = robustness.ratio_interval(100, 0, 0)
    assert value == 1.0
    assert 0.95 < low < 1.0 < high < 1.05
    assert all(map(math.isnan, robustness.ratio_interval(0, 0, 3)))


def test_compare_counts_pairs():
    before = np.array([[True] * 3] * 40 + [[False] * 3] * 60)
    after = before.copy()
    after[:10] = False  # ten lost
    after[-6:, 2] = True  # six gained, at the last point only
    first, _, last = robustness.compare(before, after)
    assert first["kept"]["value"] == pytest.approx(0.75)
    assert first["newly_flagged"] == {"value": 0.0, "low": 0.0, "high": pytest.approx(0.0602, abs=1e-3), "n": 60}
    assert last["newly_flagged"]["value"] == pytest.approx(0.1)
    assert (last["before"]["value"], last["after"]["value"]) == (0.4, 0.36)
    few = robustness.compare(before[30:], after[30:])[0]
    assert few["kept"] is None  # ten flagged: too few for a share


def test_the_sample_is_balanced_by_table_with_one_text_a_group():
    rows = [make_document("human/a", i, f"word {i} " * 60) for i in range(30)]
    rows += [make_document("human/b", i, f"text {i} " * 60, group=f"g{i % 3}") for i in range(30)]
    rows += [make_document("human/c", i, "short") for i in range(30)]
    chosen = balanced_sample(rows, "original", 12, 1, longest=50, fewest=100)
    assert sum(d.table == "human/a" for d in chosen) == 9
    assert len({d.group for d in chosen}) == 12
    assert all(len(d.text.split()) == 50 for d in chosen)
    assert chosen == balanced_sample(rows[::-1], "original", 12, 1, longest=50, fewest=100)
    assert chosen != balanced_sample(rows, "original", 12, 2, longest=50, fewest=100)
    assert not balanced_sample(rows, "original", 12, 1, longest=50, taken={d.group for d in rows})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = write_tables(tmp_path_factory.mktemp("data"))
    (folder / "lexicon" / "tortured_phrases.tsv").write_text("spun\toriginal\naged ship\told ship\n", encoding="utf-8")
    return folder


def run(data, *arguments):
    return CliRunner().invoke(main, ["attacks", "--data", str(data), "--model", str(tiny().folder), *arguments])


def test_the_command_writes_the_same_report_twice(data, tmp_path):
    contents = []
    for name in ("one", "two"):
        result = run(data, "--sample", "25", "--attacks", "homoglyphs,truncation_50,spun_again,dilution_50",
                     "--baselines", "tortured,association,tfidf", "--out", str(tmp_path / name))  # fmt: skip
        assert result.exit_code == 0, result.output
        contents.append({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()})
    assert set(contents[0]) == {"metrics.json", "report.md", "robustness.png"}
    assert contents[0]["metrics.json"] == contents[1]["metrics.json"]
    assert contents[0]["report.md"] == contents[1]["report.md"]
    metrics = json.loads(contents[0]["metrics.json"])
    ours = metrics["attacks"]["homoglyphs"]["systems"]["detect-spin"]
    assert ours["spun"]["sensitive"]["before"]["n"] == 25
    assert metrics["attacks"]["homoglyphs"]["changed"] == {"spun": 25, "human": 50}
    assert "human" not in metrics["attacks"]["spun_again"]["systems"]["detect-spin"]
    assert set(metrics["without"]) == {"detect-spin", "tortured", "association", "tfidf"}
    report = contents[0]["report.md"].decode()
    assert metrics["signature"] in report
    assert "**Not held out.**" in report


def test_held_out_is_said_only_when_told(data, tmp_path):
    result = run(data, "--sample", "10", "--attacks", "upper_case", "--baselines", "none", "--held-out", "--tables",
                 "spun/wild,human/garden", "--out", str(tmp_path))  # fmt: skip
    assert result.exit_code == 0, result.output
    metrics = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["tables"] == {"spun": {"spun/wild": 10}, "human": {"human/garden": 20}}
    assert metrics["held_out"] is True
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "**Not held out.**" not in report
    # A detector that reads no case must lose nothing to upper case; this one does not read it.
    kept = metrics["attacks"]["upper_case"]["systems"]["detect-spin"]["human"]["sensitive"]
    assert kept["newly_flagged"]["value"] == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--attacks", "nonsense"], "homoglyphs"), (["--tables", "human/nowhere"], "human/garden")],
)
def test_wrong_names_are_refused_with_the_known_ones(data, tmp_path, arguments, message):
    result = run(data, "--out", str(tmp_path), *arguments)
    assert result.exit_code == 2
    assert message in result.output
