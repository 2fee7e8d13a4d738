"""The exported folder computes what was fitted; thresholds keep their promise; no pickles, the same bytes each time."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.detect import SpinDetector
from detector.results import KINDS, MAX_SUGGESTIONS
from detector.store import open_model
from detector.words import tokenise
from tests.tiny_model import make_document, tiny
from train import export as e
from train.screen import encode

scores = st.lists(st.floats(-30, 30) | st.sampled_from([-1.0, 0.0, 0.5, 2.0]), min_size=1, max_size=300)
rates = st.sampled_from([0.0, 0.001, 0.01, 0.05, 0.1, 0.5, 0.99])


# --------------------------------------------------------------------------------------------------- thresholds


@given(scores, rates)
@settings(max_examples=150)
def test_at_most_the_promised_share_is_flagged_and_no_lower_threshold_would_do(values, rate):
    array = np.array(values)
    threshold = e.upper_quantile(array, rate)
    flagged = int((array >= threshold).sum())
    assert flagged <= rate * len(values) + 1e-9
    # One step lower the next value and all its ties would be flagged.
    lower = np.nextafter(threshold, -np.inf)
    assert lower in values
    assert (array >= lower).sum() > rate * len(values) - 1e-9


@given(st.lists(st.tuples(st.floats(-5, 5) | st.sampled_from([0.0, 1.0]), st.integers(1, 9)), min_size=1), rates)
@settings(max_examples=100)
def test_weights_count_as_repeated_texts(pairs, rate):
    values, copies = (np.array(side) for side in zip(*pairs, strict=True))
    threshold = e.upper_quantile(values, rate, copies.astype(float))
    assert copies[values >= threshold].sum() <= rate * copies.sum() + 1e-6


@pytest.mark.parametrize("n", [1, 2, 19, 20, 99, 100, 101, 1000, 4999])
@pytest.mark.parametrize("rate", [0.001, 0.01, 0.05])
def test_without_ties_it_is_numpys_quantile(n, rate):
    values = np.random.default_rng(n).permutation(n) / 7.0
    flagged = values >= e.upper_quantile(values, rate)
    above = values > np.quantile(values, 1 - rate, method="higher")
    assert flagged.sum() == np.floor(n * rate + 1e-9)
    assert flagged.sum() in {above.sum(), above.sum() + 1}


def test_thresholds_are_ordered_and_keep_the_promise_on_the_texts_they_come_from():
    trained = tiny()
    points, details = e.operating_points(trained.fitted, 40)
    assert list(points) == ["strict", "balanced", "sensitive"]
    assert points["strict"] >= points["balanced"] >= points["sensitive"] > 0
    human = np.array([d.table.startswith("human/") for d in trained.fitted.encoded])
    rounded = [round(1 / (1 + np.exp(-s)), 6) for s in trained.fitted.cross_fitted[human].tolist()]
    for name, rate in e.TARGET_RATES.items():
        assert sum(p >= points[name] for p in rounded) <= rate * len(rounded)
    assert details["human_texts"] == len(rounded)


def test_no_large_set_of_writers_is_flagged_much_more_often_and_all_sets_alike_no_more_than_promised():
    rng = np.random.default_rng(4)
    sizes = {"human/easy": 3000, "human/odd": 400, "human/few": 20}
    tables = [t for t, n in sizes.items() for _ in range(n)]
    one = encode("", "human/easy", "original", "", "word " * 60)
    encoded = [replace(one, id=str(i), table=t, group=str(i)) for i, t in enumerate(tables)]
    encoded += [replace(one, id="spun", table="spun/x", label="spun"), replace(one, id="short", ends=(0,))]
    values = rng.normal(-6, 1, len(encoded))
    values[np.array([d.table == "human/odd" for d in encoded])] += 3
    values[-2] = 50.0  # a spun text says nothing about thresholds
    fitted = replace(tiny().fitted, encoded=encoded, cross_fitted=values)
    points, _ = e.operating_points(fitted, 40)
    probability = (1 / (1 + np.exp(-values))).round(6)
    for name, rate in e.TARGET_RATES.items():
        flagged = probability >= points[name]
        shares = {t: flagged[: len(tables)][np.array(tables) == t].mean() for t in sizes}
        assert shares["human/easy"] <= 2 * rate
        assert shares["human/odd"] <= 2 * rate
        assert np.mean(list(shares.values())) <= rate
        assert flagged[: len(tables)].mean() <= (rate / 4 if name == "balanced" else rate)
    assert points["strict"] < 0.9


def test_small_sets_stand_together_and_one_odd_text_does_not_decide():
    rng = np.random.default_rng(9)
    tables = np.array(["human/large"] * 4000 + [f"human/small {i % 10}" for i in range(400)])
    scores = rng.normal(-8, 1, len(tables))
    scores[4000] = 20.0  # the oddest text of a set of forty
    points, details = e.thresholds(tables, scores, 100)
    assert points["balanced"] < 0.5, "one text in forty is more than what is promised, but in four hundred it is not"
    scores[4000:] += 4
    points, details = e.thresholds(tables, scores, 100)
    flagged = 1 / (1 + np.exp(-scores)) >= points["balanced"]
    assert flagged[4000:].mean() <= 2 * e.TARGET_RATES["balanced"]
    assert details["sets"]["balanced"]["decided_by"] in {"even", e.SMALL_SETS}


# ------------------------------------------------------------------------------------------------------ folder


def test_the_exported_detector_agrees_with_the_fitted_model():
    trained = tiny()
    texts = [d.text for d in trained.documents]
    assert e.check_export(trained.folder, trained.fitted, [*texts, "", "too short"]) < 0.01


def test_an_export_that_disagrees_is_found(tmp_path):
    trained = tiny()
    for file in trained.folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    np.save(tmp_path / "screen.npy", np.zeros(1 << 14, np.float16))
    e.write_manifest(tmp_path, "tiny", {})
    with pytest.raises(ValueError, match="differ"):
        e.check_export(tmp_path, trained.fitted, [d.text for d in trained.documents])


def test_the_folder_is_complete_and_holds_no_pickles():
    trained = tiny()
    model = open_model(trained.folder)
    assert model.name == "tiny"
    files = set(model.manifest["files"])
    assert {p.name for p in trained.folder.iterdir()} == files | {"manifest.json"}
    for name in files:
        if name.endswith(".npy"):
            np.load(trained.folder / name, allow_pickle=False)
    training = model.manifest["training"]
    assert training["recipe"]["name"] == "tiny"
    synsets = "lexicon/open_english_wordnet_synsets.jsonl.gz"
    assert training["data"] == {synsets: f"{zlib.crc32((trained.data / synsets).read_bytes()):08x}"}
    assert training["documents"] == len(trained.fitted.encoded)
    assert (trained.folder / "vocabulary.txt").read_bytes().count(b"\r") == 0


def test_the_same_fit_gives_the_same_model(tmp_path):
    trained = tiny()
    e.write_model(tmp_path / "tiny", trained.fitted, trained.documents, trained.data, trained.settings, 1.0)
    assert open_model(tmp_path / "tiny").digest == open_model(trained.folder).digest


def test_a_card_that_is_there_stays(tmp_path):
    trained = tiny()
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "MODEL_CARD.md").write_text("A card.\n", encoding="utf-8")
    e.write_model(folder, trained.fitted, trained.documents, trained.data, trained.settings, 1.0)
    assert (folder / "MODEL_CARD.md").read_text(encoding="utf-8") == "A card.\n"
    assert "MODEL_CARD.md" in open_model(folder).manifest["files"]


def test_kinds_are_told_apart():
    trained = tiny()
    detector = SpinDetector.load(trained.folder)
    for table, kind in (("human/", "original"), ("llm/", "llm_rewritten"), ("machine_translated/", None)):
        rows = [d for d in trained.documents if d.table.startswith(table)]
        expected = kind or "machine_translated"
        leading = [max(KINDS, key=detector.score(d.text).kinds.__getitem__) for d in rows]
        assert leading.count(expected) > 0.8 * len(rows)


def test_segment_calibration_finds_the_even_point():
    rng = np.random.default_rng(0)
    # Two normal distributions of equal spread 1 at -1 and 2: even odds lie halfway, log odds grow by 3 a unit.
    logits = np.concatenate([rng.normal(-1, 1, 20_000), rng.normal(2, 1, 5_000)])
    labels = np.arange(25_000) >= 20_000
    shift, scale = e.fit_segment_calibration(logits, labels, np.ones(25_000))
    assert shift == pytest.approx(0.5, abs=0.05)
    assert scale == pytest.approx(1 / 3, abs=0.03)


# --------------------------------------------------------------------------------------------------- suggestions


def test_the_table_of_substitutions_is_spelled_as_the_detector_spells_tokens():
    trained = tiny()
    table = json.loads((trained.folder / "substitutions.json").read_text(encoding="utf-8"))
    assert table
    for spun, originals in table.items():
        assert 1 <= len(originals) <= MAX_SUGGESTIONS
        assert len(set(originals)) == len(originals)
        assert spun not in originals
        for phrase in (spun, *originals):
            tokens = tokenise(phrase)
            assert phrase == phrase.lower()
            assert " ".join(phrase[a:b] for a, b in zip(tokens.starts, tokens.ends, strict=True)) == phrase


def test_aligned_pairs_give_suggestions(tmp_path):
    rows = [
        make_document(
            "spun/paired_openings",
            i,
            f"On day {i} the truce was concurred by the top state leader of the nearby town.",
            original=f"On day {i} the ceasefire was agreed by the prime minister of the nearby town.",
        )
        for i in range(4)
    ]
    table = e.substitution_table(rows, tmp_path, lambda phrases: np.zeros(len(phrases), np.bool_))
    assert table["top state leader"][0] == "prime minister"
    assert any("ceasefire" in originals[0] for spun, originals in table.items() if "truce" in spun)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("  Top State Leader. ", "top state leader"),
        ("Prime Minister/premier", "prime minister"),
        ("aid (humanitarian)", "aid"),
        ("don’t", "don't"),
        ("deep-learning", "deep learning"),
        ("chapter 12", ""),
        ("one two three four five six seven", ""),
        ("naïve", ""),
        (None, ""),
    ],
)
def test_phrases_of_the_lists_are_normalised(raw, expected):
    assert e.normal_phrase(raw) == expected


def test_digests_change_with_the_texts_that_packages_bring():
    tables = ("human/licences", "human/wild", "human/licences")
    documents = [
        make_document(table, number, text) for number, (table, text) in enumerate(zip(tables, "abc", strict=True))
    ]
    found = e.package_digests(documents)
    assert list(found) == ["human/licences"]
    assert e.package_digests(documents[:1]) != found != e.package_digests(documents[::-1])
    assert open_model(tiny().folder).manifest["training"]["packages"] == {}


def test_digests_change_with_the_data(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.parquet").write_bytes(b"one")
    (tmp_path / "note.txt").write_bytes(b"not data")
    before = e.data_digests(tmp_path)
    assert list(before) == ["a/x.parquet"]
    (tmp_path / "a" / "x.parquet").write_bytes(b"two")
    assert e.data_digests(tmp_path) != before
    assert e.data_digests(Path(tmp_path / "absent")) == {}
