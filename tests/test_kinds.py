"""How often kinds are named right, counted for real of the tiny model."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from detector import SpinDetector
from detector.errors import InputError
from detector.results import KINDS
from detector.store import write_manifest
from eval import kinds
from tests.tiny_model import tiny
from train.examiner import Settings, is_held_out


@pytest.fixture
def model(tmp_path: Path) -> str:
    """The tiny model, said to be joined to an examiner that held half of the groups out."""
    folder = tmp_path / "tiny"
    shutil.copytree(tiny().folder, folder)
    training = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["training"]
    recipe = asdict(replace(Settings.read(), held_out=0.5))
    write_manifest(folder, "tiny", {"training": {**training, "examiner": recipe}})
    return str(folder)


def test_the_kind_named_is_the_likeliest_one_and_every_text_counts_once(model: str) -> None:
    found = kinds.measure(tiny().documents, model, 30, 1)
    assert list(found["kinds"]) == list(KINDS)
    detector = SpinDetector.load(model)
    for kind, row in found["kinds"].items():
        assert sum(row["named"].values()) == row["texts"] > 0
        assert row["right"] == pytest.approx(row["named"][kind] / row["texts"])
        assert row["low"] <= row["right"] <= row["high"]
    assert found["balanced_accuracy"] == pytest.approx(sum(r["right"] for r in found["kinds"].values()) / len(KINDS))
    assert found["balanced_accuracy"] > 0.4  # the tiny kinds are told by their templates; by chance 0.25

    held = [d for d in tiny().documents if not d.licence_nc and is_held_out(d.group, 0.5) and d.table == "spun/wild"]
    named = [detector.score(d.text).kinds for d in held]
    right = sum(max(k, key=k.get) == "spun" for k in named if k)
    row = found["tables"]["spun/wild"]
    assert row["texts"] == sum(k is not None for k in named)
    assert row["right"] == pytest.approx(right / row["texts"])

    report = kinds.to_markdown(found)
    assert f"**Balanced accuracy: {100 * found['balanced_accuracy']:.1f} %**" in report
    assert "| spun/wild | spun | " in report
    assert report.endswith(f"`{found['signature']}`\n")


def test_what_cannot_be_judged_is_said(model: str) -> None:
    with pytest.raises(InputError, match="no text of the kind machine_translated"):
        kinds.measure([d for d in tiny().documents if d.label != "machine_translated"], model, 20, 1)
    with pytest.raises(InputError, match="no examiner"):
        kinds.measure(tiny().documents, str(tiny().folder), 20, 1)
