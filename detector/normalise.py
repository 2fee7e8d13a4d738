"""Text -> normal form, with every position mapped back to the text as given.

The normal form is what all later steps read: what a person sees. Look-alike and compatibility letters are folded,
invisible characters gone, garbled encodings mended, letters set apart put together, quotes and spaces unified. Nothing
that carries meaning is touched: superscripts, fractions, dashes and the accents of real words stay. The work is chosen
by the set of distinct characters of the text, so that an article with nothing but ordinary typography costs one pass in
C and needs no map; every step works on whole arrays, so that a text made on purpose costs no more than its length.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from detector import lookalikes as look
from detector.mojibake import SUSPECT, find_mojibake
from detector.scorable import FUNCTION_WORDS
from detector.spaced import Splitter, find_gaps, maybe_spaced
from detector.typography import mixed_marks

_Map = NDArray[np.int64]
_Codes = NDArray[np.uint32]

WARNINGS = (
    "backspaces",
    "bidi",
    "combining_marks",
    "fancy_quotes",
    "homoglyphs",
    "mojibake",
    "soft_hyphens",
    "spaced_letters",
    "styled_letters",
    "zero_width",
)
"""All codes of `Normalised.warnings`, in order; docs/json.md says what each means."""

_MARKS = ((0x300, 0x370), (0x483, 0x48A), (0x1AB0, 0x1B00), (0x1DC0, 0x1E00), (0x20D0, 0x2100), (0xFE20, 0xFE30))
_MARK = re.compile("[" + "".join(f"{chr(a)}-{chr(b - 1)}" for a, b in _MARKS) + "]")
_MAX_MARKS = 4  # more on one letter is decoration ("zalgo"), no known orthography needs it

# The numbers below say when a text gives itself away. Over 37,849 human texts of the tables: no word mixed scripts,
# one had letters apart, six styled letters, 21 combining marks; attacks have dozens of each.
_MIN_SYMBOL_WORD = 4  # in formulas Greek and Latin letters stand side by side ("\u03c1gh"), rarely as many as this
_MIN_MIXED = 3  # words of two scripts, after which short words and whole words in look-alikes are folded too
_MIN_WHOLE = 3  # words all in look-alikes, where no other foreign word is there that could be real
_MIN_VARIANTS = 3  # words with rare Latin letters; fewer are phonetic notation or a logo
_MIN_FALSE_LETTERS = 3  # letters with a mark that they never bear
_MIN_EVIDENCE = 3  # function words in disguise: "th\u00e9", "w\u0131th"
_MIN_EVIDENCE_SHARE = 0.2  # of the words with accents: disguised English has 0.4; in Vietnamese "th\u1ebf" is a word
_EVIDENCE_WORDS = 4000  # words looked at for it
_MIN_STYLED = 5  # letters; a formula has fewer, a styled word more
_MIN_SPACED = 12  # letters; one word set apart is emphasis
_MIN_SOFT_HYPHENS = 3  # in words; a page has few left over, if any
_MAX_PASSES = 6  # found by the property tests: two suffice for what occurs, four for what can be made up


@dataclass(frozen=True, slots=True)
class Normalised:
    """A normal form and the way back.

    `text`: the normal form. `to_original`: None where every character kept its place; else int64 (len(text) + 1,),
    non-decreasing: the offset in the given text where the source of each character begins, and its length at the
    end. `warnings`: stable codes, some of `WARNINGS`, sorted.
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
    for table in (look.TYPOGRAPHY, look.C1, look.ENCLOSED):
        if char in table:
            return table[char]
    if char in look.ZERO_WIDTH or char in look.SILENT or char in look.BIDI:
        return ""
    if "\ud800" <= char <= "\udfff":
        return "\ufffd"  # a lone surrogate cannot be encoded
    if char in look.STRICT:
        return None
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


@lru_cache(maxsize=8192)
def _is_styled(char: str) -> bool:
    """Whether a character is a Latin letter in a dress: full-width, mathematical, circled, squared."""
    return char in look.ENCLOSED or (
        unicodedata.decomposition(char).startswith(("<wide", "<font", "<circle", "<square"))
        and (folded := unicodedata.normalize("NFKC", char)).isascii()
        and folded.isalpha()
    )


# --- maps ---


def _compose(first: _Map | None, second: _Map | None) -> _Map | None:
    """Return the map of two steps, one after the other."""
    if first is None or second is None:
        return second if first is None else first
    composed: _Map = first[second]
    return composed


def _codes(text: str) -> _Codes:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def _to_text(codes: _Codes) -> str:
    return codes.astype("<u4", copy=False).tobytes().decode("utf-32-le", "surrogatepass")


def _join(pieces: list[tuple[int, int, str]], text: str) -> tuple[str, _Map]:
    """Return `text` with the slices [start, end) of `pieces` (in order) replaced, and the map of it."""
    out: list[str] = []
    at = 0
    for start, end, new in pieces:
        out += (text[at:start], new)
        at = end
    out.append(text[at:])
    # How many characters each character of `text` becomes: the first of a slice all of the new ones, the rest none.
    starts = np.fromiter((p[0] for p in pieces), np.int64, len(pieces))
    ends = np.fromiter((p[1] for p in pieces), np.int64, len(pieces))
    edges = np.zeros(len(text) + 1, dtype=np.int64)
    edges[starts] += 1
    edges[ends] -= 1
    counts = 1 - np.cumsum(edges[:-1])
    counts[starts] = np.fromiter((len(p[2]) for p in pieces), np.int64, len(pieces))
    return "".join(out), np.append(np.repeat(np.arange(len(text), dtype=np.int64), counts), len(text))


def _drop(gaps: list[tuple[int, int]], text: str) -> tuple[str, _Map]:
    """Return `text` without the ranges `gaps` (in order, apart), and the map of it."""
    edges = np.zeros(len(text) + 1, dtype=np.int64)
    edges[[a for a, _ in gaps]] += 1
    edges[[b for _, b in gaps]] -= 1
    kept = np.flatnonzero(np.cumsum(edges[:-1]) == 0)
    return _to_text(_codes(text)[kept]), np.append(kept, len(text))


def _map_characters(text: str, changes: dict[str, str]) -> tuple[str, _Map | None]:
    """Return `text` with every character in `changes` replaced, and the map of it (None if lengths are kept)."""
    table = {ord(old): new for old, new in changes.items()}
    if all(len(new) == 1 for new in changes.values()):
        if len(changes) <= 16:  # str.replace runs at memory speed, str.translate looks each character up
            for old, new in changes.items():
                text = text.replace(old, new)
            return text, None
        return text.translate(table), None
    lengths_of = np.ones(0x110000, dtype=np.int8)
    for old, new in changes.items():
        lengths_of[ord(old)] = len(new)
    lengths = lengths_of[_codes(text)]
    return text.translate(table), np.append(np.repeat(np.arange(len(text), dtype=np.int64), lengths), len(text))


# --- steps ---


def _take_back(text: str) -> tuple[str, _Map]:
    """Return `text` without its backspaces and what they take back; the start of a line stops them."""
    kept: list[tuple[int, int]] = []
    at = 0
    for match in re.finditer("\b+", text):
        if match.start() > at:
            kept.append((at, match.start()))
        left = match.end() - match.start()
        while left and kept:
            start, end = kept.pop()
            stop = max(start, end - left)
            stop = max(stop, text.rfind("\n", stop, end) + 1)
            if stop > start:
                kept.append((start, stop))
            if end - stop < left and stop > start:
                break
            left -= end - stop
        at = match.end()
    kept.append((at, len(text)))
    gaps = [(a[1], b[0]) for a, b in zip([(0, 0), *kept], kept, strict=False) if a[1] < b[0]]
    return _drop(gaps, text)


_OVERRIDDEN = re.compile("\u202e([^\u202a-\u202e\n\r\u2028\u2029]+)(\u202c|(?=[\n\r\u2028\u2029]|$))")
_WORDS = re.compile(r"[^\W\d_]+")
_LONGEST_TURNED = 200  # characters: words and phrases; few segments are shorter than what comes from one place


def _turn_around(text: str) -> tuple[str, _Map | None]:
    """Return `text` with what a right-to-left override shows backwards put in the order in which it is read.

    All characters of such a stretch come from all of it, since a map that runs backwards is no map. Of one longer than
    `_LONGEST_TURNED` characters, piece by piece: what is found in a whole line that was turned around is shown where it
    would stand if the line ran forwards.
    """
    found = list(_OVERRIDDEN.finditer(text))
    if not found:
        return text, None

    def english(inner: str) -> int:
        return sum(word in FUNCTION_WORDS for word in _WORDS.findall(inner.lower()))

    # Some put the override there without writing backwards; what is English that way is left in its order.
    forth, back = 0, 0
    for match in found[:_EVIDENCE_WORDS]:
        forth, back = forth + english(match[1]), back + english(match[1][::-1])
    if back <= forth:
        return text, None
    pieces: list[tuple[int, int, str]] = []
    for match in found:
        read, start = match[1][::-1], match.start()
        for at in range(0, len(read), _LONGEST_TURNED):
            piece = read[at : at + _LONGEST_TURNED]
            end = match.end() if at + _LONGEST_TURNED >= len(read) else match.start(1) + at + len(piece)
            pieces.append((start, end, piece))
            start = end
    return _join(pieces, text)


def _compose_marks(text: str) -> tuple[str, _Map, bool]:
    """Return `text` with accents that follow their letter composed and other marks gone, and the map of it.

    And whether the marks are no spelling: on letters that never bear them, or piled up.
    """
    codes = _codes(text).copy()
    is_mark = np.zeros(len(codes), np.bool_)
    for start, end in _MARKS:
        is_mark |= (codes >= start) & (codes < end)
    places = np.arange(len(codes), dtype=np.int64)
    marks = np.flatnonzero(is_mark)
    bases = np.maximum.accumulate(np.where(is_mark, -1, places))[marks]
    marks, bases = marks[bases >= 0], bases[bases >= 0]  # a mark at the very start has no letter
    lowered = codes[bases] | 0x20
    on_latin = (lowered >= ord("a")) & (lowered <= ord("z"))
    keys, composed = look.compositions()
    taken = np.zeros(len(marks), np.bool_)
    for number in range(1, _MAX_MARKS + 1):
        now = np.flatnonzero(marks - bases == number)
        if not len(now):
            break
        pairs = (codes[bases[now]].astype(np.uint64) << np.uint64(32)) | codes[marks[now]]
        at = np.minimum(np.searchsorted(keys, pairs), len(keys) - 1)
        fits = keys[at] == pairs
        codes[bases[now[fits]]] = composed[at[fits]]
        taken[now[fits]] = True
    kept = np.flatnonzero(~is_mark)

    def letters(which: NDArray[np.bool_]) -> int:
        chosen = bases[which]
        return int(np.count_nonzero(np.diff(chosen))) + bool(len(chosen))

    wrong = letters(on_latin & ~taken)
    # A tenth: in decomposed text all marks but those of phonetic notation are taken.
    false = wrong >= _MIN_FALSE_LETTERS and 10 * wrong >= letters(on_latin)
    return _to_text(codes[kept]), np.append(kept, len(text)), false


def _fold_letters(text: str, present: set[str], decorated: bool, warnings: set[str]) -> str:
    """Return `text` with letters that only look like Latin ones folded; every character keeps its place.

    `decorated`: accents are known to be no spelling. `warnings` grows.
    """
    classes = {char: look.letter_class(char) for char in present}
    if not any(letter for _, letter in classes.values()):
        return text
    codes = _codes(text)
    bits_of = np.zeros(0x110000, np.uint8)  # memory that is not touched costs nothing
    latin_of = np.zeros(0x110000, np.uint32)
    bits_of[[*range(ord("A"), ord("Z") + 1), *range(ord("a"), ord("z") + 1)]] = look.ASCII
    for char, (kind, letter) in classes.items():
        bits_of[ord(char)] = kind
        if letter:
            latin_of[ord(char)] = ord(letter)
    bits = bits_of[codes]
    edges = np.flatnonzero(np.diff(bits != 0, prepend=False, append=False))
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return text
    word_bits = np.bitwise_or.reduceat(bits, starts)
    sizes = ends - starts
    plain = np.where(latin_of[codes] > 0, latin_of[codes], codes)

    def has(mask: int) -> NDArray[np.bool_]:
        return np.asarray((word_bits & mask) != 0)

    def disguised(which: NDArray[np.bool_]) -> tuple[int, int]:
        """Return how many of these words are function words in disguise, and how many were looked at."""
        chosen = np.flatnonzero(which & (sizes <= 10))[:_EVIDENCE_WORDS]
        seen = sum(_to_text(plain[starts[i] : ends[i]]).lower() in FUNCTION_WORDS for i in chosen)
        return seen, len(chosen)

    latin = has(look.ASCII | look.OTHER_LATIN | look.VARIANT)
    drawn = has(look.LOOKALIKE | look.LOOSE_LOOKALIKE)
    mixed = latin & (drawn | (has(look.SYMBOL) & (sizes >= _MIN_SYMBOL_WORD)))
    whole = ~latin & has(look.LOOKALIKE | look.SYMBOL) & ~has(look.FOREIGN)
    fold = mixed
    n_mixed = int(np.count_nonzero(mixed))
    if whole.any() or has(look.SYMBOL).any():
        real = bool((has(look.FOREIGN) & ~latin).any())  # words that can only be of another script
        n_whole = int(np.count_nonzero(whole))
        given_away = n_mixed >= _MIN_MIXED or (not real and (n_mixed or n_whole >= _MIN_WHOLE))
        if not given_away and n_whole:
            given_away = disguised(whole)[0] >= _MIN_EVIDENCE
        if given_away:
            fold = mixed | whole | (latin & has(look.SYMBOL) & (n_mixed >= _MIN_MIXED))
    variant = has(look.VARIANT)
    if np.count_nonzero(variant & ~has(look.OTHER_LATIN) & (sizes >= 3)) >= _MIN_VARIANTS:  # 3: letters, no symbol
        warnings.add("homoglyphs")
    if fold.any():
        warnings.add("homoglyphs")
    accented = has(look.ACCENTED)
    if accented.any() and not decorated:
        seen, of = disguised(accented)
        decorated = seen >= _MIN_EVIDENCE and seen >= _MIN_EVIDENCE_SHARE * of
        if decorated:
            warnings.add("combining_marks")
    wanted = np.where(fold, look.LOOKALIKE | look.LOOSE_LOOKALIKE | look.SYMBOL, 0) | look.VARIANT
    if decorated:
        wanted |= look.ACCENTED
    if not (word_bits & wanted).any():
        return text
    change = np.zeros(len(codes), np.uint8)
    inside = bits != 0
    change[inside] = np.repeat(wanted.astype(np.uint8), sizes)
    return _to_text(np.where((bits & change) != 0, plain, codes))


_ZW = "".join(map(re.escape, sorted(look.ZERO_WIDTH)))
_BD = "".join(map(re.escape, sorted(look.BIDI)))
# An invisible character that touches a word; not a byte-order mark at the very start, not the joiner of an emoji.
_ZERO_WIDTH_IN_WORD = re.compile(rf"(?<=[^\W_])[{_ZW}]|(?<=[\s\S])[{_ZW}](?=[^\W_])")
_BIDI_IN_WORD = re.compile(rf"(?<=[^\W_])[{_BD}]|[{_BD}](?=[^\W_])")
_SOFT_IN_WORD = re.compile("(?<=[^\\W_])\u00ad(?=[^\\W_])")
_BACKTICK = re.compile(r"(?<=[^\W\d_])`(?=[^\W\d_])")
_ASCII_BYTES = bytes(range(128))

# Ideographs, syllables and private use: many characters that nothing here is about.
_PASSED_OVER = re.compile(
    "[\u3400-\u9fff\uac00-\ud7ff\ue000-\uf8ff\U00012000-\U00016eff\U00017000-\U0001cfff\U00020000-\U000dffff\U000f0000-\U0010ffff]+"
)


def _non_ascii(text: str) -> set[str]:
    """Return the distinct characters above U+007F that may have to be changed."""
    rest = text.encode("utf-8", "surrogatepass").translate(None, _ASCII_BYTES).decode("utf-8", "surrogatepass")
    found = set(rest)
    return found if len(found) < 500 else set(_PASSED_OVER.sub("", "".join(found)))


def _warn_of(text: str, changes: dict[str, str], warnings: set[str]) -> None:
    """Add to `warnings` what the characters that are about to be replaced say."""
    for code, kind, in_word in (
        ("zero_width", look.ZERO_WIDTH, _ZERO_WIDTH_IN_WORD),
        ("bidi", look.BIDI, _BIDI_IN_WORD),
    ):
        if not changes.keys().isdisjoint(kind) and in_word.search(text):
            warnings.add(code)
    if look.SOFT_HYPHEN in changes and len(_SOFT_IN_WORD.findall(text)) >= _MIN_SOFT_HYPHENS:
        warnings.add("soft_hyphens")
    if not changes.keys().isdisjoint(look.C1) or any("\ud800" <= c <= "\udfff" for c in changes):
        warnings.add("mojibake")
    styled = [c for c in changes if _is_styled(c)]
    if styled:
        is_styled = np.zeros(0x110000, np.bool_)
        is_styled[[ord(c) for c in styled]] = True
        if np.count_nonzero(is_styled[_codes(text)]) >= _MIN_STYLED:
            warnings.add("styled_letters")


def _one_pass(text: str, splitter: Splitter | None, warnings: set[str]) -> tuple[str, _Map | None]:
    """Return the text after all steps, once, and the map; `warnings` grows."""
    to_original: _Map | None = None
    if "\b" in text:
        warnings.add("backspaces")
        text, to_original = _take_back(text)
    present = _non_ascii(text)
    if "\u202e" in present:
        text, step = _turn_around(text)
        if step is not None:
            warnings.add("bidi")
            to_original = _compose(to_original, step)
            present = _non_ascii(text)
    if present and SUSPECT.search(text) is not None and (pieces := find_mojibake(text)):
        warnings.add("mojibake")
        text, step = _join(pieces, text)
        to_original = _compose(to_original, step)
        present = _non_ascii(text)
    if mixed_marks(text, present):
        warnings.add("fancy_quotes")
    if "`" in text:
        text = _BACKTICK.sub("'", text)
    # Before odd spaces become plain ones: the kind of space may be all that parts words from letters.
    if maybe_spaced(text if present.isdisjoint(look.ODD_SPACES) else _spaces_plain(text)):
        gaps, letters = find_gaps(text, splitter)
        if letters >= _MIN_SPACED:
            warnings.add("spaced_letters")
        if gaps:
            text, step = _drop(gaps, text)
            to_original = _compose(to_original, step)
    changes = {c: new for c in present if (new := _replacement(c)) is not None}
    if changes:
        _warn_of(text, changes, warnings)
        text, step = _map_characters(text, changes)
        to_original = _compose(to_original, step)
        present = (present - changes.keys()).union(*map(_non_ascii, changes.values()))
    decorated = False
    if any(map(_MARK.match, present)):
        text, step, decorated = _compose_marks(text)
        if decorated:
            warnings.add("combining_marks")
        to_original = _compose(to_original, step)
        present = _non_ascii(text)
    if present:
        text = _fold_letters(text, present, decorated, warnings)
    if "\ufffd" in present:
        warnings.add("mojibake")
    return text, to_original


def _spaces_plain(text: str) -> str:
    for space in look.ODD_SPACES:
        text = text.replace(space, " ")
    return text


def normalise(text: str, splitter: Splitter | None = None) -> Normalised:
    r"""Return the normal form of `text` with the map back and the warnings.

    `splitter`: finds the words in letters set apart by single spaces; without one these stay as they are. Idempotent
    on the text; linear in its length; never raises on a str (lone surrogates become U+FFFD).

    >>> normalise("\u201cIt\u2019s\u201d").text
    '"It\'s"'
    >>> n = normalise("sof\u00adt \ufb01sh")
    >>> n.text, n.original_span(5, 7)
    ('soft fish', (6, 7))
    """
    if text.isascii() and "\b" not in text and "`" not in text and not maybe_spaced(text):
        return Normalised(text, None, ())
    given = text
    warnings: set[str] = set()
    to_original: _Map | None = None
    for _ in range(_MAX_PASSES):
        before = text
        text, step = _one_pass(text, splitter, warnings)
        to_original = _compose(to_original, step)
        # Replacements that keep every character's place make new work in two ways only: a space that parts letters, and
        # a plain mark that completes a garbled encoding ("\u00e2\u20ac\uff01"). Anything else is looked at again.
        settled = step is None and not warnings and not maybe_spaced(text) and SUSPECT.search(text) is None
        if text == before or settled:
            break
    if to_original is not None and len(text) == len(given):
        identity = np.arange(len(given) + 1)
        if np.array_equal(to_original, identity):
            to_original = None
    return Normalised(text, to_original, tuple(sorted(warnings)))
