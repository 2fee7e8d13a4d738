"""Which characters are drawn like which: data for `normalise`, and the tables made of it when a text needs them.

Look-alikes of other scripts are those of Unicode's confusables (UTS 39, Unicode licence) that stand for one ASCII
letter and are letters themselves, with a few approximations that are read as a Latin letter only inside a Latin word.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# Apostrophes and primes that people write, and characters that are drawn like them.
ODD_APOSTROPHES = (
    "\u00b4\u02b9\u02bb\u02bd\u02be\u02c8\u02ca\u02cb\u02b4\u0374\u055a\u055d\u05f3\u07f4\u1fbd\u1fbf\u1fef\u1ffd\u1ffe\u2032"
    "\u2035\u201a\u201b\u275b\u275c\ua78b\ua78c\uff07\uff40"
)
QUOTES = "\u201c\u201d\u201e\u201f\u2033\u2036\u275d\u275e\u301d\u301e\u301f\uff02\u2e42\u02ba\u02dd\u02ee\u05f4"
ODD_SPACES = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u2800\u3000"

# Length-preserving: quotes and primes to ASCII, odd spaces to a space, odd hyphens to a hyphen.
# En and em dashes stay: as a hyphen they would glue two words into a compound.
TYPOGRAPHY: dict[str, str] = {
    **dict.fromkeys("\u2018\u2019\u02bc" + ODD_APOSTROPHES, "'"),
    **dict.fromkeys(QUOTES, '"'),
    **dict.fromkeys(ODD_SPACES, " "),
    **dict.fromkeys("\u2010\u2011\u2212\ufe63\uff0d", "-"),
    "\u2015": "\u2014",
    "\u2028": "\n",
    "\u2029": "\n",
}
# C1 controls in a text are cp1252 punctuation that was read as Latin-1.
C1: dict[str, str] = {}
for _code in range(0x80, 0xA0):
    try:
        _char = bytes([_code]).decode("cp1252")
    except UnicodeDecodeError:
        continue  # 81, 8d, 8f, 90 and 9d stand for nothing in cp1252
    C1[chr(_code)] = TYPOGRAPHY.get(_char, _char)

SOFT_HYPHEN = "\u00ad"
BIDI = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u061c")
# Invisible characters that a reader cannot see but that cut a word in two for a program.
ZERO_WIDTH = frozenset(
    "\u200b\u200c\u200d\u2060\u2061\u2062\u2063\u2064\u206a\u206b\u206c\u206d\u206e\u206f\u180e\ufeff\ufff9\ufffa\ufffb"
    "\u115f\u1160\u17b4\u17b5\u3164\uffa0" + "".join(map(chr, range(0xE0000, 0xE0080)))
)
# Dropped without a warning: they choose a glyph, as after an emoji.
SILENT = frozenset([SOFT_HYPHEN, *map(chr, range(0xFE00, 0xFE10)), *map(chr, range(0xE0100, 0xE01F0))])

# Negative squared and circled letters, which Unicode does not say to be letters.
ENCLOSED: dict[str, str] = {chr(first + i): chr(ord("A") + i) for first in (0x1F150, 0x1F170) for i in range(26)} | {
    chr(0x249C + i): chr(ord("a") + i) for i in range(26)
}


def _pairs(*rows: tuple[str, str]) -> dict[str, str]:
    return {a: b for foreign, latin in rows for a, b in zip(foreign, latin, strict=True)}


# fmt: off
# Drawn as the Latin letter in common fonts.
STRICT: dict[str, str] = _pairs(
    ("аеорсухіѕјԁһѵԛԝкӏԍүҽѡꙇ", "aeopcyxisjdhvqwklgyewi"), ("АВЕКМНОРСТУХІЅЈԚԜѴӀԌҮҺ", "ABEKMHOPCTYXISJQWVIGYH"),
    ("οϲϳ", "ocj"), ("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹͿϜϺ", "ABEZHIKMNOPTYXCJFM"),
    ("օոսհգցզքռաՍՏՕԼ", "onuhqgqfnwUSOL"),
    ("ყჿ", "yo"),
    ("ᎠᎡᎢᎥᎩᎪᎫᎬᎳᎷᎻᎽᏀᏂᏃᏏᏒᏔᏕᏙᏚᏞᏟᏢᏦᏧᏳᏴꭵꮁꮃꮓꮩꮪꮯ", "DRTiYAJEWMHYGhZbRWSVSLCPKdGBirwzvsc"),
    ("ᐯᑌᑭᑯᑲᒍᒪᕁᕼᕽᖇᖯᖴᗅᗞᗪᗰᗷ", "VUPdbJLxHxRbFADDMB"),
    ("ⲅⲎⲒⲔⲘⲚⲞⲟⲢⲣⲤⲥⲦⲨⲬⳐ", "rHIKMNOoPpCcTYXL"),
    ("ⴸⴹⵏⵔⵕⵝ", "VEIOQX"),
    ("ꓐꓑꓒꓓꓔꓖꓗꓙꓚꓜꓝꓟꓠꓡꓢꓣꓦꓧꓪꓫꓬꓮꓰꓲꓳꓴ", "BPdDTGKJCZFMNLSRVHWXYAEIOU"),
    ("𐊂𐊆𐊇𐊊𐊐𐊒𐊕𐊖𐊗𐊠𐊡𐊢𐊥𐊫𐊰𐊱𐊲𐊴𐋏", "BEFIXOPSTABCFOMTYXH"),
    ("𐌁𐌂𐌉𐌑𐌕𐌗𐐄𐐕𐐛𐐠𐐬𐐽𐑈𐒴𐓂𐓎𐓪𐓶", "BCIMTXOCLSocsROUou"),
)
# Greek letters that formulas put beside Latin ones ("ρgh"): folded in longer words only.
SYMBOLS: dict[str, str] = _pairs(("ανιρυκγστηωχ", "avipukyotnwx"))
# Not drawn alike, but read so inside a Latin word.
LOOSE: dict[str, str] = _pairs(
    ("тмнвгпшёєїьҥԏӎҝқҡңҳҕ", "tmhbrnweeibntmkkknxh"), ("ГИЙЯЬҜҚҠҢҲ", "rNNRbKKKHX"), ("шщ", "ww"),
    ("ტ", "o"),
)
# Rare letters of the Latin script itself: small capitals and forms of phonetic notation.
VARIANTS: dict[str, str] = _pairs(
    ("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ", "abcdefghijklmnoprstuvwyz"), ("ɑɡɩᴑᶃꬵꞙꬲꬽꭇꭎꭚ", "agiogffeoruy"),
)
# Latin letters with a stroke, which have no decomposition.
_STROKES: dict[str, str] = _pairs(
    ("øđłħŧƀɨʉɍǥɇɏƶⱥɉⱦȼꝁƚıɓƈɗɠƙɲɵƥʂƭ", "odlhtbiurgeyzajtcklibcdgknopst"),
    ("ØĐŁĦŦɃƗɄɌǤɆɎƵȺɈȾȻꝀȽ", "ODLHTBIURGEYZAJTCKL"),
)
# fmt: on

# Classes of letters, as bits.
ASCII, OTHER_LATIN, LOOKALIKE, FOREIGN, SYMBOL, VARIANT, LOOSE_LOOKALIKE, ACCENTED = (1 << i for i in range(8))
_LATIN_BLOCKS = (
    (0xC0, 0x2B0),
    (0x1D00, 0x1DC0),
    (0x1E00, 0x1F00),
    (0x2C60, 0x2C80),
    (0xA720, 0xA800),
    (0xAB30, 0xAB70),
)


@lru_cache(maxsize=8192)
def letter_class(char: str) -> tuple[int, str]:
    """Return the class of one character as bits (0: no letter), and the ASCII letter it may stand for, else ""."""
    if char.isascii():
        return (ASCII if char.isalpha() else 0), ""
    for table, bits in (
        (STRICT, LOOKALIKE),
        (SYMBOLS, SYMBOL),
        (LOOSE, LOOSE_LOOKALIKE | FOREIGN),
        (VARIANTS, VARIANT),
        (_STROKES, ACCENTED | OTHER_LATIN),
    ):
        if char in table:
            return bits, table[char]
    if not char.isalpha():
        return 0, ""
    base = unicodedata.normalize("NFD", char)[0]
    if base.isascii():
        return ACCENTED | OTHER_LATIN, base
    if base in STRICT or base in SYMBOLS:
        return FOREIGN, ""  # an accent on it speaks for its own script
    return (OTHER_LATIN if any(a <= ord(char) < b for a, b in _LATIN_BLOCKS) else FOREIGN), ""


@lru_cache(maxsize=1)
def compositions() -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    """Return the keys (letter << 32 | mark, ascending) and the composed letters of all pairs that Unicode composes."""
    found: dict[int, int] = {}
    for code in (*range(0xC0, 0x700), *range(0x1E00, 0x2000)):
        parts = unicodedata.normalize("NFD", chr(code))
        if not 2 <= len(parts) <= 4:
            continue
        # Every order of the marks that leads there, so that they can be taken one at a time.
        for last in range(1, len(parts)):
            rest = unicodedata.normalize("NFC", parts[:last] + parts[last + 1 :])
            if len(rest) == 1 and unicodedata.normalize("NFC", rest + parts[last]) == chr(code):
                found[ord(rest) << 32 | ord(parts[last])] = code
    keys = np.array(sorted(found), dtype=np.uint64)
    return keys, np.array([found[int(k)] for k in keys], dtype=np.uint32)
