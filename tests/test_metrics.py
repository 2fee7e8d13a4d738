"""The measures against hand-worked answers, their scikit-learn namesakes and the properties that define them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval import metrics as m

pytest.importorskip("sklearn", reason="scikit-learn (extra 'dev') is the reference for the ranking measures")
from sklearn.metrics import average_precision_score, roc_auc_score

scores = st.lists(st.integers(0, 12), min_size=1, max_size=60)


def names(n):
    return [str(i) for i in range(n)]


def test_wilson_interval_by_hand():
    # 2 of 10, z = 1.96: centre (0.2 + 0.19207) / 1.38415, half width 1.96 * sqrt(0.016 + 0.0096) / 1.38415
    low, high = m.wilson_interval(2, 10)
    assert low == pytest.approx(0.0567, abs=5e-5)
    assert high == pytest.approx(0.5098, abs=5e-5)
    assert m.wilson_interval(0, 50)[0] == 0.0
    assert m.wilson_interval(50, 50)[1] == 1.0
    # Rule of three, a known check: 0 of n has an upper bound of z**2 / (n + z**2)
    assert m.wilson_interval(0, 100)[1] == pytest.approx(3.8415 / 103.8415, abs=1e-5)


@pytest.mark.parametrize(("k", "n"), [(1, 0), (3, 2), (-1, 5)])
def test_wilson_interval_refuses_impossible_counts(k, n):
    with pytest.raises(ValueError, match="successes"):
        m.wilson_interval(k, n)


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_contains_the_share_and_stays_in_range(counts):
    k, n = counts
    low, high = m.wilson_interval(k, n)
    assert 0 <= low <= k / n <= high <= 1
    assert high > low


def test_independent_rows_get_the_plain_wilson_interval():
    share = m.clustered_share([1, 1, 0, 0, 0, 0, 0, 0, 0, 0], names(10))
    # The design effect of rows that are their own groups is n / (n - 1) = 10 / 9.
    assert (share.value, share.n, share.groups) == (0.2, 10, 10)
    assert (share.low, share.high) == pytest.approx(m.wilson_interval(1.8, 9))


def test_copies_of_a_row_add_no_information():
    once = m.clustered_share([1, 0, 0, 1, 0], names(5))
    five_times = m.clustered_share([1, 0, 0, 1, 0] * 5, names(5) * 5)
    assert five_times.n == 25
    assert (five_times.low, five_times.high) == pytest.approx((once.low, once.high))


def test_all_flagged_counts_groups_not_rows():
    assert m.clustered_share([1.0] * 30, ["a", "b", "c"] * 10).low == pytest.approx(m.wilson_interval(3, 3)[0])


@given(st.lists(st.tuples(st.sampled_from([0.0, 1 / 3, 2 / 3, 1.0]), st.integers(0, 5)), min_size=1, max_size=80))
def test_clustered_share_contains_the_mean(rows):
    share = m.clustered_share([v for v, _ in rows], [str(g) for _, g in rows])
    assert 0 <= share.low <= share.value <= share.high <= 1


def test_conformal_p_values_by_hand():
    p = m.conformal_p_values([1, 2, 3, 4], [5, 4, 3.5, 0])
    assert p.tolist() == [1 / 5, 2 / 5, 2 / 5, 1.0]


def test_999_human_texts_can_set_a_threshold_of_one_in_a_thousand_and_998_cannot():
    assert m.smallest_reachable_fpr(999) == 0.001
    for n, expected in [(999, True), (998, False)]:
        p = m.conformal_p_values(np.arange(n), [n + 1.0])
        assert bool(m.flagged(p, 0.001)[0]) is expected


@given(scores, scores)
def test_more_false_positives_allowed_never_flag_less(human, spun):
    p = m.conformal_p_values(human, spun)
    rates = [m.flagged(p, t).mean() for t in (0.001, 0.01, 0.05, 0.2, 1.0)]
    assert rates == sorted(rates)
    assert rates[-1] == 1.0


@given(st.lists(st.integers(0, 30), min_size=3, max_size=60), st.sampled_from([0.05, 0.1, 0.3]))
def test_leaving_each_text_out_in_turn_flags_no_more_than_the_target(human, target):
    # Exchangeability made exact: the average over which text is the new one.
    array = np.array(human, dtype=float)
    p = [m.conformal_p_values(np.delete(array, i), array[i : i + 1])[0] for i in range(len(array))]
    assert m.flagged(np.array(p), target).mean() <= target + 1e-9


@settings(max_examples=40, deadline=None)
@given(scores, scores, st.sampled_from([0.01, 0.1, 0.25]))
def test_ranking_measures_equal_scikit_learn(human, spun, max_fpr):
    truth = np.r_[np.zeros(len(human)), np.ones(len(spun))]
    both = np.r_[np.array(human, float), np.array(spun, float)]
    low, high = m.placements(human, spun)
    assert m.auroc(low, high) == pytest.approx(roc_auc_score(truth, both))
    assert m.partial_auroc(low, high, max_fpr=max_fpr) == pytest.approx(roc_auc_score(truth, both, max_fpr=max_fpr))
    weights = np.where(truth == 1, 0.05 / len(spun), 0.95 / len(human))
    # Average precision is defined over placements: spun scores between the same two human scores are one threshold.
    ordered = np.sort(human)
    placed = np.searchsorted(ordered, both, side="left") + np.searchsorted(ordered, both, side="right")
    expected = average_precision_score(truth, placed, sample_weight=weights)
    assert m.average_precision(low, high) == pytest.approx(expected)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), min_size=2, max_size=30), scores)
def test_weights_count_as_repetitions(weighted, human):
    spun = np.array([s for s, _ in weighted], float)
    times = np.array([w for _, w in weighted]) + np.r_[1, np.zeros(len(weighted) - 1, int)]
    low, high = m.placements(human, spun)
    again = m.placements(human, np.repeat(spun, times))
    for measure in m.RANKING_MEASURES.values():
        assert measure(low, high, times.astype(float)) == pytest.approx(measure(*again, None))


def test_auroc_by_hand():
    # Pairs (spun > human): 3 beats 1, 2 and ties 3; 1 ties 1. (2 + 0.5 + 0.5) of 6.
    assert m.auroc(*m.placements([1, 2, 3], [3, 1])) == pytest.approx(0.5)


def test_precision_by_hand():
    # Of 1,000 articles 50 are spun; 40 of them and 9.5 of the others are flagged.
    assert m.precision_at_prevalence(0.8, 0.01, 0.05) == pytest.approx(40 / 49.5)
    assert np.isnan(m.precision_at_prevalence(0.0, 0.0, 0.05))
    recall, fpr = m.Share(0.8, 0.7, 0.9, 10, 10), m.Share(0.01, 0.005, 0.02, 10, 10)
    value, low, high = m.precision_interval(recall, fpr, 0.05)
    assert (value, low, high) == pytest.approx((40 / 49.5, 35 / 54, 45 / 49.75))


def test_share_refuses_an_interval_that_misses_its_value():
    with pytest.raises(ValueError, match="low <= value"):
        m.Share(0.5, 0.6, 0.7, 10, 10)
