"""What the n-grams of a whole article say together: a linear model beside the screen's, whose unit is the segment.

A paraphraser such as QuillBot changes words so lightly that no segment of a hundred words proves anything, and four or
five of them do. Every n-gram of every segment adds its weight, divided by the square root of how many there are.
Of most texts the model has nothing to say, and how little it says is no proof of the contrary: all of them have the
same log odds, the `floor`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detector.screen import NGrams


class WholeText:
    """The model. `weights`: shape (2**bits,); `bias`: log odds of a text without any; `floor`: the least."""

    def __init__(self, weights: NDArray[np.floating], bias: float, floor: float) -> None:
        """Take over what was trained.

        Raises:
            ValueError: the weights have another shape.
        """
        if weights.ndim != 1 or len(weights).bit_count() != 1:
            raise ValueError(f"whole-text weights: expected shape (2**bits,), got {weights.shape}")
        self._weights = weights
        self._bits = len(weights).bit_length() - 1
        self._bias = bias
        self._floor = floor

    def total(self, ngrams: NGrams) -> float:
        """Return the sum of the weights of these n-grams; those of a long text come in blocks, whose sums add up."""
        return float(self._weights.take(ngrams.columns(self._bits)).sum(dtype=np.float64))

    def log_odds(self, total: float, count: int) -> float:
        """Return the log odds of spinning of a text of so many n-grams, whose weights have this sum."""
        return max(self._bias + total / float(np.sqrt(max(count, 1))), self._floor)
