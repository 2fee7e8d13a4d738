"""The aligner: phrases, moves, offsets, mining; accuracy on simulated spinning, where the truth is known."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from train.align import align, document_pairs, merge_tables, mine, paragraph_pairs, read_tortured_phrases
from train.spinners.base import Edit, apply_edits

words = st.sampled_from(
    ["the", "a", "of", "to", "ship", "port", "mayor", "opened", "closed", "50", "%", "old", "also", ".", ","]
)
texts = st.lists(words, max_size=40).map(" ".join)


def phrases(original, spun, **options):
    return [(r.original, spun[r.start : r.end]) for r in align(original, spun, **options)]


def test_words_are_cut_one_for_one():
    found = phrases("The ministers also solved a big crisis.", "The priests likewise settled a huge emergency.")
    assert found == [
        ("ministers", "priests"),
        ("also", "likewise"),
        ("solved", "settled"),
        ("big", "huge"),
        ("crisis", "emergency"),
    ]


def test_glue_phrases_stay_whole():
    assert phrases("Call us if it rains.", "Call us on the off chance that it rains.") == [
        ("if", "on the off chance that")
    ]
    assert phrases("They cheered after the game.", "They cheered in the wake of the match.") == [
        ("after", "in the wake of"),
        ("game", "match"),
    ]
    assert ("should", "ought to") in phrases("You should go now.", "You ought to go presently.")


def test_a_known_phrase_is_not_taken_apart():
    pair = ("The prime minister left.", "The state leader left.")
    assert phrases(*pair) == [("prime", "state"), ("minister", "leader")]
    assert phrases(*pair, table={"state leader": {"prime minister": 3}}) == [("prime minister", "state leader")]


def test_case_alone_is_no_change_and_hyphens_part_words():
    assert align("THE SHIP left", "The ship left") == []
    assert phrases("an 18-year-old man", "an 18-year-elderly person") == [("old", "elderly"), ("man", "person")]


def test_a_moved_clause_is_not_replaced():
    original = "When the old harbour bridge closed last winter, traders moved north."
    spun = "Traders moved north when the old harbour bridge closed last winter."
    assert align(original, spun) == []


def test_dropped_and_inserted_words():
    (drop,) = align("It was a very big ship.", "It was a big ship.")
    assert (drop.start, drop.end, drop.original) == (9, 9, "very")
    (put,) = align("It was big.", "It was big by any means.")
    assert (put.original, "It was big by any means."[put.start : put.end]) == ("", "by any means")


def test_phrases_do_not_cross_sentence_ends():
    for _, new in phrases("He left. She stayed there.", "He went away. Remaining she was."):
        assert ". " not in new


def test_empty_sides():
    assert align("", "") == []
    assert [r.original for r in align("Some words.", "")] == ["Some words"]
    assert phrases("", "Some words.") == [("", "Some words")]


@given(texts, texts)
def test_replacements_are_ordered_inside_the_text_and_quote_the_original(original, spun):
    last = 0
    for r in align(original, spun):
        assert last <= r.start <= r.end <= len(spun)
        assert r.original in original
        assert r.start < r.end or r.original
        last = r.end


@given(texts)
def test_equal_texts_have_no_replacements(text):
    assert align(text, text) == []


def test_mining_counts_pairs_and_tools_and_joins_neighbours():
    pairs = [
        ("The prime minister spoke.", "The state leader spoke.", "A"),
        ("A prime minister rests.", "A state leader rests.", "B"),
        ("The ship left on time.", "The vessel left on time.", "A"),
        ("The 12 men ate.", "The 13 men ate.", "A"),
        ("The dog ate.", "A dog ate.", "A"),
    ]
    mined = mine(pairs)
    assert mined.table["state leader"] == {"prime minister": 2}
    assert mined.table["vessel"] == {"ship": 1}
    assert set(mined.tools[("prime minister", "state leader")]) == {"A", "B"}
    assert "13" not in mined.table, "a number for a number is no substitution"
    assert "a" not in mined.table, "an article for an article says nothing"
    assert ("prime minister", "state leader", 2, ("A", "B")) in list(mined.rows())


def test_mining_leaves_out_texts_that_were_rewritten_altogether():
    assert mine([("Ships sail daily here.", "Vessels travel often there.", "A")], max_ratio=0.5).table == {}


def test_tables_merge_and_lexicons_reverse(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("spun\texpected\ncounterfeit reasoning\tartificial intelligence OR AI\nbig (large) x\t[see]\n")
    table = read_tortured_phrases(path)
    assert table == {"counterfeit reasoning": {"artificial intelligence": 1, "ai": 1}}
    assert merge_tables(table, {"counterfeit reasoning": {"ai": 2}})["counterfeit reasoning"]["ai"] == 3


def test_paragraphs_pair_where_one_text_holds_more():
    original = "The mayor opened the bridge.\n\nTraders were glad about it."
    spun = "A caption nobody wrote.\nThe mayor unveiled the bridge.\n\nMore.\nTraders were happy about it."
    assert paragraph_pairs(original, spun) == [
        ("The mayor opened the bridge.", "The mayor unveiled the bridge."),
        ("Traders were glad about it.", "Traders were happy about it."),
    ]


def test_document_pairs_takes_paragraphs_only_of_lopsided_pairs():
    class Pair:
        label, tool, table = "spun", "T", "spun/x"

        def __init__(self, original, text):
            self.original, self.text = original, text

    whole = Pair("One ship left.", "One vessel left.")
    part = Pair(
        "One ship left today.", "One vessel left today.\nA caption of several more words.\nAnother caption here."
    )
    assert list(document_pairs([whole, part])) == [
        ("One ship left.", "One vessel left.", "T"),
        ("One ship left today.", "One vessel left today.", "T"),
    ]


def test_character_precision_and_recall_on_known_edits():
    """Random substitutions of a third of the words: the aligner must find the characters that were replaced."""
    rng = Random(5)
    vocabulary = [
        f"{a}{b}" for a in ("ka", "lo", "mi", "ter", "sun", "bre") for b in ("ban", "dor", "fel", "gim", "pon")
    ]
    text = " ".join(rng.choice(["the", "of", "a", "in"]) if k % 3 == 0 else rng.choice(vocabulary) for k in range(300))
    edits, place = [], 0
    for word in text.split(" "):
        if rng.random() < 0.33 and len(word) > 3:
            new = rng.choice(["zarn", "the zarn of", "quol vep", "jint"])
            edits.append(Edit(place, place + len(word), new))
        place += len(word) + 1
    spun = apply_edits(text, edits)
    truth = {c for r in spun.replacements for c in range(r.start, r.end)}
    found = {c for r in align(text, spun.text) for c in range(r.start, r.end)}
    hit = len(truth & found)
    assert hit / len(found) > 0.97
    assert hit / len(truth) > 0.97
