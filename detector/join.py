"""The screen and the examiner -> one answer. The screen clears what is surely clean, the rest is examined.

Most articles of any stream are clean and cost the screen a millisecond; the examiner takes ten times as long for each
segment. So a much smaller network looks first, at the segments that look most spun to the screen, one after the other
until it has seen enough, and the examiner reads only where that leaves a doubt: the screen can let more articles
through for the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.calibrate import (
    GATE_NAMES,
    JOINED_NAMES,
    WHOLE_TEXT,
    ArticleModel,
    Odds,
    joined_features,
    spun_log_odds,
)
from detector.examiner import NOT_EXAMINED, Examined, Examiner, WordLevels
from detector.results import KINDS
from detector.segment import Prepared
from detector.store import ModelFolder

_OTHERS = [number for number, kind in enumerate(KINDS) if kind != "spun"]


@dataclass(frozen=True, slots=True)
class Judged:
    """What both models together say of an article.

    `log_odds`: of spinning. `other_kinds`: shape (kinds - 1,), the shares of the kinds but `spun`, sum 1. `segments`:
    shape (segments,), log odds of each. `examined`: what the network that read last said.
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
        self.gate = float(config["gate"]["log_odds"])
        self._gate = ArticleModel.from_config(config["gate"]["article"], GATE_NAMES)
        self.cleared = float(config["cleared"])
        look = config["first_look"]
        self._read_on = float(look["log_odds"])
        self._first_look = ArticleModel.from_config(look["article"], JOINED_NAMES)
        self._look_segments = int(look["segments"])
        self._look_on = float(look["look_on_log_odds"])
        self._look_kind_scale = float(look["kind_scale"])
        self._article = ArticleModel.from_config(config["article"], JOINED_NAMES)
        self._most_segments = int(config["most_segments"])
        self._segment = np.asarray(config["segment"], dtype=np.float64)
        self._kind_scale = float(config["kind_scale"])
        if self._segment.shape != (3,) or min(self._most_segments, self._look_segments) < 1:
            raise ValueError("join: expected three numbers in `segment` and at least one segment to read")
        self.examiner = Examiner(folder)

    def judge(
        self,
        prepared: Prepared,
        levels: NDArray[np.int64],
        screen_log_odds: float,
        gate_features: NDArray[np.float64],
        segment_logits: NDArray[np.float64],
        words: int,
    ) -> Judged | None:
        """Return what both models say, or None if the screen clears the article or its segments hold no piece.

        What the first look clears has log odds of `cleared` at most, as what the screen clears.

        `levels`: the `association.neighbour_levels` of the tokens. `gate_features`: as `calibrate.GATE_NAMES`,
        `segment_logits`: shape (segments,), the screen's. `words`: of the article.
        """
        whole_text = float(gate_features[WHOLE_TEXT])
        odds = Odds(screen_log_odds, float(self._gate.log_odds(gate_features)), whole_text)
        if odds.gate < self.gate:
            return None
        chosen = chosen_segments(len(segment_logits), self._most_segments)
        word_levels = WordLevels.of(prepared.tokens, levels)
        order = looked_at(segment_logits, chosen, self._look_segments)
        at, looked, seen = self._look(prepared, order, word_levels, odds, words)
        if seen is not None and seen < self._read_on:
            return self._judged(min(seen, self.cleared), looked, at, segment_logits, self._look_kind_scale)
        examined = self._read(self.examiner.examine, prepared, chosen, word_levels)
        features = features_of(odds, examined, words)
        if features is None:
            return None
        return self._judged(float(self._article.log_odds(features)), examined, chosen, segment_logits, self._kind_scale)

    def _look(
        self, prepared: Prepared, order: Sequence[int], word_levels: WordLevels, odds: Odds, words: int
    ) -> tuple[list[int], Examined, float | None]:
        """Look at one segment after the other, at least one, until what was seen looks clean enough.

        Returns the segments looked at, what was said of them, and the article's log odds by it, None without a piece.
        """
        looks: dict[int, Examined] = {}
        seen: float | None = None
        for segment in order:
            looks[segment] = self._read(self.examiner.look, prepared, [segment], word_levels)
            at = sorted(looks)
            looked = Examined.joined([looks[i] for i in at])
            features = features_of(odds, looked, words)
            if features is not None:
                seen = float(self._first_look.log_odds(features))
                if seen < self._look_on:
                    break
        return at, looked, seen

    def _judged(
        self,
        log_odds: float,
        examined: Examined,
        read: Sequence[int],
        segment_logits: NDArray[np.float64],
        kind_scale: float,
    ) -> Judged:
        """Put the answer together; `read`: the segments of `examined`."""
        kinds = np.average(examined.kind_logits, axis=0, weights=np.diff(examined.offsets))[_OTHERS] * kind_scale
        odds = np.exp(kinds - kinds.max())
        own = spun_log_odds(examined.kind_logits)
        spun = np.full(len(segment_logits), own.mean())  # what was not read is taken to be like what was
        spun[read] = own
        segments = self._segment[0] * segment_logits + self._segment[1] * spun + self._segment[2]
        return Judged(log_odds, odds / odds.sum(), segments, examined)

    def examine(self, prepared: Prepared, levels: NDArray[np.int64]) -> Examined:
        """Return what the examiner says of an article's segments (`chosen_segments`), whatever the screen does."""
        chosen = chosen_segments(len(prepared.ends), self._most_segments)
        return self._read(self.examiner.examine, prepared, chosen, WordLevels.of(prepared.tokens, levels))

    def _read(
        self, by: Callable[..., Examined], prepared: Prepared, chosen: Sequence[int], words: WordLevels
    ) -> Examined:
        return by(prepared.normal.text, [prepared.segment_range(i) for i in chosen], words)


def looked_at(segment_logits: NDArray[np.float64], chosen: Sequence[int], most: int) -> list[int]:
    """Return the segments of the first look, worst first: of those chosen the `most` that look most spun to the screen.

    >>> looked_at(np.array([0.5, 1.0, 9.0, 2.0]), [0, 1, 3], 2)
    [3, 1]
    """
    worst = np.argsort(-segment_logits[chosen], kind="stable")[:most]
    return [chosen[i] for i in worst.tolist()]


def chosen_segments(count: int, most: int) -> list[int]:
    """Return the segments of an article to examine: all, or `most` of them spread evenly.

    >>> chosen_segments(3, 5), chosen_segments(10, 4)
    ([0, 1, 2], [0, 3, 6, 9])
    """
    return list(range(count)) if count <= most else np.linspace(0, count - 1, most).round().astype(int).tolist()


def features_of(odds: Odds, examined: Examined, words: int) -> NDArray[np.float64] | None:
    """Return the joined model's features, shape (len(JOINED_NAMES),); None if the examined segments have no piece."""
    pieces = np.diff(examined.offsets)
    if not pieces.sum():
        return None
    return joined_features(odds, examined.kind_logits, examined.token_logits, pieces, words)


def replaced_evidence(
    examined: Examined, starts: NDArray[np.int64], ends: NDArray[np.int64], weight: float
) -> NDArray[np.float64]:
    """Return evidence of replacement for each word, shape (words,); 0 for words that were not examined.

    `starts`, `ends`: offsets of the words in the normal text. `weight`: evidence per unit of log odds, which are
    limited to 0..4: a phrase that the screen knows is not outvoted, and beyond 4 all is the same to a reader.
    """
    logits = examined.word_logits(starts, ends)
    evidence = weight * np.clip(logits, 0.0, 4.0)  # 4: 98 %; 0: what the screen knows is not outvoted
    return np.where(logits == NOT_EXAMINED, 0.0, evidence)
