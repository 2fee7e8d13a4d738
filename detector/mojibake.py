"""Text that was decoded by the wrong encoding, mended one short run at a time so that every position leads back.

The work is ftfy's (Robyn Speer, 2013-2024), which mends whole strings; what is here finds the runs that it is asked
about. It is imported when such a run is found, which costs 0.1 s once.
"""

from __future__ import annotations

import contextlib
import re
from functools import lru_cache

from detector.lookalikes import ODD_APOSTROPHES, QUOTES

_LONGEST_RUN = 200  # characters; an emoji takes 4, and in English text nothing but garbage is longer

# What a lead byte of UTF-8 looks like in cp1252 and Latin-1, cp1250, cp1251, Mac Roman and cp437, followed by what a
# continuation byte looks like there. A test that costs next to nothing on honest text; ftfy decides.
_LEADS = (
    "\u00c2\u00c3\u00c4\u00c5\u00d0\u00d1\u00d4\u00e2\u00ef\u00f0"  # cp1252, Latin-1
    "\u0102\u0413\u0412\u0432\u221a\u00ac\u201a\u0393\u251c\u252c"  # the others
)
_CONTINUATIONS = (
    "\u0080-\u00bf\u20ac\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u017d\u2018\u2019\u201c\u201d\u2022\u2013"
    "\u2014\u02dc\u2122\u0161\u203a\u0153\u017e\u0178\u02c7\u02d8\u0141\u0104\u015e\u017b\u02db\u0142\u0105\u015f\u017c\u00c4\u00c5"
    "\u00c7\u00c9\u00d1\u00d6\u00dc\u00e0-\u00fc\u0402\u0403\u0452\u0453\u0409\u0459\u040a\u045a\u040b\u045b\u040f\u045f\u2020\u00b0\u00df"
    "\u2122\u2260\u221e\u2264\u2265\u2202\u2211\u220f\u03c0\u222b\u03a9\u2310\u00aa\u00ba\u00bf\u2561-\u256c\u2550-\u2557\u2591-\u2593"
)


def _garbled(char: str) -> str:
    """Return what becomes of a character whose UTF-8 is read as cp1252, as browsers read it (WHATWG)."""
    return "".join(bytes([b]).decode("cp1252", "replace").replace("\ufffd", chr(b)) for b in char.encode())


# Odd apostrophes, which ftfy does not take for a mistake.
_KNOWN = {_garbled(char): char for char in "\u02bc" + ODD_APOSTROPHES + QUOTES if ord(char) < 0x800}
SUSPECT = re.compile(f"[{_LEADS}][{_CONTINUATIONS}]|" + "|".join(map(re.escape, sorted(_KNOWN))))
_RUN = re.compile(r"[^\x00-\x7f]+")
# What is left of a closing quote whose last byte has no character in cp1252.
_LOSSY = {"\u00e2\u20ac": "\u201d", "\u00e2\u20ac\ufffd": "\u201d"}
# The code pages of DOS, which ftfy leaves alone, give box drawings and these two for what English texts hold.
_DOS_LEADS = "\u0393\u00d4\u251c\u252c"


@lru_cache(maxsize=4096)
def mended(run: str) -> str:
    """Return what the garbled characters stood for, `run` itself where they are none or nothing is known."""
    if len(run) > _LONGEST_RUN:
        return run
    for table in (_LOSSY, _KNOWN):
        if run in table:
            return table[run]
    if run[0] in _DOS_LEADS:
        for codec in ("cp437", "cp850"):
            with contextlib.suppress(UnicodeError):
                return run.encode(codec).decode("utf-8")
    from ftfy import fix_encoding

    return fix_encoding(run)


def find_mojibake(text: str) -> list[tuple[int, int, str]]:
    """Return (start, end, what stood there) of every garbled run, in order."""
    if SUSPECT.search(text) is None:
        return []
    pieces = []
    for match in _RUN.finditer(text):
        run = match[0]
        if SUSPECT.search(run) and (new := mended(run)) != run:
            pieces.append((match.start(), match.end(), new))
    return pieces
