"""The scikit-learn transformer: clones, pipelines, pickles, texts that are not scored, checks of scikit-learn."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

from detector import InputError, ModelError, SpinDetector
from detector.features import FEATURES, SpinFeatures
from detector.store import write_manifest
from tests.tiny_model import tiny


@pytest.fixture(scope="module")
def texts() -> list:
    return [d.text for d in tiny().documents[::5]] + ["Too short.", None]


@pytest.fixture(scope="module")
def labels() -> list[int]:
    return [int(d.label == "spun") for d in tiny().documents[::5]] + [0, 0]


def features(**options: object) -> SpinFeatures:
    return SpinFeatures(str(tiny().folder), **options)


@pytest.mark.parametrize(
    "check", ["no_attributes_set_in_init", "parameters_default_constructible", "get_params_invariance", "set_params"]
)
def test_scikit_learns_own_checks(check: str):
    """Those that bring no data: its `check_estimator` has only numbers, and passes over transformers of texts."""
    getattr(estimator_checks, f"check_{check}")("SpinFeatures", SpinFeatures())


def test_columns_are_what_the_detector_says(texts: list):
    made = features().fit_transform(texts)
    assert made.shape == (len(texts), len(FEATURES)) and made.dtype == np.float64
    detector = SpinDetector.load(tiny().folder)
    for row, result in zip(made, detector.score_batch(texts), strict=True):
        named = dict(zip(FEATURES, row, strict=True))
        if result.probability is None:
            assert named.pop("not_scored") == 1.0
            assert np.isnan(list(named.values())).all()
        else:
            assert named.pop("not_scored") == 0.0
            assert (named.pop("probability"), named.pop("coverage")) == (result.probability, result.coverage)
            assert named == {k: v for k, v in result.kinds.items() if k != "spun"}
    assert np.isnan(made).any() and (made[:, 0] > 0.5).any() and (made[:, 0] < 0.5).any()


def test_not_scored_value_is_the_callers(texts: list):
    made = features(not_scored_value=0.25).fit_transform(texts)
    assert (made[-2:] == [*[0.25] * (len(FEATURES) - 1), 1.0]).all()


def test_texts_come_as_list_array_series_or_table_with_one_column(texts: list):
    fitted = features().fit(texts)
    expected = fitted.transform(texts)
    series = pd.Series(texts, index=range(5, 5 + len(texts)), dtype=object)
    for given in (np.array(texts, dtype=object), series, series.to_frame("text"), tuple(texts)):
        np.testing.assert_array_equal(fitted.transform(given), expected)
    assert fitted.transform([]).shape == (0, len(FEATURES))


@pytest.mark.parametrize(
    "given", ["one text", b"bytes", 7, {"text": ["a"]}, pd.DataFrame({"a": ["x"], "b": ["y"]}), (t for t in ["x"])]
)
def test_other_shapes_are_refused(given):
    fitted = features().fit(["x"])
    with pytest.raises(InputError, match="one text a row"):
        fitted.transform(given)


def test_names_and_tables_out(texts: list):
    fitted = features().set_output(transform="pandas").fit(texts)
    made = fitted.transform(pd.Series(texts, index=range(7, 7 + len(texts)), dtype=object))
    assert list(made.columns) == list(fitted.get_feature_names_out()) == [f"spin_{name}" for name in FEATURES]


def test_clone_and_parameters():
    made = clone(features(not_scored_value=0.5, workers=1))
    assert made.get_params() == {"model": str(tiny().folder), "not_scored_value": 0.5, "workers": 1}
    with pytest.raises(NotFittedError):
        made.transform(["x"])


def test_pickle_holds_no_weights_and_refuses_another_model(tmp_path: Path, texts: list):
    folder = tmp_path / "tiny"
    shutil.copytree(tiny().folder, folder)
    fitted = SpinFeatures(folder).fit(texts)
    expected = fitted.transform(texts)
    pickled = pickle.dumps(fitted)
    assert len(pickled) < 1000
    np.testing.assert_array_equal(pickle.loads(pickled).transform(texts), expected)
    config = json.loads((folder / "config.json").read_text())
    config["operating_points"]["strict"] = 0.999
    (folder / "config.json").write_text(json.dumps(config))
    write_manifest(folder, "tiny", {})
    with pytest.raises(ModelError, match="fit again"):
        pickle.loads(pickled).transform(texts)


def test_beside_other_features_in_a_moderation_model(texts: list, labels: list[int]):
    texts = [text or "" for text in texts]
    table = pd.DataFrame({"body": texts, "links": range(len(texts))})
    columns = ColumnTransformer(
        [
            ("spin", features(not_scored_value=0.0), "body"),
            ("spin_too", features(not_scored_value=0.0), ["body"]),
            ("words", TfidfVectorizer(max_features=50), "body"),
            ("links", "passthrough", ["links"]),
        ]
    )
    model = make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(table, labels)
    names = model[0].get_feature_names_out()
    assert "spin__spin_probability" in names and "spin_too__spin_probability" in names
    assert pickle.loads(pickle.dumps(model)).predict(table).tolist() == model.predict(table).tolist()
    only_spin = make_pipeline(features(not_scored_value=0.0), LogisticRegression())
    assert cross_val_score(only_spin, texts, labels, cv=3, scoring="roc_auc").mean() > 0.9


def test_without_scikit_learn_the_message_says_how_to_get_it():
    code = """
import sys
sys.modules["sklearn"] = None
import detector
try:
    import detector.features
except detector.MissingExtraError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'detect-spin[sklearn]'" in done.stdout
