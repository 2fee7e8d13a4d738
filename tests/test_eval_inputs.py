"""Suites, score files and span files as input: what is read, what is refused and how the refusal helps."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from detector.errors import InputError
from eval import scores, span_sets
from eval.judging import NOT_SCORED
from eval.suite import (
    File,
    Item,
    Suite,
    check_digests,
    dilutions,
    key_of,
    list_suites,
    load_items,
    read_labelled,
    read_suite,
)
from train.corpora import Document

ROWS = [
    {"id": "a", "text": "One two three.", "label": "human", "writer": "clerk"},
    {"id": "b", "text": "Uno dos tres.", "label": "1", "tool": "T", "spun_share": 0.5},
]


def suite_of(path, **changes):
    return Suite("mine", files=(File(path),), **changes)


def write(path, rows=ROWS):
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return path


def test_one_schema_for_all_kinds_of_file(tmp_path):
    pq, pa = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    plain = write(tmp_path / "rows.jsonl")
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
    (tmp_path / "rows.json").write_text(json.dumps(ROWS))
    (tmp_path / "rows.csv").write_text(
        "id,text,label,writer,tool,spun_share\na,One two three.,human,clerk,,\nb,Uno dos tres.,1,,T,0.5\n"
    )
    full = [{**dict.fromkeys(("writer", "tool", "spun_share")), **r} for r in ROWS]
    pq.write_table(pa.Table.from_pylist(full), tmp_path / "rows.parquet")
    found = []
    for name in ("rows.jsonl", "rows.jsonl.gz", "rows.json", "rows.csv", "rows.parquet"):
        items, _ = load_items(read_suite(str(tmp_path / name)), tmp_path)
        found.append([(i.document.id, i.document.label, i.document.tool, i.writer, i.spun_share) for i in items])
    assert found == [[("a", "original", "", "clerk", None), ("b", "spun", "T", "", 0.5)]] * 5


def test_columns_and_labels_can_be_renamed(tmp_path):
    write(tmp_path / "x.jsonl", [{"body": "One two.", "y": "copied"}, {"body": "Three four.", "y": "written"}])
    toml = tmp_path / "x.toml"
    toml.write_text(
        '[columns]\ntext = "body"\nlabel = "y"\n[labels]\ncopied = "spun"\nwritten = "original"\n'
        '[[files]]\npath = "x.jsonl"\n'
    )
    items, _ = load_items(read_suite(str(toml)), tmp_path)
    assert [i.document.label for i in items] == ["spun", "original"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"label": "human"}, "no 'text'"),
        ({"text": "x", "label": "maybe"}, "'maybe' is none of"),
        ({"text": "x"}, "label '' is none"),
        ({"text": "x", "label": 1, "spun_share": 3}, r"not in \[0, 1\]"),
        ({"text": "x", "label": 1, "replacements": [{"start": 0, "end": 9, "original": "y"}]}, "beyond the text"),
        ({"text": "x", "label": 1, "replacements": "[1]"}, "replacements must be"),
    ],
)
def test_rows_that_break_the_schema_are_named(tmp_path, row, message):
    path = write(tmp_path / "bad.jsonl", [ROWS[0], row])
    with pytest.raises(InputError, match=message) as error:
        read_labelled(File(path), suite_of(path))
    assert "row 2" in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('titel = "x"\n[tables]\n"a/b" = ""', "unknown key titel"),
        ('protocol = "magic"\n[tables]\n"a/b" = ""', "is none of fixed"),
        ('title = "x"', "neither"),
        ("title = ", "docs/evaluation.md"),
        ('[[files]]\npath = "x"\nsha = "y"', "unknown key sha"),
        ('[overlap]\nlimt = 1\n[tables]\n"a/b" = ""', "limt"),
    ],
)
def test_broken_suites_are_refused(tmp_path, text, message):
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_suite(str(path))


def test_the_committed_suites_are_readable_and_pin_every_digest():
    assert {"own", "shipped", "leave-one-tool-out", "known-tool"} <= set(list_suites())
    for name in list_suites():
        suite = read_suite(name)
        assert all(len(d) == 16 for d in suite.tables.values())
        assert all(len(f.sha256) == 16 for f in suite.files)
    check_digests(read_suite("own"), SUITE_DATA)


SUITE_DATA = read_suite("own").files[0].path.parent


def test_dilutions_keep_paragraphs_whole():
    text = "One one one.\n\nTwo two two.\n\nThree three three.\n\nFour four four."
    d = Document("d", text.upper(), "spun", "t", "T", "", "s", "g", "", text, False)
    made = dilutions([Item(d, "", "", 12)], [0.25, 0.3, 0.75, 1.0])
    assert [i.spun_share for i in made] == [0.25, 0.75]
    assert made[0].document.text == text[: text.index("Four")] + "FOUR FOUR FOUR."
    assert {i.document.group for i in made} == {"g"}
    assert len({key_of(i.document) for i in made}) == 2


# Score files


@pytest.fixture
def items(tmp_path):
    path = write(tmp_path / "rows.jsonl")
    return read_labelled(File(path), suite_of(path))


def test_scores_of_several_systems_and_rounds(items, tmp_path):
    path = write(
        tmp_path / "s.jsonl",
        [
            {"id": "a", "system": "ours", "probability": 0.25, "fold": 1},
            {"id": "a", "system": "ours", "probability": None, "fold": 2},
            {"id": "b", "system": "theirs", "score": -3, "protocol": "mine"},
            {"id": "b", "system": "theirs", "score": -3, "protocol": "another"},
            {"id": "unknown", "system": "theirs", "score": 1},
        ],
    )
    found, skipped = scores.read_scores(path, items, "mine", {"balanced": 0.5}, "m@1")
    ours, theirs = found
    assert ours.unit.tolist() == ["1", "2"]
    assert ours.score.tolist() == [0.25, NOT_SCORED]
    assert ours.calibrated
    assert ours.points == {}  # they belong to the shipped model, not to those of rounds
    assert not theirs.calibrated
    assert theirs.points == {}
    assert theirs.text.tolist() == [1]
    assert skipped == {"another suite": 1, "an id of no text": 1}
    one = write(tmp_path / "one.jsonl", [{"id": "a", "system": "ours", "probability": 0.25}])
    assert scores.read_scores(one, items, "mine", {"balanced": 0.5}, "m@1")[0][0].points == {"balanced": 0.5}


def test_scores_as_npz_and_back_through_parquet(items, tmp_path):
    pytest.importorskip("pyarrow")
    np.savez(tmp_path / "s.npz", id=np.array(["a", "b"]), system=np.array(["x", "x"]), probability=[0.125, np.nan])
    found, _ = scores.read_scores(tmp_path / "s.npz", items, "mine", {}, "m")
    assert found[0].score.tolist() == [0.125, NOT_SCORED]
    scores.write_scores(tmp_path / "out.parquet", found, items, "mine")
    again, _ = scores.read_scores(tmp_path / "out.parquet", items, "mine", {}, "m")
    assert again[0].score.tolist() == found[0].score.tolist()
    assert again[0].calibrated


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"system": "x", "score": 1}], "needs the columns"),
        ([{"id": "a", "system": "x"}], "needs the columns"),
        ([{"id": "a", "score": 1}, {"id": "a", "score": 2}], "second score"),
        ([{"id": "a", "score": "high"}], "no number"),
        ([{"id": "a", "score": None}], "lowest"),
        ([{"id": "a", "probability": 1.5}], r"\[0, 1\]"),
        ([{"id": "zzz", "score": 1}], "no score for any text"),
    ],
)
def test_broken_score_files_are_refused(items, tmp_path, rows, message):
    path = write(tmp_path / "s.jsonl", rows)
    with pytest.raises(InputError, match=message):
        scores.read_scores(path, items, "mine", {}, "m")


def test_span_files(items, tmp_path):
    path = write(
        tmp_path / "p.jsonl",
        [
            {"id": "a", "system": "ours", "start": None, "end": None},
            {"id": "b", "system": "ours", "start": 0, "end": 3, "suggestions": ["One"]},
            {"id": "b", "system": "ours", "start": 4, "end": 7, "suggestions": '["two", "deux"]'},
        ],
    )
    found = span_sets.read_spans(path, items)["ours"]
    assert found[0] == []
    assert [s.suggestions for s in found[1]] == [("One",), ("two", "deux")]
    with pytest.raises(InputError, match="not within the text"):
        span_sets.read_spans(write(path, [{"id": "b", "start": 0, "end": 99}]), items)
