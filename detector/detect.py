"""The detector: the one place that joins the steps.

text -> prepare (normalise, furniture, tokens, segments) -> gate -> screen -> (if it cannot clear the text) first look
-> (if that cannot either) examiner -> calibrate -> evidence -> SpinResult
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector import forks
from detector.association import AssociationTable, neighbour_levels, weaker_level_shares
from detector.calibrate import ArticleModel, article_features, gate_features, sigmoid
from detector.errors import ModelError
from detector.evidence import (
    JOINING_WORDS,
    EvidenceSettings,
    Phrase,
    PhraseOdds,
    Substitutions,
    add_surprise,
    capitals,
    evidence_blocks,
    find_phrases,
    token_evidence,
)
from detector.examiner import Examined
from detector.foreign import close_share
from detector.join import Join, Judged, replaced_evidence
from detector.operating_point import OperatingPoint, as_operating_point, settle
from detector.results import KINDS, Ignored, Reason, Segment, Span, SpinResult, Verdict
from detector.scorable import FUNCTION_WORDS, check_shares, not_text
from detector.screen import Screen, block_ngrams, find_ngrams, segment_blocks, segment_numbers
from detector.segment import Prepared, prepare
from detector.spaced import WordSplitter
from detector.store import ModelFolder, open_model
from detector.suggest import RANKED_SPANS, Suggester, match_case
from detector.whole_text import WholeText
from detector.words import BOUNDARY, FIRST_WORD_ID, NAME, UNKNOWN, Vocabulary

DEFAULT_OPERATING_POINT = "balanced"
LONGEST_TEXT = 20_000_000
"""Characters; a longer text is `too_long` rather than a surprise for the machine's memory."""
_FEWEST_WORDS = 10
"""Words below which nobody can say the language either, so that a text is just too short."""
_SHOWN_IN_SPUN = 0.2  # a lead that keeps to names and facts has 0.2 to 0.5 beside paragraphs of 0.99
_ROUNDING = 6  # decimals of probabilities: more are noise, and equal on every machine


class SpinDetector:
    """Tells whether English articles were put through an article spinner, and shows the phrases that say so.

    Load once, use from any number of threads: after `load` nothing is changed or fetched. Only the two networks and the
    list of languages are read when the first text needs them; the networks' files are compared with the manifest once
    more, so that a folder replaced meanwhile is an error and no other model's answer. Also after a fork, which waits
    for the texts that other threads are scoring. Pickles as the model's name or folder and the operating point: the
    copy opens the model where it is (once in a process), and refuses another one.
    """

    def __init__(
        self, folder: ModelFolder, operating_point: str | Path | OperatingPoint = DEFAULT_OPERATING_POINT
    ) -> None:
        """Read a verified model folder; most callers want `load`."""
        try:
            config = folder.config
            points = {str(name): float(value) for name, value in config["operating_points"].items()}
            words = folder.file("vocabulary.txt").read_text(encoding="utf-8").split("\n")
            names = folder.file("names.txt").read_text(encoding="utf-8").split("\n")
            self._vocabulary = Vocabulary([w for w in words if w], [n for n in names if n])
            self._screen = Screen(
                np.load(folder.file("screen.npy")).astype(np.float32), float(config["screen"]["bias"])
            )
            self._association = AssociationTable(
                np.load(folder.file("frequencies.npy")).astype(np.float32),
                np.load(folder.file("pairs.npy")),
                float(config["association"]["pairs"]),
            )
            self._article = ArticleModel.from_config(config["article"])
            self._segment_shift = float(config["segment"]["shift"])
            self._segment_scale = float(config["segment"]["scale"])
            self._whole_text = WholeText(
                np.load(folder.file("whole_text.npy")).astype(np.float32),
                float(config["whole_text"]["bias"]),
                float(config["whole_text"]["floor"]),
            )
            self._kind_weights = np.load(folder.file("kinds.npy")).astype(np.float32)
            self._phrase_odds = PhraseOdds(
                np.load(folder.file("phrase_keys.npy")), np.load(folder.file("phrase_odds.npy"))
            )
            self._kind_bias = np.asarray(config["kinds"]["bias"], dtype=np.float64)
            if [*config["kinds"]["names"]] != [k for k in KINDS if k != "spun"]:
                raise ValueError(f"kinds {config['kinds']['names']} are not those of this version")
            table = json.loads(folder.file("substitutions.json").read_text(encoding="utf-8"))
            self._substitutions = Substitutions({str(k): [str(v) for v in values] for k, values in table.items()})
            self._suggester = Suggester.read(folder, self._vocabulary, self._association)
            self._kind_scale = float(config["kinds"]["scale"])
            self._evidence = EvidenceSettings(**config["evidence"])
            self._min_words = int(config["min_words"])
            self._join = Join(folder, config["join"]) if "join" in config else None
            self._check_shapes()
            for name, value in points.items():
                if not 0.0 < value <= 1.0:
                    raise ValueError(f"operating point {name}: the threshold {value} is not in (0, 1]")
        except (AttributeError, EOFError, KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"model {folder.path}: {type(error).__name__}: {error}; the folder does not fit this version of "
                "detect-spin, install the version that it was made for or reinstall detect-spin"
            ) from error
        # A file is read once, here: workers get what it held.
        self._given_point = as_operating_point(operating_point)
        self.operating_points = points
        self.operating_point, self.threshold = settle(self._given_point, points, folder.model_id)
        self.model_id = folder.model_id
        self._folder = folder
        self._splitter = WordSplitter(
            self._vocabulary.words, self._association.log_frequencies[FIRST_WORD_ID:], self._vocabulary.names
        )
        self._is_function = np.zeros(self._vocabulary.size, np.bool_)
        self._is_english = np.zeros(self._vocabulary.size, np.bool_)  # without "a" and "i", as the gate was measured
        for number, word in enumerate(self._vocabulary.words, FIRST_WORD_ID):
            self._is_english[number] = word in FUNCTION_WORDS
            self._is_function[number] = word in JOINING_WORDS or len(word) == 1
        # Words that human texts use less than once in 100,000 words: too rare for evidence of their own.
        self._is_rare = self._association.frequencies < 1e-5
        self._is_rare[:FIRST_WORD_ID] = False
        self._is_rare[UNKNOWN] = True

    def _check_shapes(self) -> None:
        """Raise ValueError if the tables of the model do not belong together."""
        if self._association.frequencies.shape != (self._vocabulary.size,):
            raise ValueError(f"frequencies.npy: expected {self._vocabulary.size} words")
        rows, others = len(self._kind_weights), (len(KINDS) - 1,)
        if rows.bit_count() != 1 or self._kind_weights.shape[1:] != others or self._kind_bias.shape != others:
            raise ValueError(f"kinds.npy: expected shape (2**bits, {others[0]}), got {self._kind_weights.shape}")

    @classmethod
    def load(
        cls,
        model: str | Path | None = None,
        *,
        operating_point: str | Path | OperatingPoint = DEFAULT_OPERATING_POINT,
    ) -> SpinDetector:
        """Open a model (default: the bundled one) after checking every file's digest. About 0.1 s, no network.

        `operating_point`: a name that the model has, or the path of a file that `python -m eval calibrate` wrote (a
        `Path`, or a string ending in `.json`).

        Raises:
            ModelError: the model is missing, incomplete, altered or of another version.
            ValueError: the model has no such operating point.
            InputError: the operating-point file cannot be used, or was fitted to another model.
        """
        return cls(open_model(model), operating_point)

    def __reduce__(self) -> tuple[Any, ...]:
        # The name and not the weights: cheap to send, and every file is checked again where it arrives.
        return _open_again, (type(self), self._folder.reference, self.model_id, self._given_point)

    def score(self, text: str, *, id: str | int | None = None, source: str | None = None) -> SpinResult:
        """Return the result for one text of any length.

        >>> from detector import SpinDetector
        >>> SpinDetector.load().score("Too short to tell.").reason.value
        'too_short'
        """
        with forks.scoring:
            return self._score(text, id, source)

    def _score(self, text: str, id: str | int | None, source: str | None) -> SpinResult:
        if not_text(text):
            return self._not_scored(Reason.NOT_TEXT, None, 0, id, source)
        if len(text) > LONGEST_TEXT:
            return self._not_scored(Reason.TOO_LONG, None, 0, id, source)
        prepared = prepare(text, self._splitter)
        ids = self._vocabulary.ids(prepared.tokens)
        is_word = ids != BOUNDARY
        words = int(np.count_nonzero(is_word))
        function_share = float(np.count_nonzero(self._is_english[ids])) / max(words, 1)
        reason = check_shares(prepared.counted_text(), function_share, words, close_share(prepared.tokens))
        if words < self._min_words and (
            reason is None or (reason in (Reason.NOT_ENGLISH, Reason.NOT_PROSE) and words < _FEWEST_WORDS)
        ):
            reason = Reason.TOO_SHORT
        if reason is not None:
            return self._not_scored(reason, prepared, words, id, source)

        segment_words = np.add.reduceat(is_word, np.asarray([0, *prepared.ends[:-1]]), dtype=np.int64)
        logits, kind_logits, whole_text = self._read_segments(ids, prepared.ends, segment_words)
        at, associations = self._association.adjacent(ids)
        features = article_features(
            logits, segment_words, associations, *self._association.word_statistics(ids[is_word])
        )
        log_odds = float(self._article.log_odds(features))
        other_kinds = self._kind_scale * kind_logits
        other_kinds = np.exp(other_kinds - other_kinds.max())
        segment_log_odds = (logits - self._segment_shift) / self._segment_scale
        judged = None
        if self._join:
            levels = neighbour_levels(len(ids), at, associations)
            weaker = weaker_level_shares(levels[is_word], self._association.log_frequencies[ids[is_word]])
            judged = self._join.judge(
                prepared,
                levels,
                log_odds,
                gate_features(features, kind_logits, weaker, whole_text),
                logits,
                words,
            )
        if judged:
            log_odds, other_kinds, segment_log_odds = judged.log_odds, judged.other_kinds, judged.segments
        elif self._join:
            log_odds = min(log_odds, self._join.cleared)
        probability = round(float(sigmoid(log_odds)), _ROUNDING)
        segment_probabilities = sigmoid(segment_log_odds).round(_ROUNDING)
        spun_looking = segment_probabilities >= 0.5  # 0.5: where a segment is as likely spun as not
        spans: tuple[Span, ...] = ()
        # In a flagged article a segment is more likely spun than its own words say, and the reader wants to see why.
        shown = spun_looking if probability < self.threshold else segment_probabilities >= _SHOWN_IN_SPUN
        if shown.any() and probability >= min(0.5, self.threshold):
            spans = self._spans(text, prepared, ids, at, associations, shown, judged)
        return SpinResult(
            verdict=Verdict.SPUN if probability >= self.threshold else Verdict.CLEAN,
            reason=None,
            probability=probability,
            operating_point=self.operating_point,
            threshold=self.threshold,
            kinds=self._kinds(other_kinds, probability),
            coverage=round(float(segment_words[spun_looking].sum() / words), _ROUNDING),
            words=words,
            model=self.model_id,
            spans=spans,
            segments=tuple(
                Segment(start, end, float(p))
                for (start, end), p in zip(prepared.original_segments(), segment_probabilities, strict=True)
            ),
            ignored=self._ignored(prepared),
            warnings=prepared.normal.warnings,
            id=id,
            source=source,
        )

    def examine(self, text: str) -> Examined | None:
        """Return what the examiner alone says of a text, whatever the screen does; for evaluation.

        None if the text has no words.

        Raises:
            ModelError: the model has no examiner.
        """
        if self._join is None:
            raise ModelError(f"model {self._folder.path} has no examiner; give one that has")
        prepared = prepare(text, self._splitter)
        ids = self._vocabulary.ids(prepared.tokens)
        levels = neighbour_levels(len(ids), *self._association.adjacent(ids))
        with forks.scoring:
            return self._join.examine(prepared, levels) if prepared.ends else None

    def score_batch(self, texts: Iterable[str], *, workers: int = 1) -> Iterator[SpinResult]:
        """Yield one result per text, in order, as the texts come; the i-th result is `score` of the i-th text.

        `workers`: processes to score in. With more than one, start-up takes about a second and some texts are read
        ahead (see `detector.workers`), so that it pays for thousands of texts.

        Raises:
            ValueError: `workers` is below 1.
        """
        if workers < 1:
            raise ValueError(f"workers: expected 1 or more, got {workers}")
        if workers > 1:
            from detector.workers import score_in_processes  # late: its imports would slow every start

            return score_in_processes(self._folder.reference, self._given_point, texts, workers)
        return map(self.score, texts)

    def _read_segments(
        self, ids: NDArray[np.int32], ends: list[int], segment_words: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        """Return the log odds of each segment, the text's unscaled ones of the kinds, and those of the whole text.

        A block of segments at a time: n-grams take a hundred bytes a word.
        """
        logits = np.empty(len(ends))
        kinds = self._kind_bias.copy()
        bits = len(self._kind_weights).bit_length() - 1
        shares = segment_words / segment_words.sum()
        total, count = 0.0, 0
        for first, last in segment_blocks(ends):
            ngrams = block_ngrams(ids, ends, first, last)
            logits[first:last] = self._screen.logits(ngrams)
            weights = shares[first:last].take(ngrams.segments) * ngrams.norms()
            kinds += weights.astype(np.float32) @ self._kind_weights.take(ngrams.columns(bits), axis=0)
            total += self._whole_text.total(ngrams)
            count += len(ngrams.hashes)
        return logits, kinds, self._whole_text.log_odds(total, count)

    def _kinds(self, odds: NDArray[np.float64], probability: float) -> dict[str, float]:
        """Return P of each kind; `spun` is the article's probability, the others share the rest as `odds` say."""
        rest = dict(zip((k for k in KINDS if k != "spun"), (odds / odds.sum()).tolist(), strict=True))
        kinds = {k: round(probability if k == "spun" else (1.0 - probability) * rest[k], _ROUNDING) for k in KINDS}
        kinds["original"] = round(max(0.0, kinds["original"] + 1.0 - sum(kinds.values())), _ROUNDING)
        return kinds

    def _spans(
        self,
        text: str,
        prepared: Prepared,
        ids: NDArray[np.int32],
        at: NDArray[np.int64],
        associations: NDArray[np.float64],
        shown: NDArray[np.bool_],
        judged: Judged | None,
    ) -> tuple[Span, ...]:
        """Return the phrases in the segments `shown`, shape (segments,), as spans of the given text."""
        normal, ends = prepared.normal, prepared.ends
        starts_of, ends_of = prepared.tokens.starts, prepared.tokens.ends
        capital = capitals(normal.text, starts_of, ids)
        found: list[tuple[int, int, float]] = []
        suggestions: list[tuple[str, ...]] = []
        for first, last in evidence_blocks(ids, ends, shown):
            begin, end = ends[first - 1] if first else 0, ends[last - 1]
            here, lengths = ids[begin:end], [e - begin for e in ends[first:last]]
            everywhere = find_ngrams(here, lengths, distinct=False)
            evidence = token_evidence(
                len(here), everywhere.starts, everywhere.lengths, self._screen.contributions(everywhere)
            )
            evidence += self._evidence.phrase_odds * self._phrase_odds.token_odds(
                len(here), everywhere.hashes, everywhere.starts, everywhere.lengths
            )
            pairs = slice(*np.searchsorted(at, (begin, end - 1)))
            add_surprise(evidence, at[pairs] - begin, associations[pairs], self._evidence.surprise)
            if judged:
                evidence += replaced_evidence(
                    judged.examined, starts_of[begin:end], ends_of[begin:end], self._evidence.examiner
                )
            starts, stops = starts_of[begin:end].tolist(), ends_of[begin:end].tolist()
            written = [normal.text[a:b] for a, b in zip(starts, stops, strict=True)]
            words = [word.lower() for word in written]
            phrases: list[Phrase] = find_phrases(
                evidence,
                words,
                (here == BOUNDARY) | ~shown[first:last][segment_numbers(lengths)],
                self._is_function[here],
                self._substitutions,
                self._evidence,
                capital[begin:end] | (here == NAME),
                self._is_rare[here],
            )
            here_spans = []
            for phrase in phrases:
                start, stop = normal.original_span(starts[phrase.first], stops[phrase.last - 1])
                if found and start < found[-1][1]:  # two normal characters can come from one given character
                    continue
                found.append((start, stop, round(phrase.score, _ROUNDING)))
                here_spans.append((phrase.first, phrase.last))
            ranked = here_spans[: max(0, RANKED_SPANS - len(suggestions))]
            for (a, b), likely in zip(ranked, self._suggester.suggest_all(words, ranked), strict=True):
                suggestions.append(tuple(match_case(s, written[a:b]) for s in likely))
        suggestions += [()] * (len(found) - len(suggestions))
        return tuple(Span(a, b, text[a:b], score, s) for (a, b, score), s in zip(found, suggestions, strict=True))

    def _ignored(self, prepared: Prepared) -> tuple[Ignored, ...]:
        return tuple(Ignored(*prepared.normal.original_span(i.start, i.end), i.why) for i in prepared.ignored)

    def _not_scored(
        self,
        reason: Reason,
        prepared: Prepared | None,
        words: int,
        id: str | int | None,
        source: str | None,
    ) -> SpinResult:
        return SpinResult(
            verdict=Verdict.NOT_SCORED,
            reason=reason,
            probability=None,
            operating_point=self.operating_point,
            threshold=self.threshold,
            kinds=None,
            coverage=None,
            words=words,
            model=self.model_id,
            ignored=self._ignored(prepared) if prepared else (),
            warnings=prepared.normal.warnings if prepared else (),
            id=id,
            source=source,
        )


@lru_cache(maxsize=2)  # a pool sends the detector with every piece of work; opening it takes 0.1 s
def _open_again(
    detector: type[SpinDetector], model: str, model_id: str, operating_point: str | OperatingPoint
) -> SpinDetector:
    """Return the detector that a pickle stands for.

    Raises:
        ModelError: the model is not here, or is another one.
    """
    opened = detector.load(model, operating_point=operating_point)
    if opened.model_id != model_id:
        raise ModelError(
            f"the model here is {opened.model_id}, and {model_id} where the detector was pickled; install the same"
        )
    return opened
