"""Phrases: whole, in order, apart; what makes one, what joins two, what completes one; known phrases."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.evidence import (
    LONGEST_PHRASE,
    EvidenceSettings,
    PhraseOdds,
    Substitutions,
    add_surprise,
    find_phrases,
    token_evidence,
)
from detector.screen import Screen, find_ngrams

_VALUES = {"start": 1.0, "extend": 0.5, "surprise": 0.1, "known_phrase": 0.4, "scale": 2.0}
SETTINGS = EvidenceSettings(**{field.name: _VALUES.get(field.name, 0.0) for field in fields(EvidenceSettings)})
NO = -0.5  # evidence of a word that speaks for human writing
NOTHING = Substitutions({})
STATE_LEADER = Substitutions({"top state leader": ["prime minister", "premier"], "truce": ["ceasefire"]})
FUNCTION = frozenset({"a", "the", "was", "of", "in"})


def phrases(words, evidence, substitutions=NOTHING, settings=SETTINGS):
    """Phrases as (text, score); "." breaks."""
    words = words.split() if isinstance(words, str) else words
    found = find_phrases(
        np.array(evidence, float),
        words,
        np.array([word == "." for word in words], bool),
        np.array([word in FUNCTION for word in words], bool),
        substitutions,
        settings,
    )
    return [(" ".join(words[p.first : p.last]), p.score) for p in found]


def texts(*args, **kwargs):
    return [text for text, _ in phrases(*args, **kwargs)]


# ------------------------------------------------------------------------------------------------------ phrases


def test_tokens_with_enough_evidence_make_a_phrase_with_their_weaker_neighbours():
    assert texts("the boat accomplished its quay early", [NO, 0.6, 1.2, 0.7, NO, 0.9]) == ["boat accomplished its"]


def test_a_run_without_one_strong_token_is_none():
    assert texts("boat reached its quay", [0.9, 0.9, 0.9, 0.9]) == []


def test_one_function_word_between_two_phrases_joins_them_and_two_do_not():
    assert texts("truce was concurred", [1.5, NO, 1.5]) == ["truce was concurred"]
    assert texts("truce of the concurred", [1.5, NO, NO, 1.5]) == ["truce", "concurred"]
    assert texts("truce never concurred", [1.5, NO, 1.5]) == ["truce", "concurred"]
    # Half suspicious.
    assert texts("pact truce truly concurred", [1.5, 1.5, 0.3, 1.5]) == ["pact truce truly concurred"]
    assert texts("truce . concurred", [1.5, 9, 1.5]) == ["truce", "concurred"]


def test_a_weak_function_word_neither_begins_nor_ends_a_phrase():
    assert texts("the truce of", [0.8, 1.5, 0.8]) == ["truce"]


def test_a_known_phrase_is_shown_whole():
    assert texts("the top state leader said", [NO, NO, 1.5, NO, NO], STATE_LEADER) == ["top state leader"]
    assert texts("the top state leader said", [NO, NO, 1.5, NO, NO]) == ["state"]
    assert texts("the top state leader said", [NO, NO, NO, NO, NO], STATE_LEADER) == []
    assert texts("the top state leader said", [NO, -2, 1.1, -2, NO], STATE_LEADER) == ["state"]


def test_a_known_phrase_is_not_seen_across_a_break():
    assert texts("top state . leader", [NO, 1.5, 0, NO], Substitutions({"top state . leader": ["x"]})) == ["state"]


def test_a_short_phrase_takes_the_content_word_after_it_unless_something_speaks_against_it():
    assert texts("memorable partners met", [1.5, -0.1, NO]) == ["memorable partners"]
    assert texts("memorable partners met", [1.5, NO, NO]) == ["memorable"]
    assert texts("memorable the partners", [1.5, -0.1, -0.1]) == ["memorable"]
    assert texts("memorable . partners", [1.5, -0.1, -0.1]) == ["memorable"]


def marked(words, evidence, names="", rare=""):
    """Texts of the phrases where some words are names and some are rare."""
    words = words.split()
    found = find_phrases(
        np.array(evidence, float),
        words,
        np.array([word == "." for word in words], bool),
        np.array([word in FUNCTION for word in words], bool),
        NOTHING,
        SETTINGS,
        np.array([word in names.split() for word in words], bool),
        np.array([word in rare.split() for word in words], bool),
    )
    return [" ".join(words[p.first : p.last]) for p in found]


def test_a_rare_word_near_a_strong_one_belongs_to_its_phrase():
    evidence = [1.5, NO, NO, NO, NO]
    assert marked("brutal dread driven despot left", evidence, rare="despot") == ["brutal dread driven despot"]
    assert marked("brutal dread driven by despot", evidence, rare="despot") == ["brutal"]  # too far
    assert marked("brutal . driven despot left", evidence, rare="despot") == ["brutal"]
    assert marked("truce was concurred", [NO, NO, 1.5], rare="truce") == ["truce was concurred"]
    assert marked("truce was then concurred", [NO, NO, NO, 1.5], rare="truce") == ["truce was then concurred"]
    assert marked("truce was then duly concurred", [NO, NO, NO, NO, 1.5], rare="truce") == ["concurred"]


def test_names_are_no_evidence():
    assert marked("Frost told Winter", [2.0, NO, 2.0], names="Frost Winter") == []
    assert marked("odd Winter", [1.5, 0.0], names="Winter") == ["odd"]


def test_phrase_odds_give_each_token_the_best_of_its_ngrams():
    ids = np.array([4, 5, 6, 0, 4], np.int32)
    found = find_ngrams(ids, [5], distinct=False)
    pair = found.hashes[(found.starts == 0) & (found.lengths == 2)]
    word = found.hashes[(found.starts == 1) & (found.lengths == 1)]
    keys = np.concatenate([pair, word])
    order = np.argsort(keys)
    odds = PhraseOdds(keys[order], np.array([2.0, 3.0])[order])
    assert odds.token_odds(5, found.hashes, found.starts, found.lengths).tolist() == [2.0, 3.0, 0.0, 0.0, 0.0]
    none = PhraseOdds(np.zeros(0, np.uint64), np.zeros(0))
    assert none.token_odds(5, found.hashes, found.starts, found.lengths).tolist() == [0.0] * 5
    with pytest.raises(ValueError, match="phrase odds"):
        PhraseOdds(keys, np.zeros(1))


def test_the_score_grows_with_the_evidence_and_with_nothing_else():
    scores = [phrases("odd", [e])[0][1] for e in (1.0, 2.0, 4.0, 400.0)]
    assert scores == sorted(scores)
    assert scores[1] == pytest.approx(1 - np.exp(-1))
    assert scores[-1] <= 1
    weak = phrases("odd of thing", [2.0, -5.0, 2.0])[0]
    assert weak[1] == pytest.approx(1 - np.exp(-2.0))


words_and_evidence = st.lists(
    st.tuples(st.sampled_from(["top", "state", "leader", "truce", "the", "was", "of", "."]), st.floats(-3, 3)),
    max_size=60,
)


@given(words_and_evidence)
@settings(max_examples=150)
def test_phrases_are_short_in_order_apart_and_without_breaks(drawn):
    words = [word for word, _ in drawn]
    before = np.array([value for _, value in drawn], float)
    given_evidence = before.copy()
    breaks = np.array([word == "." for word in words], bool)
    functions = np.array([word in FUNCTION for word in words], bool)
    found = find_phrases(given_evidence, words, breaks, functions, STATE_LEADER, SETTINGS)
    assert given_evidence.tolist() == before.tolist()
    for phrase in found:
        assert 0 <= phrase.first < phrase.last <= len(words)
        assert phrase.last - phrase.first <= LONGEST_PHRASE
        assert 0 < phrase.score <= 1
        assert "." not in words[phrase.first : phrase.last]
    assert all(a.last <= b.first for a, b in pairwise(found))
    # Every content word that is strong by itself is in a phrase.
    inside = {i for p in found for i in range(p.first, p.last)}
    strong = {i for i, (w, e) in enumerate(drawn) if w not in {".", *FUNCTION} and e >= SETTINGS.start}
    assert strong <= inside


def test_a_long_run_is_cut_into_readable_phrases_that_cover_it():
    evidence = [2.0] * 20
    evidence[7] = 1.1
    found = texts([f"w{i}" for i in range(20)], evidence)
    assert " ".join(found).split() == [f"w{i}" for i in range(20)]
    assert all(1 < len(p.split()) <= LONGEST_PHRASE for p in found)
    assert any(p.startswith("w7 ") for p in found)


@pytest.mark.parametrize("kind", ["flat", "rising", "falling", "random"])
def test_a_run_without_any_stop_is_cut_however_long_it_is(kind):
    n = 20_000
    values = {
        "flat": np.ones(n) * 2,
        "rising": np.linspace(1, 5, n),
        "falling": np.linspace(5, 1, n),
        "random": np.random.default_rng(0).uniform(0.6, 3, n),
    }
    found = find_phrases(values[kind], ["odd"] * n, np.zeros(n, bool), np.zeros(n, bool), NOTHING, SETTINGS)
    assert all(p.last - p.first <= LONGEST_PHRASE for p in found)
    assert sum(p.last - p.first for p in found) > 0.9 * n


# ---------------------------------------------------------------------------------------------- token evidence


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.integers(0, 1000))
def test_token_evidence_adds_up_to_the_contributions(ids, seed):
    tokens = np.array(ids, np.int32)
    ngrams = find_ngrams(tokens, [len(ids)], distinct=False)
    screen = Screen(np.random.default_rng(seed).normal(size=256).astype(np.float32), 0.0)
    shares = screen.contributions(ngrams)
    evidence = token_evidence(len(ids), ngrams.starts, ngrams.lengths, shares)
    plain = np.zeros(len(ids))
    for start, length, share in zip(ngrams.starts, ngrams.lengths, shares, strict=True):
        plain[start : start + length] += share / length
    assert evidence == pytest.approx(plain)
    assert evidence.sum() == pytest.approx(screen.logits(ngrams)[0], abs=1e-9)


def test_surprise_falls_on_both_words_and_never_speaks_against_spinning():
    evidence = np.zeros(4)
    add_surprise(evidence, np.array([0, 1, 2]), np.array([-2.0, -1.0, 5.0]), 0.5)
    assert evidence.tolist() == [1.0, 1.5, 0.5, 0.0]


# ----------------------------------------------------------------------------------------------- known phrases

TABLE = Substitutions(
    {
        "top state leader": ["prime minister", "premier"],
        "state": ["nation"],
        "truce": ["ceasefire", "armistice", "peace", "quiet", "calm", "lull", "rest"],
        "concurred": ["agreed"],
        "philanthropic guide": ["humanitarian aid"],
        "in that frame of mind": ["in the war"],
    }
)


def test_matches_are_the_longest_from_the_left():
    words = ["the", "top", "state", "leader", "of", "state", "in", "that", "frame", "of", "mind", "top", "state"]
    assert TABLE.longest_matches(words) == [(1, 4), (5, 6), (6, 11), (12, 13)]
    assert TABLE.longest_matches(words, shortest=2) == [(1, 4), (6, 11)]
    assert TABLE.longest_matches([]) == []
