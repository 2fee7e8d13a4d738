"""The examiner's windows, and its training for real: a tiny encoder, a few steps, a checkpoint, a resumed run.

The training itself needs torch and transformers (the train extra); the windows do not.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from detector.errors import InputError, MissingExtraError
from detector.results import KINDS
from tests.tiny_encoder import TOKENIZER, write_encoder
from tests.tiny_model import tiny
from train.examiner import Settings, encoder_folder, is_held_out, load_tokenizer, training_documents
from train.examiner_data import (
    REPLACED,
    UNLABELLED,
    Labelled,
    batches,
    cut_windows,
    labelled_documents,
    padded,
    preset_of,
    select,
    simulated,
    table_shares,
)

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None or importlib.util.find_spec("transformers") is None,
    reason="needs torch and transformers: pip install -e '.[train]'",
)


def small(**changes: object) -> Settings:
    """The recipe for the tiny data."""
    recipe = Settings.read()
    simulation = {
        **recipe.simulation,
        "documents": 12,
        "llm_documents": 4,
        "presets": ["dictionary"],
        "llm_presets": ["dictionary"],
        "mt_documents": 3,
        "mt_turns": 2,
        "mt_presets": ["dictionary"],
        "rate_factors": [0.5, 1.0],
    }
    optimiser = {**recipe.optimiser, "steps": 6, "averaged_runs": [], "batch": 4, "save_every": 3}
    first_look = {"width": 8, "layers": 1, "steps": 3, "batch": 4, "learning_rate": 1e-3}
    teacher = {**recipe.teacher, "steps": 0}
    further = {**recipe.further, "steps": 0}
    given = {"simulation": simulation, "teacher": teacher, "further": further, "first_look": first_look}
    given |= {"optimiser": optimiser, **changes}
    return replace(recipe, max_tokens=48, documents={}, **given)


def spun_sentence() -> Labelled:
    text = "The council agreed. The council concurred to the span.\n" + "The bus closed the road in winter. " * 30
    start, end = text.index("concurred"), text.index(" to the span")
    return Labelled(text, "spun", "simulated/dictionary", "g", ((start, end),))


def test_pieces_of_replaced_characters_are_labelled_and_no_others() -> None:
    tokenizer = load_tokenizer(TOKENIZER)
    given = spun_sentence()
    windows = cut_windows([given], tokenizer, tiny().fitted.counts, 1000, 0.0)
    window = slice(windows.offsets[0], windows.offsets[1])
    encoding = tokenizer.encode(given.text[: len(given.text)])
    replaced = [
        tokenizer.id_to_token(int(p))
        for p, label in zip(windows.pieces[window], windows.labels[window], strict=True)
        if label == REPLACED
    ]
    expected = tokenizer.encode("concurred", add_special_tokens=False).tokens
    assert replaced == expected
    assert windows.labels[0] == UNLABELLED, "the mark at the beginning is no word"
    assert encoding.tokens[0] == "[CLS]"


def test_a_window_with_too_few_replaced_pieces_is_left_out_and_one_without_is_original() -> None:
    windows = cut_windows([spun_sentence()], load_tokenizer(TOKENIZER), tiny().fitted.counts, 1000, 0.5)
    assert len(windows) >= 1
    assert set(windows.kinds.tolist()) == {KINDS.index("original")}
    assert not (windows.labels == REPLACED).any()


def test_labels_follow_the_text_through_normalisation() -> None:
    text = "The\u200b coun\u00adcil \uff43\uff4f\uff4e\uff43\uff55\uff52\uff52\uff45\uff44 to the bridge. " * 12
    start = text.index("\uff43")
    windows = cut_windows(
        [Labelled(text, "spun", "t", "g", ((start, start + 9),))],
        load_tokenizer(TOKENIZER),
        tiny().fitted.counts,
        500,
        0.0,
    )
    pieces = [load_tokenizer(TOKENIZER).id_to_token(int(p)) for p in windows.pieces[windows.labels == REPLACED]]
    assert "".join(p.removeprefix("##") for p in pieces) == "concurred"


def test_real_output_without_its_original_has_no_labels_and_human_text_is_kept() -> None:
    documents = [replace(d, original=None) for d in tiny().documents]
    windows = cut_windows(
        labelled_documents(documents, 10, 1), load_tokenizer(TOKENIZER), tiny().fitted.counts, 64, 0.04
    )
    spun = windows.kinds == KINDS.index("spun")
    of = np.repeat(spun, windows.lengths())
    assert spun.any() and (~spun).any()
    assert (windows.labels[of] == UNLABELLED).all()
    assert not (windows.labels == REPLACED).any()


def test_simulated_text_stands_beside_its_original_and_leaves_out_families_that_are_left_out() -> None:
    made = tiny()
    rules = {**small().simulation, "presets": ["dictionary", "spinbot-2022"]}
    texts = list(simulated(made.documents, made.data, rules))
    written = ("", "llm-", "mt-")
    assert {t.table for t in texts} == {f"simulated/{w}{name}" for w in written for name in ("dictionary", "original")}
    for spun, original in zip(texts[::2], texts[1::2], strict=True):
        assert spun.group == original.group
        assert spun.replaced and spun.text != original.text
        begin = spun.table.removeprefix("simulated/").removesuffix("dictionary")
        assert original.kind == {"": "original", "llm-": "llm_rewritten", "mt-": "machine_translated"}[begin]
        assert preset_of(spun.table) == "dictionary"
    again = list(simulated(made.documents, made.data, rules))
    assert again == texts


def test_translations_are_spun_in_so_many_ways_and_the_others_as_without_them() -> None:
    made = tiny()
    rules = {**small().simulation, "mt_turns": 3}
    texts = list(simulated(made.documents, made.data, rules))
    translated = [t for t in texts if t.table == "simulated/mt-dictionary"]
    assert len(translated) == len({t.text for t in translated}) == 9, "three documents, each spun in three ways"
    assert len({t.group for t in translated}) == 3
    without = list(simulated(made.documents, made.data, {**rules, "mt_documents": 0}))
    assert without == [t for t in texts if "/mt-" not in t.table]


def test_sides_and_tables_are_drawn_by_their_shares() -> None:
    made = tiny()
    windows = cut_windows(
        labelled_documents(made.documents, 10, 1), load_tokenizer(TOKENIZER), tiny().fitted.counts, 64, 0.04
    )
    shares = table_shares(windows, {"human/wild": 3.0}, {"spun": 0.3, "simulated": 0.3, "others": 0.7})
    names = np.array(windows.names)[windows.tables]
    spun = np.array([n.startswith("spun/") and ":" not in n for n in names])
    assert shares.sum() == pytest.approx(1.0)
    assert shares[spun].sum() == pytest.approx(0.3)


def test_a_stopped_training_draws_the_same_windows() -> None:
    windows = cut_windows(
        labelled_documents(tiny().documents, 10, 1), load_tokenizer(TOKENIZER), tiny().fitted.counts, 64, 0.04
    )
    shares = table_shares(windows, {}, {"spun": 0.5, "others": 0.5})
    whole = [b.tolist() for b in batches(windows, shares, 0, 21, 4, 5)]
    assert len(whole) == 21
    for step in (1, 8, 13):
        assert [b.tolist() for b in batches(windows, shares, step, 21, 4, 5)] == whole[step:]
    ids, mask, levels, labels = padded(windows, np.array(whole[0]))
    assert ids.shape == mask.shape == labels.shape
    assert (labels[mask == 0] == UNLABELLED).all()
    assert (ids[mask == 0] == 0).all()
    assert levels.shape == (*ids.shape, 2)
    assert (levels[mask == 0] == 0).all() and (levels[:, 0] == 0).all() and levels.max() > 1


def test_selected_windows_keep_their_pieces() -> None:
    windows = cut_windows(
        labelled_documents(tiny().documents, 10, 1), load_tokenizer(TOKENIZER), tiny().fitted.counts, 64, 0.04
    )
    wanted = np.arange(len(windows)) % 3 == 1
    chosen = select(windows, wanted)
    assert len(chosen) == wanted.sum()
    for place, row in enumerate(np.flatnonzero(wanted)):
        for name in ("pieces", "labels", "levels"):
            own = getattr(chosen, name)[chosen.offsets[place] : chosen.offsets[place + 1]]
            np.testing.assert_array_equal(own, getattr(windows, name)[windows.offsets[row] : windows.offsets[row + 1]])
    assert not len(select(windows, np.zeros(len(windows), np.bool_)))


def test_held_out_groups_and_non_commercial_texts_stay_out() -> None:
    made = tiny()
    settings = small(held_out=0.3)
    rows = [replace(d, licence_nc=Random(d.id).random() < 0.2) for d in made.documents]
    chosen = training_documents(rows, settings)
    assert 0 < len(chosen) < len(rows)
    assert not any(d.licence_nc or is_held_out(d.group, 0.3) for d in chosen)


def test_a_recipe_with_unknown_keys_and_a_missing_encoder_are_named(tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        (Path("train/recipes/examiner.toml")).read_text(encoding="utf-8").replace("held_out =", "held_in ="), "utf-8"
    )
    with pytest.raises(InputError, match=r"held_in.*held_out"):
        Settings.read(recipe)
    with pytest.raises(MissingExtraError, match="pip install no-such-encoder"):
        encoder_folder("no_such_encoder")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny BERT encoder of random weights, as a pretrained one would be saved."""
    return write_encoder(tmp_path_factory.mktemp("encoder"))


@needs_torch
def test_a_tiny_examiner_is_trained_saved_and_read_again(encoder: Path, tmp_path: Path) -> None:
    import torch

    from train.examiner import fit, score_windows
    from train.examiner_model import ExaminerModel

    made = tiny()
    settings = small(encoder=str(encoder), layers=2, held_out=0.2)
    steps = {**settings.optimiser, "steps": 60, "learning_rate": 5e-3, "head_learning_rate": 1e-2, "save_every": 20}
    model = fit(made.documents, made.fitted.counts, replace(settings, optimiser=steps), made.data, tmp_path)
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [r["step"] for r in records] == [20, 40, 60]
    assert records[-1]["token"] < records[0]["token"], "the token head learns"
    assert not (tmp_path / "state.pt").exists()
    assert json.loads((tmp_path / "recipe.json").read_text(encoding="utf-8"))["layers"] == 2
    again = ExaminerModel.from_pretrained(tmp_path)
    assert len(again.encoder.encoder.layer) == 2
    windows = cut_windows(
        labelled_documents(made.documents[:5], 10, 1), load_tokenizer(tmp_path), tiny().fitted.counts, 48, 0.04
    )
    for one, other in zip(score_windows(model, windows), score_windows(again, windows), strict=True):
        np.testing.assert_allclose(one, other, atol=0.05)  # bfloat16, and another order of sums in the fused attention
    assert torch.isfinite(torch.from_numpy(score_windows(again, windows)[1])).all()


@needs_torch
def test_the_network_of_the_first_look_is_trained_last_and_not_again(encoder: Path, tmp_path: Path) -> None:
    from train.examiner import begin_first_look, fit
    from train.examiner_model import ExaminerModel

    made = tiny()
    settings = small(encoder=str(encoder), layers=1)
    model = fit(made.documents, made.fitted.counts, settings, made.data, tmp_path)
    file = tmp_path / "first_look" / "model.safetensors"
    small_one = ExaminerModel.from_pretrained(file.parent)
    assert small_one.config.hidden_size == 8
    assert small_one.config.association_digest == model.config.association_digest
    begun = begin_first_look(model, settings)
    assert (begun.token_head.weight != small_one.token_head.weight).any(), "it was trained"
    written = file.stat().st_mtime_ns
    fit(made.documents, made.fitted.counts, settings, made.data, tmp_path, resume=True)
    assert file.stat().st_mtime_ns == written


@needs_torch
def test_the_examiner_learns_on_from_tables_that_it_did_not_know(encoder: Path, tmp_path: Path) -> None:
    from train.examiner import fit
    from train.examiner_model import ExaminerModel

    made = tiny()
    settings = small(encoder=str(encoder), layers=1)
    staged = replace(settings, further={"tables": ["simulated/mt-"], "steps": 4, "learning_rate": 1e-3})
    without = replace(settings, simulation={**settings.simulation, "mt_documents": 0})
    model = fit(made.documents, made.fitted.counts, staged, made.data, tmp_path / "staged").state_dict()
    alone = fit(made.documents, made.fitted.counts, without, made.data, tmp_path / "alone").state_dict()
    first = ExaminerModel.from_pretrained(tmp_path / "staged" / "first_stage").state_dict()
    for name, value in alone.items():
        np.testing.assert_array_equal(first[name], value, f"{name}: as if there had been no such tables")
    second = ExaminerModel.from_pretrained(tmp_path / "staged" / "second_stage").state_dict()
    assert any((second[name] != first[name]).any() for name in model)
    saved = ExaminerModel.from_pretrained(tmp_path / "staged").state_dict()
    for name, value in model.items():
        assert value.equal(saved[name])
        if value.is_floating_point():
            np.testing.assert_allclose(value, (first[name] + second[name]) / 2, atol=1e-6)
    again = fit(made.documents, made.fitted.counts, staged, made.data, tmp_path / "staged", resume=True).state_dict()
    assert all(value.equal(model[name]) for name, value in again.items()), "averaged once, not again"


@needs_torch
def test_narrower_embeddings_keep_which_pieces_are_alike(encoder: Path) -> None:
    from train.examiner_model import ExaminerModel

    model = ExaminerModel.from_encoder(encoder, 1)
    wide, narrow = (m.encoder.embeddings.word_embeddings.weight.detach() for m in (model, model.narrowed(16, 1)))
    wide = wide - wide.mean(dim=0)
    # As wide as before it is only turned and scaled: all distances keep their proportions.
    before, after = (np.asarray((m @ m.T).flatten()) for m in (wide, narrow))
    assert np.corrcoef(before, after)[0, 1] == pytest.approx(1.0, abs=1e-4)
    assert float(narrow.std()) == pytest.approx(float(wide.std()), rel=0.01)
    halved = model.narrowed(8, 2)
    assert halved.encoder.embeddings.word_embeddings.weight.shape[1] == 8
    assert len(halved.encoder.encoder.layer) == 2


@needs_torch
def test_a_teacher_is_trained_first_and_its_answers_are_learned(encoder: Path, tmp_path: Path) -> None:
    import torch

    from train.examiner import fit
    from train.examiner_model import ExaminerModel

    made = tiny()
    settings = small(encoder=str(encoder), layers=1)
    settings = replace(settings, teacher={"layers": 2, "steps": 5, "weight": 1.0})
    fit(made.documents, made.fitted.counts, settings, made.data, tmp_path / "taught")
    teacher = ExaminerModel.from_pretrained(tmp_path / "taught" / "teacher")
    assert len(teacher.encoder.encoder.layer) == 2
    assert len(ExaminerModel.from_pretrained(tmp_path / "taught").encoder.encoder.layer) == 1
    last = json.loads((tmp_path / "taught" / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert last["teacher"] > 0
    begun = teacher.with_fewer_layers(1)
    for name, weights in begun.state_dict().items():
        torch.testing.assert_close(weights, teacher.state_dict()[name])  # of one layer: the first
    plain = replace(settings, teacher={**settings.teacher, "steps": 0})
    alone = fit(made.documents, made.fitted.counts, plain, made.data, tmp_path / "alone").state_dict()
    taught = ExaminerModel.from_pretrained(tmp_path / "taught").state_dict()
    assert any((alone[name] != taught[name]).any() for name in alone)


@needs_torch
def test_further_runs_draw_other_windows_and_all_weights_are_averaged(encoder: Path, tmp_path: Path) -> None:
    from train.examiner import fit
    from train.examiner_model import ExaminerModel

    made = tiny()
    settings = small(encoder=str(encoder), layers=1)
    settings = replace(settings, optimiser={**settings.optimiser, "averaged_runs": [9]})
    model = fit(made.documents, made.fitted.counts, settings, made.data, tmp_path)
    first, second, mean = (
        ExaminerModel.from_pretrained(tmp_path / name).state_dict() for name in ("run-0", "run-1", "")
    )
    differing = 0
    for name, value in mean.items():
        if value.is_floating_point():
            np.testing.assert_allclose(value, (first[name] + second[name]) / 2, atol=1e-6)
            differing += bool((first[name] != second[name]).any())
    assert differing > 5
    assert len((tmp_path / "run-1" / "log.jsonl").read_text(encoding="utf-8").splitlines()) == 3
    before = (tmp_path / "run-0" / "model.safetensors").stat().st_mtime_ns
    again = fit(made.documents, made.fitted.counts, settings, made.data, tmp_path, resume=True)
    assert (tmp_path / "run-0" / "model.safetensors").stat().st_mtime_ns == before, (
        "a finished run is not trained again"
    )
    for one, other in zip(model.state_dict().values(), again.state_dict().values(), strict=True):
        assert one.equal(other)


@needs_torch
def test_a_resumed_training_ends_with_the_same_weights(encoder: Path, tmp_path: Path) -> None:
    import torch

    from train.examiner import make_windows, train
    from train.examiner_model import ExaminerModel

    made = tiny()
    settings = small(encoder=str(encoder), layers=1)
    chosen = training_documents(made.documents, settings)
    windows = make_windows(chosen, made.fitted.counts, settings, made.data, load_tokenizer(encoder))

    def fresh() -> ExaminerModel:
        torch.manual_seed(2)
        model = ExaminerModel.from_encoder(encoder, 1)
        model.dropout.p = 0.0  # its random numbers are not part of the saved state
        return model

    whole = fresh()
    train(windows, whole, settings, tmp_path / "whole")

    class StoppedError(Exception):
        pass

    stopped = fresh()
    calls = 0
    forward = stopped.forward

    def stop_at_the_fifth(*args: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise StoppedError
        return forward(*args)

    stopped.forward = stop_at_the_fifth
    with pytest.raises(StoppedError):
        train(windows, stopped, settings, tmp_path / "parts")
    assert (tmp_path / "parts" / "state.pt").exists()
    second = fresh()
    train(windows, second, settings, tmp_path / "parts", resume=True)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], value, rtol=0.0, atol=1e-6, msg=name)


@needs_torch
def test_unlabelled_spun_windows_push_their_likeliest_pieces_up() -> None:
    import torch

    from train.examiner import losses

    logits = torch.tensor([[2.0, -3.0, -3.0, -3.0, 0.0], [0.0] * 5], requires_grad=True)
    labels = torch.full((2, 5), UNLABELLED)
    labels[1] = 0
    mask = torch.ones(2, 5, dtype=torch.int64)
    parts = losses(
        logits, torch.zeros(2, 4), labels, torch.tensor([KINDS.index("spun"), 0]), mask, {"replaced_share": 0.4}
    )
    parts["unlabelled"].backward()
    assert logits.grad is not None
    assert logits.grad[0].nonzero().flatten().tolist() == [0, 4]
    assert (logits.grad[0] <= 0).all(), "downhill is up for the two likeliest"
    assert not logits.grad[1].any()
    assert float(parts["token"]) == pytest.approx(np.log(2.0))


@needs_torch
def test_a_cpu_computes_in_bfloat16_only_if_it_has_tiles_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from train.examiner import mixed_precision

    given, weight = torch.ones(2, 2), torch.ones(2, 2)
    for tiles, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda tiles=tiles: {"amx_bf16": tiles}, raising=False)
        with mixed_precision("cpu"):
            assert (given @ weight).dtype == expected
