"""Suggestions: candidates in the word's inflection, ranked by context; tables, files, case; the fit of the ranking."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.association import AssociationTable
from detector.detect import SpinDetector
from detector.errors import ModelError
from detector.store import open_model, write_manifest
from detector.suggest import (
    PHRASES_FILE,
    RANKED_SPANS,
    SCORE_STEP,
    TABLE_FILE,
    Suggester,
    SuggestionSettings,
    SuggestionTable,
    match_case,
    word_key,
)
from detector.words import FIRST_WORD_ID, Vocabulary, tokenise
from tests.tiny_model import make_document, tiny
from train.artefacts import read_artefacts
from train.candidates import FEATURES, Source, rare_words
from train.ranking import COLUMNS, Ranker, fit_weights
from train.spinners.lexicon import WordNet, read_wordnet
from train.suggestions import (
    WORDNET,
    Aligned,
    Known,
    align_words,
    choices_of,
    collect,
    make_table,
    phrase_scores,
    topic_vectors,
    word_tokens,
    write_tables,
)

ROOT = Path(__file__).parent.parent
TEXTS = """
the government said that the prime minister would visit the port on monday .
the prime minister agreed that humanitarian aid is needed in the port .
the priest said a prayer in the old church and the priest lit a candle .
humanitarian aid came to the port and the government agreed .
she ate a cookie with her tea and then ate a second cookie .
the old church has a prayer room and a garden .
""".strip().splitlines()
WORDS = sorted({w for line in TEXTS for w in line.split() if w.isalpha()} | {"help", "treat", "harbour", "chief"})
SETTINGS = SuggestionSettings(association=1.0, topic=0.0, phrase=1.0, least=-8.0, spread=6.0)


def vocabulary() -> Vocabulary:
    return Vocabulary(WORDS)


def association() -> AssociationTable:
    """Count the little texts fifty times over, so that their pairs are frequent."""
    words = vocabulary()
    return AssociationTable.count([words.ids(tokenise(t)) for t in TEXTS] * 50, words.size, 1 << 12)


def table(rows: dict[str, tuple[float, dict[str, float]]], phrases=None) -> SuggestionTable:
    """Return a table of word -> (cost of leaving it, {candidate: cost})."""
    keyed = sorted((word_key(w), keep, list(c.items())) for w, (keep, c) in rows.items())
    flat = [pair for _, _, pairs in keyed for pair in pairs]
    return SuggestionTable(
        keys=np.array([k for k, _, _ in keyed], np.uint32),
        keep=np.array([keep / SCORE_STEP for _, keep, _ in keyed], np.uint8),
        starts=np.cumsum([0, *(len(pairs) for _, _, pairs in keyed)]).astype(np.uint32),
        words=np.array([WORDS.index(w) for w, _ in flat], np.uint16),
        scores=np.array([cost / SCORE_STEP for _, cost in flat], np.uint8),
        vectors=np.zeros((len(WORDS), 0), np.int8),
        phrases=phrases or {},
    )


ROWS = {
    "cleric": (3.0, {"priest": 1.0, "minister": 1.5}),
    "philanthropic": (3.0, {"old": 1.0, "humanitarian": 1.5}),
    "guide": (2.0, {"priest": 1.0, "aid": 1.2}),
    "haven": (2.0, {"port": 0.5, "harbour": 0.4}),
}
PHRASES = {"top state leader": {"prime minister": -0.2, "chief": -2.0}, "treat": {"second cookie": -0.1}}


def suggester(**changes: float) -> Suggester:
    return Suggester(table(ROWS, PHRASES), vocabulary(), association(), replace(SETTINGS, **changes))


def suggest(text: str, span: str, **changes: float) -> tuple[str, ...]:
    words, wanted = text.split(), span.split()
    first = next(i for i in range(len(words)) if words[i : i + len(wanted)] == wanted)
    return suggester(**changes).suggest(words, first, first + len(wanted))


# ------------------------------------------------------------------------------------------------------- ranking


def test_the_context_decides_between_candidates():
    assert suggest("the prime cleric agreed", "cleric")[0] == "minister"
    assert suggest("prayer . the cleric said a prayer", "cleric")[0] == "priest"
    # Without its weight the prior alone does.
    assert suggest("the prime cleric agreed", "cleric", association=0.0)[0] == "priest"


def test_neighbouring_words_are_put_back_together():
    # Each alone would be "old" and "priest": only together they are what people write.
    assert suggest("they need philanthropic guide in town", "philanthropic guide")[0] == "humanitarian aid"


def test_a_phrase_of_the_table_goes_before_its_words():
    found = suggest("the top state leader agreed", "top state leader", spread=20.0)
    assert found[0] == "prime minister"
    assert "chief" in found


def test_words_without_candidates_stay_and_nothing_known_gives_nothing():
    assert suggest("in the busy haven today", "busy haven")[0] == "busy harbour"
    assert suggest("in the busy haven today", "busy") == ()
    assert suggest("in the busy haven today", "haven", least=100.0) == ()


def test_one_word_can_stand_for_several():
    assert suggest("she ate a treat with tea", "treat")[0] == "second cookie"


def test_the_spread_bounds_the_later_suggestions():
    assert suggest("in the haven", "haven", association=0.0) == ("harbour", "port")
    assert suggest("in the haven", "haven", association=0.0, spread=0.05) == ("harbour",)


def test_articles_follow_the_word_put_in():
    found = suggest("a philanthropic guide", "a philanthropic", association=0.0)
    assert found[0] == "an old"
    assert "a humanitarian" in found


def test_the_topic_breaks_a_tie():
    vectors = np.zeros((len(WORDS), 2), np.int8)
    for word, direction in {
        "church": (127, 0),
        "priest": (100, 10),
        "government": (0, 127),
        "minister": (10, 99),
    }.items():
        vectors[WORDS.index(word)] = direction
    made = replace(table(ROWS), vectors=vectors)
    found = Suggester(made, vocabulary(), association(), replace(SETTINGS, association=0.0, topic=4.0))
    for place, expected in (("church", "priest"), ("government", "minister")):
        assert found.suggest(f"a cleric of the {place}".split(), 1, 2)[0] == expected


def test_curly_apostrophes_and_broken_characters_are_only_words():
    assert suggester().suggest(["the", "priest’s", "\ud800", "haven"], 1, 4)[0] == "priest's \ud800 harbour"


@pytest.mark.parametrize(("first", "last"), [(-1, 1), (1, 1), (2, 1), (0, 4)])
def test_a_range_outside_the_text_is_an_error(first, last):
    with pytest.raises(ValueError, match="not within 3 words"):
        suggester().suggest(["one", "two", "three"], first, last)


texts = st.lists(
    st.sampled_from([*ROWS, "top", "state", "leader", "treat", "the", ".", "of", "odd", "a"]), min_size=1, max_size=20
)


@given(texts, st.data())
@settings(max_examples=150, deadline=None)
def test_suggestions_are_few_different_and_never_the_phrase(words, data):
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first + 1, len(words)))
    limit = data.draw(st.integers(1, 5))
    found = ANY.suggest(words, first, last, limit)
    assert len(found) <= limit
    assert len(set(found)) == len(found)
    assert " ".join(words[first:last]) not in found
    assert all(x and x == " ".join(x.split()) for x in found)
    assert found == ANY.suggest(words, first, last, 5)[:limit]


ANY = suggester(least=-100.0)


@given(texts)
@settings(max_examples=40, deadline=None)
def test_the_first_suggestion_is_the_best_of_all_paths(words):
    """Against brute force over every way to cut the span and choose."""
    words = words[:5]
    made, links = table(ROWS, PHRASES), association()
    number = {w: i for i, w in enumerate(WORDS, FIRST_WORD_ID)}

    def paths(at: int):
        if at == len(words):
            yield (), 0.0
            return
        keep, candidates = ROWS.get(words[at], (0.0, {}))
        options = [(at + 1, words[at], -keep), *((at + 1, w, -c) for w, c in candidates.items())]
        for end in range(at + 1, len(words) + 1):
            for original, share in PHRASES.get(" ".join(words[at:end]), {}).items():
                options.append((end, original, share + SETTINGS.phrase * (end - at)))
        for end, text, score in options:
            for rest, more in paths(end):
                yield (text, *rest), score + more

    def meeting(pieces) -> float:
        total = 0.0
        for x, y in pairwise(pieces):
            a, b = number.get(x.split()[-1], 0), number.get(y.split()[0], 0)
            if a and b:
                _, value = links.adjacent(np.array([a, b], np.int32))
                total += float(value[0])
        return total

    scored = {}
    for pieces, score in paths(0):
        total = score + meeting(pieces)
        scored[pieces] = max(total, scored.get(pieces, -np.inf))
    changed = {p: s for p, s in scored.items() if " ".join(p) != " ".join(words)}
    found = Suggester(made, vocabulary(), links, replace(SETTINGS, least=-100.0)).suggest(words, 0, len(words), 1)
    assert bool(found) == bool(changed)
    if changed:
        best = max(changed.values())
        # 0.2: costs are rounded to sixteenths, and there are at most three on a path that differ.
        near = {" ".join(p).replace("an ", "a ") for p, s in changed.items() if s >= best - 0.2}
        assert found[0].replace("an ", "a ") in near


@given(texts, st.data())
@settings(max_examples=100, deadline=None)
def test_spans_ranked_together_get_what_each_gets_alone(words, data):
    spans = data.draw(
        st.lists(
            st.tuples(st.integers(0, len(words) - 1), st.integers(1, 14)).map(lambda p: (p[0], sum(p))), max_size=6
        )
    )
    spans = [(a, min(b, len(words))) for a, b in spans]
    assert ANY.suggest_all(words, spans) == [ANY.suggest(words, a, b) for a, b in spans]


def test_many_spans_are_ranked_in_parts():
    words = ["the", "cleric", "agreed", "."] * 600
    spans = [(i, i + 1) for i in range(1, len(words), 4)]
    found = suggester().suggest_all(words, spans)
    assert len(found) == 600
    assert set(found[10:-10]) == {found[10]} != {()}


def test_only_the_first_spans_of_a_long_text_get_suggestions():
    text = " ".join((ROOT / "examples" / "spun.txt").read_text(encoding="utf-8").split())
    spans = SpinDetector.load().score(f"{text} " * 60).spans
    assert len(spans) > RANKED_SPANS + 100
    assert sum(bool(s.suggestions) for s in spans[RANKED_SPANS - 100 : RANKED_SPANS]) > 30
    assert not any(s.suggestions for s in spans[RANKED_SPANS:])


def test_a_span_takes_a_fraction_of_a_millisecond():
    made, words = (
        suggester(),
        ["in", "the", "town", "the", "top", "state", "leader", "of", "philanthropic", "guide", "said"],
    )
    made.suggest(words, 4, 9)
    begun = time.process_time()
    for _ in range(100):
        made.suggest(words, 4, 9)
    # 0.3 ms on an idle machine; the bound leaves room for a busy one.
    assert (time.process_time() - begun) / 100 < 0.003


# ---------------------------------------------------------------------------------------------------------- case


@pytest.mark.parametrize(
    ("suggestion", "given_words", "expected"),
    [
        ("prime minister", ["top", "state", "leader"], "prime minister"),
        ("prime minister", ["Top", "state", "leader"], "Prime minister"),
        ("prime minister of the port", ["Top", "State", "Leader", "of", "the", "Haven"], "Prime Minister of the Port"),
        ("prime minister", ["TOP", "STATE", "LEADER"], "PRIME MINISTER"),
        ("said NATO was", ["expressed", "NATO", "was"], "said NATO was"),
        ("the uk agreed", ["The", "UK", "concurred"], "The UK agreed"),
        ("a port", ["A", "haven"], "A port"),
    ],
)
def test_a_suggestion_takes_the_case_of_the_phrase(suggestion, given_words, expected):
    assert match_case(suggestion, given_words) == expected


# --------------------------------------------------------------------------------------------------- candidates


def source(**changes) -> Source:
    wordnet = WordNet(
        {
            (m, kind): (sense,)
            for kind, sense in (("NOUN", ("port", "haven", "harbour")), ("VERB", ("agree", "concur")))
            for m in sense
        }
    )
    given_ = {"mined": {}, "trusted": {}, "wordnet": wordnet, **changes}
    return Source(
        ["port", "ports", "harbour", "agreed", "agree", "agrees", "state"], np.full(7, 1e-5, np.float32), **given_
    )


def test_candidates_take_the_inflection_of_the_word():
    found = source().of(["havens", "concurred", "concurring", "haven"])
    assert [c.words for c in found] == [("ports",), ("agreed",), (), ("harbour", "port")]


def test_mined_words_are_candidates_with_their_counts_and_other_forms_of_the_word_are_none():
    found = source(mined={"concurs": {"state": 3, "unknownword": 5, "agrees": 1}}).of(["concurs"])[0]
    assert found.words == ("agrees", "state")
    by_word = dict(zip(found.words, found.features, strict=True))
    assert by_word["state"][FEATURES.index("mined")] == pytest.approx(np.log(4))
    assert by_word["agrees"][FEATURES.index("synonym")] > 0 == by_word["state"][FEATURES.index("synonym")]
    assert source(mined={"agreed": {"agrees": 9}}).of(["agreed"])[0].words == ()


def test_neighbours_come_from_the_vectors_and_keep_the_word_class():
    directions = {"port": (1, 0), "harbour": (0.9, 0.1), "agreed": (0, 1), "state": (0.6, 0.5)}

    def embed(words):
        rows = np.array([directions.get(w, (-1.0, 0.0)) for w in words], np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    found = source(wordnet=None, embed=embed).of(["port"])[0]
    assert "harbour" in found.words
    assert "agreed" not in found.words
    cosine = dict(zip(found.words, found.features[:, FEATURES.index("cosine")].tolist(), strict=True))
    assert cosine["harbour"] > cosine["state"]


def test_rare_words_are_all_inflections_that_lead_back_to_the_vocabulary():
    wordnet = WordNet({("concur", "VERB"): (("agree", "concur"),), ("gelid", "ADJ"): (("gelid", "frore"),)})
    found = rare_words(wordnet, ["begat", "two words"], ["agree", "concurs"])
    assert {"concur", "concurred", "concurring", "begat"} <= set(found)
    assert not {"concurs", "gelid", "agree", "two words"} & set(found)


# ------------------------------------------------------------------------------------------------------- the fit


def test_the_fit_finds_what_decides():
    rng = np.random.default_rng(5)
    trained = tiny()
    made = Suggester.read(open_model(trained.folder), trained.fitted.vocabulary, trained.fitted.association)
    words = trained.fitted.vocabulary.words
    wordnet = read_wordnet(trained.data / WORDNET)
    own = Source(words, trained.fitted.association.frequencies[FIRST_WORD_ID:], wordnet, {}, {})
    ranker = Ranker(made, own, {}, Counter(), {})
    spun = [w for w in ("vessel", "haven", "tempest", "seaport", "quandary", "inquiry", "ally") if own.of([w])[0].words]
    aligned = []
    for number in range(40):
        word = spun[number % len(spun)]
        right = own.of([word])[0].words[0]
        aligned.append(Aligned(str(number), ["the", "old", word, "was", "closed"], [(2, 3, right)]))
    choices = choices_of(ranker, aligned, [])
    assert choices
    weights = fit_weights(choices, [1.0] * len(choices))
    assert weights.shape == (len(COLUMNS),)
    shares = [np.exp(c.features @ weights) / np.exp(c.features @ weights).sum() for c in choices]
    assert np.mean([s[c.right].sum() for s, c in zip(shares, choices, strict=True)]) > 0.6
    # More of what a loss asks for never raises it.
    worse = weights + rng.normal(0, 0.5, len(weights))
    loss = [
        -np.log(np.exp(c.features @ w - np.logaddexp.reduce(c.features @ w))[c.right].sum())
        for w in (weights, worse)
        for c in choices
    ]
    assert sum(loss[: len(choices)]) < sum(loss[len(choices) :])


def test_a_table_holds_shares_best_first():
    ranker = Ranker(suggester(), source_of_words(), {"haven": 5}, Counter({"haven": 6}), {})
    weights = np.zeros(len(COLUMNS), np.float32)
    weights[FEATURES.index("mined")] = 2.0
    made = make_table(ranker, weights, ["haven", "zzz"], {}, 12)
    assert made.keys.tolist() == [word_key("haven")]
    shares = np.exp(-SCORE_STEP * np.array([*made.scores.tolist(), made.keep[0]], float))
    assert shares.sum() == pytest.approx(1.0, abs=0.1)
    assert [WORDS[i] for i in made.words.tolist()] == ["port", "harbour"]
    assert made.scores[0] < made.scores[1]


def source_of_words() -> Source:
    mined = {"haven": Counter({"port": 4, "harbour": 1})}
    return Source(WORDS, np.full(len(WORDS), 1e-4, np.float32), None, mined, {})


PAIRS = [
    (
        f"On day {i} the ceasefire was agreed by the prime minister of the nearby town.",
        f"On day {i} the truce was concurred by the top state leader of the nearby town.",
    )
    for i in range(4)
]


def documents():
    return [make_document("spun/paired_openings", i, new, original=old) for i, (old, new) in enumerate(PAIRS)]


def test_pairs_teach_substitutions(tmp_path):
    known = collect(documents(), tmp_path)
    assert known.changed()["concurred"] == 4
    assert known.seen["concurred"] == 4
    scores = phrase_scores(known, frozenset({"agreed", "ceasefire"}))
    assert max(scores["top state leader"], key=lambda k: scores["top state leader"][k]) == "prime minister"
    assert "concurred" not in scores  # a word for a word: of the other table
    assert not any(len(k) < 5 for k in scores if " " not in k)
    again = collect(documents(), tmp_path, known)
    assert again.changed()["concurred"] == 8


def test_aligned_words_are_ranges_of_tokens():
    for text in align_words(documents(), {}):
        found = {" ".join(text.words[a:b]): old for a, b, old in text.replaced}
        assert found["concurred"] == "agreed"
        assert text.words[-1] == "."


def test_vectors_are_few_numbers_and_empty_without_embeddings():
    words = [f"w{i}" for i in range(60)]
    rng = np.random.default_rng(1)
    vectors = topic_vectors(words, lambda w: rng.normal(size=(len(w), 80)).astype(np.float32))
    assert vectors.shape == (60, 24)
    assert np.abs(vectors.astype(int)).max(axis=1).tolist() == [127] * 60
    assert topic_vectors(words, None).shape == (60, 0)


def test_readers_marks_keep_to_their_half_and_place(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "spun").mkdir()
    text = "We hope the truce, as was concurred, holds in each of the towns."
    marks = [
        {"phrase": "the truce", "probable_original": "the ceasefire"},
        {"phrase": "was concurred,", "probable_original": "was agreed"},
        {"phrase": "not in the text", "probable_original": "missing"},
        {"phrase": "each of the towns", "probable_original": "the towns"},
    ]
    rows = [{"id": str(i), "text": text, "source": f"page {i}", "artefacts": json.dumps(marks)} for i in range(20)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "spun" / "wild.parquet")
    halves = {half: read_artefacts(tmp_path, half) for half in ("tune", "report")}
    assert len(halves["tune"]) + len(halves["report"]) == 40
    assert all(halves.values())
    for found in halves["tune"]:
        assert found.text[found.start : found.end].lower() == " ".join(found.words[found.first : found.last])
    assert {a.wanted for a in halves["report"]} == {frozenset({"ceasefire"}), frozenset({"agreed"})}


# --------------------------------------------------------------------------------------------------------- files


def test_the_tiny_model_puts_words_back(tmp_path):
    trained = tiny()
    detector = SpinDetector.load(trained.folder, operating_point="sensitive")
    spans = [s for d in trained.documents if d.label == "spun" for s in detector.score(d.text).spans]
    assert spans
    told = [s for s in spans if s.suggestions]
    assert len(told) > 0.5 * len(spans)
    for span in told:
        assert span.text not in span.suggestions
        assert len(set(span.suggestions)) == len(span.suggestions)


def test_what_is_written_is_read(tmp_path):
    trained = tiny()
    folder = tmp_path / "model"
    shutil.copytree(trained.folder, folder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    words = trained.fitted.vocabulary
    made = SuggestionTable(
        np.array([word_key("harbour")], np.uint32), np.array([80], np.uint8), np.array([0, 1], np.uint32),
        np.array([words.words.index("house")], np.uint16), np.array([2], np.uint8),
        np.zeros((len(words.words), 3), np.int8), {"haven": {"harbour": -0.5}},
    )  # fmt: skip
    sizes = []
    for _ in range(2):
        write_tables(folder, made, SETTINGS)
        sizes.append([(folder / name).read_bytes() for name in (TABLE_FILE, PHRASES_FILE, "config.json")])
    assert sizes[0] == sizes[1]
    extra = {k: v for k, v in manifest.items() if k not in {"schema", "name", "files"}}
    write_manifest(folder, "tiny", extra)
    read = Suggester.read(open_model(folder), words, trained.fitted.association)
    assert read.suggest(["the", "harbour"], 1, 2) == ("house",)
    assert read.suggest(["the", "haven"], 1, 2) == ("harbour",)
    assert SpinDetector.load(folder).model_id != SpinDetector.load(trained.folder).model_id


def test_tables_that_do_not_belong_together_are_refused(tmp_path):
    good = table(ROWS)
    for changes in (
        {"keep": good.keep[1:]},
        {"starts": good.starts[::-1].copy()},
        {"scores": good.scores[1:]},
        {"words": np.full_like(good.words, len(WORDS))},
    ):
        with pytest.raises(ValueError, match="suggestions"):
            replace(good, **changes)
    with pytest.raises(ValueError, match="vectors for"):
        Suggester(good, Vocabulary(WORDS[:-1]), association(), SETTINGS)
    folder = tmp_path / "model"
    shutil.copytree(tiny().folder, folder)
    np.savez(folder / TABLE_FILE, keys=np.zeros(1, np.uint32))
    write_manifest(folder, "tiny", {})
    with pytest.raises(ModelError, match="does not fit this version"):
        SpinDetector.load(folder)


def test_word_tokens_are_those_of_the_detector():
    assert word_tokens("It’s a Truce: 3 towns agreed.") == ["it's", "a", "truce", ":", "3", "towns", "agreed", "."]
    assert Known({"a b": Counter({"c": 1}), "d": Counter({"e": 2})}, {}, Counter()).changed() == {"d": 2}
