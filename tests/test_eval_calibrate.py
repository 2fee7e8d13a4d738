"""Operating points fitted to labelled texts: the guarantee by simulation, refusals with numbers, files, commands."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pandas
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from detector import SpinDetector
from detector.errors import InputError
from detector.operating_point import read_operating_point
from eval import calibrate as c
from eval.__main__ import main
from tests.tiny_model import article, spinner, tiny

NONE = {"not_scored": 0}


def labelled(negatives, positives=()):
    return c.Labelled(np.asarray(negatives, dtype=float), np.asarray(positives, dtype=float), NONE)


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 10), (9, 10), (10, 10), (0, 3000), (17, 3000)])
def test_limits_are_those_of_clopper_and_pearson(k, n):
    low, high = stats.binomtest(k, n).proportion_ci(0.9, method="exact")  # two-sided 90 %: each side is 95 %
    assert c.upper_limit(k, n, 0.95) == pytest.approx(high, abs=1e-12)
    assert c.lower_limit(k, n, 0.95) == pytest.approx(low, abs=1e-12)


@pytest.mark.parametrize(("rate", "needed"), [(0.001, 2995), (0.01, 299), (0.05, 59)])
def test_texts_needed_is_the_smallest_number(rate, needed):
    assert c.texts_needed(rate, 0.95) == needed
    assert c.upper_limit(0, needed, 0.95) <= rate < c.upper_limit(0, needed - 1, 0.95)


@given(st.integers(0, 4000), st.sampled_from([0.001, 0.01, 0.05, 0.2]))
def test_allowed_is_the_largest_k(n, rate):
    k = c.allowed(n, rate, 0.95)
    if k is None:
        assert n < c.texts_needed(rate, 0.95)
    else:
        assert c.upper_limit(k, n, 0.95) <= rate < c.upper_limit(k + 1, n, 0.95)


@given(st.lists(st.integers(0, 1_000_000).map(lambda i: i / 1_000_000), min_size=1, max_size=60), st.integers(0, 5))
def test_the_threshold_flags_at_most_k_and_is_the_lowest_that_does(scores, k):
    threshold = c.threshold_above(np.array(scores), k)
    if threshold is None:
        assert sum(s == 1.0 for s in scores) > k
        return
    assert sum(s >= threshold for s in scores) <= k
    lower = round(threshold - 1e-6, 6)
    assert lower <= 0 or sum(s >= lower for s in scores) > k


@pytest.mark.parametrize("rounded", [False, True])
def test_the_rate_is_kept_as_often_as_promised(rounded):
    # Scores uniform on [0, 1]: the true rate of a threshold t is 1 - t. 2,000 streams of 1,000 texts.
    rng = np.random.default_rng(11)
    broken = 0
    k = c.allowed(1000, 0.02, 0.95)
    for _ in range(2000):
        scores = rng.random(1000)
        scores = scores.round(2) if rounded else scores.round(6)  # many ties, or as the detector rounds
        threshold = c.threshold_above(scores, k)
        if threshold is None:  # refused
            continue
        true = 1 - (math.ceil(threshold * 100) / 100 - 0.005) if rounded else 1 - threshold
        broken += true > 0.02
    assert broken / 2000 <= 0.05 + 2.6 * math.sqrt(0.05 * 0.95 / 2000)  # 99.5 % of the binomial noise
    if not rounded:
        assert broken > 0  # the limit is not just far away


def test_the_precision_is_kept_as_often_as_promised():
    rng = np.random.default_rng(12)
    target = c.Target(precision=0.9, prevalence=0.2)
    broken = passed = 0
    for _ in range(300):
        negatives, positives = rng.beta(1, 6, 800).round(6), rng.beta(4, 2, 150).round(6)
        try:
            threshold, _ = c.fit_precision(labelled(negatives, positives), target)
        except InputError:
            continue
        passed += 1
        tpr, fpr = stats.beta.sf(threshold, 4, 2), stats.beta.sf(threshold, 1, 6)
        broken += 0.2 * tpr / (0.2 * tpr + 0.8 * fpr) < 0.9
    assert passed > 220
    assert broken / passed <= 0.05


def test_refusals_say_how_many_texts_it_takes():
    with pytest.raises(InputError, match=r"500 texts.*0.1 %.*it takes 2,995.*smallest rate that can be shown is 0.6 %"):
        c.fit_fpr(labelled(np.zeros(500)), 0.001)
    with pytest.raises(InputError, match="takes 59"):
        c.fit_fpr(labelled([]), 0.05)
    with pytest.raises(InputError, match="probability of 1"):
        c.fit_fpr(labelled(np.ones(3000)), 0.001)
    with pytest.raises(InputError, match="both labels"):
        c.fit_precision(labelled(np.zeros(50)), c.Target(precision=0.9, prevalence=0.1))
    with pytest.raises(InputError, match="no spun text has a higher"):
        c.fit_precision(labelled(np.full(50, 0.6), [0.5]), c.Target(precision=0.9, prevalence=0.1))


@pytest.mark.parametrize(("precision", "prevalence"), [(0.9, 0.2), (0.99, 0.02), (0.5, 0.01)])
def test_the_number_that_a_refusal_names_is_enough(precision, prevalence):
    target = c.Target(precision=precision, prevalence=prevalence)
    positives = np.repeat([0.9, 0.1], [90, 10])
    with pytest.raises(InputError, match="it would take") as caught:
        c.fit_precision(labelled(np.zeros(30), positives), target)
    needed = int(str(caught.value).split("it would take ")[1].split(" ")[0].replace(",", ""))
    threshold, _ = c.fit_precision(labelled(np.zeros(needed), positives), target)
    assert 0.0 < threshold <= 0.9
    with pytest.raises(InputError):
        c.fit_precision(labelled(np.zeros(needed // 2), positives), target)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"fpr": 0.1, "precision": 0.9}, {"precision": 0.9}, {"prevalence": 0.1}, {"fpr": 0.0}, {"fpr": 1.0},
     {"fpr": float("nan")}, {"fpr": 0.1, "prevalence": 0.1}],
)  # fmt: skip
def test_targets_that_make_no_sense_are_refused(arguments):
    with pytest.raises(InputError):
        c.Target(**arguments)


# --- files and commands, with a small real model ---


@pytest.fixture(scope="module")
def rows():
    from random import Random

    rng = Random(23)
    spin = spinner(tiny().data)
    human = [{"text": article(rng), "label": "human"} for _ in range(70)]
    return human + [{"text": spin.spin(article(rng), rng).text, "label": "spun"} for _ in range(30)]


def write(folder, rows, ending):
    path = folder / f"mine{ending}"
    if ending == ".jsonl":
        path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    elif ending == ".csv":
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        pandas.DataFrame(rows).to_parquet(path)
    return path


def run(*arguments):
    return CliRunner().invoke(main, ["calibrate", "--model", str(tiny().folder), *map(str, arguments)])


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet"])
def test_the_file_works_with_the_detector_and_keeps_its_promise(tmp_path, rows, ending):
    path = write(tmp_path, rows, ending)
    out = tmp_path / "point.json"
    result = run(path, "--target-fpr", 0.05, "--name", "my stream", "-o", out)
    assert result.exit_code == 0, result.output
    point = json.loads(out.read_text(encoding="utf-8"))
    detector = SpinDetector.load(tiny().folder, operating_point=out)
    assert (detector.operating_point, detector.threshold) == ("my stream", point["threshold"])
    results = list(detector.score_batch(r["text"] for r in rows))
    flagged = sum(str(r.verdict) == "spun" for r in results[:70])
    assert point["fpr"] == {"value": flagged / 70, "low": pytest.approx(0.0, abs=0.05),
                            "high": pytest.approx(c.upper_limit(flagged, 70, 0.975)), "n": 70}  # fmt: skip
    assert point["shown"]["fpr_at_most"] <= 0.05
    assert point["recall"]["n"] == 30
    assert set(point["own_operating_points"]) == {"strict", "balanced", "sensitive"}
    assert "of 70 not spun" in " ".join(result.output.split())
    assert read_operating_point(out).model == detector.model_id


def test_the_same_file_twice_and_in_two_processes(tmp_path, rows):
    path = write(tmp_path, rows, ".jsonl")
    for name, workers in (("a", 1), ("b", 2)):
        assert run(path, "--target-fpr", 0.05, "-o", tmp_path / name, "--workers", workers).exit_code == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_precision_at_a_prevalence(tmp_path, rows):
    path = write(tmp_path, rows, ".jsonl")
    result = run(path, "--target-precision", 0.5, "--prevalence", 0.3, "-o", tmp_path / "p.json")
    assert result.exit_code == 0, result.output
    point = json.loads((tmp_path / "p.json").read_text(encoding="utf-8"))
    assert point["target"] == {"precision": 0.5, "prevalence": 0.3}
    tpr, fpr = point["recall"]["low"], point["fpr"]["high"]
    assert 0.3 * tpr / (0.3 * tpr + 0.7 * fpr) > 0.5
    result = run(path, "--target-precision", 0.99, "--prevalence", 0.02, "-o", tmp_path / "q.json")
    assert result.exit_code == 2
    assert "it would take" in " ".join(result.output.split())
    assert not (tmp_path / "q.json").exists()


def test_human_texts_alone_need_no_label(tmp_path, rows):
    path = write(tmp_path, [{"body": r["text"]} for r in rows[:70]], ".jsonl")
    assert run(path, "--target-fpr", 0.05, "-o", tmp_path / "p.json", "--text-column", "body").exit_code == 0
    point = json.loads((tmp_path / "p.json").read_text(encoding="utf-8"))
    assert point["recall"] is None
    assert point["fpr"]["n"] == 70


def test_copies_groups_and_empty_rows_count_once_or_not(tmp_path, rows):
    more = [*rows, rows[0], {"text": "  ", "label": "human"}, {"text": "Too short.", "label": "human"}]
    path = write(tmp_path, [{**r, "group": f"g{i // 2}" if i < 4 else ""} for i, r in enumerate(more)], ".csv")
    assert run(path, "--target-fpr", 0.06, "-o", tmp_path / "p.json").exit_code == 0
    point = json.loads((tmp_path / "p.json").read_text(encoding="utf-8"))
    # Of two groups of two, one row each; the copy of the first row has no group and is a text of its own.
    assert point["left_out"] == {"empty": 1, "same_text_or_group": 2, "not_scored": 1}
    assert point["fpr"]["n"] == 69


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        ({}, ["--target-fpr", "0.001"], "it takes 2,995"),
        ({}, [], "either a target"),
        ({}, ["--target-fpr", "2"], "between 0 and 1"),
        ({}, ["--target-fpr", "0.05", "--name", "strict"], "rename"),
        ({}, ["--target-fpr", "0.05", "--text-column", "body"], "no column 'body'"),
        ({}, ["--target-fpr", "0.05", "--label-column", "kind"], "no column 'kind'"),
        ({"label": "perhaps"}, ["--target-fpr", "0.05"], "label 'perhaps'"),
        ({}, ["--target-fpr", "0.05", "--confidence", "1"], "below 1"),
    ],
)
def test_wrong_use_is_refused_with_the_reason(tmp_path, rows, change, arguments, message):
    path = write(tmp_path, [{**r, **change} for r in rows], ".jsonl")
    result = run(path, "-o", tmp_path / "p.json", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "p.json").exists()
