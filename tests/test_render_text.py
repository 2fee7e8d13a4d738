from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings

from detector.render import Scored, evidence, number, one_line, percent, pieces, visible
from detector.render.text import MAX_EVIDENCE, Marks, render_text
from detector.results import Ignored, Reason, Span, Verdict
from tests.rendering import FAILED, SPUN, nasty_entries, not_scored, scored

SGR = re.compile(r"\x1b\[[0-9;]*m")


def render(*entries, **options) -> str:
    return "".join(render_text(entries, **options))


def test_a_pipe_gets_verdict_article_and_evidence_in_plain_text():
    text = "The Top state leader made sense of it.\nBuses ran.\n"
    assert render(scored(text)) == (
        "a.txt\n"
        "SPUN  probability 0.999 >= threshold 0.620 (balanced)\n"
        "10 words, 50 % in spun-looking passages · spin-en-test@0123456789ab\n"
        "\n"
        "The «Top state leader → prime minister» «made sense of → explained» it.\n"
        "Buses ran.\n"
        "\n"
        "Strongest evidence\n"
        "  0.99  Top state leader  → prime minister, premier\n"
        "  0.93  made sense of     → explained\n"
    )


def test_in_colour_the_original_follows_in_brackets():
    shown = render(scored("The top state leader left. So it goes in that frame of mind."), color=True)
    assert SGR.search(shown)
    plain = SGR.sub("", shown)
    assert "The top state leader [prime minister] left. So it goes in that frame of mind.\n" in plain
    before, after = shown.split("top state leader", 1)
    assert before.endswith("m") and before.rindex("\x1b[") > before.rindex("The ")
    assert after.startswith("\x1b[0m")


def test_a_clean_text_is_not_accused():
    shown = render(scored("The top state leader left.", probability=0.0123))
    assert "CLEAN  probability 0.012 < threshold 0.620 (balanced)" in shown
    assert "Odd phrases, not enough for a verdict" in shown
    assert "SPUN" not in shown and "Strongest" not in shown


@pytest.mark.parametrize("reason", list(Reason))
def test_a_text_without_verdict_says_why(reason: Reason):
    shown = render(not_scored(reason, "Some few words."))
    assert "NOT SCORED: " in shown and f"({reason.value})" in shown
    assert "probability" not in shown


def test_what_did_not_count_is_marked():
    text = "Prose here.\n\nShare this\n\nMore prose.\n"
    start = text.index("\nShare")
    shown = render(scored(text, ignored=[Ignored(start, start + 12, "furniture")]))
    assert "Prose here.\n\n[not counted, page furniture: Share this]\n\nMore prose.\n" in shown


def test_warnings_and_standard_input_are_in_words():
    shown = render(scored("Word.", source="-", warnings=["homoglyphs", "some_new_code"]))
    assert shown.startswith("standard input\n")
    assert "look like Latin ones (homoglyphs)\n" in shown
    assert "Warning: some new code (some_new_code)\n" in shown


def test_failed_inputs_leave_no_trace_here_and_blocks_are_apart():
    shown = render(scored("One."), FAILED, not_scored(Reason.EMPTY))
    assert "c.pdf" not in shown
    assert shown.count("-" * 72) == 1


def test_the_terminal_width_is_kept_and_no_word_is_lost():
    text = SPUN.read_text(encoding="utf-8")
    narrow = render(scored(text), width=50)
    assert max(map(len, narrow.splitlines())) <= 50
    assert "".join(narrow.split()) == "".join(render(scored(text)).split()).replace("-" * 72, "-" * 50)


def test_marks_fit_the_encoding():
    entry = scored("The top state leader left.")
    assert "<<top state leader -> prime minister>>" in render(entry, marks=Marks.for_encoding("ascii"))
    assert Marks.for_encoding("utf-8") == Marks()
    assert Marks.for_encoding("no such encoding") == Marks.for_encoding("latin-1")
    render(entry, marks=Marks.for_encoding("ascii")).encode("ascii")


def test_the_list_of_evidence_is_cut_and_says_so():
    text = " ".join(f"phrase{i:02}" for i in range(40))
    spans = [Span(m.start(), m.end(), m[0], 0.5) for m in re.finditer(r"\w+", text)]
    shown = render(scored(text, spans=spans))
    assert f"Strongest evidence ({MAX_EVIDENCE} of 40 phrases)" in shown
    assert len(re.findall(r"^  0\.50  phrase", shown, re.M)) == MAX_EVIDENCE


@given(nasty_entries())
@settings(max_examples=150)
def test_nothing_of_an_article_reaches_the_terminal_as_a_command(entry: Scored):
    forbidden = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
    for options in ({}, {"color": True}, {"color": True, "width": 30}):
        shown = render(entry, **options)
        assert not forbidden.search(SGR.sub("", shown))
        if not options:
            assert "\x1b" not in shown
    if not entry.result.spans:
        # Colour adds nothing and loses nothing, rich's markup included; rich only turns tabs into spaces.
        assert SGR.sub("", render(entry, color=True)).split() == render(entry).split()


@given(nasty_entries())
@settings(max_examples=150)
def test_pieces_cover_the_text_once_and_in_order(entry: Scored):
    found = list(pieces(entry.text, entry.result))
    assert "".join(entry.text[p.start : p.end] for p in found) == entry.text
    assert all(p.start < p.end for p in found)
    assert [p.mark for p in found if isinstance(p.mark, Span)] == list(entry.result.spans)
    inside = {i for r in entry.result.ignored for i in range(r.start, r.end)}
    spanned = {i for s in entry.result.spans for i in range(s.start, s.end)}
    shown = {i for p in found if isinstance(p.mark, Ignored) for i in range(p.start, p.end)}
    assert shown == inside - spanned


def test_equal_phrases_are_counted_together():
    text = "Top state leader, top state leader, made sense of."
    first, second = evidence(scored(text).result)
    assert (first.text, first.score, first.places) == ("Top state leader", 0.99, (0, 18))
    assert second.text == "made sense of"


def test_numbers_never_round_across_a_boundary():
    assert number(0.5) == "0.500"
    assert number(0.0) == "0.000" and number(1.0) == "1.000"
    assert number(0.9996) == "0.9996"
    assert number(0.99999999) == "> 0.999999" and number(1e-9) == "< 0.000001"
    assert (number(0.61996, 0.62), number(0.62, 0.61996)) == ("0.61996", "0.62000")
    assert number(0.62, 0.62) == "0.620"
    assert [percent(x) for x in (0, 0.001, 0.5, 0.999, 1)] == ["0 %", "< 1 %", "50 %", "> 99 %", "100 %"]


def test_visible_shows_control_characters_as_escapes():
    assert visible("a\x1b[31m\r\nb\rc\x9b\u202e\u2028d\t") == "a\\x1b[31m\nb\nc\\x9b\\u202e\nd\t"
    assert one_line("a\r\n b\u2028c") == "a b c"
    assert visible("👩‍👩‍👧 e\u0301") == "👩‍👩‍👧 e\u0301"


def test_every_verdict_has_its_word():
    assert {v.value for v in Verdict} == {"spun", "clean", "not_scored"}


def test_names_of_models_and_operating_points_are_text_too():
    """Both can come from files that somebody else wrote."""
    entry = scored("The council met.", spans=())
    named = replace(entry.result, model="m\x1b]0;x\x07@1", operating_point="mine\x9b2J")
    shown = "".join(render_text([Scored(named, entry.text)]))
    assert "m\\x1b]0;x\\x07@1" in shown
    assert "(mine\\x9b2J)" in shown
