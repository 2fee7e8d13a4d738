"""Named simulated spinners, with rates calibrated to real pairs (numbers: eval/reports/spinners/report.md).

A preset is a row of settings; `make_spinner` builds it from `Resources`, which read WordNet, phrase tables and
neighbours only when a preset needs them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from random import Random

from detector.errors import InputError
from train.align import read_tortured_phrases
from train.spinners.base import Spinner
from train.spinners.dictionary import DictionarySpinner, Rates
from train.spinners.embedding import EmbeddingSpinner, Neighbours, build_neighbours, glove_neighbours
from train.spinners.filters import Compose, Partial, Protect
from train.spinners.lexicon import WordNet, read_wordnet
from train.spinners.phrases import DebrisSpinner, PhraseSpinner, PhraseTable, read_connectives

_WORDNET = "lexicon/open_english_wordnet_synsets.jsonl.gz"
_TORTURED = "lexicon/tortured_phrases.tsv"
_LEAST_GLOVE_COSINE = 0.6  # below, neighbours share a topic at most (read on 40 random words)


@dataclass(frozen=True, slots=True)
class Preset:
    """Settings of one simulated spinner; a part with rate 0 or None is left out.

    `families`: of the glue phrases. `mined`: which mined table, "spinbot" or "quillbot". `tortured`: rate of the
    reversed list of tortured phrases. `debris`: share of articles dropped. `protect_quotes`: nothing inside quotation
    marks changes. `partial`: share of paragraphs spun. `among`, `same_class`: see `EmbeddingSpinner`; the others:
    `DictionarySpinner`.
    """

    families: tuple[str, ...] = ()
    glue: float = 0.0
    mined: str = ""
    mined_rate: float = 0.0
    tortured: float = 0.0
    rates: Rates | None = None
    wrong_sense: float = 0.7
    cross_class: float = 0.1
    common: float = 0.5
    favourite: float = 0.5
    phrases: float = 0.5
    determinism: float = 0.85
    embedding: Rates | None = None
    glove: Rates | None = None
    among: int = 5
    same_class: bool = True
    debris: float = 0.0
    fix_articles: float = 0.7
    protect_names: bool = True
    protect_quotes: bool = False
    partial: float = 1.0


# All numbers below: fitted by hand, three rounds of `python -m train spinner-report` against the real pairs.
_SPINBOT = Preset(
    glue=0.75,
    mined="spinbot",
    mined_rate=0.9,
    tortured=0.5,
    common=0.25,
    favourite=0.85,
    phrases=0.15,
)
PRESETS: Mapping[str, Preset] = {
    "spinbot-2016": replace(_SPINBOT, families=("A1",), rates=Rates(0.3, 0.47, 0.6, 0.95)),
    "spinbot-2020": replace(_SPINBOT, families=("A2",), rates=Rates(0.5, 0.47, 0.75, 0.95)),
    "spinbot-2022": replace(_SPINBOT, families=("A3",), rates=Rates(0.7, 0.45, 0.95, 0.97)),
    "quillbot": Preset(
        families=("A2",),
        glue=0.8,
        mined="quillbot",
        mined_rate=0.55,
        rates=Rates(0.22, 0.35, 0.25, 0.3),
        wrong_sense=0.3,
        cross_class=0.0,
        common=1.0,
        determinism=0.1,
        favourite=0.2,
        phrases=0.1,
        debris=0.08,
        fix_articles=1.0,
    ),
    # Not fitted to a tool: at the two ends of "one word in ten to three in five".
    "dictionary": Preset(rates=Rates(0.7, 0.7, 0.7, 0.7), common=0.2, wrong_sense=0.9),
    "dictionary-light": Preset(rates=Rates(0.25, 0.25, 0.3, 0.3), common=0.3, wrong_sense=0.8),
    "embedding": Preset(embedding=Rates(0.6, 0.6, 0.6, 0.6), fix_articles=0.2),
    "glove": Preset(glove=Rates(0.6, 0.6, 0.6, 0.6), fix_articles=0.2),
}


MIXED = "mixed"
"""Name that stands for another spinner in each text, see `mixed_preset`."""


def mixed_preset(rng: Random) -> Preset:
    """Return a spinner that nobody has met: parts, rates and habits drawn anew, so that none can be learned by heart.

    It imitates no tool: a dictionary, neighbours of two kinds, dropped articles, one or several at once.
    """
    parts = [rng.random() < share for share in (0.6, 0.35, 0.35)]  # dictionary, own neighbours, GloVe's
    if not any(parts):
        parts[rng.randrange(3)] = True

    def rates() -> Rates | None:
        drawn = Rates(*(rng.uniform(0.1, 0.9) for _ in range(4)))
        return drawn if parts.pop(0) else None

    return Preset(
        rates=rates(),
        embedding=rates(),
        glove=rates(),
        wrong_sense=rng.uniform(0.2, 1.0),
        cross_class=rng.choice((0.0, 0.0, rng.uniform(0.0, 0.3))),
        common=rng.uniform(0.0, 1.0),
        favourite=rng.uniform(0.0, 0.9),
        phrases=rng.uniform(0.0, 0.8),
        determinism=rng.uniform(0.0, 0.9),
        among=rng.choice((1, 3, 5, 10)),
        same_class=rng.random() < 0.8,
        debris=rng.choice((0.0, 0.0, rng.uniform(0.0, 0.08))),
        fix_articles=rng.uniform(0.0, 1.0),
        protect_names=rng.random() < 0.85,
        protect_quotes=rng.random() < 0.3,
    )


@dataclass
class Resources:
    """What presets are built from; read on first use.

    `data`: the folder of tables with `lexicon/`. `mined`: {"spinbot" or "quillbot": spun phrase -> originals}, from
    training pairs only. `texts`: human texts for neighbours and word counts. `cache`: where neighbours are kept,
    outside the repository.
    """

    data: Path | None = None
    mined: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)
    texts: tuple[str, ...] = ()
    cache: Path | None = None
    wordnet_file: Path | None = None

    @cached_property
    def wordnet(self) -> WordNet:
        """The synsets of `wordnet_file`, else of the data folder.

        Raises:
            InputError: neither exists.
        """
        path = self.wordnet_file or (self.data or Path()) / _WORDNET
        if not path.exists():
            raise InputError(f"no WordNet at {path}; pass wordnet_file or the folder that holds {_WORDNET}")
        return read_wordnet(path)

    @cached_property
    def tortured(self) -> PhraseTable:
        """Established term -> tortured phrases; empty where the list is absent."""
        path = (self.data or Path()) / _TORTURED
        return PhraseTable.from_spun(read_tortured_phrases(path)) if path.exists() else PhraseTable({})

    @cached_property
    def neighbours(self) -> Neighbours:
        """Distributional neighbours over `texts`, cached by a digest of the texts."""
        digest = hashlib.sha256()
        for text in self.texts:
            digest.update(text.encode("utf-8", "surrogatepass"))
        return self._kept(f"neighbours-{digest.hexdigest()[:16]}.npz", lambda: build_neighbours(self.texts))

    def _kept(self, name: str, build: Callable[[], Neighbours]) -> Neighbours:
        path = self.cache / name if self.cache else None
        if path and path.exists():
            return Neighbours.load(path)
        built = build()
        if path:
            built.save(path)
        return built

    @cached_property
    def glove(self) -> Neighbours:
        """Neighbours by GloVe vectors, cached.

        Raises:
            MissingExtraError: the package with the vectors is not installed.
        """
        return self._kept("neighbours-glove.npz", glove_neighbours)

    @property
    def frequencies(self) -> Mapping[str, int]:
        """Counts of the vocabulary of `texts`; empty without texts."""
        return self.neighbours.counts if self.texts else {}


def make_spinner(name: str, resources: Resources, preset: Preset | None = None) -> Spinner:
    """Return the named simulated spinner; `preset` takes the place of the settings of that name.

    Raises:
        ValueError: an unknown name (the message lists the known ones).
    """
    if preset is None:
        if name not in PRESETS:
            raise ValueError(f"unknown spinner {name}; known: {', '.join(PRESETS)}")
        preset = PRESETS[name]
    p = preset
    parts: list[Spinner] = []
    if p.glue:
        glue = read_connectives(p.families)
        parts.append(PhraseSpinner(glue, p.glue, p.glue, determinism=0.6, tool=f"{name}-glue"))
    if p.tortured:
        parts.append(PhraseSpinner(resources.tortured, p.tortured, 0.0, p.determinism, tool=f"{name}-terms"))
    if p.mined_rate and p.mined in resources.mined:
        table = _substitutions(resources.mined[p.mined])
        parts.append(PhraseSpinner(table, p.mined_rate, 0.0, p.determinism, tool=f"{name}-mined"))
    if p.rates is not None:
        parts.append(
            DictionarySpinner(
                resources.wordnet,
                p.rates,
                p.determinism,
                p.wrong_sense,
                p.cross_class,
                p.phrases,
                frequencies=resources.frequencies,
                common=p.common,
                favourite=p.favourite,
                tool=f"{name}-dictionary",
            )
        )
    if p.embedding is not None:
        parts.append(
            EmbeddingSpinner(resources.neighbours, p.embedding, p.among, p.same_class, tool=f"{name}-embedding")
        )
    if p.glove is not None:
        parts.append(
            EmbeddingSpinner(
                resources.glove, p.glove, p.among, p.same_class, least=_LEAST_GLOVE_COSINE, tool=f"{name}-glove"
            )
        )
    if p.debris:
        parts.append(DebrisSpinner(drop=p.debris, double=p.debris / 4))
    spinner: Spinner = Protect(Compose(parts, p.fix_articles), names=p.protect_names, quotes=p.protect_quotes)
    return Partial(spinner, p.partial) if p.partial < 1 else spinner


def _substitutions(mined: Mapping[str, Mapping[str, int]]) -> PhraseTable:
    return PhraseTable.from_rows((old, new, float(n)) for new, olds in mined.items() for old, n in olds.items())


def neighbour_sample(texts: Iterable[str], most: int = 6000) -> tuple[str, ...]:
    """Return at most so many texts, spread evenly: enough for neighbours of the commonest 15,000 words."""
    texts = list(texts)
    step = max(1, -(-len(texts) // most))
    return tuple(texts[::step])
