"""The screen and the examiner -> one answer. The screen clears what is surely clean, the rest is examined.

Most articles of any stream are clean and cost the screen a millisecond; the examiner takes a hundred times as long. So
it first reads the segments that the screen likes least, and reads on only if one of them looks spun to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.calibrate import JOINED_NAMES, ArticleModel, joined_features, spun_log_odds
from detector.examiner import NOT_EXAMINED, Examined, Examiner
from detector.results import KINDS
from detector.segment import Prepared
from detector.store import ModelFolder

_OTHERS = [number for number, kind in enumerate(KINDS) if kind != "spun"]


@dataclass(frozen=True, slots=True)
class Judged:
    """What both models together say of an article.

    `log_odds`: of spinning. `other_kinds`: shape (kinds - 1,), the shares of the kinds but `spun`, sum 1. `segments`:
    shape (segments,), log odds of each. `examined`: what the examiner said.
    """

    log_odds: float
    other_kinds: NDArray[np.float64]
    segments: NDArray[np.float64]
    examined: Examined


class Join:
    """Decides what is examined and joins the two models' numbers; all settings are in the model's config."""

    def __init__(self, folder: ModelFolder, config: Mapping[str, Any]) -> None:
        """Read `config`, the section `join`; the examiner itself is loaded when the first article needs it.

        Raises:
            KeyError, TypeError, ValueError: settings are missing or of another version.
            ModelError: the folder has no valid examiner.
        """
        self.gate = float(config["gate"])
        self.cleared = float(config["cleared"])
        self._article = ArticleModel.from_config(config["article"], JOINED_NAMES)
        self._most_segments = int(config["most_segments"])
        self._first_look = FirstLook(**config.get("first_look", {"most": self._most_segments, "gate": None}))
        self._segment = np.asarray(config["segment"], dtype=np.float64)
        self._kind_scale = float(config["kind_scale"])
        if self._segment.shape != (3,) or self._most_segments < 1:
            raise ValueError("join: expected three numbers in `segment` and at least one segment")
        self.examiner = Examiner(folder)

    def judge(
        self, prepared: Prepared, screen_log_odds: float, segment_logits: NDArray[np.float64], words: int
    ) -> Judged | None:
        """Return what both models say, or None if the screen or the first look clears the article.

        `segment_logits`: shape (segments,), the screen's. `words`: of the article.
        """
        if screen_log_odds < self.gate:
            return None
        chosen = chosen_segments(len(segment_logits), self._most_segments)
        first = self._first_look.segments(chosen, segment_logits)
        examined = self._examine(prepared, first)
        if len(first) < len(chosen):
            if self._first_look.clears(spun_log_odds(examined.kind_logits)):
                return None
            rest = sorted(set(chosen) - set(first))
            examined = merged(examined, first, self._examine(prepared, rest), rest)
        features = features_of(screen_log_odds, examined, words)
        if features is None:
            return None
        kinds = np.average(examined.kind_logits, axis=0, weights=np.diff(examined.offsets))[_OTHERS] * self._kind_scale
        odds = np.exp(kinds - kinds.max())
        segments = self._segment[0] * segment_logits + self._segment[2]
        segments[chosen] += self._segment[1] * spun_log_odds(examined.kind_logits)
        return Judged(float(self._article.log_odds(features)), odds / odds.sum(), segments, examined)

    def _examine(self, prepared: Prepared, segments: list[int]) -> Examined:
        return self.examiner.examine(prepared.normal.text, [prepared.segment_range(i) for i in segments])


@dataclass(frozen=True, slots=True)
class FirstLook:
    """Which segments are read first, and what clears an article then.

    `most`: segments read first, at least 1. `gate`: log odds of spinning; an article none of whose first segments
    reaches it is cleared. Minus infinity (None in the config) never clears.
    """

    most: int
    gate: float | None

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ValueError(f"first_look: expected at least one segment, got {self.most}")

    def segments(self, chosen: Sequence[int], segment_logits: NDArray[np.float64]) -> list[int]:
        """Return those of the `chosen` segments to read first, ascending: the ones with the highest screen's logits."""
        order = np.argsort(-segment_logits[list(chosen)], kind="stable")[: self.most]
        return [chosen[i] for i in np.sort(order)]

    def clears(self, spun: NDArray[np.float64]) -> bool:
        """Return whether these log odds of the segments read first clear the article; shape (segments,)."""
        return self.gate is not None and bool(spun.max() < self.gate)


def merged(first: Examined, at: Sequence[int], second: Examined, also: Sequence[int]) -> Examined:
    """Return as one what was said of the segments `at` and of the segments `also`, in the order of the segments.

    Both are ascending, and no segment is in both.
    """
    parts = sorted([*((n, first, i) for i, n in enumerate(at)), *((n, second, i) for i, n in enumerate(also))],
                   key=lambda part: part[0])  # fmt: skip
    pieces = [(e, slice(e.offsets[i], e.offsets[i + 1])) for _, e, i in parts]
    return Examined(
        np.stack([e.kind_logits[i] for _, e, i in parts]),
        np.concatenate([e.starts[own] for e, own in pieces]),
        np.concatenate([e.ends[own] for e, own in pieces]),
        np.concatenate([e.token_logits[own] for e, own in pieces]),
        np.cumsum([0, *(own.stop - own.start for _, own in pieces)]),
    )


def chosen_segments(count: int, most: int) -> list[int]:
    """Return the segments of an article to examine: all, or `most` of them spread evenly.

    >>> chosen_segments(3, 5), chosen_segments(10, 4)
    ([0, 1, 2], [0, 3, 6, 9])
    """
    return list(range(count)) if count <= most else np.linspace(0, count - 1, most).round().astype(int).tolist()


def features_of(screen_log_odds: float, examined: Examined, words: int) -> NDArray[np.float64] | None:
    """Return the joined model's features, shape (len(JOINED_NAMES),); None if the examined segments have no piece."""
    pieces = np.diff(examined.offsets)
    if not pieces.sum():
        return None
    return joined_features(screen_log_odds, examined.kind_logits, examined.token_logits, pieces, words)


def token_evidence(
    examined: Examined, starts: NDArray[np.int64], ends: NDArray[np.int64], weight: float
) -> NDArray[np.float64]:
    """Return evidence of replacement for each word, shape (words,); 0 for words that were not examined.

    `starts`, `ends`: offsets of the words in the normal text. `weight`: evidence per unit of log odds, which are
    limited to 0..4: a phrase that the screen knows is not outvoted, and beyond 4 all is the same to a reader.
    """
    logits = examined.word_logits(starts, ends)
    evidence = weight * np.clip(logits, 0.0, 4.0)  # 4: 98 %; 0: what the screen knows is not outvoted
    return np.where(logits == NOT_EXAMINED, 0.0, evidence)
