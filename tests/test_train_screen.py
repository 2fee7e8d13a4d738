"""Training: what takes part and what does not, weights, cross-fitting, a document's own counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from random import Random

import numpy as np
import pandas
import pytest
import tomli

from detector.calibrate import FEATURE_NAMES
from detector.errors import InputError
from detector.screen import find_ngrams
from detector.words import FIRST_WORD_ID
from tests.tiny_model import article, documents, make_document, settings, spinner, tiny
from train import screen as s
from train.corpora import load_documents, originals_of
from train.recipe import RESERVED_TABLES, is_reserved, read_documents
from train.screen import (
    DEFAULT_RECIPE,
    ScreenSystem,
    Settings,
    count_pairs,
    encode,
    fit,
    text_of,
    texts_by_id,
    word_ids,
)
from train.simulation import cut_words

# ------------------------------------------------------------------------------------------------------- recipe


def test_the_committed_recipe_can_be_read():
    recipe = Settings.read()
    assert recipe.name
    assert set(recipe.evidence) == set(settings().evidence)


@pytest.mark.parametrize("line", ["surprise = 1\n", "[segmnets]\nbits = 20\n"])
def test_an_unknown_key_is_refused_and_named(tmp_path, line):
    path = tmp_path / "recipe.toml"
    text = DEFAULT_RECIPE.read_text(encoding="utf-8")
    path.write_text(line + text if line[0] != "[" else text + line, encoding="utf-8")
    with pytest.raises(InputError, match=r"surprise|segmnets"):
        Settings.read(path)


def test_a_missing_key_is_refused_and_named(tmp_path):
    path = tmp_path / "recipe.toml"
    text = DEFAULT_RECIPE.read_text(encoding="utf-8")
    seed = next(line for line in text.splitlines() if line.startswith("seed"))
    path.write_text(text.replace(seed, ""), encoding="utf-8")
    assert "seed" not in tomli.loads(path.read_text(encoding="utf-8"))
    with pytest.raises(InputError, match="seed"):
        Settings.read(path)


# ---------------------------------------------------------------------------------------------------- documents


def test_texts_under_a_non_commercial_licence_reach_nothing(tmp_path):
    trained = tiny()
    odd = "quibberly snorfax wendlebop plimwad grundlestick"
    rng = Random(31)
    barred = [
        make_document(table, 900 + i, " ".join(f"The {odd} was {odd}." for _ in range(4)) + article(rng),
                      licence_nc=True, original=f"A {odd} came. " + article(rng) if table.startswith("spun") else None)
        for i in range(4)
        for table in ("human/harbour", "human/school", "human/garden", "human/learner_essays", "spun/wild")
    ]  # fmt: skip
    assert any(d.original for d in barred)
    fitted = fit([*trained.documents, *barred], trained.settings, trained.data)
    known = {*fitted.vocabulary.words, *fitted.vocabulary.names}
    assert known == {*trained.fitted.vocabulary.words, *trained.fitted.vocabulary.names}
    assert not known & set(odd.split())
    # Nothing at all differs from the model that never saw them.
    assert np.array_equal(fitted.screen.weights, trained.fitted.screen.weights)
    assert np.array_equal(fitted.association.sketch, trained.fitted.association.sketch)
    assert fitted.article.to_config() == trained.fitted.article.to_config()
    assert np.array_equal(fitted.cross_fitted, trained.fitted.cross_fitted)
    assert not {d.id for d in fitted.encoded} & {d.id for d in barred}


def test_the_same_texts_would_reach_the_vocabulary_under_another_licence():
    rng = Random(31)
    rows = [make_document(f"human/{t}", i, f"The quibberly was there. {article(rng)}") for t in "abc" for i in range(4)]
    assert "quibberly" in s.build_vocabulary(rows, settings()).words


def test_large_tables_are_thinned_the_same_way_each_time():
    rows = [make_document("human/harbour", i, f"text {i}") for i in range(50)]
    rows += [make_document("human/school", i, f"text {i}") for i in range(7)]
    recipe = settings(documents={"human/harbour": 20})
    chosen = s.training_documents(rows, recipe)
    assert Counter(d.table for d in chosen) == {"human/harbour": 20, "human/school": 7}
    assert s.training_documents(rows[::-1], recipe) == chosen
    more = s.training_documents(rows, settings(documents={"human/harbour": 25}))
    assert {d.id for d in chosen} <= {d.id for d in more}


def test_some_texts_of_large_tables_are_reserved_for_tests_of_finished_models():
    rows = [make_document(RESERVED_TABLES[0], i, "It rained.", group=f"title:{i // 2}") for i in range(4000)]
    reserved = [d for d in rows if is_reserved(d)]
    assert 0.05 < len(reserved) / len(rows) < 0.11
    assert not {d.group for d in reserved} & {d.group for d in rows if not is_reserved(d)}, "whole groups"
    assert not any(is_reserved(replace(d, table="human/bbc_2004")) for d in rows)


def test_training_reads_no_reserved_text(tmp_path):
    rng = Random(1)
    rows = [{"id": f"{RESERVED_TABLES[2]}/{i}", "text": article(rng), "title": f"No. {i}"} for i in range(150)]
    (tmp_path / "human").mkdir()
    pandas.DataFrame(rows).to_parquet(tmp_path / f"{RESERVED_TABLES[2]}.parquet")
    everything, read = load_documents(tmp_path), read_documents(tmp_path, ())
    assert {d.id for d in everything if not is_reserved(d)} == {d.id for d in read}
    assert len(read) < len(everything) == 150


def test_originals_stand_once_in_the_group_of_their_rewrite():
    rows = [
        make_document("spun/quillbot_pairs", 1, "spun one", original="the answer", group="q1", tool_family="quillbot"),
        make_document("spun/quillbot_pairs", 2, "spun two", original="the answer", group="q1", tool_family="quillbot"),
        make_document("spun/paired_openings", 3, "spun three", original="the opening", group="p3"),
        make_document("human/harbour", 4, "no original"),
    ]
    found = originals_of(rows)
    assert [(d.text, d.label, d.group, d.tool_family) for d in found] == [
        ("the answer", "llm_rewritten", "q1", ""),
        ("the opening", "original", "p3", ""),
    ]
    assert len({d.id for d in [*rows, *found]}) == 6


# --------------------------------------------------------------------------------------------------- vocabulary


def test_words_of_one_table_and_names_stay_outside_the_vocabulary():
    rows = [make_document("human/a", i, "It saw the heron, and Brigby saw the wet heron too.") for i in range(4)]
    rows += [make_document("human/b", i, "It saw the wet rope, and Brigby saw the rope too.") for i in range(4)]
    rows += [make_document("spun/wild", i, "It espied the wet lasso, and Brigby espied it too.") for i in range(9)]
    rows += [make_document("human/a", 90, "It was seldom wet.")]
    vocabulary = s.build_vocabulary(rows, settings())
    assert {"it", "saw", "the", "wet", "too", "and"} == set(vocabulary.words)
    assert vocabulary.names == ("brigby",)


# --------------------------------------------------------------------------------------------------- simulation


@pytest.fixture
def presets_used(monkeypatch, tmp_path):
    """Run `simulate` on a few texts and return the tools it imitated."""
    trained = tiny()
    human = [d for d in trained.documents if d.table.startswith("human/")][:14]
    recipe = settings(
        simulation={
            **settings().simulation,
            "presets": ["spinbot-2016", "spinbot-2022", "quillbot", "dictionary", "embedding"],
            "documents": 14,
            "rate_factors": [1.0],
        }
    )

    def run(*spun):
        made = s.simulated_documents([*human, *spun], recipe, trained.data)
        return {d.tool.removeprefix("simulated ") for d in made if d.tool}, made

    return run


def pair(table, family):
    return make_document(table, 1, "The truce was concurred.", original="The ceasefire was agreed.", tool_family=family)


def test_presets_of_tools_that_are_not_in_training_are_left_out(presets_used):
    neutral = {"dictionary", "embedding"}
    spinbot = {"spinbot-2016", "spinbot-2022"}
    assert presets_used(pair("spun/finance", "finance"))[0] == neutral
    assert presets_used(pair("spun/quillbot_pairs", "quillbot"))[0] == neutral | {"quillbot"}
    # The glue phrases come from both collections, so that either being held out holds them out.
    assert presets_used(pair("spun/spinbot_news", "spinbot"))[0] == neutral
    wild = pair("spun/wild", "wild")
    assert presets_used(wild)[0] == neutral
    assert presets_used(pair("spun/spinbot_news", "spinbot"), wild)[0] == neutral | spinbot
    assert presets_used(pair("spun/paired_openings", "paired"), wild)[0] == neutral | spinbot


def test_simulated_texts_stand_in_pairs_in_the_group_of_their_original(presets_used):
    _, made = presets_used(pair("spun/finance", "finance"))
    assert len(made) in (26, 28), "a text in which nothing was replaced is left out"
    by_id = {d.id: d for d in tiny().documents}
    for spun, original in zip(made[::2], made[1::2], strict=True):
        source = by_id[spun.id.removesuffix("#spun")]
        assert original.id == source.id + "#cut"
        assert (spun.label, original.label) == ("spun", "original")
        assert spun.group == original.group == source.group
        assert source.text.startswith(original.text)
        assert len(original.text.split()) <= settings().simulation["longest_words"]
    assert all(a.text != b.text for a, b in zip(made[::2], made[1::2], strict=True))


def test_cutting_keeps_the_spacing():
    assert cut_words("one  two\n\nthree four", 3) == "one  two\n\nthree"
    assert cut_words(" one two ", 3) == " one two "


# ------------------------------------------------------------------------------------------------------ weights


def test_segment_rows_are_what_the_screen_computes():
    trained = tiny()
    encoded = trained.fitted.encoded[:20]
    matrix = s.segment_matrix(encoded, trained.fitted.vocabulary, 14)
    csr = matrix.to_csr(14)
    screen = trained.fitted.screen
    expected = np.concatenate(
        [screen.logits(find_ngrams(word_ids(d, trained.fitted.vocabulary), list(d.ends))) for d in encoded]
    )
    assert csr @ screen.weights + screen.bias == pytest.approx(expected, abs=1e-4)
    assert matrix.words.sum() == sum(d.words for d in encoded)
    assert np.bincount(matrix.document).tolist() == [len(d.ends) for d in encoded]


def test_tables_weigh_as_the_recipe_says_whatever_their_size():
    rows = [("human/a", "original", 30), ("human/b", "original", 5), ("spun/x", "spun", 8), ("spun/y", "spun", 2)]
    encoded = [encode(f"{t}{i}", t, label, t, f"word {t} {i}") for t, label, n in rows for i in range(n)]
    recipe = settings(
        mass={"human/a": 1.0, "human/b": 3.0, "spun/x": 1.0, "spun/y": 1.0},
        segments={**settings().segments, "negative_mass": 2.0},
    )
    weights = s.sample_weights(encoded, np.arange(len(encoded)), recipe)
    assert weights.mean() == pytest.approx(1.0)
    table = np.array([d.table for d in encoded])
    share = {t: weights[table == t].sum() / weights.sum() for t in set(table)}
    assert share == pytest.approx({"human/a": 1 / 6, "human/b": 1 / 2, "spun/x": 1 / 6, "spun/y": 1 / 6})
    assert len(set(weights[table == "human/a"].round(9))) == 1


# -------------------------------------------------------------------------------------------------- association


def test_counts_are_of_texts_that_were_not_spun():
    made = tiny()
    rows = made.documents
    original = "the old bridge near the harbour " * 9
    paired = replace(next(d for d in rows if d.label == "spun"), original=original, group="paired")
    private = replace(rows[0], id="nc", text="gelid watercraft " * 30, licence_nc=True)
    counts = count_pairs([*rows, paired, private], made.settings)
    plain = count_pairs([d for d in rows if d.label != "spun"], made.settings)
    assert counts.vocabulary.words == plain.vocabulary.words
    counted = [encode("", "", "", "", d.text) for d in rows if d.label in ("original", "llm_rewritten")]
    assert plain.table.pairs == sum(
        min(p) >= FIRST_WORD_ID for d in counted for p in pairwise(word_ids(d, plain.vocabulary).tolist())
    ), "neither spun nor translated by a machine"
    added = Counter(pairwise(original.split()))
    known = {w: i for i, w in enumerate(counts.vocabulary.words, FIRST_WORD_ID)}
    assert counts.table.pairs - plain.table.pairs == sum(n for p, n in added.items() if set(p) <= known.keys())


# ---------------------------------------------------------------------------------------------------------- fit


def test_the_fitted_model_tells_new_spun_texts_from_their_originals():
    trained = tiny()
    rng = Random(404)
    spin = spinner(trained.data)
    originals = [article(rng) for _ in range(12)]
    spun = [spin.spin(text, rng).text for text in originals]
    human, other = trained.fitted.log_odds(originals), trained.fitted.log_odds(spun)
    assert human.max() < other.min()
    assert human.max() < 0 < other.min()


def test_a_text_without_words_scores_lowest():
    trained = tiny()
    assert trained.fitted.log_odds(["", "..."]).tolist() == [-np.inf, -np.inf]


def test_cross_fitted_scores_come_from_models_that_did_not_see_the_group():
    trained = tiny()
    fitted = trained.fitted
    assert fitted.cross_fitted.shape == (len(fitted.encoded),)
    assert np.isfinite(fitted.cross_fitted).all()
    assert fitted.segment_logits.shape == fitted.segment_owner.shape
    folds = {s.inner_fold(d.group, 2) for d in fitted.encoded}
    assert folds == {0, 1}
    by_group = {}
    for d in fitted.encoded:
        by_group.setdefault(d.group, set()).add(s.inner_fold(d.group, 2))
    assert all(len(found) == 1 for found in by_group.values())
    # The model of all texts knows its training segments better than the models that did not see them.
    spun = np.array([d.label == "spun" for d in fitted.encoded])[fitted.segment_owner]
    seen = np.concatenate(
        [fitted.screen.logits(find_ngrams(word_ids(d, fitted.vocabulary), list(d.ends))) for d in fitted.encoded]
    )
    assert seen[spun].mean() > fitted.segment_logits[spun].mean()
    assert seen[~spun].mean() < fitted.segment_logits[~spun].mean()
    features = len(FEATURE_NAMES)
    assert fitted.article.weights.shape == fitted.article.means.shape == fitted.article.scales.shape == (features,)


def test_training_is_repeatable_and_takes_the_seed_of_the_evaluation():
    trained = tiny()
    rows = documents(trained.data)
    assert rows == trained.documents
    texts = [d.text for d in rows[::20]] + ["..."]
    scores = ScreenSystem(trained.data, trained.settings).fit(rows, trained.settings.seed)(texts)
    assert scores[:-1].tolist() == trained.fitted.log_odds(texts)[:-1].tolist()
    assert scores[-1] < scores[:-1].min()
    assert np.isfinite(scores).all()


def test_encoding_keeps_apart_documents_of_equal_text():
    one = encode("1", "human/a", "original", "g", "the same words here")
    two = encode("2", "spun/b", "spun", "h", "the same words here")
    assert (one.id, two.id) == ("1", "2")
    assert (one.label, two.label) == ("original", "spun")
    assert one.hashes.tolist() == two.hashes.tolist()
    assert replace(one, id="2").words == 4


def test_texts_that_share_an_id_are_told_apart_by_their_words():
    rows = [
        make_document("llm/rewrite", n, text) for n, text in ((1, "One fox."), (1, "Two old foxes."), (2, "A hen."))
    ]
    texts = texts_by_id(rows)
    assert list(map(len, texts.values())) == [2, 1]
    for d in rows:
        assert text_of(encode(d.id, d.table, d.label, d.group, d.text), texts) == d.text
