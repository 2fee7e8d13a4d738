"""The reports on cost, length and language: their arithmetic, and small runs with a small real model."""

from __future__ import annotations

import os

import pytest

from detector import SpinDetector, store
from eval.inputs import cost, language, length
from tests.tiny_model import documents, make_document, tiny

GERMAN = "Der Hund lief sehr schnell über die Straße, und der alte Mann rief ihm nach, dass er warten möge. " * 6
VERSE = "\n".join(["The river goes where rivers go", "And never tells the town below"] * 8)


def test_a_text_is_cut_after_whole_words_with_its_spaces():
    assert length.cut("One  two\nthree four", 3) == "One  two\nthree"
    assert length.cut("One two ", 2) == "One two"
    assert length.cut("One two ", 3) is None


def row(words, human, spun):
    return {"words": words, "human": {"balanced": {"value": human}}, "spun": {"balanced": {"value": spun}}}


def test_the_shortest_length_is_where_the_promise_begins_to_hold_for_good():
    full = row(None, 0.0, 0.9)
    rows = [row(20, 0.0, 0.6), row(30, 0.02, 0.7), row(40, 0.01, 0.5), row(50, 0.0, 0.9)]
    assert length.shortest(rows, full, "balanced") == 40  # at 20 it holds by chance: at 30 it does not
    assert length.shortest([row(20, 0.0, 0.44), row(30, 0.0, 0.46)], full, "balanced") == 30
    assert length.shortest([*rows, row(60, 0.02, 0.9)], full, "balanced") is None


def test_lengths_are_measured_below_the_model_s_own_limit():
    rows = documents(tiny().data)[:10] + [d for d in documents(tiny().data) if d.label == "spun"][:6]
    result = length.measure(rows, str(tiny().folder), 5, 1)
    assert result["min_words"] == 40
    assert result["lengths"][0]["human"]["texts"] == 5
    assert result["lengths"][0]["words"] < 40
    assert result["full"]["spun"]["texts"] == 5
    report = length.to_markdown(result)
    assert f"model `{result['model']}`" in report
    assert "| all | 5 |" in report


def test_refusals_are_counted_by_table():
    rows = [make_document("human/a", i, d.text) for i, d in enumerate(documents(tiny().data)[:4])]
    rows += [make_document("human/b", 0, GERMAN), make_document("human/b", 1, VERSE)]
    found = language.refusals(rows, SpinDetector.load(tiny().folder), 10, 1)
    assert found["human/a"]["texts"] == found["human/a"]["scored"] == 4
    assert (found["human/b"]["not_english"], found["human/b"]["not_prose"], found["human/b"]["texts"]) == (1, 1, 2)


def test_own_samples_are_refused_by_kind_and_prose_is_not():
    found = language.kinds(SpinDetector.load(tiny().folder))
    assert found.pop("prose") == (0, 8)
    assert set(found.values()) == {(8, 8)}


def test_slices_are_of_so_many_words():
    assert language.slices("a b c d e", 2) == ["a b", "c d"]
    assert language.slices("a", 2) == ["a"]


@pytest.mark.skipif(store.DEFAULT_MODEL not in store.model_names(), reason="the model is not trained yet")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not say what a process used")
def test_costs_are_those_of_the_command(monkeypatch):
    monkeypatch.setattr(cost, "NAMED", {"one word": (21_000_000,)})
    result = cost.measure([5_000], 2_000, ["line ends"])
    assert result["start"]["seconds"] > 0.1
    assert [r["said"] for rows in result["growth"].values() for r in rows] == ["spun", "clean"]
    assert result["named"][0]["said"] == "refused"
    assert [r["bytes"] for r in result["cases"]["line ends"]] == [2_000, 8_000]
    assert result["cases"]["line ends"][0]["said"] == "empty"
    assert 30 < result["start"]["mb"] < 2_000
    report = cost.to_markdown(result)
    assert "| one word | 21 MB |" in report
    assert "| line ends | 0.002 MB |" in report
