"""Attacks on characters: what is drawn looks like the text, what a program reads does not.

After Boucher et al. 2022 ("Bad Characters", IEEE S&P): invisible characters, homoglyphs, reorderings and deletions. The
strengths are chosen high enough that a detector which does nothing about them cannot pass: a writer who cheats has no
reason to hold back. Each function is pure; what it draws comes from `rng`. See eval/attacks.py for the table.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping, Sequence
from random import Random

# Letters drawn like the Latin ones in common fonts: a choice from Unicode's confusables (UTS 39), made without regard
# to what the detector knows.
_LOOKALIKES: Mapping[str, str] = {
    "a": "аɑ", "c": "сϲ", "d": "ԁ", "e": "е", "g": "ɡ", "h": "һ", "i": "і", "j": "ј", "l": "ӏ", "n": "ո", "o": "оο",
    "p": "рρ", "q": "ԛ", "s": "ѕ", "u": "ս", "v": "ѵν", "w": "ԝ", "x": "х", "y": "у", "A": "АΑ", "B": "ВΒ", "C": "С",
    "E": "ЕΕ", "H": "НΗ", "I": "ІΙ", "J": "Ј", "K": "КΚ", "M": "МΜ", "N": "Ν", "O": "ОΟ", "P": "РΡ", "S": "Ѕ",
    "T": "ТΤ", "X": "ХΧ", "Y": "ΥҮ", "Z": "Ζ",
}  # fmt: skip
_ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff"
_MARKS = "\u0300\u0301\u0302\u0307\u0308\u0323\u0331\u034f"
_LETTER = re.compile(r"[A-Za-z]")
_WORD = re.compile(r"\w+(?:['’]\w+)*")
_INSIDE = re.compile(r"(?<=[A-Za-z])(?=[A-Za-z])")  # places between two letters of a word


def change_words(text: str, rng: Random, share: float, change: Callable[[str], str], shortest: int = 1) -> str:
    """Return the text with `change` applied to that share of its words of at least `shortest` characters."""

    def one(match: re.Match[str]) -> str:
        word = match.group()
        return change(word) if len(word) >= shortest and rng.random() < share else word

    return _WORD.sub(one, text)


def homoglyphs(text: str, rng: Random) -> str:
    """One letter in five replaced by a look-alike: hardly a word stays as it was."""
    # 0.2: with five letters a word, two words in three are no longer found in any list.
    return _LETTER.sub(lambda m: _lookalike(m.group(), rng) if rng.random() < 0.2 else m.group(), text)


def homoglyphs_all(text: str, rng: Random) -> str:
    """Every letter that has a look-alike replaced by one: no Latin word is left."""
    return _LETTER.sub(lambda m: _lookalike(m.group(), rng), text)


def _lookalike(letter: str, rng: Random) -> str:
    return rng.choice(_LOOKALIKES.get(letter, letter))


def zero_width(text: str, rng: Random) -> str:
    """A zero-width character inside every second word."""
    return _put_inside(text, rng, _ZERO_WIDTH)


def soft_hyphens(text: str, rng: Random) -> str:
    """A soft hyphen inside every second word."""
    return _put_inside(text, rng, "\u00ad")


def _put_inside(text: str, rng: Random, put: Sequence[str]) -> str:
    def change(word: str) -> str:
        places = [m.start() for m in _INSIDE.finditer(word)]
        if not places:
            return word
        at = rng.choice(places)
        return word[:at] + rng.choice(put) + word[at:]

    return change_words(text, rng, 0.5, change)  # 0.5: of two neighbouring words, one is cut


def bidi(text: str, rng: Random) -> str:
    """Direction marks and embeddings around every second word; left-to-right, so that nothing moves."""
    pairs = ("\u200e", "\u200e"), ("\u202a", "\u202c"), ("\u2066", "\u2069"), ("\u202d", "\u202c")
    return change_words(text, rng, 0.5, lambda word: word.join(rng.choice(pairs)))


def bidi_reordered(text: str, rng: Random) -> str:
    """Every third word written backwards under a right-to-left override, so that it is drawn as before."""
    return change_words(text, rng, 1 / 3, lambda word: f"\u202e{word[::-1]}\u202c", 3)


def deletions(text: str, rng: Random) -> str:
    """A letter and a backspace inside every second word: drawn as before by what obeys the backspace."""
    return _put_inside(text, rng, ("x\b", "q\b", "z\b"))


def combining_marks(text: str, rng: Random) -> str:
    """A combining mark on one letter in ten."""
    return _LETTER.sub(lambda m: m.group() + (rng.choice(_MARKS) if rng.random() < 0.1 else ""), text)


def combining_marks_piled(text: str, rng: Random) -> str:
    """Six to twelve combining marks on one letter in ten (known as zalgo)."""

    def pile(match: re.Match[str]) -> str:
        count = rng.randint(6, 12) if rng.random() < 0.1 else 0
        return match.group() + "".join(rng.choice(_MARKS) for _ in range(count))

    return _LETTER.sub(pile, text)


_FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
_STYLES = {"bold": (0x1D400, 0x1D41A), "sans": (0x1D5A0, 0x1D5BA), "monospace": (0x1D670, 0x1D68A)}


def full_width(text: str, rng: Random) -> str:
    """Every second word in full-width letters."""
    return change_words(text, rng, 0.5, lambda word: word.translate(_FULL_WIDTH))


def styled_letters(text: str, rng: Random) -> str:
    """Every second word in the mathematical alphabets (bold, sans-serif, monospace)."""

    def change(word: str) -> str:
        upper, lower = _STYLES[rng.choice(sorted(_STYLES))]
        table = {ord(c): upper + i for i, c in enumerate(string.ascii_uppercase)}
        return word.translate(table | {ord(c): lower + i for i, c in enumerate(string.ascii_lowercase)})

    return change_words(text, rng, 0.5, change)


def fancy_quotes(text: str, rng: Random) -> str:
    """Typographic quotes, apostrophes, dashes, ellipses and no-break spaces in place of ASCII."""
    text = re.sub(r'(?<!\S)"|(?<=[(\[])"', lambda _: rng.choice("“„«"), text)
    text = text.replace('"', rng.choice("”»″"))
    text = re.sub(r"(?<!\w)'(?=\w)", "‘", text)
    text = re.sub("'", lambda _: rng.choice("’ʼ′`´"), text)
    text = text.replace("...", "…").replace("--", "—").replace(" - ", " – ")
    text = re.sub(r"(?<=\w)-(?=\w)", lambda _: rng.choice("‐‑"), text)
    return re.sub(r"(?<=\w) (?=\w)", lambda _: "\u00a0" if rng.random() < 0.1 else " ", text)  # 0.1: as pages have


def spaced_letters(text: str, rng: Random) -> str:
    """Spaces between the letters of one word in six, so that phrases fall apart everywhere."""
    return change_words(text, rng, 1 / 6, " ".join, 4)


def spaced_text(text: str, rng: Random) -> str:
    """Spaces between all letters, three between words, as in l e t t e r i n g."""
    return re.sub(r"(?<=\S)(?=\S)", " ", re.sub(r"[^\S\n]+", "   ", text))


def mojibake(text: str, rng: Random) -> str:
    """Typographic quotes and dashes, then the UTF-8 read as Windows-1252."""
    typeset = fancy_quotes(text, rng)
    return "".join(map(_as_cp1252, typeset.encode("utf-8", "surrogatepass")))


def _as_cp1252(byte: int) -> str:
    try:
        return bytes([byte]).decode("cp1252")
    except UnicodeDecodeError:
        return chr(byte)  # the five bytes without a character, read as browsers read them (WHATWG, windows-1252)
