"""Which candidate stood there: a conditional logit model (McFadden 1974) over a spun word and its candidates.

Fitted on words whose original is known, from pairs that the candidates were not mined from. What does not depend on the
context becomes one score per candidate; the weights of association and topic stay weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.suggest import TOPIC_WORDS, Suggester
from train.candidates import FEATURES, Candidates, Source
from train.spinners.function_words import function_words

Floats = NDArray[np.float32]
CONTEXT = ("association", "topic")
"""Association with the left and with the right neighbour together; cosine with the topic."""
KEEP = ("keep", "keep_odds", "keep_log_frequency", "keep_spinners")
"""Of the word itself: constant, log odds of being left alone in the pairs, log frequency, spinners' liking for it."""
COLUMNS = (*FEATURES, *CONTEXT, *KEEP)


@dataclass(frozen=True, slots=True)
class Choice:
    """One word of a spun text: rows of COLUMNS, the word itself first; `right`: rows that are the original."""

    features: Floats
    right: NDArray[np.int64]


class Ranker:
    """Makes the features of words and candidates in context.

    `context`: a suggester of the model, for association and topic. `changed`, `seen`: how often the pairs' spun texts
    hold each word in place of another one, and at all. `spinners`: log odds of words that spinners like.
    """

    def __init__(
        self,
        context: Suggester,
        source: Source,
        changed: Mapping[str, int],
        seen: Counter[str],
        spinners: Mapping[str, float],
    ) -> None:
        self._context = context
        self._source = source
        self._changed = changed
        self._seen = seen
        self._spinners = spinners
        self._candidates: dict[str, Candidates] = {}
        self._log_frequency = dict(
            zip(source.words, np.log(np.maximum(source.frequencies, 1e-9)).tolist(), strict=True)
        )

    @property
    def number(self) -> Mapping[str, int]:
        """Vocabulary word -> its place."""
        return self._source.number

    @property
    def vectors(self) -> NDArray[np.int8]:
        """Of the context: the directions of the vocabulary's words."""
        return self._context.vectors

    def prepare(self, words: Iterable[str]) -> None:
        """Find the candidates of the words, those with an open word class; a few milliseconds each."""
        closed = function_words()
        new = sorted({w for w in words if w not in closed and w.isalpha()} - set(self._candidates))
        self._candidates.update(zip(new, self._source.of(new), strict=True))

    def candidates(self, word: str) -> Candidates | None:
        """Return what was prepared for a word, None where there is nothing."""
        found = self._candidates.get(word)
        return found if found and found.words else None

    def keep(self, word: str) -> Floats:
        """Return the columns KEEP of a word."""
        changed = self._changed.get(word, 0)
        odds = np.log((max(self._seen[word] - changed, 0) + 1) / (changed + 1))
        frequency = self._log_frequency.get(word, np.log(1e-9))
        return np.array([1.0, odds, frequency, self._spinners.get(word, 0.0)], np.float32)

    def choice(self, words: Sequence[str], at: int, originals: Collection[str]) -> Choice | None:
        """Return the choice at a place; None without candidates, or if neither they nor the word are an original."""
        found = self.candidates(words[at])
        if found is None:
            return None
        options = (words[at], *found.words)
        right = np.flatnonzero([o in originals for o in options])
        if not len(right):
            return None
        begin = max(0, at - TOPIC_WORDS)
        around = self._context.ids(words[begin : at + 1 + TOPIC_WORDS])
        place = at - begin
        ids = self._context.ids(options)
        rows = np.zeros((len(options), len(COLUMNS)), np.float32)
        rows[1:, : len(FEATURES)] = found.features
        meeting = np.zeros(len(options))
        if place:
            meeting += self._context.associations(np.full_like(ids, around[place - 1]), ids)
        if place + 1 < len(around):
            meeting += self._context.associations(ids, np.full_like(ids, around[place + 1]))
        rows[:, len(FEATURES)] = meeting
        rows[:, len(FEATURES) + 1] = self._context.topic_fit(
            around, place, place + 1, ids, np.zeros(len(ids), np.int64)
        )
        rows[0, -len(KEEP) :] = self.keep(words[at])
        return Choice(rows, right)


def fit_weights(choices: Sequence[Choice], masses: Sequence[float], penalty: float = 1.0) -> NDArray[np.float64]:
    """Return the weights of COLUMNS under which the originals are likeliest; several right rows share a probability.

    `masses`: weight of each choice. `penalty`: L2, in units of one choice.
    """
    from scipy.optimize import minimize

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        total, gradient = 0.5 * penalty * float(weights @ weights), penalty * weights
        for choice, mass in zip(choices, masses, strict=True):
            scores = choice.features @ weights
            odds = np.exp(scores - scores.max())
            shares = odds / odds.sum()
            right = max(float(shares[choice.right].sum()), 1e-30)
            wanted = np.zeros_like(shares)
            wanted[choice.right] = shares[choice.right] / right
            total -= mass * float(np.log(right))
            gradient = gradient + mass * (choice.features.T @ (shares - wanted))
        return total, gradient

    return np.asarray(minimize(loss, np.zeros(len(COLUMNS)), jac=True, method="L-BFGS-B").x)


__all__ = ["COLUMNS", "CONTEXT", "KEEP", "Choice", "Ranker", "fit_weights"]
