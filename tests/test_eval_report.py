"""From scores to the report: whole numbers worked out by hand, no text of the data in it, the same bytes each time."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from detector import __version__
from eval import metrics, protocols, report
from eval.__main__ import main
from train.corpora import Document

SECRET = "zymurgist"  # stands in every text below and must not stand in a report


def document(table, number, *, label="original", group=None, family="", nc=False):
    text = f"{SECRET} {table} {number}"
    return Document(
        f"{table}/{number}", text, label, table, "", family, table, group or f"{table}:{number}", "", None, nc
    )


@pytest.fixture(scope="module")
def trial():
    """One round: 400, 120 and 30 texts of three human sets as pool; NC, model-made and spun texts beside."""
    rows = [document("human/dailymail_2020", i) for i in range(400)]
    rows += [document("human/bbc_2004", i) for i in range(120)]
    rows += [document("human/toefl_essays", i) for i in range(30)]
    pool = len(rows)
    rows += [document("human/learner_essays", i, nc=True) for i in range(20)]
    rows += [document("llm/rewrite", i, label="llm_rewritten") for i in range(20)]
    rows += [document("spun/wild", i, label="spun", family="wild") for i in range(20)]
    one = protocols.Round("wild", 0, (), tuple(range(pool)), tuple(range(pool, len(rows))))
    scores = np.arange(len(rows), dtype=float) % 97 / 1000  # unremarkable, many ties
    scores[400:412] = 5.0  # 12 of bbc stand out
    scores[-20:-5] = 9.0  # 15 of the spun texts stand out more, 5 not at all
    scores[pool : pool + 5] = 9.0  # and 5 NC texts
    return rows, one, scores


@pytest.fixture(scope="module")
def summary(trial):
    rows, one, scores = trial
    systems = {"ours": [scores], "chance": [np.zeros_like(scores)]}
    return report.summarise("trial", "leave-one-tool-out", systems, [one], rows, protocols.Settings(), "0123456789ab")


def by_name(entries, name):
    return next(e for e in entries if e["set"] == name)


def test_recall_and_false_positives_are_those_of_the_scores(summary):
    ours = summary["systems"]["ours"]
    spun = by_name(ours["spun"], "spun/wild")
    assert (spun["texts"], spun["groups"], spun["left_out"], spun["small"]) == (20, 20, "wild", True)
    assert [spun["recall"][str(t)]["value"] for t in (0.01, 0.05)] == [0.75, 0.75]
    low, high = metrics.wilson_interval(15 * 19 / 20, 19)  # 20 groups of one: design effect 20 / 19
    assert (spun["recall"]["0.01"]["low"], spun["recall"]["0.01"]["high"]) == pytest.approx((low, high))
    essays = by_name(ours["human"], "human/learner_essays")
    assert essays["flagged"]["0.01"]["value"] == 0.25
    assert essays["in_thresholds"] is False
    assert ours["human_pooled"]["texts"] == 550


def test_a_set_that_stands_out_is_named_and_judged_without_itself(summary):
    ours = summary["systems"]["ours"]
    assert ours["worst_human_set"]["0.05"] == "human/bbc_2004"
    bbc = by_name(ours["human"], "human/bbc_2004")
    # With its own texts out of the threshold, nothing else scores as high as its twelve.
    assert bbc["flagged_threshold_without_set"]["0.01"]["value"] == pytest.approx(0.1)


def test_precision_uses_the_measured_false_positive_rate(summary):
    ours = summary["systems"]["ours"]
    fpr = ours["human_pooled_by_left_out"]["wild"]["0.05"]["value"]
    precision = by_name(ours["spun"], "spun/wild")["precision"]["0.05"]["0.2"]
    assert precision["value"] == pytest.approx(0.2 * 0.75 / (0.2 * 0.75 + 0.8 * fpr))
    assert precision["low"] < precision["value"] < precision["high"]


def test_a_system_that_knows_nothing_flags_nothing_and_has_no_precision(summary):
    chance = summary["systems"]["chance"]
    spun = by_name(chance["spun"], "spun/wild")
    assert spun["recall"]["0.05"]["value"] == 0.0
    assert spun["precision"]["0.05"]["0.2"]["value"] is None
    assert spun["auroc"]["value"] == 0.5
    assert spun["partial_auroc"]["value"] == pytest.approx(0.5)


def test_rates_that_the_pool_cannot_support_are_not_reported(summary):
    assert summary["smallest_half"] < 999
    text = report.to_markdown(summary)
    assert "**0.1 % cannot be measured with so few and is left out.**" in text
    assert "At 0.1 % false positives" not in text
    assert "At 1 % false positives" in text


def test_small_sets_are_marked_and_never_the_worst(summary):
    text = report.to_markdown(summary)
    assert "| human/toefl_essays † |" in text
    assert "| human/bbc_2004 |" in text
    flagged = {"0.01": {"value": 1.0}}
    small, large = ({"set": s, "small": s == "tiny", "flagged": flagged} for s in ("tiny", "large"))
    assert report.worst_human_set([small, large], "0.01") == "large"
    assert report.worst_human_set([small], "0.01") is None


def test_every_system_has_a_signature(summary):
    signature = summary["systems"]["ours"]["signature"]
    assert signature.startswith("detect-spin|system:ours|model:one-per-round|data:0123456789ab|")
    assert signature.endswith(f"|v:{__version__}")
    assert signature in report.to_markdown(summary)


def test_reports_hold_no_text_and_are_the_same_bytes_again(trial, summary, tmp_path):
    rows, one, scores = trial
    systems = {"ours": [scores], "chance": [np.zeros_like(scores)]}
    again = report.summarise("trial", "leave-one-tool-out", systems, [one], rows, protocols.Settings(), "0123456789ab")
    first = [f.read_bytes() for f in report.write_report(summary, tmp_path / "a")]
    second = [f.read_bytes() for f in report.write_report(again, tmp_path / "b")]
    assert first == second
    assert all(SECRET.encode() not in content for content in first)
    assert json.loads(first[0])["protocol"] == "leave-one-tool-out"


def test_digest_depends_on_bytes_and_names(tmp_path):
    for name, content in [("human/a", b"1"), ("human/b", b"1"), ("human/c", b"2")]:
        path = tmp_path / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    digests = {report.digest_tables(tmp_path, [f"human/{x}"]) for x in "abc"}
    assert len(digests) == 3
    assert report.digest_tables(tmp_path, ["human/a", "human/b"]) == report.digest_tables(
        tmp_path, ["human/b", "human/a"]
    )


def test_command_on_small_tables(tmp_path):
    """The whole command on Parquet tables that the test writes: two systems, two folds, files out, no text in them."""
    pq = pytest.importorskip("pyarrow.parquet")
    pytest.importorskip("datasets", reason="train.corpora reads tables through datasets (extra 'dev')")
    import pyarrow as pa

    for table, count in [("human/dailymail_2020", 60), ("human/bbc_2004", 20), ("human/reuters_1987", 20)]:
        write(
            pq, pa, tmp_path, table, [{"text": f"{SECRET} sails number {i} past the old pier."} for i in range(count)]
        )
    for table in ("spun/spinbot_news", "spun/quillbot_pairs", "spun/wild"):
        write(
            pq,
            pa,
            tmp_path,
            table,
            [{"text": f"{SECRET} cruises numeral {i} {table} past the elderly jetty."} for i in range(9)],
        )
    (tmp_path / "lexicon").mkdir()
    (tmp_path / "lexicon" / "tortured_phrases.tsv").write_text(
        "spun\texpected\nelderly jetty\told pier\n", encoding="utf-8"
    )
    out = tmp_path / "out"
    arguments = [
        "first-report",
        "--quick",
        "--systems",
        "tortured,association",
        "--data",
        str(tmp_path),
        "--out",
        str(out),
    ]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    written = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert list(written["systems"]) == ["tortured", "association"]
    for entry in written["systems"]["tortured"]["spun"]:
        assert entry["auroc"]["value"] == 1.0
    assert SECRET not in (out / "report.md").read_text(encoding="utf-8")


def write(pq, pa, folder, table, rows):
    path = folder / f"{table}.parquet"
    path.parent.mkdir(exist_ok=True)
    rows = [
        {"id": f"{table}/{i}", "source": f"page {i}", "title": f"{table} {i}", "found_by": "", **r}
        for i, r in enumerate(rows)
    ]
    pq.write_table(pa.Table.from_pylist([{"original_title": r["title"], **r} for r in rows]), path)


def test_command_names_what_is_wrong(tmp_path):
    done = CliRunner().invoke(main, ["first-report", "--systems", "wishful", "--data", str(tmp_path)])
    assert done.exit_code == 2
    assert "unknown system 'wishful'" in done.output
    done = CliRunner().invoke(main, ["first-report", "--systems", "association", "--data", str(tmp_path)])
    assert done.exit_code == 2
    assert "no tables" in done.output
