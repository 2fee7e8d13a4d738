"""Numbers of an article stay finite and bounded; the article model survives its config; probabilities behave."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.calibrate import FEATURE_NAMES, ArticleModel, article_features, sigmoid

number = st.floats(-1e300, 1e300)
segments = st.lists(st.tuples(number, st.integers(1, 500)), min_size=1, max_size=30)


def features(pairs, associations=(), frequency=-6.0, unknown=0.1):
    logits, sizes = zip(*pairs, strict=True)
    made = article_features(
        np.array(logits, float), np.array(sizes, np.int64), np.array(associations, float), frequency, unknown
    )
    return dict(zip(FEATURE_NAMES, made.tolist(), strict=True))


@given(segments, st.lists(st.floats(-20, 20), max_size=20))
@settings(max_examples=80)
def test_features_are_finite_and_bounded_for_any_segments(pairs, associations):
    got = features(pairs, associations)
    assert all(np.isfinite(v) for v in got.values())
    logits = [min(max(logit, -12), 12) for logit, _ in pairs]
    low, high = min(logits), max(logits)
    assert low - 1e-9 <= got["mean_logit"] <= got["top_half_logit"] + 1e-9
    assert got["top_half_logit"] <= got["top_logit"] + 1e-9
    assert got["top_logit"] == pytest.approx(high)
    assert 0 <= got["share_spun_looking"] <= 1 + 1e-9
    assert 0 <= got["surprising_share"] <= 1
    assert got["log_words"] == pytest.approx(np.clip(np.log(sum(n for _, n in pairs)), 3.5, 7.0))


@given(segments, st.randoms(use_true_random=False))
def test_the_order_of_segments_does_not_matter(pairs, random):
    shuffled = pairs[:]
    random.shuffle(shuffled)
    assert list(features(pairs).values()) == pytest.approx(list(features(shuffled).values()), abs=1e-9)


def test_features_of_a_half_spun_article():
    got = features([(4.0, 100), (-2.0, 100)], [-2.0, 1.0, 1.0, 2.0])
    assert got["mean_logit"] == pytest.approx(1.0)
    assert got["top_half_logit"] == pytest.approx(4.0)
    assert got["top_logit"] == 4.0
    assert got["share_spun_looking"] == 0.5
    assert got["association"] == 0.5
    assert got["surprising_share"] == 0.25
    assert (got["log_frequency"], got["unknown_share"]) == (-6.0, 0.1)
    # The top half by words, not by segments.
    assert features([(4.0, 50), (-2.0, 150)])["top_half_logit"] == pytest.approx(1.0)
    assert features([(1.0, 10)])["top_half_logit"] == pytest.approx(1.0)


def test_one_absurd_segment_counts_no_more_than_a_sure_one():
    assert features([(1e9, 100), (0.0, 100)]) == features([(12.0, 100), (0.0, 100)])


def test_sigmoid_at_the_extremes():
    with np.errstate(all="raise"):
        values = sigmoid(np.array([-1e308, -800.0, -1.0, 0.0, 1.0, 800.0, 1e308]))
    assert values[[0, 1, 3, 5, 6]].tolist() == [0, 0, 0.5, 1, 1]
    assert values[2] == pytest.approx(1 / (1 + np.e))
    assert values[2] + values[4] == pytest.approx(1.0)
    assert float(sigmoid(0.0)) == 0.5


@given(st.floats(-30, 30), st.floats(-30, 30))
def test_sigmoid_keeps_the_order(a, b):
    low, high = sorted((a, b))
    assert 0 <= float(sigmoid(low)) <= float(sigmoid(high)) <= 1


def random_model(seed):
    rng = np.random.default_rng(seed)
    n = len(FEATURE_NAMES)
    return ArticleModel(rng.normal(size=n), rng.normal(size=n), rng.uniform(0.1, 3, n), float(rng.normal()))


@given(st.integers(0, 10_000))
def test_an_article_model_survives_its_config_as_json(seed):
    model = random_model(seed)
    again = ArticleModel.from_config(json.loads(json.dumps(model.to_config())))
    x = np.random.default_rng(seed + 1).normal(size=(5, len(FEATURE_NAMES)))
    assert again.log_odds(x).tolist() == model.log_odds(x).tolist()
    assert again.probability(x[0]) == sigmoid(model.log_odds(x[0]))


def test_features_of_another_version_are_refused():
    config = random_model(1).to_config()
    for other in (config["features"][:-1], config["features"][::-1], [*config["features"], "mood"]):
        with pytest.raises(ValueError, match="features"):
            ArticleModel.from_config({**config, "features": other})


@given(st.integers(0, 1000), st.floats(-12, 12), st.floats(-12, 12), st.floats(3, 9))
def test_probability_follows_the_mean_logit_as_far_as_the_weights_say(seed, a, b, log_words):
    model = random_model(seed)
    low, high = sorted((a, b))
    x = np.zeros((2, len(FEATURE_NAMES)))
    at = {name: i for i, name in enumerate(FEATURE_NAMES)}
    x[:, at["mean_logit"]] = low, high
    x[:, at["mean_logit_by_length"]] = np.array([low, high]) * (log_words - 5.5)
    slopes = model.weights / model.scales
    slope = slopes[at["mean_logit"]] + slopes[at["mean_logit_by_length"]] * (log_words - 5.5)
    first, second = model.log_odds(x)
    assert second - first == pytest.approx(slope * (high - low), abs=1e-9)
    p, q = model.probability(x)
    assert (p <= q) if slope >= 0 else (p >= q)
