"""Text -> normal form, with every position mapped back to the text as given.

The normal form is what all later steps read: look-alike and compatibility letters folded, invisible characters
gone, quotes and spaces unified. Nothing that carries meaning is touched: superscripts, fractions, dashes and
accents stay. The work is chosen by the set of distinct characters of the text, so that an article with nothing
but ordinary typography costs one pass in C and needs no map.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_Map = NDArray[np.int64]

# Length-preserving: quotes and primes to ASCII, odd spaces to a space, odd hyphens to a hyphen.
# En and em dashes stay: as a hyphen they would glue two words into a compound.
_TYPOGRAPHY: dict[str, str] = {
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u02bc\u02b9\u02bb\u02bd\uff07", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\uff02", '"'),
    **dict.fromkeys(
        "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000", " "
    ),
    **dict.fromkeys("\u2010\u2011\u2212\ufe63\uff0d", "-"),
    "\u2015": "\u2014",
    "\u2028": "\n",
    "\u2029": "\n",
}
# C1 controls in a text are cp1252 punctuation that was read as Latin-1.
_C1: dict[str, str] = {}
for _code in range(0x80, 0xA0):
    try:
        _char = bytes([_code]).decode("cp1252")
    except UnicodeDecodeError:
        continue  # 81, 8d, 8f, 90 and 9d stand for nothing in cp1252
    _C1[chr(_code)] = _TYPOGRAPHY.get(_char, _char)

_SOFT_HYPHEN = "\u00ad"
# Invisible characters that a reader cannot see but that cut a word in two for a program.
_ZERO_WIDTH = frozenset(
    "\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069"
    "\u061c\u180e\ufeff\ufff9\ufffa\ufffb" + "".join(map(chr, range(0xE0000, 0xE0080)))
)
# Dropped without a warning: they choose a glyph, as after an emoji.
_SILENT = frozenset([_SOFT_HYPHEN, *map(chr, range(0xFE00, 0xFE10)), *map(chr, range(0xE0100, 0xE01F0))])

_MARK_CLASS = "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_MARK = re.compile(f"[{_MARK_CLASS}]")
_CLUSTER = re.compile(f"([^{_MARK_CLASS}]?)([{_MARK_CLASS}]+)", re.DOTALL)
_MAX_MARKS = 4  # more on one letter is decoration ("zalgo"), no known orthography needs it

# UTF-8 that was read as cp1252. Only sequences that no language writes; the lookarounds keep a repair from making a
# new sequence.
_MOJIBAKE = re.compile(
    "\u00e2\u20ac[\u2122\u0153\u009d\u02dc\u201c\u201d\u00a6\u00a2]|\u00c3[\u00a1-\u00bf](?!\u20ac)|(?<!\u00c3)\u00c2[\u00a0\u00a3\u00a9\u00ae\u00b0\u00b7\u00ab\u00bb]"
)

# Letters of other scripts that are drawn like a Latin letter (a subset of Unicode's confusables, UTS 39: only those
# drawn alike in common fonts).
_LOOKALIKES: dict[str, str] = {
    **dict(
        zip(
            "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0455\u0458\u0501\u04bb\u0475\u051b\u051d\u043a\u04cf",
            "aeopcyxisjdhvqwkl",
            strict=True,
        )
    ),
    **dict(
        zip(
            "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0406\u0405\u0408\u051a\u051c\u0474\u04c0",
            "ABEKMHOPCTYXISJQWVI",
            strict=True,
        )
    ),
    **dict(zip("\u03bf\u03b1\u03bd\u03b9\u03c1\u03c5\u03ba", "oavipuk", strict=True)),
    **dict(
        zip(
            "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7",
            "ABEZHIKMNOPTYX",
            strict=True,
        )
    ),
    **dict(zip("\u0585\u0578\u057d\u0570", "onuh", strict=True)),
    **dict(zip("\u0251\u0261", "ag", strict=True)),
}
_LOOKALIKE_SET = frozenset(_LOOKALIKES)
_FOLD_TABLE = {ord(foreign): latin for foreign, latin in _LOOKALIKES.items()}
_FOREIGN = re.compile("[\u0370-\u03ff\u0400-\u052f\u0530-\u058f\u0251\u0261]")
_GREEK = re.compile("[\u0370-\u03ff]")
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]")
_LETTERS = re.compile(r"[^\W\d_]+")
# In formulas Greek and Latin letters stand side by side ("\u03c1gh"), rarely as many as this.
_MIN_GREEK_WORD = 4
# Whole words in look-alikes are folded only where the text gives itself away by this many of them.
_MIN_WHOLE_WORDS = 3
_MAX_PASSES = 4  # found by the property tests: two suffice for what occurs, four for what can be made up


@dataclass(frozen=True, slots=True)
class Normalised:
    """A normal form and the way back.

    `text`: the normal form. `to_original`: None where every character kept its place; else int64 (len(text) + 1,),
    non-decreasing: the offset in the given text where the source of each character begins, and its length at the
    end. `warnings`: stable codes: `zero_width`, `homoglyphs`, `mojibake`.
    """

    text: str
    to_original: _Map | None
    warnings: tuple[str, ...]

    def original_span(self, start: int, end: int) -> tuple[int, int]:
        """Return the non-empty half-open range of the given text that covers `text[start:end]`.

        Raises:
            ValueError: the range is empty or lies outside `text`.
        """
        if not 0 <= start < end <= len(self.text):
            raise ValueError(f"expected 0 <= start < end <= {len(self.text)}, got start={start}, end={end}")
        if self.to_original is None:
            return start, end
        # Several characters may come from one (a ligature); its end is the next larger offset.
        last = self.to_original[end - 1]
        after = int(np.searchsorted(self.to_original, last, side="right"))
        return int(self.to_original[start]), int(self.to_original[after])


@lru_cache(maxsize=8192)
def _replacement(char: str) -> str | None:
    """Return what one non-ASCII character becomes in the normal form, None for itself."""
    if char in _TYPOGRAPHY:
        return _TYPOGRAPHY[char]
    if char in _ZERO_WIDTH or char in _SILENT:
        return ""
    if char in _C1:
        return _C1[char]
    if "\ud800" <= char <= "\udfff":
        return "\ufffd"  # a lone surrogate cannot be encoded
    decomposition = unicodedata.decomposition(char)
    if not decomposition:
        return None
    folded = unicodedata.normalize("NFKC", char)
    if folded == char:
        return None
    tag = decomposition.partition(">")[0] if decomposition.startswith("<") else ""
    harmless = (
        tag in ("<wide", "<narrow", "<font")
        # Ligatures, digraphs and Roman numerals; not the ellipsis, nor accents that stand alone.
        or (tag in ("<compat", "<circle", "<square") and folded.isascii() and folded.isalpha())
        # Kelvin, Angstrom, Ohm: another code for the same letter.
        or (tag == "" and len(folded) == 1)
    )
    if not harmless or folded == char:
        return None
    return "".join(c if c.isascii() else (c if (again := _replacement(c)) is None else again) for c in folded)


def _compose(first: _Map | None, second: _Map | None) -> _Map | None:
    """Return the map of two steps, one after the other."""
    if first is None or second is None:
        return second if first is None else first
    composed: _Map = first[second]
    return composed


def _join(pieces: list[tuple[int, int, str]], text: str) -> tuple[str, _Map]:
    """Return `text` with the slices [start, end) of `pieces` (in order) replaced, and the map of it."""
    if not pieces:
        return text, np.arange(len(text) + 1, dtype=np.int64)
    out: list[str] = []
    at = 0
    for start, end, new in pieces:
        out += (text[at:start], new)
        at = end
    out.append(text[at:])
    # How many characters each character of `text` becomes: the first of a slice all of the new ones, the rest none.
    starts, ends, sizes = (
        np.array(column, dtype=np.int64) for column in zip(*((s, e, len(n)) for s, e, n in pieces), strict=True)
    )
    edges = np.zeros(len(text) + 1, dtype=np.int64)
    edges[starts] += 1
    edges[ends] -= 1
    counts = 1 - np.cumsum(edges[:-1])
    counts[starts] = sizes
    return "".join(out), np.append(np.repeat(np.arange(len(text), dtype=np.int64), counts), len(text))


def _map_characters(text: str, changes: dict[str, str]) -> tuple[str, _Map | None]:
    """Return `text` with every character in `changes` replaced, and the map of it (None if lengths are kept)."""
    if all(len(new) == 1 for new in changes.values()):
        if len(changes) <= 16:  # str.replace runs at memory speed, str.translate looks each character up
            for old, new in changes.items():
                text = text.replace(old, new)
            return text, None
        return text.translate({ord(old): new for old, new in changes.items()}), None
    table = {ord(old): new for old, new in changes.items()}
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    lengths = np.ones(len(codes), dtype=np.int64)
    for old, new in changes.items():
        if len(new) != 1:
            lengths[codes == ord(old)] = len(new)
    starts = np.repeat(np.arange(len(codes), dtype=np.int64), lengths)
    return text.translate(table), np.append(starts, len(codes))


@lru_cache(maxsize=4096)
def _with_mark(base: str, mark: str) -> str:
    """Return the composed letter, or `base` alone where Unicode has none."""
    composed = unicodedata.normalize("NFC", base + mark)
    return composed if len(composed) == 1 else base


def _compose_marks(text: str) -> tuple[str, _Map]:
    """Return `text` with accents that follow their letter composed; those that no letter takes are dropped."""
    pieces: list[tuple[int, int, str]] = []
    for match in _CLUSTER.finditer(text):
        base = match[1]
        if base:
            for mark in match[2][:_MAX_MARKS]:
                base = _with_mark(base, mark)
        pieces.append((match.start(), match.end(), base))
    return _join(pieces, text)


def _repaired(match: re.Match[str]) -> str:
    """Return the character that a mojibake sequence stands for."""
    raw = b"".join(bytes([ord(c)]) if ord(c) < 256 else c.encode("cp1252") for c in match[0])
    char = raw.decode("utf-8")
    return _TYPOGRAPHY.get(char, char)


def _fold_homoglyphs(text: str) -> str:
    """Return `text` with look-alike letters in Latin words folded; every character keeps its place."""
    mixed: list[tuple[int, int]] = []
    whole: list[tuple[int, int]] = []
    only_lookalikes = True
    for match in _LETTERS.finditer(text):
        word = match[0]
        if word.isascii() or not (foreign := set(_FOREIGN.findall(word))):
            continue
        if not foreign <= _LOOKALIKE_SET:
            only_lookalikes = False
        elif _LATIN.search(word) is None:
            whole.append(match.span())
        elif len(word) >= _MIN_GREEK_WORD or _GREEK.search(word) is None:
            mixed.append(match.span())
    spans = mixed
    if whole and (mixed or (only_lookalikes and len(whole) >= _MIN_WHOLE_WORDS)):
        spans = sorted(mixed + whole)
    if not spans:
        return text
    out: list[str] = []
    at = 0
    for start, end in spans:
        out += (text[at:start], text[start:end].translate(_FOLD_TABLE))
        at = end
    out.append(text[at:])
    return "".join(out)


_ZW = "".join(map(re.escape, sorted(_ZERO_WIDTH)))
# An invisible character that touches a word; not a byte-order mark at the very start, not the joiner of an emoji.
_IN_WORD = re.compile(rf"(?<=[^\W_])[{_ZW}]|(?<=[\s\S])[{_ZW}](?=[^\W_])")
_ASCII_BYTES = bytes(range(128))


def _one_pass(text: str, present: set[str], warnings: set[str]) -> tuple[str, _Map | None]:
    """Return the text after all steps, once, and the map; `warnings` grows."""
    to_original: _Map | None = None
    if "\u00e2" in present or "\u00c2" in present or "\u00c3" in present:
        pieces = [(m.start(), m.end(), _repaired(m)) for m in _MOJIBAKE.finditer(text)]
        if pieces:
            warnings.add("mojibake")
            text, to_original = _join(pieces, text)
            present = _non_ascii(text)
    changes = {c: new for c in present if (new := _replacement(c)) is not None}
    if changes:
        if not _ZERO_WIDTH.isdisjoint(changes) and _IN_WORD.search(text):
            warnings.add("zero_width")
        if not changes.keys().isdisjoint(_C1) or any("\ud800" <= c <= "\udfff" for c in changes):
            warnings.add("mojibake")
        text, step = _map_characters(text, changes)
        to_original = _compose(to_original, step)
        present = (present - changes.keys()).union(*changes.values())
    if any(map(_MARK.match, present)):
        text, step = _compose_marks(text)
        to_original = _compose(to_original, step)
    if not _LOOKALIKE_SET.isdisjoint(present):
        folded = _fold_homoglyphs(text)
        if folded != text:
            warnings.add("homoglyphs")
            text = folded
    if "\ufffd" in present:
        warnings.add("mojibake")
    return text, to_original


def _non_ascii(text: str) -> set[str]:
    """Return the distinct characters above U+007F."""
    return set(text.encode("utf-8", "surrogatepass").translate(None, _ASCII_BYTES).decode("utf-8", "surrogatepass"))


def normalise(text: str) -> Normalised:
    r"""Return the normal form of `text` with the map back and the warnings.

    Idempotent on the text; linear in its length; never raises on a str (lone surrogates become U+FFFD).

    >>> normalise("\u201cIt\u2019s\u201d").text
    '"It\'s"'
    >>> n = normalise("sof\u00adt \ufb01sh")
    >>> n.text, n.original_span(5, 7)
    ('soft fish', (6, 7))
    """
    if text.isascii():
        return Normalised(text, None, ())
    given = text
    warnings: set[str] = set()
    to_original: _Map | None = None
    for _ in range(_MAX_PASSES):
        before = text
        text, step = _one_pass(text, _non_ascii(text), warnings)
        to_original = _compose(to_original, step)
        # Length-preserving replacements cannot make new work; anything else is looked at again.
        if text == before or (step is None and not warnings):
            break
    if to_original is not None and len(text) == len(given):
        identity = np.arange(len(given) + 1)
        if np.array_equal(to_original, identity):
            to_original = None
    return Normalised(text, to_original, tuple(sorted(warnings)))
