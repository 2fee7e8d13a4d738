"""What the fuzzers call: each target takes bytes, goes through one step of the program, and asserts all that must hold.

Errors that are raised on purpose (`DetectorError`) are answers. Everything else that is raised is a finding.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

from detector import SpinDetector
from detector.errors import DetectorError
from detector.normalise import normalise
from detector.reading import decode, extract_html
from detector.render import Scored
from detector.render.html import render_html
from detector.render.json import render_json, render_jsonl
from detector.render.text import render_text
from detector.results import KINDS, Failed, Ignored, Reason, Segment, Span, SpinResult, Verdict
from detector.segment import prepare

ROOT = Path(__file__).parent.parent.parent
CORPUS = Path(__file__).parent / "corpus"
MAX_HTML = 20_000  # bytes of a page given to the extraction: it takes milliseconds a kilobyte
_PAGE_TAGS = """
html head meta title style body main h1 h2 h3 p section div span a mark label input nav dl dt dd table thead tbody tr th
td i em strong details summary footer bdi
"""
_TAGS = frozenset(_PAGE_TAGS.split())
_SGR = re.compile(r"\x1b\[[0-9;]*m")  # the only sequence that we write ourselves: colours
# C0 but tab and line feed, DEL, C1, characters that turn the direction, lone surrogates.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@cache
def detector() -> SpinDetector:
    """Return the shipped detector, at the operating point with most spans."""
    return SpinDetector.load(operating_point="sensitive")


@cache
def _articles() -> tuple[str, ...]:
    return tuple((ROOT / "examples" / f"{name}.txt").read_text(encoding="utf-8") for name in ("spun", "original"))


def to_text(data: bytes) -> str:
    """Return a text made of fuzzed bytes: the bytes themselves, code points of any kind, or an article with bits of it.

    The first byte chooses: random bytes alone would never be English, nor hold astral characters or lone surrogates.
    """
    if not data:
        return ""
    kind, rest = data[0] % 4, data[1:]
    if kind == 0:
        return rest.decode("utf-8", "replace")
    if kind == 1:
        return rest.decode("utf-8", "surrogateescape")
    if kind == 2:
        codes = (int.from_bytes(rest[i : i + 3], "little") % 0x110000 for i in range(0, len(rest) - 2, 3))
        return "".join(map(chr, codes))
    article = _articles()[data[0] // 4 % 2][: 300 + 6 * data[0]]
    bits = rest.decode("utf-8", "surrogateescape")
    step = max(1, len(article) // (len(bits) // 4 + 1))
    pieces = [article[i : i + step] + bits[n * 4 : n * 4 + 4] for n, i in enumerate(range(0, len(article), step))]
    return "".join(pieces)


def read(data: bytes) -> None:
    """Decoding of bytes as a text file and as a page, and the extraction of a page's article.

    The first byte says of one input in eight that it is a page: the extraction takes 10 ms, all else a tenth of that.
    """
    for html in (False, True):
        try:
            text, encoding = decode(data, "fuzz", html=html)
            text.encode("utf-8")
            assert encoding
            if html and b"<" in data and data[0] % 8 == 0 and len(data) <= MAX_HTML and text.strip():
                assert extract_html(text, "fuzz").strip()
        except DetectorError as error:
            assert str(error)


def normal_form(data: bytes) -> None:
    """The normal form: idempotent, with a way back for every range."""
    text = to_text(data)
    found = normalise(text)
    assert normalise(found.text).text == found.text
    size = len(found.text)
    for start, end in {(0, 1), (0, size), (size // 2, size // 2 + 1), (size - 1, size), (size // 3, size // 2)}:
        if 0 <= start < end <= size:
            a, b = found.original_span(start, end)
            assert 0 <= a < b <= len(text)


def segments(data: bytes) -> None:
    """What is ignored, the tokens and the segments: in order, inside the text, covering it."""
    prepared = prepare(to_text(data))
    size = len(prepared.normal.text)
    assert all(0 <= i.start < i.end <= size for i in prepared.ignored)
    assert all(a.end <= b.start for a, b in pairwise(prepared.ignored))
    starts, ends = prepared.tokens.starts.tolist(), prepared.tokens.ends.tolist()
    assert all(a < b for a, b in zip(starts, ends, strict=True))
    assert all(b <= a for b, a in zip(ends, starts[1:], strict=False))
    assert not ends or ends[-1] <= size
    if prepared.ends:
        assert prepared.ends == sorted(set(prepared.ends))
        assert prepared.ends[-1] == len(starts)
    prepared.counted_text()


def _check(text: str, result: SpinResult) -> None:
    assert (result.probability is None) == (result.verdict is Verdict.NOT_SCORED)
    assert all(text[s.start : s.end] == s.text for s in result.spans)
    assert all(0 <= r.start < r.end <= len(text) for r in (*result.segments, *result.ignored))
    assert all(a.end <= b.start for a, b in pairwise(result.spans))
    assert all(a.end <= b.start for a, b in pairwise(result.segments))


def _scored(data: bytes) -> tuple[str, SpinResult]:
    text = to_text(data)
    return text, detector().score(text, source=text[:40])


def made_up(data: bytes) -> tuple[str, SpinResult]:
    """Return a text and a result for it without any model: its bytes say where spans are and what they suggest."""
    text = to_text(data)
    if len(text) < 2:
        return text, SpinResult(
            verdict=Verdict.NOT_SCORED, reason=Reason.EMPTY, probability=None, operating_point="balanced",
            threshold=0.5, kinds=None, coverage=None, words=0, model=text or "m@0", source=text,
        )  # fmt: skip
    cuts = sorted({1 + b * (len(text) - 1) // 256 for b in data[:9]} | {0, len(text)})
    ranges = list(pairwise(cuts))
    spans = tuple(
        Span(a, b, text[a:b], data[a % len(data)] / 255, (text[:a][-20:], text[b:][:20])[: a % 3])
        for a, b in ranges[data[-1] % 2 :: 2]
    )
    probability = data[0] / 255
    kinds = {name: (probability if name == "spun" else (1 - probability) / (len(KINDS) - 1)) for name in KINDS}
    return text, SpinResult(
        verdict=Verdict.SPUN if probability >= 0.5 else Verdict.CLEAN, reason=None, probability=probability,
        operating_point="balanced", threshold=0.5, kinds=kinds, coverage=data[-1] / 255, words=len(text),
        model=text[:9], spans=spans, segments=tuple(Segment(a, b, (a + b) % 7 / 7) for a, b in ranges),
        ignored=tuple(Ignored(a, b, text[a:b][:15]) for a, b in ranges[::3]), warnings=(text[-9:],), source=text[:40],
        id=text[:3],
    )  # fmt: skip


def score(data: bytes) -> None:
    """A result for any text, whose ranges lie inside it."""
    _check(*_scored(data))


class _Tags(HTMLParser):
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _TAGS, tag
        for name, value in attrs:
            assert not name.startswith("on"), name
            assert name != "href" or (value or "").startswith("#"), value


def _shown(text: str, result: SpinResult) -> None:
    """All formats: nothing of the text reaches the terminal as a control sequence or the page as a tag."""
    entries = [Scored(result, text), Failed(text[:30], text[:60] or "x", id=None)]
    for color, width in ((False, None), (True, 60)):
        shown = "".join(render_text(entries, color=color, width=width))
        assert not _OBEYED.search(_SGR.sub("", shown) if color else shown)
    lines = "".join(render_jsonl(entries))
    assert len(lines.splitlines()) == 2
    assert [json.loads(line) for line in lines.splitlines()] == json.loads("".join(render_json(entries)))
    page = "".join(render_html(entries))
    assert not _OBEYED.search(page)
    _Tags().feed(page)


def render(data: bytes) -> None:
    """All formats of a result that is made up, with spans and suggestions of any text."""
    text, result = made_up(data)
    _check(text, result)
    _shown(text, result)


def report(data: bytes) -> None:
    """All formats of what the detector says of a text."""
    _shown(*_scored(data))


TARGETS: dict[str, Callable[[bytes], None]] = {
    "read": read,
    "normalise": normal_form,
    "segment": segments,
    "score": score,
    "render": render,
    "report": report,
}
WITHOUT_MODEL = ("read", "normalise", "segment", "render")
"""Those that take microseconds, so that guidance by coverage gets somewhere."""


def quick(data: bytes) -> None:
    """All targets without a model; rendering takes longer than the others together, so the last byte chooses it."""
    for name in WITHOUT_MODEL:
        if name != "render" or data[-1:] < b"\x40":
            TARGETS[name](data)
