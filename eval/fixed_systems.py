"""Systems under test that are trained already: the detector of a model folder, and classifiers of the Hugging Face hub.

Their scores are probabilities, so that calibration and operating points can be reported: `calibrated`, `points`
(operating point -> probability at or above which it flags) and `model_id` say so to the harness.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector import SpinDetector, SpinResult
from detector.calibrate import JOINED_NAMES, Odds
from detector.errors import InputError, MissingExtraError
from detector.join import features_of
from eval.judging import NOT_SCORED
from train.corpora import Document


@dataclass
class DetectorSystem:
    """Ours as a user has it. `model`: folder or name, None = the shipped one."""

    model: str | None = None
    name: str = "ours"
    calibrated: bool = True

    @cached_property
    def detector(self) -> SpinDetector:
        """The detector, loaded on first use."""
        return SpinDetector.load(self.model)

    @property
    def points(self) -> Mapping[str, float]:
        """Thresholds by operating point."""
        return self.detector.operating_points

    @property
    def model_id(self) -> str:
        """Name and digest of the model."""
        return self.detector.model_id

    def fit(self, documents: Sequence[Document], seed: int) -> DetectorSystem:
        """Return itself; nothing is fitted."""
        del documents, seed
        return self

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the probability of each text, `NOT_SCORED` where it declines."""
        found = [r.probability for r in self.results(texts)]
        return np.array([NOT_SCORED if p is None else p for p in found], dtype=np.float64)

    def results(self, texts: Sequence[str]) -> list[SpinResult]:
        """Return the results with their spans."""
        return list(self.detector.score_batch(texts))


@dataclass
class ExaminerSystem:
    """The examiner of a model folder alone: every text is examined, none cleared, and nothing is joined to it.

    Its scores are mean log odds over the segments, not calibrated. A hundred times as slow as the screen.
    """

    model: str | None = None
    name: str = "examiner"

    @cached_property
    def detector(self) -> SpinDetector:
        """The detector that the examiner belongs to, loaded on first use."""
        return SpinDetector.load(self.model)

    @property
    def model_id(self) -> str:
        """Name and digest of the model."""
        return self.detector.model_id

    def fit(self, documents: Sequence[Document], seed: int) -> ExaminerSystem:
        """Return itself; nothing is fitted."""
        del documents, seed
        return self

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the mean log odds of spinning of each text, -100 for one without words.

        Raises:
            ModelError: the model has no examiner.
        """
        at = JOINED_NAMES.index("mean_spun")
        out = np.full(len(texts), -100.0)
        for number, text in enumerate(texts):
            examined = self.detector.examine(text)
            features = features_of(Odds(0.0, 0.0, 0.0), examined, max(len(text.split()), 1)) if examined else None
            if features is not None:
                out[number] = features[at]
        return out


_SPUN_NAME = re.compile(r"spun|spin|machine|paraphras|plagiar|generated|fake", re.IGNORECASE)


@dataclass
class HubClassifier:
    """A sequence classifier of the hub or of a local folder, such as jpelhaw/longformer-base-4096-pd.

    `label`: name or number of the class "spun"; without it the one class whose name says so, else the last of two.
    Longer texts are cut to what the model takes, as in the literature. Needs `pip install '.[train]'`, and a network
    the first time.
    """

    name: str
    label: str = ""
    batch: int = 8
    calibrated: bool = True
    points: Mapping[str, float] = field(default_factory=lambda: {"argmax": 0.5})

    @property
    def model_id(self) -> str:
        """Name and, where known, commit of the model."""
        commit = getattr(self._loaded[1].config, "_commit_hash", None)
        return f"{self.name}@{str(commit)[:12]}" if commit else self.name

    @cached_property
    def _loaded(self) -> tuple[Any, Any, Any, int]:
        """The tokenizer, the model, torch, and the number of the class "spun"."""
        try:
            import torch
            from transformers import AutoModelForSequenceClassification, AutoTokenizer
        except ImportError as error:
            raise MissingExtraError(
                f"the system {self.name!r} needs torch and transformers: pip install '.[train]'"
            ) from error
        try:
            tokenizer = AutoTokenizer.from_pretrained(self.name)
            model = AutoModelForSequenceClassification.from_pretrained(self.name)
        except (OSError, ValueError) as error:
            raise InputError(f"system {self.name!r}: cannot be loaded: {error}; go online or name a folder") from error
        model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
        return tokenizer, model, torch, self._class_number(dict(model.config.id2label))

    def _class_number(self, names: Mapping[int, str]) -> int:
        if self.label:
            wanted = [k for k, v in names.items() if self.label in (str(k), v)]
        else:
            wanted = [k for k, v in names.items() if _SPUN_NAME.search(v)]
            if not wanted and len(names) == 2:
                wanted = [1]  # 0 = original, 1 = rewritten in the corpora that these classifiers were trained on
        if len(wanted) != 1:
            raise InputError(f"system {self.name!r}: which class is spun? Write {self.name}#LABEL, one of {names}")
        return int(wanted[0])

    def fit(self, documents: Sequence[Document], seed: int) -> HubClassifier:
        """Return itself; nothing is fitted."""
        del documents, seed
        return self

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the probability of the class "spun" for each text, from the softmax."""
        tokenizer, model, torch, spun = self._loaded
        longest = min(tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", 512) - 2)
        # Batches of texts of like length need less padding; the order of the results is restored.
        order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), i))
        out = np.zeros(len(texts))
        with torch.inference_mode():
            for first in range(0, len(order), self.batch):
                rows = order[first : first + self.batch]
                encoded = tokenizer(
                    [texts[i] for i in rows], padding=True, truncation=True, max_length=longest, return_tensors="pt"
                )
                logits = model(**encoded.to(model.device)).logits.double()
                out[rows] = torch.softmax(logits, dim=-1)[:, spun].cpu().numpy()
        return out
