"""Bad files through the commands, beside what a naive reading makes of them: a few of the report's cases."""

from __future__ import annotations

import os

import pytest

from detector import store
from eval.inputs import bad
from eval.inputs.bad_cases import cases

pytestmark = [
    pytest.mark.skipif(store.DEFAULT_MODEL not in store.model_names(), reason="the model is not trained yet"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the naive reader is held to a memory limit of Unix"),
]


def test_the_cases_answer_as_they_should():
    result = bad.measure(r"^(missing|utf16le|escapes)\.txt$|^script\.html$|^none\.txt\.gz$")
    rows = [row for members in result.values() for row in members]
    assert [(row["about"], row["now"]) for row in rows if not row["right"]] == []
    said = {row["about"]: (row["before"], row["now"]) for row in rows}
    assert len(said) == 5
    assert said["a file that is not there"][0] == "FileNotFoundError"
    assert said["UTF-16, little end first, no mark"][1].startswith("spun")
    assert "no text" in said["scripts and styles only"][1]
    assert "control characters for the terminal" in said["control sequences of terminals"][0]
    report = bad.to_markdown(result)
    assert "5 inputs: 0 crashes, 0 answers other than" in report
    assert "| a file that is not there | FileNotFoundError |" in report


def test_an_answer_that_is_not_the_one_written_down_is_counted():
    row = {"about": "a thing", "before": "spun 0.9", "before_mb": 1.0, "now": "CRASH: 1", "mb": 1.0, "right": False}
    report = bad.to_markdown({"Group": [row]})
    assert (
        "1 crashes, 1 answers other than the one that was written down beforehand: a thing. Before: 0 crashes" in report
    )


def test_every_case_has_a_name_of_its_own():
    names = [case.name for _, members in cases() for case in members]
    assert len(set(names)) == len(names) >= 60
