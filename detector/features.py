"""The detector's answer as features for a classifier of one's own: a transformer in scikit-learn's sense.

The only module of the package that needs scikit-learn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Sized
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.detect import SpinDetector
from detector.errors import InputError, MissingExtraError, ModelError
from detector.results import KINDS, SpinResult

try:
    from sklearn.base import BaseEstimator, TransformerMixin
    from sklearn.utils.validation import check_is_fitted
except ImportError as error:
    raise MissingExtraError("SpinFeatures needs scikit-learn: pip install 'detect-spin[sklearn]'") from error

_OTHER_KINDS = tuple(kind for kind in KINDS if kind != "spun")  # P(spun) is `probability`
FEATURES = ("probability", "coverage", *_OTHER_KINDS, "not_scored")
"""The columns: P(spun), share of words in spun-looking segments, P of the other kinds, 1 if the text was not scored."""


class SpinFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # sklearn has no types
    """Turns texts into features, one row a text: float64, shape (texts, len(FEATURES)), columns as in `FEATURES`.

    A text that was not scored (too short, not English, None ...) has 1 in `not_scored` and `not_scored_value` in all
    other columns. The default, NaN, is what boosted trees handle and a `SimpleImputer` fills; for other classifiers
    give a number, and they learn what it means from `not_scored`.

    `model`: as for `SpinDetector.load`. `workers`: processes to score in.

    There is nothing to learn: `fit` only notes the model's identity. Clones and pickles hold the name of the model and
    not its weights; a fitted transformer refuses to work with another model, whose features would mean something else.

    >>> from detector.features import SpinFeatures
    >>> SpinFeatures(not_scored_value=-1.0).fit_transform(["Too short to tell."])[0, [0, -1]].tolist()
    [-1.0, 1.0]
    """

    def __init__(
        self, model: str | Path | None = None, *, not_scored_value: float = math.nan, workers: int = 1
    ) -> None:
        # scikit-learn clones by these attributes, so they are what was given.
        self.model = model
        self.not_scored_value = not_scored_value
        self.workers = workers

    def fit(self, X: Any, y: Any = None) -> SpinFeatures:  # noqa: N803 - scikit-learn's name
        """Note which model this is; `X` is only checked to be one text a row.

        Raises:
            ModelError: the model cannot be opened.
            InputError: `X` is not one text a row.
        """
        _texts(X)
        self._detector: SpinDetector | None = None
        self.model_id_ = self._load().model_id
        return self

    def transform(self, X: Any) -> NDArray[np.float64]:  # noqa: N803 - scikit-learn's name
        """Return the features of texts: a list, array or Series of them, or a table with a single column.

        Raises:
            sklearn.exceptions.NotFittedError: `fit` was not called.
            ModelError: the model cannot be opened, or is not the one that this was fitted with.
            InputError: `X` is not one text a row.
        """
        check_is_fitted(self)
        texts = _texts(X)
        detector = self._load()
        if detector.model_id != self.model_id_:
            raise ModelError(f"fitted with the model {self.model_id_}, this is {detector.model_id}: fit again")
        rows = [self._row(result) for result in detector.score_batch(texts, workers=self.workers)]
        return np.array(rows, np.float64).reshape(len(rows), len(FEATURES))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the columns: `spin_` and those of `FEATURES`."""
        return np.array([f"spin_{name}" for name in FEATURES], dtype=object)

    def _row(self, result: SpinResult) -> list[float]:
        if result.probability is None or result.coverage is None:
            return [self.not_scored_value] * (len(FEATURES) - 1) + [1.0]
        kinds = result.kinds or dict.fromkeys(_OTHER_KINDS, self.not_scored_value)
        return [result.probability, result.coverage, *(kinds[kind] for kind in _OTHER_KINDS), 0.0]

    def _load(self) -> SpinDetector:
        detector: SpinDetector | None = getattr(self, "_detector", None)  # neither clones nor pickles have it
        if detector is None:
            detector = self._detector = SpinDetector.load(self.model)
        return detector

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in super().__getstate__().items() if key != "_detector"}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True
        return tags

    def _more_tags(self) -> dict[str, Any]:  # what scikit-learn before 1.6 asks for
        return {"X_types": ["string"], "allow_nan": True}


def _texts(given: Any) -> Sequence[Any]:
    """Return the texts of a one-dimensional collection, or of a table with one column."""
    shape = getattr(given, "shape", None)
    if shape is not None and len(shape) == 2 and shape[1] == 1:
        return list(np.asarray(given, dtype=object)[:, 0])
    one_dimensional = isinstance(given, Sized) and not isinstance(given, (str, bytes, Mapping))
    if not one_dimensional or (shape is not None and len(shape) != 1):
        what = type(given).__name__ if shape is None else f"{type(given).__name__} of shape {tuple(shape)}"
        raise InputError(f"expected one text a row (a list, an array or a table with one column), got {what}")
    return list(given)
