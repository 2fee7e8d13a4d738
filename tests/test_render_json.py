from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given

from detector.render import Scored
from detector.render.json import render_json, render_jsonl
from detector.results import Failed, Ignored, Reason
from tests.rendering import FAILED, SPUN, nasty_entries, not_scored, scored

SCHEMA = json.loads((Path(__file__).parent.parent / "docs" / "result.schema.json").read_text(encoding="utf-8"))
validate = jsonschema.Draft202012Validator(SCHEMA).validate

ENTRIES = [
    scored(SPUN.read_text(encoding="utf-8"), warnings=["homoglyphs"], ignored=[Ignored(3, 9, "furniture")]),
    scored("Fine prose.", probability=0.01, source=None),
    not_scored(Reason.TOO_SHORT, "Two words."),
    FAILED,
    Failed(None, "no text", id=17),
]


def test_every_object_has_the_shape_of_the_contract():
    array = json.loads("".join(render_json(ENTRIES)))
    lines = "".join(render_jsonl(ENTRIES)).splitlines()
    assert len(lines) == len(array) == len(ENTRIES)
    for entry, element, line in zip(ENTRIES, array, lines, strict=True):
        validate(element)
        expected = entry.result.to_dict() if isinstance(entry, Scored) else entry.to_dict()
        assert element == json.loads(line) == expected
        assert list(element) == list(expected)  # the order of keys too


def test_a_failed_input_is_source_and_error_only():
    assert json.loads("".join(render_jsonl([FAILED]))) == {"source": "c.pdf", "error": FAILED.error}


def test_the_schema_refuses_what_the_contract_forbids():
    good = scored("Fine prose.").result.to_dict()
    for wrong in (
        {"probability": 1.5},
        {"verdict": "maybe"},
        {"reason": "empty"},
        {"kinds": None},
        {"model": "x"},
        {"schema": 2},
    ):
        with pytest.raises(jsonschema.ValidationError):
            validate({**good, **wrong})


@pytest.mark.parametrize("reason", list(Reason))
def test_all_reasons_are_in_the_contract(reason: Reason):
    validate(json.loads("".join(render_jsonl([not_scored(reason)]))))


@given(nasty_entries())
def test_one_object_is_one_line_for_every_line_splitter_and_offsets_survive(entry: Scored):
    line = "".join(render_jsonl([entry]))
    assert line.endswith("\n") and len(line.splitlines()) == 1
    assert "\x1b" not in line and "\x9b" not in line
    record = json.loads(line)
    assert record == entry.result.to_dict()
    for span in record["spans"]:
        assert entry.text[span["start"] : span["end"]] == span["text"]


def test_json_is_one_array_also_for_one_and_for_none():
    assert len(json.loads("".join(render_json(ENTRIES[:1])))) == 1
    assert json.loads("".join(render_json([]))) == []
    assert list(render_jsonl([])) == []


def test_results_come_as_they_are_made():
    taken = []

    def source():
        for entry in ENTRIES:
            taken.append(entry)
            yield entry

    for render in (render_json, render_jsonl):
        taken.clear()
        next(iter(render(source())))
        assert len(taken) == 1
