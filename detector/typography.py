"""Whether a text mixes quotes, apostrophes, hyphens and spaces as no keyboard and no typesetter does.

Each kind alone occurs in honest texts: acute accents for apostrophes are typed by people, no-break spaces come from
editors of web pages, guillemets stand in a quoted headline. So no single one warns; what warns is that several of them
come together, or one in kinds that exclude each other.
"""

from __future__ import annotations

import re
from collections import Counter

from detector.lookalikes import ODD_APOSTROPHES

# Of 8,000 human texts of the tables 0.15 % reach this; with no-break spaces in place of every tenth space 0.5 %. Of
# 400 texts in which such marks were exchanged at random 91 %, and 98 % of those that have a mark besides spaces.
ENOUGH = 2
_MANY_APOSTROPHES = 3  # of kinds that no keyboard gives; one can be a slip
_MANY_SPACES = 5

_ODD = frozenset(ODD_APOSTROPHES + "\u02bc`")
_LETTER = r"[^\W\d_]"
_APOSTROPHE = re.compile(f"(?<={_LETTER})['\u2019{''.join(sorted(_ODD))}](?={_LETTER})")
_HYPHEN = re.compile(f"(?<={_LETTER})[\u2010\u2011](?={_LETTER})")
# After a number or a title such a space is good typography, between two small letters it is not.
_SPACE = re.compile("(?<=[a-z])[ \u00a0](?=[a-z])")
_QUOTES = (frozenset("\u201c\u201d"), frozenset("\u201e"), frozenset("\u00ab\u00bb"), frozenset("\u2033"))


def mixed_marks(text: str, present: set[str]) -> bool:
    """Whether the marks of a text do not go together. `present`: its characters above U+007F, or more of them.

    >>> mixed_marks("It\u2019s the mayor\u2019s \u201cnew\u201d bridge", {"\u2019", "\u201c", "\u201d"})
    False
    >>> mixed_marks("It\u00b4s the mayor\u02bcs \u201cnew\u201d bridge", {"\u00b4", "\u02bc", "\u201c", "\u201d"})
    True
    """
    signs = max(0, sum(not family.isdisjoint(present) for family in _QUOTES) - 1)
    if not _ODD.isdisjoint(present) or "`" in text:
        kinds = Counter(_APOSTROPHE.findall(text))
        odd = sum(kinds[mark] for mark in _ODD)
        signs += 2 if odd >= _MANY_APOSTROPHES or (odd > 1 and len(kinds) > 1) else min(odd, 1)
    if "\u2010" in present or "\u2011" in present:
        signs += len(set(_HYPHEN.findall(text)))
    if signs + 1 == ENOUGH and "\u00a0" in present:
        spaces = Counter(_SPACE.findall(text))
        signs += _MANY_SPACES <= spaces["\u00a0"] <= spaces[" "]
    return signs >= ENOUGH
