"""The gate: a worse model fails, by name and by how much; floors rise by one flag and fall by two."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from detector import SpinDetector, store
from eval import gate as g
from eval import yardstick
from eval.__main__ import main
from tests.tiny_model import tiny

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = store.models_root() / store.DEFAULT_MODEL


def measured(**values):
    """Metrics from (value, higher, n)."""
    return g.Measured({k: g.Metric(*v) for k, v in values.items()}, "0123", "made up")


def run(*arguments):
    result = CliRunner().invoke(main, ["gate", "--sets", "own", *map(str, arguments)])
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def floors(tmp_path_factory):
    """The floors of the shipped model on the own texts."""
    path = tmp_path_factory.mktemp("floors") / "floors.json"
    status, said = run("--floors", path, "--raise")
    assert status == 0, said
    return path


def worse(folder, change):
    """A copy of the shipped model in `folder`, changed, with a manifest that agrees."""
    shutil.copytree(SHIPPED, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    change(folder, config)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    manifest = json.loads((folder / store.MANIFEST).read_text(encoding="utf-8"))
    extra = {k: v for k, v in manifest.items() if k not in ("schema", "name", "files")}
    store.write_manifest(folder, manifest["name"], extra)
    return folder


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """The shipped model with the weights of its screen halved."""

    def halve(folder, config):
        weights = np.load(folder / "screen.npy")
        np.save(folder / "screen.npy", weights * weights.dtype.type(0.5))

    return worse(tmp_path_factory.mktemp("damaged") / store.DEFAULT_MODEL, halve)


def test_the_same_model_passes(floors):
    status, said = run("--floors", floors)
    assert status == 0, said
    assert "WORSE" not in said


@pytest.mark.parametrize("which", ["damaged", "tiny"])
def test_a_worse_model_fails_and_is_told_where_and_by_how_much(floors, damaged, which):
    before = floors.read_bytes()
    status, said = run("--floors", floors, "--model", damaged if which == "damaged" else tiny().folder)
    assert status == 1
    assert "below the floor" in said
    fallen = [line for line in said.splitlines() if "WORSE by" in line]
    assert any("recall" in line for line in fallen)
    assert all("floor" in line and "now" in line for line in fallen)
    assert floors.read_bytes() == before


def fallen(said):
    return {line.split()[0] for line in said.splitlines() if "WORSE by" in line}


def test_a_model_that_only_loses_its_calibration_fails(floors, tmp_path):
    """All log odds shrunk to a quarter, thresholds too: the same verdicts, other probabilities."""

    def shrink(folder, config):
        def less(p):
            return round(1 / (1 + ((1 - p) / p) ** 0.25), 6)

        config["operating_points"] = {k: less(v) for k, v in config["operating_points"].items()}
        config["join"]["cleared"] *= 0.25
        article = config["join"]["article"]
        article["weights"] = [w * 0.25 for w in article["weights"]]
        article["bias"] *= 0.25

    status, said = run("--floors", floors, "--model", worse(tmp_path / store.DEFAULT_MODEL, shrink))
    assert status == 1, said
    assert fallen(said) & {"ece", "brier"}
    assert not any(name.startswith(("recall", "fpr")) for name in fallen(said)), said


def test_a_model_that_only_grows_slower_and_larger_fails(tmp_path):
    """Every article examined, and two megabytes that nothing reads."""

    def burden(folder, config):
        config["join"]["gate"]["log_odds"] = config["join"]["first_look"]["log_odds"] = -1e9
        (folder / "ballast.bin").write_bytes(b"0" * 2_000_000)

    path = tmp_path / "floors.json"
    assert run("--sets", "program", "--floors", path, "--raise")[0] == 0
    heavy = worse(tmp_path / store.DEFAULT_MODEL, burden)
    status, said = run("--sets", "program", "--floors", path, "--model", heavy)
    assert status == 1, said
    assert {"speed/human", "size/bytes"} <= fallen(said)


def test_raising_does_not_lower_without_the_second_flag(floors, damaged, tmp_path):
    path = tmp_path / "floors.json"
    shutil.copy(floors, path)
    before = g.read_floors(path)["own"]["metrics"]
    status, _ = run("--floors", path, "--raise", "--model", damaged)
    assert status == 1  # it is still worse than the floors that stayed
    after = g.read_floors(path)["own"]["metrics"]
    assert set(after) == set(before)
    for name, entry in before.items():
        sign = 1 if entry["higher"] else -1
        assert sign * after[name]["floor"] >= sign * entry["floor"]
    status, said = run("--floors", path, "--raise", "--allow-lower", "--model", damaged)
    assert status == 0, said
    lowered = g.read_floors(path)["own"]["metrics"]
    assert any(lowered[n]["floor"] < before[n]["floor"] for n in before if n.startswith("recall"))
    assert run("--floors", path, "--model", damaged)[0] == 0
    assert run("--floors", path, "--allow-lower")[0] == 2


def test_other_texts_and_missing_floors_fail(floors, tmp_path):
    path = tmp_path / "floors.json"
    content = json.loads(floors.read_text(encoding="utf-8"))
    content["sets"]["own"]["digest"] = "000000000000"
    path.write_text(json.dumps(content), encoding="utf-8")
    for flags in ((), ("--raise",)):
        status, said = run("--floors", path, *flags)
        assert status == 1
        assert "other texts" in said
    path.unlink()
    status, said = run("--floors", path)
    assert status == 1
    assert "no floors" in said
    path.write_text("{", encoding="utf-8")
    assert run("--floors", path)[0] == 2
    assert run("--sets", "everything")[0] == 2
    assert run("--data", tmp_path)[0] == 2


def test_compare_takes_directions_and_vanished_metrics():
    old = g.new_floors({}, measured(recall=(0.9, True, 100), brier=(0.1, False, 100), gone=(1.0, True, 5)), "m", False)
    rows = {r.name: r for r in g.compare(old, measured(recall=(0.85, True, 100), brier=(0.13, False, 100),
                                                       new=(1.0, True, 3)))}  # fmt: skip
    assert rows["recall"].worse_by == pytest.approx(0.04, abs=1e-4)  # 0.89, one text below, is the floor
    assert rows["brier"].worse_by == pytest.approx(0.028, abs=1e-4)
    assert rows["gone"].worse_by == float("inf")
    assert (rows["new"].worse_by, rows["new"].floor) == (0.0, None)
    better = g.compare(old, measured(recall=(0.95, True, 100), brier=(0.05, False, 100), gone=(1.0, True, 5)))
    assert not any(r.worse_by for r in better)


@pytest.mark.parametrize("n", [7, 77, 263, 960])
def test_one_text_worse_is_within_the_margin_whatever_the_rounding(n):
    floors = g.new_floors({}, measured(fpr=(0.0, False, n), recall=(1.0, True, n)), "m", False)
    one_worse = measured(fpr=(1 / n, False, n), recall=(1 - 1 / n, True, n))
    assert not any(r.worse_by for r in g.compare(floors, one_worse))


def test_a_slower_and_a_larger_program_falls_below_its_floor():
    names = {"speed/human": (50.0, True, 28), "size/bytes": (9e6, False, 12)}
    floors = g.new_floors({}, g.Measured({k: g.Metric(*v) for k, v in names.items()}, "0", "made up"), "m", False)
    slow = {"speed/human": g.Metric(25.0, True, 28), "size/bytes": g.Metric(12e6, False, 12)}
    fallen = {r.name for r in g.compare(floors, g.Measured(slow, "0", "made up")) if r.worse_by}
    assert fallen == set(names)
    noisy = {"speed/human": g.Metric(40.0, True, 28), "size/bytes": g.Metric(9.1e6, False, 12)}
    assert not any(r.worse_by for r in g.compare(floors, g.Measured(noisy, "0", "made up")))


def test_the_yardstick_sees_a_slower_detector():
    detector = SpinDetector.load(tiny().folder)
    texts = [d.text for d in tiny().documents if d.label == "spun"][:20]

    def score(times):
        for _ in range(times):
            list(detector.score_batch(texts))

    quick = yardstick.articles_per_unit(lambda: score(1), len(texts), 3)
    slow = yardstick.articles_per_unit(lambda: score(3), len(texts), 3)
    assert quick > 1.5 * slow


def test_the_yardstick_does_the_same_work_each_time():
    assert yardstick.work() == yardstick.work() == 100136


def test_the_committed_floors_are_complete_and_of_these_texts():
    sets = g.read_floors(g.FLOORS)
    assert set(sets) == set(g.SETS)
    own = sets["own"]
    assert own["digest"] == g.measure_own(SpinDetector.load(tiny().folder), g.SUITES / "own").digest
    assert any(name.startswith("recall/") for name in sets["data"]["metrics"])
    assert {"speed/human", "speed/spun", "size/bytes"} == set(sets["program"]["metrics"])
    for entry in sets.values():
        for name, metric in entry["metrics"].items():
            gap = metric["measured"] - metric["floor"]
            assert gap >= 0 if metric["higher"] else gap <= 0, name
