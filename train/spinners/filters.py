"""Wrappers around spinners: several at once, protected places left alone, only a part of the text spun."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from train.spinners.base import Edit, EditSpinner, Spinner, sentence_ranges, settle, words_of

_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_DAYS = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday"
_URL = re.compile(r"(?:https?://|www\.)\S+|\S+@\S+\.\w+|\b[\w-]+\.(?:com|org|net|gov|edu|co\.uk)\b\S*")
_DATE = re.compile(rf"\b(?:{_MONTHS}|{_DAYS})\b(?:\s+\d{{1,2}}\b)?(?:,?\s+\d{{4}}\b)?")
_NUMBER = re.compile(r"[$£€]?\d[\d,.:]*%?(?:\s*(?:%|per cent|percent|million|billion|trillion|km|kg|miles)\b)?")
_CODE = re.compile(r"`[^`]+`|@xmath\d*|@xcite|\b\w+_\w+\b|\b\w+\(\)")
_QUOTE = re.compile(r"“[^”]{2,600}”|\"[^\"\n]{2,600}\"|(?<!\w)‘[^’\n]{8,600}’(?!\w)|(?<!\w)'[^'\n]{8,600}'(?!\w)")


@dataclass(frozen=True, slots=True)
class Compose(EditSpinner):
    """Several spinners over the same text; where their edits overlap the earlier spinner wins.

    `fix_articles`: share of "a"/"an" put right before a replaced word that now begins otherwise; the rest stays wrong
    ("a urgent part").
    """

    spinners: Sequence[Spinner]
    fix_articles: float = 0.8

    def edits(self, text: str, rng: Random) -> list[Edit]:
        """Return the settled edits of all spinners and the repaired articles."""
        edits = settle(e for spinner in self.spinners for e in spinner.edits(text, rng))
        before = {word.end: word for word in words_of(text) if word.lower in ("a", "an")}
        repairs = []
        for e in edits:
            article = before.get(e.start - 1)
            if article is None or not e.new or text[e.start - 1] != " " or rng.random() >= self.fix_articles:
                continue
            right = "an" if _vowel_sound(e.new) else "a"
            if right != article.lower:
                old = text[article.start : article.end]
                repairs.append(Edit(article.start, article.end, right.capitalize() if old[0].isupper() else right))
        return settle([*edits, *repairs])


def _vowel_sound(word: str) -> bool:
    word = word.lower()
    if re.match(r"(?:hour|honest|honou?r|heir)", word):
        return True
    return word[:1] in "aeiou" and not re.match(r"(?:uni[^mn]|use|usu|util|eu|one\b|once\b)", word)


@dataclass(frozen=True, slots=True)
class Protect(EditSpinner):
    """Drops edits that touch protected places.

    `names`: capitalised words that do not begin a sentence, and runs of them; `terms`: the user's own, any case. With
    `quotes` nothing inside quotation marks changes.
    """

    spinner: Spinner
    names: bool = True
    numbers: bool = True
    dates: bool = True
    urls: bool = True
    quotes: bool = False
    terms: Sequence[str] = ()

    def edits(self, text: str, rng: Random) -> list[Edit]:
        """Return the spinner's edits outside the protected places."""
        ranges = self.protected(text)
        if not ranges:
            return self.spinner.edits(text, rng)
        covered = bytearray(len(text) + 1)
        for start, end in ranges:
            covered[start:end] = b"\1" * (end - start)
        # A zero-width edit touches a place only from inside it.
        return [e for e in self.spinner.edits(text, rng) if not any(covered[e.start : max(e.end, e.start + 1)])]

    def protected(self, text: str) -> list[tuple[int, int]]:
        """Return the half-open character ranges that stay as they are; they may overlap."""
        ranges: list[tuple[int, int]] = []
        for wanted, pattern in (
            (self.urls, _URL),
            (self.urls, _CODE),
            (self.dates, _DATE),
            (self.numbers, _NUMBER),
            (self.quotes, _QUOTE),
        ):
            if wanted:
                ranges += [m.span() for m in pattern.finditer(text)]
        for term in self.terms:
            ranges += [m.span() for m in re.finditer(rf"(?<!\w){re.escape(term)}(?!\w)", text, re.IGNORECASE)]
        if self.names:
            starts = {start for start, _ in sentence_ranges(text)}
            words = words_of(text)
            for k, word in enumerate(words):
                capital = text[word.start].isupper() and word.lower != "i"
                opens = word.start in starts or not text[: word.start].strip(" \"'“‘(")
                next_capital = (
                    k + 1 < len(words)
                    and text[words[k + 1].start].isupper()
                    and text[word.end : words[k + 1].start] == " "
                )
                if capital and (not opens or next_capital):
                    ranges.append((word.start, word.end))
        return ranges


@dataclass(frozen=True, slots=True)
class Partial(EditSpinner):
    """Spins only some paragraphs or sentences: about `share` of them, at least one."""

    spinner: Spinner
    share: float = 0.5
    sentences: bool = False

    def edits(self, text: str, rng: Random) -> list[Edit]:
        """Return the edits that lie within the chosen pieces."""
        pieces = sentence_ranges(text) if self.sentences else paragraph_ranges(text)
        if not pieces:
            return []
        chosen = [p for p in pieces if rng.random() < self.share] or [rng.choice(pieces)]
        edits = self.spinner.edits(text, rng)
        return [e for e in edits if any(start <= e.start and e.end <= end for start, end in chosen)]


def paragraph_ranges(text: str) -> list[tuple[int, int]]:
    """Return half-open character ranges of the lines that hold text (a line break ends a paragraph)."""
    return [m.span() for m in re.finditer(r"[^\n]*\S[^\n]*", text)]
