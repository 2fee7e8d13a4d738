"""The join of screen and examiner, fitted for real on the tiny model and the tiny examiner."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detector import SpinDetector
from detector.association import AssociationTable
from detector.calibrate import GATE_NAMES, JOINED_NAMES, ArticleModel, Odds, joined_features, sigmoid, spun_log_odds
from detector.errors import InputError, ModelError
from detector.examiner import NETWORK_FILES, NOT_EXAMINED, Examined
from detector.join import Join, chosen_segments, features_of, looked_at, replaced_evidence
from detector.results import KINDS
from detector.store import write_manifest
from tests.tiny_model import tiny
from train.examiner import Settings as ExaminerSettings
from train.examiner import training_documents
from train.join import (
    ASSOCIATION_DIGEST,
    Exported,
    after_each_look,
    after_the_looks,
    article_weights,
    calibrated,
    fit_join,
    fit_logistic,
    join_exported,
    unseen,
)

EXAMINER = Path(__file__).parent / "data" / "tiny_examiner"
RULES = {
    "examined_human_share": 0.6,
    "look_on_human_share": 0.4,
    "read_on_human_share": 0.3,
    "look_segments": 2,
    "most_segments": 4,
    "penalty": 1.0,
    "gate_penalty": 1.0,
}


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with the tiny examiner; which has seen no group; half of the human texts pass."""
    made = tiny()
    folder = tmp_path_factory.mktemp("joined") / "tiny"
    shutil.copytree(made.folder, folder)
    for name in NETWORK_FILES:
        shutil.copy(EXAMINER / name, folder / name)
    recipe = replace(ExaminerSettings.read(), held_out=1.0, max_tokens=64)
    settings = replace(made.settings, join=RULES)
    measured = fit_join(folder, made.fitted, made.documents, recipe, settings, {})
    assert any(share == 1.0 for _, share in measured["gate"].values()), "the spun table passes the gate"
    return folder


def test_the_networks_of_a_finished_model_are_joined_to_a_screen_as_they_are(joined: Path, tmp_path: Path) -> None:
    made = tiny()
    exported = Exported.read(joined)
    assert exported.settings.max_tokens == 64
    assert exported.measured == {ASSOCIATION_DIGEST: made.fitted.association.digest()}
    shutil.copytree(made.folder, tmp_path / "again")
    join_exported(tmp_path / "again", made.fitted, made.documents, exported, replace(made.settings, join=RULES))
    assert SpinDetector.load(tmp_path / "again").model_id == SpinDetector.load(joined).model_id
    # What is joined once more still knows what its networks were trained with, whatever the screen has counted.
    manifest = json.loads((tmp_path / "again" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["training"]["join"][ASSOCIATION_DIGEST] == exported.measured[ASSOCIATION_DIGEST]
    counted = made.fitted.association
    other = AssociationTable(counted.frequencies, counted.sketch[::-1].copy(), counted.pairs)
    np.save(tmp_path / "again" / "pairs.npy", other.sketch)
    write_manifest(tmp_path / "again", "tiny", {"training": manifest["training"]})
    assert Exported.read(tmp_path / "again").measured == exported.measured


def test_a_model_without_examiner_has_no_networks_to_join() -> None:
    with pytest.raises(InputError, match="no examiner"):
        Exported.read(tiny().folder)


def loaded(folder: Path) -> tuple[SpinDetector, Join]:
    """The detector of a joined model, and what joins its models."""
    detector = SpinDetector.load(folder)
    assert detector._join is not None
    return detector, detector._join


def test_a_joined_model_scores_spun_text_above_honest_text(joined: Path) -> None:
    detector = SpinDetector.load(joined)
    rows = {label: [d.text for d in tiny().documents if d.label == label][:10] for label in ("spun", "original")}
    means = {label: np.mean([r.probability for r in map(detector.score, texts)]) for label, texts in rows.items()}
    assert means["spun"] > means["original"] + 0.3, means


def test_what_the_screen_or_the_first_look_clears_is_below_every_threshold_and_not_read(
    joined: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector, join = loaded(joined)
    ran = {"look": 0, "examine": 0}

    def counted(name: str) -> None:
        run = getattr(join.examiner, name)

        def call(*given: object) -> Examined:
            assert name == "examine" or len(given[1]) == 1, "the first look is at one segment after the other"
            ran[name] += 1
            return run(*given)

        monkeypatch.setattr(join.examiner, name, call)

    for name in ran:
        counted(name)
    honest = [d.text for d in tiny().documents if d.label == "original"]
    looks: Counter[int] = Counter()
    for text in honest:
        before = dict(ran)
        result = detector.score(text)
        looks[ran["look"] - before["look"]] += 1
        if ran["examine"] == before["examine"] and result.probability is not None:
            assert result.probability < min(detector.operating_points.values())
            assert result.spans == ()
        if ran["examine"] > before["examine"]:
            assert ran["look"] > before["look"], "nothing is read without a look"
    assert 0 < ran["examine"] < len(honest) - looks[0] < len(honest)
    assert set(looks) == {0, 1, 2}, "some are stopped by the gate, some cleared by one look, and none has more than two"


def test_the_gate_sees_the_same_numbers_as_in_its_training(joined: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detector, join = loaded(joined)
    seen: list[np.ndarray] = []
    monkeypatch.setattr(join, "_gate", _Recorder(join._gate, seen))
    for document in tiny().documents[::11]:
        assert detector.score(document.text).probability is not None
        found = tiny().fitted.read(document.text)
        assert found is not None
        assert seen.pop() == pytest.approx(found[0], abs=0.02), "the folder's weights are rounded"
        assert len(found[0]) == len(GATE_NAMES) == tiny().fitted.gate_features.shape[1]


class _Recorder:
    """A model that notes what it is given."""

    def __init__(self, model: ArticleModel, seen: list[np.ndarray]) -> None:
        self._model, self._seen = model, seen

    def log_odds(self, features: np.ndarray) -> np.ndarray:
        self._seen.append(features)
        return self._model.log_odds(features)


def test_the_result_of_a_joined_model_keeps_the_contract(joined: Path) -> None:
    text = next(d.text for d in tiny().documents if d.label == "spun")
    result = SpinDetector.load(joined).score(text)
    assert result.kinds is not None and result.probability is not None
    assert set(result.kinds) == set(KINDS)
    assert sum(result.kinds.values()) == pytest.approx(1.0, abs=1e-5)
    assert result.kinds["spun"] == pytest.approx(result.probability, abs=1e-6)
    for span in result.spans:
        assert text[span.start : span.end] == span.text
        assert 0.0 <= span.score <= 1.0
    assert all(0.0 <= s.probability <= 1.0 for s in result.segments)


def test_one_text_scores_the_same_alone_and_among_others(joined: Path) -> None:
    texts = [d.text for d in tiny().documents][::7]
    detector = SpinDetector.load(joined)
    alone = [SpinDetector.load(joined).score(t).to_dict() for t in texts[:3]]
    assert [r.to_dict() for r in detector.score_batch(texts)][:3] == alone


def test_the_manifest_says_what_was_measured(joined: Path) -> None:
    training = json.loads((joined / "manifest.json").read_text(encoding="utf-8"))["training"]
    assert training["examiner"]["held_out"] == 1.0
    assert set(training["join"]) >= {"gate", "flagged", "thresholds"}


def test_a_join_of_another_version_is_a_model_error(joined: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(joined, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["join"]["article"]["features"] = ["another"]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    write_manifest(folder, "tiny", {})
    with pytest.raises(ModelError, match="does not fit this version"):
        SpinDetector.load(folder)


def test_nothing_that_the_examiner_was_trained_on_takes_part_in_the_join() -> None:
    made = tiny()
    half = replace(ExaminerSettings.read(), held_out=0.5)
    new = unseen(made.fitted, made.documents, {d.group for d in training_documents(made.documents, half)})
    seen = {d.group for d in made.documents} - {d.group for d, n in zip(made.fitted.encoded, new, strict=True) if n}
    assert 0 < new.sum() < len(new)
    assert not {d.group for d, n in zip(made.fitted.encoded, new, strict=True) if n} & seen
    ids = {d.id for d, n in zip(made.fitted.encoded, new, strict=True) if n}
    assert any(i.endswith("#spun") for i in ids), "simulated spinning takes part"
    assert not any(i.endswith("#cut") for i in ids), "what it was made from is there already"


def test_weights_of_examined_texts_leave_the_cleared_ones_their_part() -> None:
    made = tiny()
    population = {"spun/a": 10, "human/b": 1000}
    weights = article_weights(["spun/a"] * 9 + ["human/b"] * 20, np.arange(29) < 9, population, made.settings)
    assert weights[:9].sum() == pytest.approx(0.5 * 9 / 10)
    assert weights[9:].sum() == pytest.approx(0.5 * 20 / 1000)


def test_what_the_penalty_shrinks_is_stretched_again_and_keeps_its_order() -> None:
    rng = np.random.default_rng(5)
    labels = rng.random(4000) < 0.5
    features = rng.normal(size=(4000, 3)) + labels[:, np.newaxis]
    weights = rng.uniform(0.5, 2.0, 4000)
    shrunk = fit_logistic(features, labels, weights, 3e3, ("a", "b", "c"))
    before = shrunk.log_odds(features)
    model, after = calibrated(shrunk, before, labels, weights)
    assert model.log_odds(features) == pytest.approx(after)
    assert np.argsort(after).tolist() == np.argsort(before).tolist()
    free = fit_logistic(features, labels, weights, 1e-6, ("a", "b", "c"))
    assert np.abs(before).mean() < 0.5 * np.abs(free.log_odds(features)).mean()
    for least in (-3, -1, 0, 1):
        inside = (after >= least) & (after < least + 2)
        assert np.average(sigmoid(after)[inside], weights=weights[inside]) == pytest.approx(
            np.average(labels[inside], weights=weights[inside]), abs=0.05
        )


def test_features_do_not_depend_on_the_order_of_the_segments() -> None:
    rng = np.random.default_rng(3)
    kinds, tokens = rng.normal(size=(5, 4)).astype(np.float32), rng.normal(size=60).astype(np.float32)
    pieces = np.array([10, 14, 6, 20, 10])
    order = rng.permutation(5)
    one = joined_features(Odds(1.0, 0.5, -2.0), kinds, tokens, pieces, 300)
    other = joined_features(Odds(1.0, 0.5, -2.0), kinds[order], tokens[::-1], pieces[order], 300)
    assert one.shape == (len(JOINED_NAMES),)
    np.testing.assert_allclose(one, other, rtol=1e-6)
    assert spun_log_odds(np.array([[0.0, np.log(3.0), 0.0, 0.0]])) == pytest.approx(0.0)


def test_the_first_look_is_at_the_segments_that_the_screen_finds_worst() -> None:
    rng = np.random.default_rng(9)
    for count, most in ((1, 3), (3, 3), (40, 3), (40, 1)):
        logits = rng.normal(size=count)
        chosen = chosen_segments(count, 24)
        looked = looked_at(logits, chosen, most)
        assert len(set(looked)) == len(looked) and set(looked) <= set(chosen)
        assert (np.diff(logits[looked]) <= 0).all(), "the worst first"
        assert len(looked) == min(most, len(chosen))
        rest = [i for i in chosen if i not in looked]
        assert not rest or logits[looked].min() >= logits[rest].max()


def test_examined_segments_are_spread_and_bounded() -> None:
    for count in (1, 2, 24, 25, 1000):
        chosen = chosen_segments(count, 24)
        assert len(chosen) == min(count, 24)
        assert chosen == sorted(set(chosen))
        assert chosen[0] == 0 and chosen[-1] == count - 1


def test_words_that_were_not_examined_get_no_evidence() -> None:
    examined = Examined(
        np.zeros((1, len(KINDS)), np.float32),
        np.array([0, 4]),
        np.array([3, 8]),
        np.array([9.0, -1.0], np.float32),
        np.array([0, 2]),
    )
    evidence = replaced_evidence(examined, np.array([0, 4, 20]), np.array([3, 8, 25]), 0.5)
    assert evidence.tolist() == [2.0, 0.0, 0.0]  # 9 is limited to 4, -1 to 0
    assert NOT_EXAMINED < -4.0


def one_segment(rng: np.random.Generator, start: int, pieces: int) -> Examined:
    starts = start + 5 * np.arange(pieces)
    logits = rng.normal(size=pieces).astype(np.float32)
    kinds = rng.normal(size=(1, len(KINDS))).astype(np.float32)
    return Examined(kinds, starts, starts + 4, logits, np.array([0, pieces]))


def test_parts_of_an_examination_are_put_together_by_their_pieces() -> None:
    rng = np.random.default_rng(4)
    parts = [one_segment(rng, start, pieces) for start, pieces in ((0, 3), (40, 0), (90, 5))]
    whole = Examined.joined(parts)
    assert whole.offsets.tolist() == [0, 3, 3, 8]
    assert whole.kind_logits.shape == (3, len(KINDS))
    assert (np.diff(whole.starts) > 0).all() and len(whole.token_logits) == 8
    words = parts[2].word_logits(parts[2].starts, parts[2].ends)
    assert np.array_equal(whole.word_logits(parts[2].starts, parts[2].ends), words)


def test_what_is_known_after_each_look_is_of_the_segments_seen_so_far() -> None:
    rng = np.random.default_rng(4)
    first, nothing, third = (one_segment(rng, start, pieces) for start, pieces in ((50, 3), (80, 0), (0, 5)))
    odds = Odds(1.0, 0.5, -2.0)
    found = after_each_look(odds, [first, nothing, third], 300, 5)
    assert found.shape == (5, len(JOINED_NAMES))
    assert np.array_equal(found[0], features_of(odds, first, 300))
    assert np.array_equal(found[3], found[2]) and np.array_equal(found[4], found[2]), "there are no further segments"
    np.testing.assert_allclose(found[2], features_of(odds, Examined.joined([third, nothing, first]), 300), rtol=1e-6)

    late = after_each_look(odds, [nothing, first], 300, 2)
    assert np.array_equal(late[0], late[1]), "a look at nothing is no reason to stop"


def test_the_first_look_ends_at_the_first_look_that_is_clear() -> None:
    log_odds = np.array([[-1.0, 2.0, 3.0], [1.0, -2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 2.0, -3.0]])
    given = log_odds.copy()
    assert after_the_looks(log_odds, 0.0).tolist() == [-1.0, -2.0, 3.0, -3.0]
    assert np.array_equal(log_odds, given)
    assert after_the_looks(log_odds, -np.inf).tolist() == log_odds[:, -1].tolist()


def test_the_first_look_of_the_detector_ends_where_its_training_said(
    joined: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector, join = loaded(joined)
    seen: list[np.ndarray] = []
    looks: list[Examined] = []
    run = join.examiner.look

    def look(*given: object) -> Examined:
        looks.append(run(*given))
        return looks[-1]

    monkeypatch.setattr(join.examiner, "look", look)
    monkeypatch.setattr(join, "_first_look", _Recorder(join._first_look, seen))
    model = ArticleModel.from_config(
        json.loads((joined / "config.json").read_text())["join"]["first_look"]["article"], JOINED_NAMES
    )
    several = 0
    for document in tiny().documents:
        seen.clear()
        looks.clear()
        detector.score(document.text)
        if not looks:
            continue
        several += len(looks) > 1
        odds = Odds(*seen[0][:3].tolist())
        after = after_each_look(odds, looks, round(np.exp(seen[0][JOINED_NAMES.index("log_words")])), len(looks))
        np.testing.assert_allclose(seen, after, rtol=1e-5)
        log_odds = model.log_odds(after)
        assert (log_odds[:-1] >= join._look_on).all(), "it went on where it had seen enough"
        assert len(looks) == 2 or log_odds[-1] < join._look_on, "it stopped too early"
    assert several
