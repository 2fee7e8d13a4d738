"""Changes of a text that a person reads past and a program may trip over: pure functions text -> text.

Every attack is deterministic: the same name, text and seed give the same result, whatever was attacked before. None
may raise, whatever the text (tests/test_attacks.py). `ATTACKS` is the one table of them; `attack` applies one by name.
Those on characters are in eval/bad_characters.py.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from eval import bad_characters
from eval.bad_characters import change_words
from train.spinners.base import Spinner, sentence_ranges

DEFAULT_SEED = 20220119  # as in eval/__main__.py


@dataclass(frozen=True)
class Resources:
    """What some attacks need besides the text.

    `donors`: human texts for dilution; one that equals the attacked text is passed over. `spinner`: for spinning an
    already spun text once more (train/spinners).
    """

    donors: Sequence[str] = ()
    spinner: Spinner | None = None


Function = Callable[[str, Random, Resources], str]


@dataclass(frozen=True)
class Attack:
    """One attack. `about`: what it does, for reports.

    `needs`: the field of `Resources` that it cannot do without, or "". `keeps_label`: whether a human text is still
    a human text afterwards; where not, the attack says nothing about false positives.
    """

    name: str
    about: str
    function: Function = field(repr=False)
    needs: str = ""
    keeps_label: bool = True


def attack(name: str, text: str, seed: int = DEFAULT_SEED, resources: Resources | None = None) -> str:
    """Return the text under the attack of that name.

    >>> attack("upper_case", "A small boat.")
    'A SMALL BOAT.'

    Raises:
        ValueError: there is no such attack, or `resources` lacks what it needs.
    """
    if name not in ATTACKS:
        raise ValueError(f"unknown attack {name!r}; known: {', '.join(ATTACKS)}")
    given = resources or Resources()
    if (needs := ATTACKS[name].needs) and not getattr(given, needs):
        raise ValueError(f"attack {name!r} needs Resources.{needs}")
    # The text takes part in the seed, so that two texts are not attacked at the same places. Strings seed through
    # SHA-512, not through hash(), which differs from process to process.
    return ATTACKS[name].function(text, Random(f"{seed}|{name}|{text!a}"), given)


# --- the way it is typed ---


def whitespace(text: str, rng: Random) -> str:
    """Double spaces, tabs, spaces at line ends, and lines broken every few words."""
    # 0.8: most gaps stay, as in text copied from a page or a PDF.
    gaps = ("  ", "\t", " \n", "\n", "\r\n", "   ")
    return re.sub(r"(?<=\S) (?=\S)", lambda _: " " if rng.random() < 0.8 else rng.choice(gaps), text)


def upper_case(text: str, rng: Random) -> str:
    """All letters in upper case."""
    return text.upper()


def lower_case(text: str, rng: Random) -> str:
    """All letters in lower case."""
    return text.lower()


def title_case(text: str, rng: Random) -> str:
    """Every Word With A Capital."""
    return re.sub(r"\w+(?:['’]\w+)*", lambda m: m.group()[:1].upper() + m.group()[1:].lower(), text)


def no_punctuation(text: str, rng: Random) -> str:
    """All punctuation left out but apostrophes and hyphens inside words."""
    return re.sub(r"(?<!\w)['’-]|['’-](?!\w)|[^\w\s'’-]", "", text)


def misspellings(text: str, rng: Random) -> str:
    """One word of four letters or more in ten misspelt: letters swapped, dropped, doubled, or mistyped."""

    def change(word: str) -> str:
        at = rng.randrange(1, len(word) - 1)  # the first letter is rarely wrong
        kind = rng.randrange(4)
        if kind == 0:
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        if kind == 1:
            return word[:at] + word[at + 1 :]
        typed = word[at] if kind == 2 else rng.choice(string.ascii_lowercase)
        return word[:at] + typed + word[at + (kind == 3) :]

    return change_words(text, rng, 0.1, change, 4)


# --- sentences and paragraphs ---


def article_deletion(text: str, rng: Random) -> str:
    """Every a, an and the left out, as learners do whose languages have none."""
    return re.sub(r"\b(?:an?|the)[^\S\n]+(?=\w)", "", text, flags=re.IGNORECASE)


def sentence_shuffling(text: str, rng: Random) -> str:
    """All sentences in another order; paragraphs keep their numbers of sentences."""
    ranges = sentence_ranges(text)
    order = rng.sample(ranges, len(ranges))
    parts, last = [], 0
    for (start, end), (new_start, new_end) in zip(ranges, order, strict=True):
        parts += [text[last:start], text[new_start:new_end]]
        last = end
    return "".join([*parts, text[last:]])


_LIKE_A_PARAGRAPH = 40  # words; a shorter piece of a donor would rather be a heading


def _pieces(text: str) -> list[str]:
    """Return the paragraphs of a text; where it has no blank lines, runs of three sentences."""
    paragraphs = [p.strip() for p in re.split(r"\n\s*\n", text) if p.strip()]
    if len(paragraphs) > 1:
        return paragraphs
    sentences = [text[a:b] for a, b in sentence_ranges(text)]
    return [" ".join(sentences[i : i + 3]) for i in range(0, len(sentences), 3)]


def dilute(text: str, rng: Random, resources: Resources, share: float) -> str:
    """Return the text with human paragraphs put between its own until they are `share` of all words.

    The paragraphs come from donors in random order, whole, so that the share is met to within half a paragraph. A
    text without words, and one for which all donors are too short, comes back as it is.
    """
    own = _pieces(text)
    wanted = len(text.split()) * share / (1 - share)
    added: list[str] = []
    count = 0
    for donor in _endless([d for d in resources.donors if d != text], rng):
        pieces = [p for p in _pieces(donor) if len(p.split()) >= _LIKE_A_PARAGRAPH]
        for piece in pieces:
            size = len(piece.split())
            if count + size / 2 > wanted:
                break
            added.append(piece)
            count += size
        else:
            continue
        break
    if not added:
        return text
    places = sorted(rng.randint(0, len(own)) for _ in added)
    for at, piece in reversed(list(zip(places, added, strict=True))):
        own.insert(at, piece)
    return "\n\n".join(own)


def _endless(donors: Sequence[str], rng: Random, rounds: int = 5) -> Iterable[str]:
    """Yield the donors in random order, a few times over: short ones may not suffice for a long text."""
    for _ in range(rounds):
        yield from rng.sample(donors, len(donors))


def truncate(text: str, words: int) -> str:
    """Return the text up to the end of its `words`-th word; all of it where it has no more."""
    for number, word in enumerate(re.finditer(r"\S+", text), 1):
        if number == words:
            return text[: word.end()]
    return text


def spun_again(text: str, rng: Random, resources: Resources) -> str:
    """The text put through a simulated spinner (once more, where it was spun)."""
    assert resources.spinner is not None, "checked by `attack`"
    return resources.spinner.spin(text, rng).text


_WORD = re.compile(r"\w+")
# Surnames and places made up or common enough to mean nobody; three letters or more, as the words they replace.
_NAMES = _WORD.findall("""
    Abernathy Ashdown Barlow Bexley Calder Carrow Dalby Denholm Eastham Edgerton Fallon Farrow Garrick Gorse Hadley
    Harker Hollis Ingram Ivers Jarrow Jessop Kellan Kirby Lorimer Lunt Maddox Merrow Nairn Norbury Oakes Orrin Pascoe
    Pell Quill Radley Rourke Selby Stanton Tarrant Thorne Ullman Upton Vance Varley Wexford Whitlock Yarrow Yates
""")
_CAPITALISED = re.compile(r"\b[A-Z][a-z]{2,}\b")
_NOT_NAMES = frozenset(
    _WORD.findall("""
    Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April May June July August
    September October November December The This That These Those They There Then
    """)
)


def names_changed(text: str, rng: Random) -> str:
    """Every name replaced by another, the same one throughout.

    A name is a capitalised word that stands somewhere behind a lower-case word or a comma and nowhere in lower case.
    """
    found = {m.group() for m in re.finditer(r"(?<=[a-z,] )[A-Z][a-z]{2,}\b", text)} - _NOT_NAMES
    lower = set(re.findall(r"\b[a-z]{3,}\b", text))
    names = sorted(name for name in found if name.lower() not in lower)
    others = rng.sample(_NAMES, len(_NAMES))
    new = {name: others[i % len(others)] for i, name in enumerate(names)}
    return _CAPITALISED.sub(lambda m: new.get(m.group(), m.group()), text)


_BEFORE = (
    ["Skip to main content", "Home", "News", "Sport", "Business", "Log in", "Subscribe"],
    ["Menu", "Search for:", "Sign in", "My account", "Newsletters"],
    ["We use cookies to improve your experience on our website.", "Accept all", "Manage preferences"],
    ["Share this article", "Facebook", "Twitter", "WhatsApp", "Email", "0 comments"],
)
_BETWEEN = (
    ["Advertisement"],
    ["Story continues below"],
    ["Read more: Ten things to know about the harbour"],
    ["Sign up for our daily newsletter"],
)
_AFTER = (
    ["Related articles", "Five gardens to see in spring", "Why the old mill was sold"],
    ["Leave a Reply", "Your email address will not be published. Required fields are marked *", "Name *", "Email *"],
    ["Share", "Tweet", "Pin it", "Print"],
    ["Copyright 2021 The Daily Example. All rights reserved.", "Privacy policy", "Terms of use", "Contact us"],
    ["Most read", "Tags", "About us", "Back to top"],
)


def furniture(text: str, rng: Random) -> str:
    """Navigation, share bars, cookie banners and comment forms around the text and one line of them inside."""
    before = [line for block in rng.sample(_BEFORE, 2) for line in block]
    after = [line for block in rng.sample(_AFTER, 3) for line in block]
    middle = re.split(r"(\n\s*\n)", text)
    gaps = range(1, len(middle), 2)
    if gaps:
        at = rng.choice(gaps)
        middle[at] = f"\n\n{rng.choice(_BETWEEN)[0]}\n\n"
    return "\n".join([*before, "", "".join(middle), "", *after])


def _dilution(share: float) -> Function:
    return lambda text, rng, resources: dilute(text, rng, resources, share)


def _truncation(words: int) -> Function:
    return lambda text, _rng, _resources: truncate(text, words)


def _plain(function: Callable[[str, Random], str]) -> Attack:
    name = function.__name__
    about = (function.__doc__ or name).split("\n")[0].rstrip(".")
    return Attack(name, about, lambda text, rng, _resources: function(text, rng))


_ON_CHARACTERS = (
    bad_characters.homoglyphs,
    bad_characters.homoglyphs_all,
    bad_characters.zero_width,
    bad_characters.bidi,
    bad_characters.bidi_reordered,
    bad_characters.deletions,
    bad_characters.combining_marks,
    bad_characters.combining_marks_piled,
    bad_characters.full_width,
    bad_characters.styled_letters,
    bad_characters.soft_hyphens,
    bad_characters.fancy_quotes,
    bad_characters.spaced_letters,
    bad_characters.spaced_text,
    bad_characters.mojibake,
)
_ON_TYPING = (whitespace, upper_case, lower_case, title_case, no_punctuation, misspellings)
_ON_SENTENCES = (article_deletion, sentence_shuffling, names_changed, furniture)
UNICODE_ATTACKS = tuple(function.__name__ for function in _ON_CHARACTERS)
ATTACKS: Mapping[str, Attack] = {
    a.name: a
    for a in [
        *map(_plain, (*_ON_CHARACTERS, *_ON_TYPING, *_ON_SENTENCES)),
        *(
            Attack(f"dilution_{p}", f"Human paragraphs put in, {p} % of all words", _dilution(p / 100), "donors")
            for p in (25, 50, 75)
        ),
        *(Attack(f"truncation_{n}", f"Cut to the first {n} words", _truncation(n)) for n in (50, 100, 200)),
        Attack("spun_again", "Put through a simulated spinner once more", spun_again, "spinner", keeps_label=False),
    ]
}
