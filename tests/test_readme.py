"""The README's accuracy table says what the committed reports say."""

from __future__ import annotations

import pytest

from detector.errors import InputError
from eval import readme_table
from train.corpora import ROOT


def test_the_accuracy_table_is_that_of_the_reports():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    between = text.split(readme_table.START)[1].split(readme_table.END)[0].strip()
    assert between == readme_table.accuracy_section(), "stale: run python -m eval readme"


def test_rewriting_replaces_what_stands_between_the_markers_only(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"# A\n{readme_table.START}\nold\n{readme_table.END}\nrest\n", encoding="utf-8")
    assert readme_table.rewrite(readme, "new")
    assert readme.read_text(encoding="utf-8") == f"# A\n{readme_table.START}\nnew\n{readme_table.END}\nrest\n"
    assert not readme_table.rewrite(readme, "new")


def test_missing_reports_and_markers_are_named(tmp_path):
    with pytest.raises(InputError, match="leave-one-tool-out"):
        readme_table.accuracy_section(tmp_path)
    readme = tmp_path / "README.md"
    readme.write_text("no markers", encoding="utf-8")
    with pytest.raises(InputError, match="markers"):
        readme_table.rewrite(readme, "x")
