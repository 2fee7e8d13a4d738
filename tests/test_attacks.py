"""Every attack: deterministic, never raising, and doing what its description says. The texts are our own."""

from __future__ import annotations

import re
import subprocess
import sys
import unicodedata
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.attacks import ATTACKS, UNICODE_ATTACKS, Resources, attack, dilute
from train.spinners.base import sentence_ranges
from train.spinners.dictionary import DictionarySpinner, Rates
from train.spinners.lexicon import read_wordnet
from train.spinners.phrases import PhraseSpinner, PhraseTable

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "examples" / "original.txt").read_text(encoding="utf-8")
SHORT = 'The old mill, "sold" in May, isn\'t far off - she said so. A boat came. An owl, too.'
DONOR = "\n\n".join(f"Paragraph {i} of the donor " + "speaks of the weather and of the tide " * 8 for i in range(30))
RESOURCES = Resources((DONOR,), PhraseSpinner(PhraseTable.from_rows([("the", "that very", 1.0)]), 1.0, 1.0, 1.0, "t"))
ANY_TEXT = st.text(max_size=400) | st.lists(st.sampled_from(SHORT.split()), max_size=60).map(" ".join)


def attacked(name: str, text: str, seed: int = 1) -> str:
    return attack(name, text, seed, RESOURCES)


@pytest.mark.parametrize("name", ATTACKS)
def test_changes_an_ordinary_text_and_describes_itself(name):
    assert attacked(name, TEXT) != TEXT
    assert ATTACKS[name].about


@pytest.mark.parametrize("name", ATTACKS)
@given(ANY_TEXT)
@settings(max_examples=25)
def test_takes_any_text_and_gives_the_same_again(name, text):
    first = attacked(name, text)
    assert isinstance(first, str)
    assert attacked(name, text) == first


def test_the_same_in_another_process():
    # A generator that is seeded through hash() would differ.
    code = "import sys; from eval.attacks import attack; sys.stdout.write(ascii(attack('homoglyphs', sys.argv[1], 3)))"
    run = subprocess.run([sys.executable, "-c", code, SHORT], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == ascii(attack("homoglyphs", SHORT, 3))


def test_another_seed_gives_another_result():
    assert attacked("misspellings", TEXT, 1) != attacked("misspellings", TEXT, 2)


def test_unknown_names_and_missing_resources_are_refused():
    with pytest.raises(ValueError, match="homoglyphs"):
        attack("homoglyph", TEXT)
    with pytest.raises(ValueError, match="donors"):
        attack("dilution_50", TEXT)
    with pytest.raises(ValueError, match="spinner"):
        attack("spun_again", TEXT)


@pytest.mark.parametrize(
    ("name", "inserted"),
    [
        ("zero_width", "[\u200b\u200c\u200d\u2060\ufeff]"),
        ("soft_hyphens", "\u00ad"),
        ("bidi", "[\u200e\u202a\u202c\u202d\u2066\u2069]"),
        ("combining_marks", "[\u0300-\u036f]"),
        ("combining_marks_piled", "[\u0300-\u036f]"),
        ("deletions", "[xqz]\b"),
    ],
)
@given(st.lists(st.sampled_from(SHORT.split()), max_size=80).map(" ".join))
def test_what_is_put_in_can_be_taken_out(name, inserted, text):
    assert re.sub(inserted, "", attacked(name, text)) == text


@pytest.mark.parametrize("name", ["full_width", "styled_letters"])
@given(st.lists(st.sampled_from(SHORT.split()), max_size=80).map(" ".join))
def test_styled_letters_fold_back(name, text):
    assert unicodedata.normalize("NFKC", attacked(name, text)) == text


@pytest.mark.parametrize("name", ["homoglyphs", "homoglyphs_all"])
def test_homoglyphs_keep_length_and_gaps(name):
    changed = attacked(name, TEXT)
    assert len(changed) == len(TEXT)
    assert [c.isspace() for c in changed] == [c.isspace() for c in TEXT]
    share = sum(a != b for a, b in zip(TEXT, changed, strict=True)) / len(TEXT)
    assert share > (0.5 if name == "homoglyphs_all" else 0.08)


def test_reordered_words_read_as_before_where_the_override_is_obeyed():
    changed = attacked("bidi_reordered", TEXT)
    assert changed.count("\u202e") > 50
    assert re.sub("\u202e(.*?)\u202c", lambda m: m.group(1)[::-1], changed, flags=re.DOTALL) == TEXT


@given(ANY_TEXT)
def test_mojibake_is_utf8_read_as_windows_1252(text):
    def byte(char: str) -> int:
        try:
            return char.encode("cp1252")[0]
        except UnicodeEncodeError:
            return ord(char)

    typeset = bytes(byte(c) for c in attacked("mojibake", text)).decode("utf-8", "surrogatepass")
    letters = [[c for c in t if c.isalnum() and c != "ʼ"] for t in (typeset, text)]
    assert letters[0] == letters[1]


@pytest.mark.parametrize("name", ["whitespace", "spaced_letters", "spaced_text"])
@given(ANY_TEXT)
def test_spaces_change_nothing_but_spaces(name, text):
    assert re.sub(r"\s", "", attacked(name, text)) == re.sub(r"\s", "", text)


def test_case():
    assert attacked("upper_case", SHORT).isupper()
    assert attacked("lower_case", SHORT).islower()
    assert attacked("title_case", "it isn't MINE") == "It Isn't Mine"


def test_punctuation_and_articles():
    assert (
        attacked("no_punctuation", SHORT)
        == "The old mill sold in May isn't far off  she said so A boat came An owl too"
    )
    assert attacked("article_deletion", "A man saw the other, an athlete; than there.") == (
        "man saw other, athlete; than there."
    )


def test_misspellings_hit_about_one_long_word_in_ten():
    old, new = TEXT.split(), attacked("misspellings", TEXT).split()
    long = [(a, b) for a, b in zip(old, new, strict=True) if sum(c.isalpha() for c in a) > 3]
    assert 0.05 < sum(a != b for a, b in long) / len(long) < 0.16
    assert all(a == b for a, b in zip(old, new, strict=True) if len(a) < 4)


@given(st.lists(st.sampled_from(sorted(set(TEXT.split()))), max_size=120).map(" ".join))
def test_shuffling_keeps_the_sentences(text):
    def sentences(given: str) -> Counter[str]:
        return Counter(given[a:b] for a, b in sentence_ranges(given))

    changed = attacked("sentence_shuffling", text)
    assert Counter(changed.split()) == Counter(text.split())
    if len(sentences(text)) == 1:
        assert changed == text


def test_shuffling_keeps_paragraph_breaks():
    assert attacked("sentence_shuffling", TEXT).count("\n\n") == TEXT.count("\n\n")


@pytest.mark.parametrize("percent", [25, 50, 75])
def test_dilution_reaches_its_share_and_keeps_the_text(percent):
    changed = attacked(f"dilution_{percent}", TEXT)
    own = len(TEXT.split())
    size = max(len(p.split()) for p in DONOR.split("\n\n"))
    wanted = own * percent / (100 - percent)
    assert abs(len(changed.split()) - own - wanted) <= size / 2 + 1
    place = -1
    for paragraph in TEXT.strip().split("\n\n"):
        place = changed.index(paragraph.strip(), place + 1)  # all there, in order


def test_dilution_does_not_use_the_text_itself():
    assert dilute(DONOR, Random(1), Resources((DONOR,)), 0.5) == DONOR


@pytest.mark.parametrize("words", [50, 100, 200])
@given(ANY_TEXT)
def test_truncation_is_a_beginning(words, text):
    changed = attacked(f"truncation_{words}", text)
    assert text.startswith(changed)
    assert len(changed.split()) == min(words, len(text.split()))


def test_names_change_throughout_and_nothing_else():
    text = "We met Hartwell there. Hartwell and, as always, Ondine had come on Monday. Then Ondine left."
    changed = attacked("names_changed", text)
    assert "Hartwell" not in changed and "Ondine" not in changed
    before, after = re.findall(r"\w+", text), re.findall(r"\w+", changed)
    pairs = {a: b for a, b in zip(before, after, strict=True) if a != b}
    assert set(pairs) == {"Hartwell", "Ondine"}
    assert len(set(pairs.values())) == 2
    assert all(b == pairs.get(a, a) for a, b in zip(before, after, strict=True))


def test_furniture_stands_around_the_text():
    changed = attacked("furniture", TEXT)
    assert not changed.startswith(TEXT[:20])
    assert not changed.endswith(TEXT[-20:])
    lines = changed.splitlines()
    assert all(line in lines for line in TEXT.splitlines())


def test_spun_again_goes_through_the_spinner():
    changed = attacked("spun_again", "He saw the sea and the sky.")
    assert changed == "He saw that very sea and that very sky."


def test_a_dictionary_spinner_may_be_the_second_one(tmp_path):
    from tests.tiny_model import write_data

    wordnet = read_wordnet(write_data(tmp_path) / "lexicon" / "open_english_wordnet_synsets.jsonl.gz")
    spinner = DictionarySpinner(wordnet, Rates(1, 1, 1, 1), tool="second")
    once = attack("spun_again", "The old house near the bridge was closed.", 1, Resources(spinner=spinner))
    assert once != "The old house near the bridge was closed."


def test_a_text_has_no_attack_that_is_only_a_name():
    assert set(UNICODE_ATTACKS) < set(ATTACKS)
    assert len(ATTACKS) >= 30
