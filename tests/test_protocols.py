"""Nothing stands on both sides of a split; same seed, same result."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from detector.errors import InputError
from eval import protocols as p
from eval.systems import (
    Association,
    FixedFunction,
    PhraseRate,
    TorturedPhrases,
    checked_scores,
    load_system,
    tokens,
    training_texts,
)
from train.corpora import Document

SETTINGS = p.Settings(folds=4, pool_rows=40, other_rows=8, train_rows=50, seed=3)


def document(table, number, *, text=None, group=None, family="", source="", original=None, nc=False, id=None):
    label = {"human": "original", "spun": "spun", "llm": "llm_rewritten", "machine_translated": "machine_translated"}
    return Document(
        id=id or f"{table}/{number}",
        text=text or f"{table} number {number} tells of a boat, a harbour and the {number} gulls above them.",
        label=label[table.split("/")[0]],
        table=table,
        tool="",
        tool_family=family,
        source=source or table,
        group=group or f"{table}:{number}",
        domain="",
        original=original,
        licence_nc=nc,
    )


@pytest.fixture(scope="module")
def documents():
    rows = [document("human/dailymail_2020", i, group=f"title:{i // 2}") for i in range(60)]
    rows += [document("human/us_news_2006_2021", i, source=f"outlet {i % 9}") for i in range(60)]
    for table in p.FOLD_OF_TABLE:
        rows += [document(table, i) for i in range(8)]
    rows += [document("human/learner_essays", i, nc=True) for i in range(12)]
    # Rewrites of human texts of a table that is held out whole, under the human text's group and as their originals.
    rows += [
        document("llm/rewrite", i, group=f"human/many_domains:{i}", original=rows[0].text if i == 0 else None)
        for i in range(8)
    ]
    rows += [document("machine_translated/news", i) for i in range(12)]
    rows += [document("spun/spinbot_news", i, family="spinbot") for i in range(16)]
    rows += [document("spun/quillbot_pairs", i, family="quillbot", group=f"answer:{i // 3}") for i in range(24)]
    rows += [document("spun/wild", i, family="wild", group=f"page:{i // 2}") for i in range(16)]
    rows += [document("spun/paired_openings", i, family="paired") for i in range(4)]
    rows += [document("spun/paired_paragraphs", i, family="paired") for i in range(6)]
    # The same words under another group: an exact copy that only its words give away.
    rows.append(document("human/dailymail_2020", 900, text=rows[60].text.upper(), group="elsewhere"))
    phrases = {row.id: "the harbour and" if i % 2 else "a harbour, and THE" for i, row in enumerate(rows)}
    return rows + p.cut_search_phrases([r for r in rows if r.table == "spun/wild"], phrases)


@pytest.fixture(scope="module", params=p.PROTOCOLS)
def protocol(request):
    return request.param


@pytest.fixture(scope="module")
def rounds(documents, protocol):
    return p.build_rounds(documents, protocol, SETTINGS)


def test_nothing_scored_shares_a_group_or_its_words_with_training(documents, rounds):
    for one in rounds:
        train, scored = [documents[i] for i in one.train], [documents[i] for i in one.pool + one.others]
        assert train
        assert scored
        assert not {d.group for d in train} & {d.group for d in scored}
        texts = [
            {" ".join(t.lower().split()) for d in part for t in (d.text, d.original) if t} for part in (train, scored)
        ]
        assert not texts[0] & texts[1]


def test_an_exact_copy_under_another_group_is_kept_out(documents):
    copy = next(i for i, d in enumerate(documents) if d.group == "elsewhere")
    twin = 60
    for one in p.build_rounds(documents, "known-tool", SETTINGS):
        held_twin = p.fold_of(documents[twin], SETTINGS) == one.fold
        assert not (held_twin and copy in one.train)


def test_small_human_tables_and_outlets_are_held_out_whole(documents, rounds):
    for one in rounds:
        trained, pooled = ({(documents[i].table, documents[i].source) for i in part} for part in (one.train, one.pool))
        whole = {pair for pair in pooled if pair[0] != "human/dailymail_2020"}
        assert not whole & trained
        assert {t for t, f in p.FOLD_OF_TABLE.items() if f == one.fold} <= {t for t, _ in pooled}


def test_non_commercial_texts_are_scored_but_neither_trained_on_nor_in_a_pool(documents, rounds):
    nc = {i for i, d in enumerate(documents) if d.licence_nc}
    assert all(not nc & set(one.train) and not nc & set(one.pool) for one in rounds)
    assert nc & {i for one in rounds for i in one.others}


def test_every_spun_text_is_scored_exactly_once(documents, rounds):
    scored = [i for one in rounds for i in one.others if documents[i].label == "spun"]
    assert sorted(scored) == [i for i, d in enumerate(documents) if d.label == "spun"]


def test_left_out_tools_are_not_in_training(documents):
    rounds = p.build_rounds(documents, "leave-one-tool-out", SETTINGS)
    assert {one.left_out for one in rounds} == set(p.FAMILIES)
    for one in rounds:
        tables = {documents[i].table for i in one.train}
        assert one.left_out not in {p.family_of(documents[i]) for i in one.train}
        assert not any(t.endswith(p.MASKED_SUFFIX) for t in tables)
        if one.left_out in ("spinbot", "quillbot"):
            assert "spun/paired_openings" not in tables
        assert {p.family_of(documents[i]) for i in one.others if documents[i].label == "spun"} <= {one.left_out}


def test_known_tools_are_in_training(documents):
    for one in p.build_rounds(documents, "known-tool", SETTINGS):
        assert {p.family_of(documents[i]) for i in one.train if documents[i].label == "spun"} == set(p.FAMILIES)


def test_pool_is_human_and_within_the_cap(documents, rounds):
    for one in rounds:
        assert {documents[i].label for i in one.pool} == {"original"}
        tables = [documents[i].table for i in one.pool]
        assert max(map(tables.count, tables)) <= SETTINGS.pool_rows


def test_cut_search_phrases_cuts_words_in_any_case_and_drops_texts_without_the_phrase(documents):
    copies = [d for d in documents if d.table == "spun/wild" + p.MASKED_SUFFIX]
    assert len(copies) == 8  # the other half names a phrase in words that do not stand in the text
    assert all("harbour" not in d.text and "gulls above them" in d.text for d in copies)


def test_order_of_a_table_does_not_depend_on_other_tables(documents, rounds, protocol):
    without = [d for d in documents if d.table != "machine_translated/news"]
    other = p.build_rounds(without, protocol, SETTINGS)
    for one, two in zip(rounds, other, strict=True):
        assert [documents[i].id for i in one.pool] == [without[i].id for i in two.pool]


def word_count(texts):
    return [len(t) % 7 + len(t.split()) / 100 for t in texts]


def test_same_seed_same_scores_whatever_the_number_of_processes(documents):
    rounds = p.build_rounds(documents, "known-tool", SETTINGS)
    systems = [Association(), FixedFunction("length", word_count)]
    one, two = (p.run_rounds(systems, rounds, documents, SETTINGS, jobs=jobs) for jobs in (1, 2))
    for a, b in zip(itertools.chain(*one), itertools.chain(*two), strict=True):
        assert np.array_equal(a, b)


def test_saved_scores_are_used_only_when_asked_for(documents, tmp_path):
    rounds = p.build_rounds(documents, "known-tool", SETTINGS)
    system = FixedFunction("length", word_count)
    first = p.run_rounds([system], rounds, documents, SETTINGS, store=p.ScoreStore(tmp_path, "key"))
    changed = FixedFunction("length", lambda texts: [0.0 for _ in texts])
    reused = p.run_rounds(
        [changed], rounds, documents, SETTINGS, store=p.ScoreStore(tmp_path, "key", frozenset({"length"}))
    )
    assert all(np.array_equal(a, b) for a, b in zip(first[0], reused[0], strict=True))
    other_key = p.ScoreStore(tmp_path, "other data", frozenset({"length"}))
    assert not p.run_rounds([changed], rounds, documents, SETTINGS, store=other_key)[0][0].any()


def test_fold_without_spun_training_texts_is_refused(documents):
    with pytest.raises(InputError, match="lacks human or spun"):
        p.build_rounds([d for d in documents if d.label != "spun"], "known-tool", SETTINGS)


def test_unknown_protocol_is_refused(documents):
    with pytest.raises(ValueError, match="known-tool"):
        p.build_rounds(documents, "shuffle", SETTINGS)


# Systems


def test_tokens_keep_apostrophes_and_stops():
    assert tokens("It’s late: Don't go.") == ["it's", "late", ":", "don't", "go", "."]


def test_phrase_rate_by_hand():
    rate = PhraseRate(frozenset({("profound", "learning"), ("profound", "learning", "net"), ("bosom", "peril")}))
    found = rate(["Profound learning net. A bosom peril, it says.", "Deep learning", "...", "profound. Learning"])
    # 8 words with two places where a phrase begins; a stop parts "profound" from "Learning".
    assert found.tolist() == [25.0, 0.0, 0.0, 0.0]


def test_tortured_phrases_reads_the_list_and_names_it_when_missing(tmp_path):
    with pytest.raises(InputError, match="tortured_phrases"):
        TorturedPhrases(tmp_path).fit([], 0)
    (tmp_path / "lexicon").mkdir()
    (tmp_path / "lexicon" / "tortured_phrases.tsv").write_text(
        'spun\texpected\nbosom peril\tbreast cancer\n"colossal\tbig\n', encoding="utf-8"
    )
    score = TorturedPhrases(tmp_path).fit([], 0)
    assert score(["a bosom peril here"])[0] == 25.0


def test_association_prefers_pairs_that_were_seen():
    human = [document("human/x", i, text="strong tea and heavy rain. " * 5) for i in range(20)]
    spun = [document("spun/y", 1, text="heavy tea and strong rain. " * 50, family="wild")]
    score = Association().fit(human + spun, 0)
    seen, unseen, unknown = score(["strong tea and heavy rain", "heavy tea and strong rain", "zebra"])
    assert unknown < seen < unseen


def test_association_needs_human_texts():
    with pytest.raises(InputError, match="human texts"):
        Association().fit([document("spun/y", 1, family="wild")], 0)


def test_tfidf_finds_its_training_words_and_repeats_itself():
    pytest.importorskip("sklearn", reason="scikit-learn comes with the extra 'eval'")
    system = load_system("tfidf", p.Path())
    rows = [document("human/x", i, text=f"strong tea number {i}") for i in range(20)]
    rows += [document("spun/y", i, text=f"solid beverage number {i}", family="wild") for i in range(5)]
    texts = ["a solid beverage", "a strong tea"]
    first, again = system.fit(rows, 7)(texts), system.fit(rows, 7)(texts)
    assert first[0] > 0 > first[1]
    assert np.array_equal(first, again)


def test_originals_of_spun_texts_are_negatives():
    rows = [document("spun/y", 1, text="solid beverage", original="strong tea", family="wild")]
    texts, labels = training_texts(rows)
    assert dict(zip(texts, labels.tolist(), strict=True)) == {"solid beverage": 1, "strong tea": 0}


@pytest.mark.parametrize(("result", "message"), [([1.0], "expected 2 scores"), ([1.0, float("nan")], "not finite")])
def test_scores_that_break_the_contract_are_refused(result, message):
    with pytest.raises(InputError, match=message):
        checked_scores(lambda texts: np.array(result), ["a", "b"], "broken")


def test_your_own_function_or_system_by_name(tmp_path, monkeypatch):
    (tmp_path / "my_detector.py").write_text(
        "def score(texts):\n    return [len(t) for t in texts]\n"
        "class System:\n    name = 'mine'\n    def fit(self, documents, seed):\n        return score\n"
        "NUMBER = 3\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    plain = load_system("my_detector:score", tmp_path)
    assert plain.name == "my_detector:score"
    assert plain.fit([], 0)(["ab", ""]).tolist() == [2.0, 0.0]
    assert load_system("my_detector:System", tmp_path).name == "mine"
    for bad, message in [
        ("my_detector:NUMBER", "cannot be called"),
        ("my_detector:none", "none"),
        ("wishful", "tfidf"),
    ]:
        with pytest.raises(InputError, match=message):
            load_system(bad, tmp_path)
