"""Pairs: windows, splits, spans, the Parquet tables and the command. The tables here are written by the test."""

import gzip
import itertools
import json
from pathlib import Path
from random import Random

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from detector.errors import InputError
from train.__main__ import main
from train.corpora import Document
from train.pairs import SPLITS, make_pairs, split_groups, windows
from train.spinners.base import words_of

SUBJECTS = ["mayor", "trader", "sailor", "baker", "teacher", "farmer", "pilot", "judge"]
VERBS = ["opened", "closed", "painted", "bought", "sold", "visited", "praised", "repaired"]
THINGS = ["bridge", "harbour", "market", "school", "church", "museum", "station", "garden"]


def sentence(rng):
    return f"The {rng.choice(SUBJECTS)} {rng.choice(VERBS)} the old {rng.choice(THINGS)} {rng.randrange(2000)} times."


def article(seed, sentences=30):
    rng = Random(seed)
    return " ".join(sentence(rng) for _ in range(sentences))


def spin(text):
    return text.replace("mayor", "city chairman").replace("opened", "unlocked").replace(" old ", " aged ")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    import pyarrow as pa

    folder = tmp_path_factory.mktemp("data")
    synsets = (Path(__file__).parent / "data" / "synsets.jsonl").read_bytes()
    (folder / "lexicon").mkdir()
    (folder / "lexicon" / "open_english_wordnet_synsets.jsonl.gz").write_bytes(gzip.compress(synsets))

    def write(table, rows):
        path = folder / f"{table}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), path)

    write("human/bbc_2004", [{"id": f"b/{k}", "text": article(k), "source": "BBC"} for k in range(60)])
    write("human/learner_essays", [{"id": f"l/{k}", "text": article(500 + k)} for k in range(5)])
    pairs = [{"id": f"q/{k}", "text": spin(article(100 + k)), "original": article(100 + k)} for k in range(20)]
    write("spun/paired_paragraphs", [{**row, "source": "page", "tool": "T"} for row in pairs])
    write("spun/wild", [{"id": f"w/{k}", "text": spin(article(300 + k)), "tool": "A3"} for k in range(5)])
    repeated = [{"id": "r/same", "text": article(400 + k), "tool": "G"} for k in range(2)]
    write("llm/rewrite_a", [*repeated, {"id": "r/copy", "text": article(400), "tool": "G"}])
    return folder


@pytest.fixture(scope="module")
def written(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    summary = make_pairs(data, out, simulate=["spinbot-2022"], simulated_windows=30)
    rows = [row for split in SPLITS for row in pq.read_table(out / f"{split}.parquet").to_pylist()]
    return summary, rows, out


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_windows_cover_all_sentences_once_and_hold_about_the_words(lengths):
    text = " ".join(f"Word{' word' * (n - 1)}." for n in lengths)
    found = windows(text, 50)
    assert found[0].start == 0 and found[-1].end == len(text)
    assert all(text[a.end : b.start] == " " for a, b in itertools.pairwise(found))
    sizes = [len(words_of(text[w.start : w.end])) for w in found]
    assert sum(sizes) == sum(lengths)
    assert all(size <= 50 + 40 + 25 for size in sizes)
    assert all(size >= 50 for size in sizes[:-1])
    assert len(sizes) == 1 or sizes[-1] >= 25


def test_windows_of_nothing():
    assert windows(" \n ") == []


def test_rows_are_typed_unique_and_split_by_group(written):
    _, rows, out = written
    assert len({row["id"] for row in rows}) == len(rows)
    by_group = {}
    for row in rows:
        by_group.setdefault(row["group"], set()).add(row["split"])
    assert all(len(splits) == 1 for splits in by_group.values())
    schema = pq.read_schema(out / "train.parquet")
    assert schema.names == ["id", "text", "label", "table", "tool", "source", "group", "split", "spans"]
    assert str(schema.field("spans").type).replace("element", "item") == (
        "list<item: struct<start: int32, end: int32, original: string>>"
    )


def test_texts_for_evaluation_only_are_in_test(written):
    essays = [row for row in written[1] if row["table"] == "human/learner_essays"]
    assert essays
    assert {row["split"] for row in essays} == {"test"}


def test_spans_quote_what_was_replaced(written):
    rows = written[1]
    paired = [row for row in rows if row["table"] == "spun/paired_paragraphs"]
    seen = {(row["text"][s["start"] : s["end"]], s["original"]) for row in paired for s in row["spans"]}
    assert {("city chairman", "mayor"), ("unlocked", "opened"), ("aged", "old")} == seen
    assert all(row["spans"] is None for row in rows if row["table"] == "spun/wild"), "unknown, not none"
    assert all(row["spans"] == [] for row in rows if row["label"] != "spun")


def test_originals_of_pairs_are_negatives_of_the_same_split(written):
    rows = written[1]
    split = {row["group"]: row["split"] for row in rows if row["table"] == "spun/paired_paragraphs"}
    originals = [row for row in rows if row["table"] == "spun/paired_paragraphs:original"]
    assert {row["label"] for row in originals} == {"original"}
    assert {row["group"]: row["split"] for row in originals} == split


def test_simulated_rows_undo_to_human_windows(written):
    rows = written[1]
    human = {row["id"]: row for row in rows if row["label"] == "original"}
    simulated = [row for row in rows if row["table"] == "simulated/spinbot-2022"]
    assert len(simulated) >= 15
    for row in simulated:
        source = human[row["id"].removesuffix(":spinbot-2022")]
        text = row["text"]
        for s in reversed(row["spans"]):
            text = text[: s["start"]] + s["original"] + text[s["end"] :]
        assert text == source["text"]
        assert (row["split"], row["group"], row["label"]) == (source["split"], source["group"], "spun")
        assert not row["id"].startswith("l/"), "texts for evaluation only are never spun"


def test_summary_counts_and_digests(written, data):
    summary, rows, out = written
    assert json.loads((out / "summary.json").read_text()) == summary
    assert sum(n for labels in summary["windows"].values() for n in labels.values()) == len(rows)
    assert set(summary["inputs"]) >= {"human/bbc_2004", "spun/wild"}
    assert all(len(d) == 64 for d in [*summary["inputs"].values(), *summary["outputs"].values()])
    assert summary["duplicates"]["exact"] == 1


def test_same_seed_same_files_and_more_data_moves_no_group(data, written, tmp_path):
    summary, _, _ = written
    again = make_pairs(data, tmp_path / "again", simulate=["spinbot-2022"], simulated_windows=30)
    assert again["outputs"] == summary["outputs"]
    documents = [
        Document(str(k), "x", "original", "human/x", "", "", "s", f"g{k}", "", None, False) for k in range(400)
    ]
    some, more = split_groups(documents[:200]), split_groups(documents)
    assert all(more[group] == split for group, split in some.items())
    shares = [sum(s == split for s in more.values()) / 400 for split in SPLITS]
    assert abs(shares[0] - 0.8) < 0.06 and min(shares[1:]) > 0.05
    assert split_groups(documents, seed=1) != more


def test_sources_are_held_out_whole():
    documents = [
        Document(f"{k}", "x", "original", "human/x", "", "", f"s{k % 40}", f"g{k}", "", None, False) for k in range(800)
    ]
    splits = split_groups(documents)
    by_source = {}
    for d in documents:
        by_source.setdefault(d.source, set()).add(splits[d.group])
    assert sum(found == {"test"} for found in by_source.values()) >= 1


def test_command_prints_counts_and_names_unknown_things(data, tmp_path):
    runner = CliRunner()
    out = str(tmp_path / "o")
    result = runner.invoke(main, ["pairs", "--data", str(data), "--out", out, "--tables", "spun/wild"])
    assert result.exit_code == 0, result.output
    assert "spun" in result.output and "written:" in result.output
    result = runner.invoke(main, ["pairs", "--data", str(data), "--out", out, "--tables", "spun/none"])
    assert result.exit_code == 1
    assert "existing: human/bbc_2004" in result.output
    with pytest.raises(InputError, match="spinbot-2022"):
        make_pairs(data, tmp_path, simulate=["nope"])
    with pytest.raises(InputError, match="at least 20"):
        make_pairs(data, tmp_path, window_words=5)
