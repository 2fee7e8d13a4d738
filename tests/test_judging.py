"""Judgement and numbers of one system, worked out by hand; thresholds come from other texts than are judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, f1_score, precision_score

from detector.errors import InputError
from eval import judging, metrics, reliability, summary
from eval.protocols import Settings, half_of
from eval.suite import File, Item, Suite
from train.corpora import Document

SETTINGS = Settings(folds=4, seed=3)
LABELS = {"human": "original", "spun": "spun", "llm": "llm_rewritten"}
SUITE = Suite("trial", files=(File(__file__),), min_slice=0)


def item(table, number, *, writer="", share=None, group=None, nc=False, words=150, tool="T"):
    label = LABELS[table.split("/")[0]]
    document = Document(
        f"{table}/{number}", f"text {table} {number}", label, table, tool if label == "spun" else "", "", table,
        group or f"{table}:{number}", "", None, nc,
    )  # fmt: skip
    return Item(document, writer or table if label == "original" else "", "news", words, share)


def scored(items, values, *, unit="", points=None, calibrated=False):
    n = len(items)
    return judging.SystemScores(
        "s", np.arange(n), np.full(n, unit), np.asarray(values, float), calibrated, points or {}
    )


def judged(items, values, threshold_unit="writer", **options):
    halves, parts = judging.parts_of(items, SETTINGS, threshold_unit)
    return judging.judge(scored(items, values, **options), items, halves, parts)


def test_with_a_model_a_round_a_text_is_judged_by_the_half_it_is_not_in():
    items = [item("human/dailymail_2020", i) for i in range(80)]
    halves = np.array([half_of(i.document, SETTINGS) for i in items])
    assert 20 < halves.sum() < 60
    found = judged(items, halves, unit="round 1")  # half 1 scores above all of half 0
    assert found.p_value[halves == 1] == pytest.approx(1 / (np.sum(halves == 0) + 1))
    assert (found.p_value[halves == 0] == 1.0).all()


def test_with_one_model_writers_of_a_kind_do_not_set_their_own_threshold():
    items = [item("human/a", i, writer=f"kind {i % 3}") for i in range(60)]
    scores = [float(i % 3 == 2) for i in range(60)]
    found = judged(items, scores)
    assert found.p_value[2::3] == pytest.approx(1 / 41)  # their own twenty are no help
    assert found.smallest_pool == 40


def test_units_are_never_compared():
    items = [item("human/a", i, writer=f"k{i % 4}") for i in range(40)] + [item("spun/x", 0), item("spun/x", 1)]
    halves, parts = judging.parts_of(items, SETTINGS, "writer")
    text = np.concatenate([np.arange(40), np.arange(40), [40, 41]])
    unit = np.array(["one"] * 40 + ["two"] * 40 + ["one", "two"])
    score = np.concatenate([np.zeros(40), np.full(40, 100.0), [50.0, 50.0]])
    found = judging.judge(judging.SystemScores("s", text, unit, score), items, halves, parts)
    assert (found.low[-2], found.high[-2]) == (0.0, 0.0)
    assert (found.low[-1], found.high[-1]) == (1.0, 1.0)
    texts, flags = found.flags(0.05)
    assert texts.tolist() == list(range(42))
    assert flags[40] == 1.0
    assert flags[41] == 0.0


def test_threshold_without_the_table_ignores_its_texts_and_nc_texts_set_none():
    items = [item("human/a", i) for i in range(40)] + [item("human/b", i) for i in range(40)]
    items += [item("human/nc", i, nc=True) for i in range(40)]
    found = judged(items, [float(i >= 40) for i in range(120)], threshold_unit="group")
    assert found.p_value_new_set[40:80] == pytest.approx(1 / 41)
    assert (found.p_value_new_set[:40] == 1.0).all()
    assert np.isnan(found.p_value_new_set[80:]).all()
    assert not found.in_pool[80:].any()


def test_human_texts_of_one_kind_only_cannot_judge():
    with pytest.raises(InputError, match="no human texts outside"):
        judged([item("human/a", i, writer="same") for i in range(9)], np.zeros(9))


def test_systems_are_compared_on_the_texts_that_all_scored():
    items = [item("human/a", i) for i in range(5)]
    one, two = scored(items, np.zeros(5)), scored(items, np.ones(5)).keep(np.arange(5) != 2)
    common, gone = judging.common_texts([one, two])
    assert gone == 1
    assert common.tolist() == [0, 1, 3, 4]


def test_texts_left_out_of_the_report_still_set_thresholds(trial):
    items, found = trial
    some = np.array([*range(20), *range(300, 320)])
    out = summary.summarise_system(found, items, SUITE, some)
    assert (out["human"]["texts"], out["spun"]["texts"]) == (20, 20)
    assert out["smallest_fpr"] == pytest.approx(1 / 226)
    assert out["ranking"]["partial_auroc"] is not None


@pytest.fixture(scope="module")
def trial():
    """300 human texts of four kinds, 60 spun ones of two tools; a calibrated system with one operating point."""
    rng = np.random.default_rng(0)
    items = [item("human/a", i, writer=f"kind {i % 4}", words=60 + i) for i in range(300)]
    items += [item("spun/x", i, tool="good", share=0.9, words=300) for i in range(40)]
    items += [item("spun/y", i, tool="new", share=0.1, group=f"g{i // 2}", words=90) for i in range(20)]
    items += [item("llm/z", i) for i in range(10)]
    values = np.concatenate([rng.beta(1, 9, 300), rng.beta(8, 2, 40), rng.beta(2, 3, 20), rng.beta(1, 9, 10)])
    return items, judged(items, values, calibrated=True, points={"balanced": 0.6})


def test_precision_recall_f1_are_those_of_scikit_learn(trial):
    items, found = trial
    out = summary.summarise_system(found, items, SUITE)
    truth = [int(i.document.label == "spun") for i in items[:360]]
    flags = (found.scores.score[:360] >= 0.6).astype(int)
    overall = out["overall"]["balanced"]
    assert overall["precision"]["value"] == pytest.approx(precision_score(truth, flags))
    assert overall["f1"]["value"] == pytest.approx(f1_score(truth, flags))
    assert overall["n"] == {"spun": 60, "human": 300}
    for cell in (overall["precision"], overall["recall"], overall["f1"]):
        assert 0 <= cell["low"] <= cell["value"] <= cell["high"] <= 1


def test_brier_score_is_that_of_scikit_learn_at_even_weights(trial):
    items, found = trial
    out = summary.summarise_system(found, items, SUITE)["calibration"]
    truth = np.array([float(i.document.label == "spun") for i in items])
    weights = np.where(truth == 1, 0.5 / 60, 0.5 / 310)
    expected = brier_score_loss(truth, found.scores.score, sample_weight=weights)
    assert out["mix"] == "texts"
    assert out["brier"]["value"] == pytest.approx(expected)
    assert sum(b["mass"] for b in out["diagram"]) == pytest.approx(1.0)
    assert sum(b["n"] for b in out["diagram"]) == 370


def test_calibration_depends_on_the_mix_and_the_first_is_that_of_the_recipe():
    items = [item("human/a", i, writer=f"k{i % 2}") for i in range(200)]
    items += [item("spun/x", i) for i in range(200)] + [item("spun/y", i) for i in range(20)]
    # Of the texts at 0.6, 100 of 167 are spun if only spun/x counts, and none if only spun/y does.
    found = judged(items, [0.6] * 67 + [0.0] * 133 + [0.6] * 100 + [1.0] * 120, calibrated=True, points={"p": 0.5})
    only_x = summary.summarise_system(found, items, SUITE, masses={"human/a": 1.0, "spun/x": 1.0, "spun/y": 0.0})
    only_y = summary.summarise_system(found, items, SUITE, masses={"human/a": 1.0, "spun/x": 0.0, "spun/y": 1.0})
    x, y = only_x["calibration"], only_y["calibration"]
    assert x["mix"] == "recipe"
    assert x["ece"]["value"] == pytest.approx(0.4175 * 0.6 - 0.25)
    assert y["ece"]["value"] == pytest.approx(0.1675 * 0.6)
    assert x["mixes"]["texts"] == y["mixes"]["texts"]
    by_set = {e["set"]: e for e in x["sets"]}
    assert by_set["spun/x"]["mean"]["value"] == pytest.approx(0.8)
    assert by_set["spun/y"]["against_rest"]["ece"]["value"] == pytest.approx(y["ece"]["value"])


def test_a_file_of_both_kinds_is_two_sets_in_the_calibration():
    items = [item("human/a", i, writer=f"k{i % 2}") for i in range(40)] + [item("spun/x", i) for i in range(10)]
    items = [replace(i, document=replace(i.document, table="mine")) for i in items]
    out = summary.summarise_system(judged(items, [0.1] * 40 + [0.8] * 10, calibrated=True), items, SUITE)["calibration"]
    assert [(e["set"], e["texts"], e["spun"]) for e in out["sets"]] == [
        ("mine (not spun)", 40, False),
        ("mine (spun)", 10, True),
    ]
    assert [e["mean"]["value"] for e in out["sets"]] == pytest.approx([0.1, 0.8])


def test_bins_of_few_groups_have_wide_intervals():
    """Twenty copies of one text tell as much as one of them."""
    p, y, even = np.full(40, 0.5), np.repeat([0.0, 1.0], 20), np.full(40, 1 / 40)
    (alone,) = reliability.diagram(p, y, even, np.arange(40))
    (together,) = reliability.diagram(p, y, even, np.arange(40) // 20)
    assert together["high"] - together["low"] > 2 * (alone["high"] - alone["low"])


def test_slices_add_up_and_the_worst_are_named(trial):
    items, found = trial
    out = summary.summarise_system(found, items, SUITE)
    for by in ("tool", "domain", "length", "share"):
        assert sum(e["texts"] for e in out["slices"]["spun"][by]) == 60
    assert sum(e["texts"] for e in out["slices"]["human"]["writer"]) == 300
    assert out["worst"]["tool"]["balanced"]["set"] == "new"
    worst = out["worst"]["writer"]["0.05"]
    assert worst["of"] == 4
    assert worst["all_low"] <= worst["low"] <= worst["value"] <= worst["high"] <= worst["all_high"]
    names = [e["set"] for e in out["slices"]["spun"]["share"]]
    assert names == ["0–19 %", "80–100 %"]


def test_rates_that_the_texts_cannot_support_are_left_out(trial):
    items, found = trial
    out = summary.summarise_system(found, items, SUITE)
    assert out["thresholds"] == ["0.01", "0.05", "balanced"]
    assert out["smallest_fpr"] == pytest.approx(1 / 226)


def test_a_text_that_is_not_scored_is_never_flagged_and_not_in_calibration():
    items = [item("human/a", i, writer=f"k{i % 2}") for i in range(40)] + [item("spun/x", i) for i in range(4)]
    values = [0.1] * 40 + [0.9, 0.9, 0.9, judging.NOT_SCORED]
    out = summary.summarise_system(judged(items, values, calibrated=True, points={"p": 0.5}), items, SUITE)
    assert out["not_scored"] == 1
    assert out["spun"]["flagged"]["p"]["value"] == 0.75
    assert out["calibration"]["brier"]["n"] == 43


def test_perfect_results_do_not_get_intervals_of_no_width():
    items = [item("human/a", i, writer=f"k{i % 2}") for i in range(40)] + [item("spun/x", i) for i in range(10)]
    values = [0.0] * 40 + [1.0] * 10
    out = summary.summarise_system(judged(items, values, calibrated=True, points={"p": 0.5}), items, SUITE)
    assert out["overall"]["p"]["precision"]["value"] == 1.0
    assert out["overall"]["p"]["precision"]["low"] < 0.75
    assert out["ranking"]["auroc"]["low"] < 0.75
    assert out["ranking"]["partial_auroc"] is None  # forty human texts say nothing about 1 %


def test_expected_calibration_error_by_hand():
    p = np.array([0.1, 0.1, 0.9, 0.9])
    assert metrics.expected_calibration_error(p, np.array([0.0, 0, 1, 1]), bins=2) == pytest.approx(0.1)
    assert metrics.expected_calibration_error(p, np.array([1.0, 1, 0, 0]), bins=2) == pytest.approx(0.9)


def test_equal_probabilities_share_a_bin_and_bins_hold_equal_mass():
    p = np.concatenate([np.zeros(50), np.linspace(0.1, 1, 50)])
    bins = metrics.equal_mass_bins(p, np.ones(100), 10)
    assert set(bins[:50]) == {0}
    assert [int(np.sum(bins == k)) for k in range(5, 10)] == [10] * 5


def test_ratio_estimate_bounds():
    found = metrics.ratio_estimate([0, 0, 0], [100, 100, 100], ["a", "b", "c"], 0)
    assert found.value == found.low == 0.0
    assert found.high == pytest.approx(3.689 / 300, rel=1e-3)
    assert metrics.ratio_estimate([], [], [], 0) is None
    mixed = metrics.ratio_estimate([1, 4, 9], [10, 10, 10], ["a", "b", "c"], 0)
    assert mixed.value == pytest.approx(14 / 30)
    assert mixed.low < mixed.value < mixed.high
