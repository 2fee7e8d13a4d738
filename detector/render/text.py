"""Results for a terminal or a pipe: the verdict, the article with its odd phrases marked, the strongest evidence.

In colour a phrase stands out by style and its probable original follows in brackets; without colour both stand
between guillemets, `«top state leader → prime minister»`. Nothing of the article is obeyed: control characters are
shown as escapes, and rich's markup is never parsed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import StringIO

from detector.render import (
    REASONS,
    Entry,
    Evidence,
    Scored,
    describe_ignored,
    describe_warning,
    evidence,
    number,
    one_line,
    percent,
    pieces,
    visible_slice,
)
from detector.results import Ignored, Reason, Span, SpinResult, Verdict

MAX_EVIDENCE = 15
MAX_LISTED_SUGGESTIONS = 3
MAX_PHRASE_COLUMN = 36
MAX_WIDTH = 100  # longer lines are hard to read, however wide the terminal is

# The terminal's own sixteen colours: they fit light and dark backgrounds. Verdicts and phrases also differ in words
# or brackets, so no meaning hangs on colour alone.
_VERDICT_STYLE = {Verdict.SPUN: "bold red", Verdict.CLEAN: "bold green", Verdict.NOT_SCORED: "bold yellow"}
_PHRASE = "bold red"
_WEAK_PHRASE = "yellow"
_SUGGESTION = "green"
_DIM = "dim"

_Fragment = tuple[str, str]
"""Text and its style; the style is empty for plain text."""


@dataclass(frozen=True, slots=True)
class Marks:
    """The signs that plain output uses."""

    open: str = "«"
    close: str = "»"
    arrow: str = "→"
    dot: str = "·"

    @classmethod
    def for_encoding(cls, encoding: str) -> Marks:
        """Return marks that `encoding` can carry: the usual ones, else ASCII."""
        marks = cls()
        try:
            f"{marks.open}{marks.close}{marks.arrow}{marks.dot}".encode(encoding)
        except (UnicodeEncodeError, LookupError):
            return cls("<<", ">>", "->", "-")
        return marks


def render_text(
    entries: Iterable[Entry], *, color: bool = False, width: int | None = None, marks: Marks | None = None
) -> Iterator[str]:
    """Yield one block per scored entry, in order.

    `width`: columns to wrap at, None for no wrapping (pipes and files). Failed entries yield nothing: their messages
    belong on standard error.
    """
    marks = marks or Marks()
    if width is not None:
        width = min(width, MAX_WIDTH)
    first = True
    for entry in entries:
        if not isinstance(entry, Scored):
            continue
        separator = "" if first else "\n" + "-" * (width or 72) + "\n\n"
        first = False
        yield separator + _paint(_block(entry, marks, color), color, width)


def _block(entry: Scored, marks: Marks, color: bool) -> Iterator[_Fragment]:
    result = entry.result
    yield from _header(result, marks)
    if result.reason not in (Reason.EMPTY, Reason.NOT_TEXT):
        yield "\n", ""
        yield from _article(entry, marks, color)
    found = evidence(result)
    if found:
        yield "\n", ""
        yield from _evidence_list(found, result, marks)


def _header(result: SpinResult, marks: Marks) -> Iterator[_Fragment]:
    style = _VERDICT_STYLE[result.verdict]
    if result.source is not None:
        yield one_line("standard input" if result.source == "-" else result.source), "bold"
        yield "\n", ""
    if result.reason is not None:
        yield "NOT SCORED", style
        yield f": {REASONS[result.reason]} ({result.reason})\n", ""
    elif result.probability is not None and result.coverage is not None:
        yield result.verdict.value.upper(), style
        probability = number(result.probability, result.threshold)
        threshold = number(result.threshold, result.probability)
        sign = ">=" if result.verdict is Verdict.SPUN else "<"
        yield f"  probability {probability} {sign} threshold {threshold} ({one_line(result.operating_point)})\n", ""
        words = f"{result.words:,} word{'' if result.words == 1 else 's'}"
        covered = "none" if result.coverage == 0 else percent(result.coverage)
        yield f"{words}, {covered} in spun-looking passages {marks.dot} {one_line(result.model)}\n", _DIM
    for code in result.warnings:
        yield f"Warning: {one_line(describe_warning(code))} ({one_line(code)})\n", "yellow"


def _article(entry: Scored, marks: Marks, color: bool) -> Iterator[_Fragment]:
    result = entry.result
    phrase_style = _PHRASE if result.verdict is Verdict.SPUN else _WEAK_PHRASE
    last = "\n"
    for start, end, mark in pieces(entry.text, result):
        shown = visible_slice(entry.text, start, end)
        last = shown[-1:] or last
        if isinstance(mark, Span):
            yield from _phrase(shown, mark, phrase_style, marks, color)
        elif isinstance(mark, Ignored):
            yield from _not_counted(shown, mark, color)
        else:
            yield shown, ""
    if last != "\n":
        yield "\n", ""


def _phrase(shown: str, span: Span, style: str, marks: Marks, color: bool) -> Iterator[_Fragment]:
    original = one_line(span.suggestions[0]) if span.suggestions else ""
    if color:
        yield shown, style
        if original:
            yield f" [{original}]", _SUGGESTION
    else:
        inner = f"{shown} {marks.arrow} {original}" if original else shown
        yield f"{marks.open}{inner}{marks.close}", ""


def _not_counted(shown: str, ignored: Ignored, color: bool) -> Iterator[_Fragment]:
    body = shown.strip()
    if not body:
        yield shown, ""
        return
    before, after = shown[: shown.index(body)], shown[shown.index(body) + len(body) :]
    why = one_line(describe_ignored(ignored.why))
    yield before, ""
    yield f"[not counted, {why}: {body}]", _DIM
    yield after, ""


def _evidence_list(found: list[Evidence], result: SpinResult, marks: Marks) -> Iterator[_Fragment]:
    title = "Strongest evidence" if result.verdict is Verdict.SPUN else "Odd phrases, not enough for a verdict"
    shown = found[:MAX_EVIDENCE]
    yield title, "bold"
    yield (f" ({len(shown)} of {len(found)} phrases)\n" if len(found) > len(shown) else "\n"), ""
    labels = [one_line(e.text) + (f" ({len(e.places)} times)" if len(e.places) > 1 else "") for e in shown]
    column = min(max(map(len, labels)), MAX_PHRASE_COLUMN)
    for item, label in zip(shown, labels, strict=True):
        yield f"  {item.score:.2f}  ", _DIM
        yield label, _PHRASE if result.verdict is Verdict.SPUN else _WEAK_PHRASE
        if item.suggestions:
            yield " " * max(column - len(label), 0) + f"  {marks.arrow} ", ""
            yield ", ".join(one_line(s) for s in item.suggestions[:MAX_LISTED_SUGGESTIONS]), _SUGGESTION
        yield "\n", ""


def _paint(fragments: Iterable[_Fragment], color: bool, width: int | None) -> str:
    if not color and width is None:
        return "".join(text for text, _ in fragments)
    # rich: 80 ms to import, which a pipe need not pay.
    from rich.console import Console
    from rich.text import Text

    out = StringIO()
    console = Console(
        file=out,
        force_terminal=color,
        color_system="standard" if color else None,
        no_color=not color,
        width=width or 80,
        legacy_windows=False,
        markup=False,
        emoji=False,
        highlight=False,
    )
    # Line by line: rich's wrapping takes time quadratic in the number of styled stretches of one Text.
    line = Text(end="\n")
    for text, style in fragments:
        head, *rest = text.split("\n")
        line.append(head, style or None)
        for part in rest:
            console.print(line, soft_wrap=width is None)
            line = Text(end="\n")
            line.append(part, style or None)
    if line:
        console.print(line, soft_wrap=width is None, end="")
    return out.getvalue()
