"""Which ranges of a text are not the article: page furniture, metadata and repeated paragraphs.

Works on lines, for furniture stands on lines of its own in every extraction seen. Each rule asks for the whole line,
so that a sentence about cookies or comments is never taken for a banner. Phrase lists are data below; they were
collected from news pages, blog themes (WordPress comment forms) and reader applications.
"""

from __future__ import annotations

import re

from detector.furniture_lists import (
    COUNT,
    DECORATION,
    FIRST_WORDS,
    HOLDS,
    KEY_VALUE,
    KEYS,
    MACHINE_VALUE,
    MAX_KEY,
    OPENING,
    PHRASES,
    RELATED,
    STARTS,
)
from detector.furniture_zones import is_appeal, is_menu, is_stamp, known_stems, mark_captions, mark_zones
from detector.results import Ignored

FURNITURE = "furniture"
REPEAT = "repeat"
METADATA = "metadata"

# Longer lines are paragraphs; no rule but the one on repeats looks at them. Keeps every regex below linear.
_MAX_LINE = 300
_MAX_PHRASE = 120
# A shorter line may come twice in a text for good reasons (refrains, headings, "he said.").
_MIN_REPEAT_WORDS = 8

_MIN_RECORD_LINES = 3
# Labels of counters, as reader applications glue them together ("Words1", "Read CountDetails").
_STATISTICS = re.compile(
    r"(?:\d[\d,.]*|(?:(?:statistics|stats|words?|characters?|read|count|details|views|likes|shares|info|"
    r"information|metadata|record|properties)[ \t]*){1,4}\d{0,6})",
    re.IGNORECASE,
)
_DATE_LINE = re.compile(
    r"(?:first |last )?(?:published|updated|posted|created|modified|last updated|last modified)(?: on|"
    r" at)? ?:? ?\d?.{0,60}\d.{0,20}"
)

_DATE_WORDS = frozenset(("first", "last", "published", "updated", "posted", "created", "modified"))

_MAX_HEADLINE_WORDS = 20
_MAX_HEADLINES = 20


def _is_headline(line: str) -> bool:
    """Whether a line can be the title of another piece: short, capitalised, not a sentence with its full stop."""
    return line[-1] not in ".,;:" and 2 <= len(line.split()) <= _MAX_HEADLINE_WORDS and not line[0].islower()


def _mark_repeats(keys: list[str], why: list[str | None]) -> None:
    """Mark every paragraph that stood above already, and short lines between two such."""
    seen: set[str] = set()
    again = [False] * len(keys)
    for i, key in enumerate(keys):
        again[i] = key in seen
        seen.add(key)
        if again[i] and key.count(" ") + 1 >= _MIN_REPEAT_WORDS:
            why[i] = why[i] or REPEAT
    # A heading belongs to the copy that it stands in.
    for i in range(1, len(keys)):
        if again[i] and why[i] is None and why[i - 1] == REPEAT:
            why[i] = REPEAT
    for i in range(len(keys) - 2, -1, -1):
        if again[i] and why[i] is None and why[i + 1] == REPEAT:
            why[i] = REPEAT


def _mark_records(lines: list[str], why: list[str | None]) -> None:
    """Mark runs of "Key: value" lines that a machine wrote, with the counters around them."""
    i = 0
    while i < len(lines):
        known = machine = 0
        j = i
        while (
            j < len(lines)
            and 0 < lines[j].find(":") <= MAX_KEY
            and why[j] in (None, METADATA)
            and len(lines[j]) <= _MAX_LINE
            and (match := KEY_VALUE.fullmatch(lines[j]))
        ):
            is_known = match[1].lower() in KEYS
            is_machine = MACHINE_VALUE.fullmatch(match[2]) is not None
            known += is_known
            machine += is_machine
            if not (is_known or is_machine):
                break
            j += 1
        if j - i >= _MIN_RECORD_LINES and machine and known:
            start, end = i, j
            while start and why[start - 1] is None and _STATISTICS.fullmatch(lines[start - 1]):
                start -= 1
            while end < len(lines) and why[end] is None and _STATISTICS.fullmatch(lines[end]):
                end += 1
            why[start:end] = [METADATA] * (end - start)
        i = max(j, i + 1)


def _mark_related(lines: list[str], keys: list[str], why: list[str | None]) -> None:
    """Mark the headers of lists of other pieces, with the headlines, and a summary that follows such material."""
    for i, key in enumerate(keys):
        if len(key) > 60 or why[i] is not None or COUNT.sub("", key).strip(DECORATION) not in RELATED:
            continue
        why[i] = FURNITURE
        j = i + 1
        while j < len(lines) and j - i <= _MAX_HEADLINES and why[j] is None:
            if keys[j].strip(DECORATION) == "summary" or _STATISTICS.fullmatch(lines[j]) or not _is_headline(lines[j]):
                break
            why[j] = FURNITURE
            j += 1


def _mark_summaries(keys: list[str], why: list[str | None]) -> None:
    """Mark a "Summary" and its paragraph where it stands between furniture and the end or a record."""
    for i in range(1, len(keys)):
        if keys[i].strip(DECORATION) != "summary" or why[i - 1] is None:
            continue
        if i + 2 >= len(keys) or why[i + 2] is not None:
            why[i : i + 2] = [METADATA] * len(why[i : i + 2])


def find_ignored(text: str) -> list[Ignored]:
    r"""Return the ranges of `text` that are not the article, sorted, not overlapping.

    `why` is `furniture`, `metadata` or `repeat` (of an earlier paragraph). Neighbouring lines of one kind make one
    range. Linear in the length of the text; never raises on a str.

    >>> [(i.start, i.end, i.why) for i in find_ignored("It rained all day.\n\nLeave a Reply\n")]
    [(20, 33, 'furniture')]
    """
    if "\r" in text:
        text = text.replace("\r", "\n")
    if "\n" not in text:
        return []
    lowered = text.lower().replace("\u2019", "'")
    raw_lines = text.split("\n")
    lines = [line for line in map(str.strip, raw_lines) if line]
    keys = [key for key in map(str.strip, lowered.split("\n")) if key]
    if "  " in lowered or "\t" in lowered or "\u00a0" in lowered:
        keys = [" ".join(key.split()) for key in keys]
    why: list[str | None] = [None] * len(lines)
    holds = [item for item in HOLDS if item[0] in lowered]
    stems = known_stems(lowered)
    pairs = 0
    related = False
    for i, key in enumerate(keys):
        size = len(key)
        if size > _MAX_LINE:
            continue
        if size <= _MAX_PHRASE:
            bare = key.strip(DECORATION)
            if bare in PHRASES:
                why[i] = FURNITURE
                continue
            if bare in RELATED or (key[-1] in ")]" and COUNT.sub("", key).strip(DECORATION) in RELATED):
                related = True
                continue
        start = key if key[0].isalpha() else key.lstrip(OPENING)
        first = start.partition(" ")[0]
        if not first.isalpha():
            first = first.rstrip(":*|,;>/)")
        if (
            (first in FIRST_WORDS or first[:1].isdigit() or first[:1] == "\u00a9")
            and STARTS.fullmatch(start.rstrip(")]"))
        ) or (holds and any(needle in key and pattern.search(key) for needle, pattern in holds)):
            why[i] = FURNITURE
        elif (first in _DATE_WORDS and _DATE_LINE.fullmatch(key)) or is_stamp(key):
            why[i] = METADATA
        elif is_menu(key) or (len(stems) > 1 and is_appeal(key, stems)):
            why[i] = FURNITURE
        pairs += 0 < key.find(":") <= MAX_KEY
    if len(set(keys)) < len(keys):
        mark_captions(keys, why, FURNITURE)
        _mark_repeats(keys, why)
    if pairs >= _MIN_RECORD_LINES:
        _mark_records(lines, why)
    if related:
        _mark_related(lines, keys, why)
    if not any(why):
        return []
    _mark_summaries(keys, why)
    mark_zones(lines, why, FURNITURE)
    return _ranges(raw_lines, lines, why)


def _ranges(raw_lines: list[str], lines: list[str], why: list[str | None]) -> list[Ignored]:
    """Return the marked lines as ranges of the text; `lines` are the stripped, non-empty ones of `raw_lines`."""
    ignored: list[Ignored] = []
    at = 0
    i = 0
    for raw in raw_lines:
        if i < len(lines) and raw and not raw.isspace():
            reason = why[i]
            if reason is not None:
                start = at + len(raw) - len(raw.lstrip())
                if i and why[i - 1] == reason:
                    start = ignored.pop().start
                ignored.append(Ignored(start, at + len(raw.rstrip()), reason))
            i += 1
        at += len(raw) + 1
    return ignored
