"""What is scored of a text: its normal form, without what does not count, in segments."""

from __future__ import annotations

from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from detector.segment import prepare
from detector.words import BOUNDARY
from tests.tiny_model import article

ARTICLE = article(Random(5), sentences=24)
PIECES = [
    "the old ship came back. ",
    "Advertisement\n",
    "\n\n",
    "…",
    "ﬁ",
    "é",
    "\ud800",
    "🙂",
    "\u200b",
    "№ 5 ",
    "x\r\n",
]
WORDS = ("it was said that they would not come to the house because of the rain " * 8).split()[:112]
TURNED = " ".join(WORDS) + " \u202e" + ("it was so. " + "it is " * 29)[::-1] + "\u202c"
"""A last segment that lies within one stretch written backwards, which the segment before it begins."""
anything = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=40).map("".join)


@given(anything)
@settings(max_examples=80)
@example(TURNED)
def test_segments_follow_each_other_inside_any_text(text):
    prepared = prepare(text)
    normal = prepared.normal.text
    assert prepared.words == sum(1 for s in prepared.tokens.special.tolist() if s != BOUNDARY)
    last = 0
    for number in range(len(prepared.ends)):
        start, end = prepared.segment_range(number)
        assert last <= start < end <= len(normal)
        last = end
    last = 0
    found = prepared.original_segments()
    assert len(found) == len(prepared.ends)
    for start, end in found:
        assert last <= start < end <= len(text)
        last = end
    assert bool(prepared.ends) == bool(prepared.words)
    for left_out in prepared.ignored:
        for start, end, special in zip(
            prepared.tokens.starts.tolist(),
            prepared.tokens.ends.tolist(),
            prepared.tokens.special.tolist(),
            strict=True,
        ):
            assert special == BOUNDARY or end <= left_out.start or start >= left_out.end


def test_furniture_and_repeats_do_not_count_as_words():
    plain = prepare(ARTICLE)
    for text in (
        "Advertisement\n\n" + ARTICLE + "\n\nShare this article\n\nLeave a Reply\n",
        ARTICLE + "\n\n" + ARTICLE.split("\n\n")[0],
    ):
        framed = prepare(text)
        assert framed.ignored
        assert framed.words == plain.words
    assert plain.words > 300
    assert len(plain.ends) > 1


def test_invisible_and_look_alike_letters_give_the_same_tokens():
    disguised = ARTICLE.replace("a", "\u0430").replace("the", "t\u200bhe")
    assert disguised != ARTICLE
    assert prepare(disguised).tokens.hashes.tolist() == prepare(ARTICLE).tokens.hashes.tolist()
