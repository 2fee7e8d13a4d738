"""Corpora: groups, labels, hub schemas, duplicates. Texts here are our own."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from detector.errors import InputError
from train.corpora import (
    Document,
    default_data_dir,
    link_groups,
    load_documents,
    originals_of,
    read_hub,
    remove_duplicates,
    text_key,
)

needs_tables = pytest.mark.skipif(
    not (default_data_dir() / "spun").is_dir(), reason=f"the training tables are not at {default_data_dir()}"
)


def make(table, rows, folder):
    path = folder / f"{table}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def document(number, text, *, label="original", table="human/x", group="", original=None):
    return Document(
        id=f"{table}/{number}",
        text=text,
        label=label,
        table=table,
        tool="",
        tool_family="",
        source=table,
        group=group or f"g{number}",
        domain="",
        original=original,
        licence_nc=False,
    )


def long_text(seed, words=120):
    return " ".join(f"w{(seed * 7919 + k * k * 31) % 9973}" for k in range(words))


def test_tables_become_documents_with_labels_families_and_licence(tmp_path):
    make("human/bbc_2004", [{"id": "human/bbc_2004/1", "text": "A ship left the port.", "source": "BBC"}], tmp_path)
    make("human/learner_essays", [{"id": "e/1", "text": "I like school very much.", "score": "3"}], tmp_path)
    make("spun/spinbot_science", [{"id": "s/1", "text": "the vessel exited the harbour .", "tool": "T"}], tmp_path)
    make("machine_translated/other", [{"id": "m/1", "text": "Ship has left.", "tool": "Online-Z"}], tmp_path)
    by_table = {d.table: d for d in load_documents(tmp_path, cache_dir=tmp_path / "cache")}
    assert {t: d.label for t, d in by_table.items()} == {
        "human/bbc_2004": "original",
        "human/learner_essays": "original",
        "spun/spinbot_science": "spun",
        "machine_translated/other": "machine_translated",
    }
    assert by_table["spun/spinbot_science"].tool_family == "spinbot"
    assert by_table["machine_translated/other"].tool_family == ""
    assert by_table["human/learner_essays"].licence_nc
    assert not by_table["human/bbc_2004"].licence_nc
    assert by_table["human/bbc_2004"].source == "BBC"


def test_unknown_table_is_named_with_those_that_exist(tmp_path):
    make("human/bbc_2004", [{"id": "1", "text": "A ship."}], tmp_path)
    with pytest.raises(InputError, match=r"human/nope.*existing: human/bbc_2004"):
        load_documents(tmp_path, ["human/nope"])


def test_empty_folder_says_what_to_do(tmp_path):
    with pytest.raises(InputError, match="--data"):
        load_documents(tmp_path)


def test_rewrites_share_the_group_of_their_original_across_tables(tmp_path):
    original = "The mayor opened a bridge on Monday."
    make("human/many_domains", [{"id": "h/1", "text": original, "domain": "news", "tool": "human"}], tmp_path)
    for table, tool in (("llm/rewrite_a", "A"), ("llm/rewrite_b", "B")):
        row = {"id": f"{table}/1", "text": f"Rewritten by {tool}.", "original": original.upper(), "tool": tool}
        make(table, [row, {**row, "id": f"{table}/2", "original": "Something else."}], tmp_path)
    documents = load_documents(tmp_path, cache_dir=tmp_path / "cache")
    groups = {d.id: d.group for d in documents}
    assert groups["h/1"] == groups["llm/rewrite_a/1"] == groups["llm/rewrite_b/1"]
    assert groups["llm/rewrite_a/2"] == groups["llm/rewrite_b/2"] != groups["h/1"]
    assert next(d.tool for d in documents if d.id == "h/1") == ""


def test_translations_of_one_document_share_its_group(tmp_path):
    make(
        "human/translated_news",
        [{"id": "human/translated_news/site.12-A", "text": "a b c", "source": "ru-en"}],
        tmp_path,
    )
    row = {"id": "machine_translated/news/site.12-Online-B", "text": "a c b", "source": "ru-en", "tool": "Online-B"}
    make("machine_translated/news", [row], tmp_path)
    human, machine = load_documents(tmp_path, cache_dir=tmp_path / "cache")
    assert human.group == machine.group == "wmt:site.12"


def test_opening_of_a_story_joins_its_spun_news_row():
    story = long_text(1)
    news = document(1, f"{story} and more", label="spun", table="spun/spinbot_news", group="title:1")
    same = document(2, story, label="spun", table="spun/paired_openings", group="story:a")
    other = document(3, long_text(2), label="spun", table="spun/paired_openings", group="story:b")
    assert [d.group for d in link_groups([news, same, other])] == ["title:1", "title:1", "story:b"]


def test_exam_answers_on_one_subject_join_quillbot_rows():
    cells = "Mitochondria produce adenosine triphosphate inside eukaryotic cells through oxidative phosphorylation."
    trade = "Tariffs on imported steel raise consumer prices and protect inefficient domestic producers."
    gulf = document(1, cells, table="human/students_gulf", group="question:1")
    near = document(2, "x", label="spun", table="spun/quillbot_pairs", group="text:2", original=cells + " Always so.")
    far = document(3, "y", label="spun", table="spun/quillbot_pairs", group="text:3", original=trade)
    groups = [d.group for d in link_groups([gulf, near, far])]
    assert groups[0] == groups[1] != groups[2]


def test_duplicates_exact_near_and_excluded_are_counted():
    base = long_text(3, 300)
    words = base.split()
    near = " ".join([*words[:150], "changed", *words[151:]])
    seed = long_text(9, 200)
    documents = [
        document(1, base),
        document(2, base.upper()),
        document(3, near),
        document(4, near, label="spun"),
        document(5, long_text(4, 300)),
        document(6, "Before it. " + seed),
    ]
    kept, counts = remove_duplicates(documents, exclude=[seed])
    assert [d.id[-1] for d in kept] == ["1", "4", "5"], "a near copy under another label is a pair and stays"
    assert (counts.exact, counts.near, counts.excluded) == (1, 1, 1)


def test_originals_become_documents_of_the_right_kind():
    rows = [
        document(1, "x", label="spun", table="spun/quillbot_pairs", original="An answer."),
        document(2, "y", label="spun", table="spun/quillbot_pairs", original="An answer."),
        document(3, "z", label="spun", table="spun/paired_paragraphs", original="A paragraph."),
        document(4, "no original"),
    ]
    out = originals_of(rows)
    assert [(d.text, d.label, d.tool_family) for d in out] == [
        ("An answer.", "llm_rewritten", ""),
        ("A paragraph.", "original", ""),
    ]
    assert out[0].group == rows[0].group


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_hub_schema_on_a_local_copy(tmp_path, ending):
    rows = [
        {"text": "The vessel exited.", "label": 1, "dataset": "wikipedia", "method": "spinbot"},
        {"text": "The ship left.", "label": 0, "dataset": "wikipedia", "method": "og"},
        {"text": "A boat halted.", "label": 1, "dataset": "arxiv", "method": "spinnerchief"},
    ]
    path = tmp_path / f"copy.{ending}"
    if ending == "jsonl":
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    name = "jpwahle/machine-paraphrase-dataset"
    found = read_hub(name, "test", data_file=path, cache_dir=tmp_path / "cache")
    assert [(d.label, d.tool, d.tool_family, d.domain) for d in found] == [
        ("spun", "spinbot", "spinbot", "wikipedia"),
        ("original", "", "", "wikipedia"),
        ("spun", "spinnerchief", "spinnerchief", "arxiv"),
    ]
    assert found[0].id == f"{name}/test/0"
    assert len(read_hub(name, "test", data_file=path, cache_dir=tmp_path / "cache", limit=2)) == 2


def test_hub_errors_name_the_column_the_label_and_the_known_sets(tmp_path):
    name = "jpwahle/machine-paraphrase-dataset"
    path = tmp_path / "bad.jsonl"
    path.write_text('{"text": "a", "label": 7}\n', encoding="utf-8")
    with pytest.raises(InputError, match="label '7'"):
        read_hub(name, data_file=path, cache_dir=tmp_path / "cache")
    path.write_text('{"content": "a"}\n', encoding="utf-8")
    with pytest.raises(InputError, match="no column text, label"):
        read_hub(name, data_file=path, cache_dir=tmp_path / "cache")
    with pytest.raises(InputError, match=name):
        read_hub("someone/unknown")


def test_text_key_ignores_case_and_punctuation_only():
    assert text_key("A ship, left!") == text_key("a SHIP left")
    assert text_key("A ship left") != text_key("A ship leaves")


@needs_tables
def test_real_tables_have_the_groups_they_promise():
    documents = load_documents(tables=["spun/paired_openings", "spun/paired_paragraphs", "human/translated_news"])
    openings = [d for d in documents if d.table == "spun/paired_openings"]
    assert len({d.group for d in openings}) < len(openings), "two versions of one story share a group"
    assert all(d.tool_family == "paired" for d in openings)
    assert len({d.id for d in documents}) == len(documents)
