"""Furniture that no list of phrases knows, told by what it stands among.

Menus, headlines of other pieces and appeals stand in blocks before and behind an article, with some lines that are
known to be furniture. A line that is like a label (short, no sentence) or like an appeal ("Sign up ...", "We and our
partners ...") counts with them; without a known line nothing does, so that titles, verse and lists are safe.
"""

# The lists and patterns stand in lines of their own.
# ruff: noqa: E501

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

_LABEL_WORDS = 14  # headlines of other pieces have as many
_LABEL_LENGTH = 110
_SOFT_WORDS = 25  # a sentence inside a block of furniture: an appeal, a note on the author, a teaser
_LAST_WORDS = 8
_BLOCK = 4  # lines of furniture before a sentence that is taken for part of it; what stands inside articles is shorter
_MIN_MENU = 5  # labels on end, of two words each or so: a menu, even without a known line
_MAX_MENU_WORDS = 2.5
_MIN_SHARE = 0.15  # of the lines of a block that must be known; by trial, half and twice do nearly as well
_APPEAL_WORDS = 45

_ENDS = ".!?\u2026\"'\u201d\u2019)"
_SENTENCE_END = re.compile(r"[.!?\u2026][\"'\u201d\u2019)\]]*$")
# Stems of what sites say about themselves; two of them in a line that speaks to the reader make an appeal.
_STEMS = (
    "subscri", "newsletter", "inbox", "email address", "e-mail address", "sign up", "signing up", "log in", "sign in", "cookie",
    "privacy policy", "terms of", "terms apply", "browser", "javascript", "app store", "google play", " ios", "android", "free trial",
    "unlimited", "digital access", "ad-free", "copyright", "click", "preferences", "personalis", "personaliz", "third part",
    "third-part", "print edition", "journalism", "your account", "alerts", "notifications", "captcha", "consent", "partners",
    "device", "download", "a member", "any time", "anytime", "free articles", "comments", "register", "follow us", "rights reserved",
    "donat", "our website", "this site", "this website", "advertis", "sponsor", "podcast", "by continuing", "scroll", "tap ",
)  # fmt: skip
_SPEAKS = re.compile(
    r"\b(?:you|your|our|we|us)\b|^(?:already|support|become|get|join|enjoy|start|cancel|want|listen|watch|download|read|this site|"
    r"this website|this article|this story|cookies are|don't|never|sign|log|click|please|follow|subscribe|register|powered by)\b"
)
_SAID = re.compile(r"\b(?:said|says|told|asked|wrote|according to|added)\b|[\"\u201c]")
_MENU_SEPARATOR = re.compile(r" ?[|\u00b7\u2022\u203a\u00bb] ?| / ")
_ADDRESS = re.compile(r"(?:https?://|www\.|doi:)\S+")
_DAY = re.compile(
    r"(?:(?:published|updated|posted|received|accepted|modified|last (?:updated|edited|modified)[a-z ]{0,20}|first published)[: ]*)?"
    r"(?:on |at )?(?:\d{1,2}:\d\d ?(?:[ap]\.?m\.?)?(?: [a-z]{2,4})?,? ?(?:on )?)?(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day,? )?"
    r"(?:(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.? \d{1,2}(?:st|nd|rd|th)?,? \d{4}|"
    r"\d{1,2}(?:st|nd|rd|th)? (?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?,? \d{4}|\d{4}-\d\d-\d\d)"
    r"(?:,? (?:at )?\d{1,2}[:.]\d\d ?(?:[ap]\.?m\.?)?(?: [a-z]{2,4})?)?"
)


def is_menu(key: str) -> bool:
    """Whether a line is a menu in one line: four short items or more between the same signs."""
    if not ("|" in key or "\u00b7" in key or "\u2022" in key or "\u203a" in key or "\u00bb" in key or " / " in key):
        return False
    items = [item for item in _MENU_SEPARATOR.split(key) if item.strip()]
    return len(items) >= 4 and all(len(item.split()) <= 4 for item in items) and not _SENTENCE_END.search(key)


def is_stamp(key: str) -> bool:
    """Whether a line is nothing but an address or a full date."""
    return (key.startswith(("http", "www.", "doi:")) and _ADDRESS.fullmatch(key) is not None) or (
        len(key) <= 70 and key[-1:].isalnum() and _DAY.fullmatch(key) is not None
    )


def known_stems(lowered: str) -> list[str]:
    """Return the stems that occur in a text; fewer than two and no line of it is an appeal."""
    return [stem for stem in _STEMS if stem in lowered]


def is_appeal(key: str, stems: Sequence[str]) -> bool:
    """Whether a line speaks to the reader about the site; `stems`: those to look for."""
    words = key.count(" ") + 1
    if words > _APPEAL_WORDS:
        return False
    spaced = f" {key} "
    found = sum(stem in spaced for stem in stems)
    # A longer line has more room for chance.
    return found >= (2 if words <= 22 else 3) and _SPEAKS.search(key) is not None and _SAID.search(key) is None


def _is_label(line: str) -> bool:
    return (
        len(line) <= _LABEL_LENGTH and line.count(" ") < _LABEL_WORDS and (line[-1] not in _ENDS or _is_count(line))
        and not (line[0].islower() and len(line) > 30) and line[-1] not in ",;"
    )  # fmt: skip


def _is_count(line: str) -> bool:
    return line[-1] == ")" or len(line) <= 3


def mark_zones(lines: Sequence[str], why: list[str | None], mark: str) -> None:
    """Mark the lines before and behind the article that belong to the furniture there; `why` is filled in place."""
    count = len(lines)
    if count < 3:
        return
    label = [reason is not None or _is_label(line) for line, reason in zip(lines, why, strict=True)]
    head = next((i for i in range(count) if not label[i]), count)
    if head < count:
        _mark_head(lines, why, head, mark)
        tail = count - _reach_back(lines, label)
        if tail > head:
            _mark_tail(why, tail, mark)
    _mark_between(why, label, mark)


def _reach_back(lines: Sequence[str], label: Sequence[bool]) -> int:
    """Return how many lines from the end are labels, with sentences between them that stand behind several labels."""
    reached = others = 0
    for number, i in enumerate(range(len(lines) - 1, -1, -1), 1):
        if label[i]:
            reached = number
            continue
        others += 1
        before = label[max(0, i - _BLOCK) : i]
        # A whole sentence at the very end is the article's, after a list in its midst.
        longest = _SOFT_WORDS if reached else _LAST_WORDS
        if lines[i].count(" ") >= longest or 3 * others > number + 3 or len(before) < _BLOCK or not all(before):
            break
    return reached


def _mark_head(lines: Sequence[str], why: list[str | None], head: int, mark: str) -> None:
    known = [i for i in range(head) if why[i] is not None]
    if len(known) >= max(2, _MIN_SHARE * head):
        # What stands last may be the article's own title, and who wrote it.
        last = max(known[-1], head - 3)
    else:
        last = -1
        # Labels on end at the very top: a menu.
        run = head
        while run >= _MIN_MENU and sum(line.count(" ") + 1 for line in lines[:run]) > _MAX_MENU_WORDS * run:
            run -= 1
        if run >= _MIN_MENU and known:
            last = max(known[-1], run - 1)
    for i in range(last + 1):
        why[i] = why[i] or mark


def _mark_tail(why: list[str | None], tail: int, mark: str) -> None:
    known = [i for i in range(tail, len(why)) if why[i] is not None]
    if len(known) >= max(2, _MIN_SHARE * (len(why) - tail)):
        for i in range(known[0], len(why)):
            why[i] = why[i] or mark


def _mark_between(why: list[str | None], label: Sequence[bool], mark: str) -> None:
    """Mark up to two labels between two known lines."""
    known = [i for i, reason in enumerate(why) if reason is not None]
    for a, b in pairwise(known):
        if 1 < b - a <= 3 and all(label[a + 1 : b]):
            why[a + 1 : b] = [mark] * (b - a - 1)


def mark_captions(keys: Sequence[str], why: list[str | None], mark: str) -> None:
    """Mark a line that stands twice on end, as the description of a picture and its caption do; and its credit."""
    for i in range(1, len(keys)):
        if keys[i] == keys[i - 1] and keys[i].count(" ") >= 3 and keys[i][-1] not in ".!?\"'\u201d":
            why[i - 1] = why[i - 1] or mark
            why[i] = why[i] or mark
