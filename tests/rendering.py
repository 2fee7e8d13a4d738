"""Results built by hand for the tests of the renderers."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import strategies as st

from detector.render import Scored
from detector.results import Failed, Ignored, Reason, Segment, Span, SpinResult, Verdict

MODEL = "spin-en-test@0123456789ab"
THRESHOLD = 0.62

SPUN = Path(__file__).parent.parent / "examples" / "spun.txt"
PHRASES = {
    "top state leader": (0.99, ("prime minister", "premier")),
    "made sense of": (0.93, ("explained",)),
    "philanthropic guide": (0.99, ("humanitarian aid",)),
    "in that frame of mind": (0.5, ()),
    "capacity repository": (0.2, ("storage reservoir",)),
}


def scored(
    text: str, *, probability: float = 0.9987, source: str | None = "a.txt", ignored=(), warnings=(), spans=None
):
    if spans is None:
        spans = [
            Span(m.start(), m.end(), m[0], score, suggestions)
            for phrase, (score, suggestions) in PHRASES.items()
            for m in re.finditer(re.escape(phrase), text, re.IGNORECASE)
        ]
    middle = max(len(text) // 2, 1)
    segments = [Segment(0, middle, 0.91)] + ([Segment(middle, len(text), 0.14)] if len(text) > middle else [])
    result = SpinResult(
        verdict=Verdict.SPUN if probability >= THRESHOLD else Verdict.CLEAN,
        reason=None,
        probability=probability,
        operating_point="balanced",
        threshold=THRESHOLD,
        kinds={"original": 1 - probability, "spun": probability, "machine_translated": 0.0, "llm_rewritten": 0.0},
        coverage=0.5,
        words=len(text.split()),
        model=MODEL,
        spans=tuple(sorted(spans, key=lambda s: s.start)),
        segments=tuple(segments),
        ignored=tuple(ignored),
        warnings=tuple(warnings),
        source=source,
    )
    return Scored(result, text)


def not_scored(reason: Reason, text: str = "", source: str | None = "b.txt", warnings=()):
    result = SpinResult(
        Verdict.NOT_SCORED,
        reason,
        None,
        "balanced",
        THRESHOLD,
        None,
        None,
        len(text.split()),
        MODEL,
        warnings=tuple(warnings),
        source=source,
    )
    return Scored(result, text)


FAILED = Failed("c.pdf", "c.pdf: is a PDF document, not text; save its text")

# Control and bidirectional characters, markup of HTML and of rich, emoji, combining marks, every kind of line end.
nasty_text = st.lists(
    st.sampled_from(
        [
            "word",
            " ",
            "\n",
            "\r\n",
            "\r",
            "\t",
            "\x1b[31m",
            "\x1b]0;title\x07",
            "\x00",
            "\x9b2J",
            "\u202e",
            "\u2028",
            "\x85",
            "<script>alert(1)</script>",
            "</mark>",
            '" onload="x',
            "&amp;",
            "'",
            "[bold]",
            "[/]",
            "👩‍👩‍👧",
            "e\u0301",
            "é",
            "«",
            "$x",
            "\\",
        ]
    ),
    min_size=1,
    max_size=30,
).map("".join)


@st.composite
def nasty_entries(draw: st.DrawFn) -> Scored:
    """Scored texts with any spans and ignored ranges, these also overlapping each other and the spans."""
    text = draw(nasty_text)
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)))
    suggestions = draw(st.lists(nasty_text, max_size=2).map(tuple))
    spans = [Span(a, b, text[a:b], 0.7, suggestions) for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
    ranges = draw(st.lists(st.tuples(st.integers(0, len(text)), st.integers(0, len(text))), max_size=3))
    ignored = [Ignored(min(r), max(r), draw(nasty_text)) for r in ranges if r[0] != r[1]]
    warnings = draw(st.lists(nasty_text, max_size=1))
    return scored(text, source=draw(nasty_text), spans=spans, ignored=ignored, warnings=warnings)
