"""The reports on input: their statistics on a few real results, and a whole run on a small real model and own texts."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from detector.detect import prepare
from eval.__main__ import main
from eval.plain import as_it_stands, preparing
from eval.robustness_input import POINTS, draw, garble, typeset
from tests.tiny_model import tiny, write_tables


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_tables(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def reports(data, tmp_path_factory):
    """All three reports of 10 texts a side."""
    out = tmp_path_factory.mktemp("reports")
    result = CliRunner().invoke(main, ["robustness-input", "--data", str(data), "--model", str(tiny().folder),
                                       "--human", "10", "--spun", "10", "--out", str(out)])  # fmt: skip
    assert result.exit_code == 0, result.output
    return out


def numbers(reports, name):
    return json.loads((reports / f"{name}.json").read_text(encoding="utf-8"))["numbers"]


def test_before_is_the_text_as_it_stands():
    text = "“It’s” the p\u0430yp\u0430l\n\nLeave a Reply\n\ud800"
    plain = as_it_stands(text)
    assert plain.normal.text == text.replace("\ud800", "?")
    assert plain.normal.warnings == plain.ignored == ()
    assert plain.normal.original_span(1, 3) == (1, 3)
    assert prepare(text).ignored
    import detector.detect as module

    with pytest.raises(ValueError, match="through"), preparing(as_it_stands):
        assert module.prepare is as_it_stands
        raise ValueError("let through")
    assert module.prepare is prepare


def test_texts_are_set_and_garbled_as_pages_are():
    assert typeset('"It\'s" -- "so"') == "“It’s” — “so”"
    assert garble("It’s", ("cp1252",)) == "Itâ€™s"
    assert garble("It’s", ("cp1252", "cp1252")) == "ItÃ¢â‚¬â„¢s"
    assert garble("plain", ("mac_roman",)) == "plain"


def test_a_sample_is_balanced_and_scored(data):
    sample = draw(data, str(tiny().folder), 6, 4, seed=1)
    assert [len(sample.human), len(sample.spun), len(sample.documents)] == [6, 4, 10]
    assert {d.table for d in sample.human} == {"human/harbour", "human/school", "human/garden"}
    assert set(sample.plain) == {d.id for d in sample.documents}
    results = [sample.plain[d.id] for d in sample.documents]
    for point in POINTS:
        expected = sum(r.probability is not None and r.probability >= sample.thresholds[point] for r in results)
        assert sample.flagged(results, point) == expected
    assert "human:6" in sample.signature
    assert "spun:4" in sample.signature


def test_furniture_is_counted_before_and_after(reports):
    found = numbers(reports, "furniture")
    untouched = found.pop("untouched")
    assert untouched["words"] > 1000
    assert len(found) == 12
    assert sum(f["held_out"] for f in found.values()) == 6
    for counts in found.values():
        assert counts["texts"] == counts["human"] + counts["spun"] == 20
        assert counts["within_after"] <= 20
    known = [f for f in found.values() if not f["held_out"]]
    # What is left out must bring texts closer to themselves than leaving nothing out does.
    assert sum(f["within_after"] for f in known) > sum(f["within_before"] for f in known)
    report = (reports / "furniture.md").read_text(encoding="utf-8")
    assert report.count("| **all of these** |") == 2
    assert "news portal" in report


def test_tricks_are_named_and_lose_nothing_that_they_would_without_a_normal_form(reports):
    found = numbers(reports, "unicode")
    for trick, warning in (
        ("homoglyphs", "homoglyphs"),
        ("zero_width", "zero_width"),
        ("full_width", "styled_letters"),
    ):
        assert found[trick]["spun_warnings"] == {warning: 10}
        plain, before, after = found[trick]["spun_sensitive"]
        assert before <= after == plain
        assert found[trick]["lost"] == 0
    report = (reports / "unicode.md").read_text(encoding="utf-8")
    assert "| homoglyphs all |" in report
    assert "| `zero_width` | 0 |" in report


def test_encodings_are_read_as_written(reports):
    found = numbers(reports, "mojibake")
    files = {name: counts for name, counts in found.items() if name.startswith("file: ")}
    assert len(files) == 7
    assert all(counts["texts"] == counts["same"] == 20 for counts in files.values())
    assert found["UTF-8 read as Windows-1252"]["spun"] == 10


def test_an_unknown_report_is_refused(data):
    result = CliRunner().invoke(main, ["robustness-input", "--data", str(data), "--reports", "nonsense"])
    assert result.exit_code == 2
    assert "none of furniture" in result.output
