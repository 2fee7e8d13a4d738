"""The report on the examiner alone, made for real of the tiny examiner in float32 and in int8."""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from detector.errors import InputError
from detector.store import write_manifest
from eval import examiner_windows as alone
from tests.tiny_model import tiny
from train.examiner import Settings, is_held_out
from train.screen import Settings as ScreenSettings

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None or importlib.util.find_spec("transformers") is None,
    reason="needs torch and transformers: pip install -e '.[train]'",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A checkpoint that holds half of the groups out, and a model folder with its export in int8."""
    from tests.make_tiny_examiner import tiny_model, tiny_tokenizer
    from train.export_examiner import export_examiner

    folder = tmp_path_factory.mktemp("windows")
    checkpoint = folder / "checkpoint"
    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer.get_vocab_size(), width=32)
    model.config.association_digest = tiny().fitted.association.digest()
    model.save_pretrained(checkpoint)
    tokenizer.save(str(checkpoint / "tokenizer.json"))
    recipe = replace(Settings.read(), held_out=0.5, max_tokens=48)
    (checkpoint / "recipe.json").write_text(json.dumps(asdict(recipe)), encoding="utf-8")
    shutil.copytree(tiny().folder, folder / "tiny")
    export_examiner(model, checkpoint / "tokenizer.json", folder / "tiny", max_tokens=48)
    write_manifest(folder / "tiny", "tiny", {})
    return checkpoint, folder / "tiny"


def measured(made: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, **changes: object) -> dict:
    monkeypatch.setattr(ScreenSettings, "read", lambda: tiny().settings)
    given = {"rows": 20, "most": 2, "seed": 1, **changes}
    return alone.measure(tiny().documents, made[0], str(made[1]), **given)


def test_only_held_out_groups_are_read_and_both_forms_are_reported(
    made: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = alone.held_out_texts(tiny().documents, replace(Settings.read(), held_out=0.5), 20, 1)
    assert texts and all(is_held_out(d.group, 0.5) for d in texts)
    assert {d.label for d in texts} == {"original", "spun"}
    found = measured(made, monkeypatch)
    assert found["human_texts"] == sum(d.label == "original" for d in texts)
    assert [r["set"] for r in found["sets"]] == ["spun/wild", "all"]
    for row in found["sets"]:
        assert row["texts"] < row["windows"] <= 2 * row["texts"]
        for head in alone.HEADS:
            plain, small = (row["heads"][head][form] for form in alone.FORMS)
            assert all(0.0 <= v <= 1.0 for v in (*plain.values(), *small.values()))
            assert small["window_auroc"] == pytest.approx(plain["window_auroc"], abs=0.1)
            assert small != plain, "another network was run"
    report = alone.to_markdown(found)
    assert "| spun/wild |" in report
    assert report.endswith(f"`{found['signature']}`\n")


def test_an_article_is_the_mean_of_its_windows(made: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []
    monkeypatch.setattr(alone, "compare", lambda texts, windows, scores: kept.append((texts, windows, scores)) or [])
    measured(made, monkeypatch)
    texts, windows, scores = kept[0]
    for found in scores.values():
        for head in alone.HEADS:
            for number in range(len(texts)):
                own = windows.texts == number
                mean = np.average(found.windows[head][own], weights=windows.lengths()[own])
                assert found.articles[head][number] == pytest.approx(mean)


def test_a_checkpoint_of_other_data_is_refused(made: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScreenSettings, "read", lambda: tiny().settings)
    with pytest.raises(InputError, match="other texts"):
        alone.measure(tiny().documents[:60], made[0], str(made[1]), 20, 2, 1)
