"""Span measures worked out by hand, on texts of our own."""

from __future__ import annotations

import re

import numpy as np
import pytest

from eval import overlap, span_sets, spans
from eval.spans import Shown
from eval.suite import File, Item, Known, Suite
from train.corpora import Document

TEXT = "The top state leader said on Monday that a truce was concurred in the valley."
KNOWN = (
    Known(4, 20, "prime minister"),
    Known(TEXT.index("truce"), TEXT.index(" was"), "ceasefire"),
    Known(TEXT.index("concurred"), TEXT.index(" in the"), "agreed"),
)


def at(phrase, *suggestions):
    start = TEXT.index(phrase)
    return Shown(start, start + len(phrase), suggestions)


def test_counts_by_hand():
    shown = [
        at("state leader", "prime minister", "president"),
        at("truce was concurred", "ceasefire was agreed"),
        at("Monday", "Tuesday"),
    ]
    found = spans.count(TEXT, shown, KNOWN)
    assert found["replaced_characters"] == len("topstateleader") + len("truce") + len("concurred")
    assert found["shown_characters"] == len("stateleader") + len("truce") + len("was") + len("concurred") + len(
        "Monday"
    )
    assert found["right_characters"] == len("stateleader") + len("truce") + len("concurred")
    assert (found["spans"], found["right_spans"], found["phrases"], found["found_phrases"]) == (3, 2, 3, 3)
    assert (found["with_suggestion"], found["hits_1"], found["hits_3"]) == (2, 2, 2)


def test_a_suggestion_counts_only_among_the_first():
    shown = [at("truce", "peace", "calm", "lull", "ceasefire")]
    found = spans.count(TEXT, shown, KNOWN)
    assert (found["hits_1"], found["hits_3"]) == (0, 0)
    found = spans.count(TEXT, [at("truce", "peace", "The Ceasefire")], KNOWN)
    assert (found["hits_1"], found["hits_3"]) == (0, 1)


def test_words_put_in_or_dropped_are_not_expected():
    found = spans.count(TEXT, [at("Monday")], [Known(0, 0, "Indeed"), Known(4, 7, "")])
    assert found["phrases"] == found["replaced_characters"] == 0


def test_estimates_say_how_much_lies_behind_them():
    counts = spans.Counts()
    for group in "abcd":
        counts.add(group, spans.count(TEXT, [at("truce", "ceasefire"), at("Monday")], KNOWN))
    out = spans.estimates(counts, 0)
    assert out["phrase_precision"]["value"] == 0.5
    assert out["phrase_precision"]["n"] == 8
    assert out["phrase_recall"]["value"] == pytest.approx(1 / 3)
    assert out["suggestion_hit_1"]["value"] == 1.0
    assert out["suggestion_hit_1"]["n"] == 4


def test_spans_on_clean_text_per_thousand_words():
    found = spans.clean_rate([("a", 500, 1), ("b", 1500, 0), ("c", 2000, 3)], 0)
    assert found["value"] == pytest.approx(1.0)
    assert found["n"] == 4000
    none = spans.clean_rate([("a", 500, 0), ("b", 500, 0)], 0)
    assert none["value"] == 0.0
    assert none["high"] == pytest.approx(3.689, rel=1e-3)


def test_artefacts_are_covered_by_half_of_their_characters():
    marked = [
        {"phrase": "Top  State leader", "probable_original": "prime minister"},
        {"phrase": "truce was concurred", "probable_original": ""},
        {"phrase": "not in the text", "probable_original": ""},
    ]
    shown = [at("state leader", "prime minister"), at("truce")]
    out = spans.artefacts_covered([("g", TEXT, shown, marked)], 0)
    assert (out["covered"]["value"], out["covered"]["n"]) == (0.5, 2)
    assert out["suggestion_hit_3"]["value"] == 1.0
    assert spans.artefacts_covered([("g", TEXT, shown, [])], 0) is None


def test_a_word_of_the_original_among_three_suggestions_is_a_hit_whether_the_phrase_is_covered_or_not():
    marked = [
        {"phrase": "top state leader", "probable_original": "prime minister"},
        {"phrase": "truce was concurred", "probable_original": "a ceasefire was agreed"},
    ]
    part = at("truce", "peace", "ceasefire")
    wrong = at("state leader", "country leader", "state chief", "state head", "prime minister")
    out = spans.artefacts_covered([("g", TEXT, [part, wrong], marked)], 0)
    assert (out["suggestion_hit_3"]["value"], out["suggestion_hit_3"]["n"]) == (0.5, 2)


def spun_item(number, text, original, table="spun/x"):
    d = Document(f"{table}/{number}", text, "spun", table, "", "", table, f"g{number}", "", original, False)
    return Item(d, "", "", len(text.split()))


def test_pairs_are_aligned_and_openings_only_where_their_original_reaches():
    whole = span_sets.pair_of(spun_item(0, "A truce was concurred today.", "A ceasefire was agreed today."))
    assert {k.original for k in whole.known} == {"ceasefire", "agreed"}
    first = "The harbour council concurred on a truce with all the fishers of the old port."
    rest = "\n\n".join(f"Paragraph {n} stands in the spun text alone and has no counterpart at all." for n in "abcd")
    old = "The harbour council agreed on a ceasefire with all the fishers of the old port."
    opening = span_sets.pair_of(spun_item(1, f"{first}\n\n{rest}", old))
    assert opening.ranges == ((0, len(first)),)
    assert {k.original for k in opening.known} == {"agreed", "ceasefire"}
    assert span_sets.pair_of(spun_item(2, "No original.", None)) is None


def test_a_span_file_is_judged_on_the_texts_it_speaks_of():
    pairs = [spun_item(n, "A truce was concurred today.", "A ceasefire was agreed today.") for n in range(3)]
    suite = Suite("s", files=(File(__file__),), spans=10)
    chosen = span_sets.choose(pairs, suite, None)
    kept = span_sets.restricted(chosen, {1})
    assert [len(p) for p in kept.pairs.values()] == [1]
    out = span_sets.summarise(lambda texts: [[Shown(2, 7, ("ceasefire",))] for _ in texts], kept, pairs, suite)
    assert out["pairs"][0]["phrase_recall"]["value"] == 0.5
    assert out["clean"] == []


# Overlap with training


def words(first, last):
    return " ".join(f"w{i}" for i in range(first, last))


def shares_in_training(training, tests):
    texts = [*tests, *training]
    one_round = (range(len(tests), len(texts)), range(len(tests)))
    return overlap.shares_by_round(texts, [one_round], (), overlap.SIZES)[0]


def test_shared_ngrams_by_hand():
    train = [f"Title. {words(0, 30).upper()}, and more", "nothing in common"]
    tests = [words(0, 30), words(20, 50), words(100, 130), "too short"]
    found = shares_in_training(train, tests)
    assert found[0].tolist() == [1.0, 1.0]
    assert found[1].tolist() == pytest.approx([3 / 23, 0.0])  # w20..w29: three runs of eight, none of thirteen
    assert found[2].tolist() == found[3].tolist() == [0.0, 0.0]


def test_hashed_ngrams_find_what_sets_of_words_find():
    """Random texts over few words, so that most n-grams repeat, with case, punctuation and letters beyond ASCII."""
    rng = np.random.default_rng(5)
    parts = [
        "straße",
        "Ärger",
        "ﬁne",
        "don't",
        "x_y",
        "12",
        "日本",
        "I",
        "…",
        "the",
        "THE",
        "na\u0301ive",
        "\U0001d49c",
    ]
    texts = [" ".join(rng.choice(parts, rng.integers(0, 60))) for _ in range(60)] + ["", "…"]

    def ngrams(text, size):
        found = re.findall(r"[^\W_]+", text.lower())
        return {tuple(found[i : i + size]) for i in range(len(found) - size + 1)}

    rounds = [(range(30), range(30, 62)), (range(20, 50), [0, 3, 25, 61])]
    for (train, test), shares in zip(rounds, overlap.shares_by_round(texts, rounds, (), (3, 5)), strict=True):
        for k, size in enumerate((3, 5)):
            trained = set().union(*(ngrams(texts[i], size) for i in train))
            expected = [len(ngrams(texts[i], size) & trained) / max(len(ngrams(texts[i], size)), 1) for i in test]
            assert shares[:, k].tolist() == pytest.approx(expected)
            assert 0 < np.mean(expected) < 1


def test_rounds_see_their_own_training_only():
    texts = [words(0, 30), words(0, 30) + " and on", words(50, 90)]
    one, two = overlap.shares_by_round(texts, [((0,), (1, 2)), ((2,), (1,))])
    assert one[0, 0] > 0.9
    assert one[1, 0] == two[0, 0] == 0.0
    (before,) = overlap.shares_by_round(texts, [((0,), (2,))], [words(50, 90), "", ""])
    assert before[0, 0] == 1.0  # the original of a trained text was trained on too


def test_overlap_is_described():
    out = overlap.describe(shares_in_training([words(0, 30)], [words(0, 30), words(40, 70)]), 0.5)
    assert (out["texts"], out["above_limit"]) == (2, 1)
    assert out["by_size"]["8"] == {"texts_with_any": 1, "largest_share": 1.0, "mean_share": 0.5}
