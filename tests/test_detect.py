"""The detector as its users see it: the contract of results on any text, with a tiny model and the shipped one."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector import SpinDetector, detect, store
from detector.errors import ModelError
from detector.operating_point import OperatingPoint
from detector.results import Reason, Verdict
from detector.store import DEFAULT_MODEL, write_manifest
from tests.tiny_model import article, spinner, tiny

ROOT = Path(__file__).parent.parent
SCHEMA = jsonschema.Draft202012Validator(json.loads((ROOT / "docs" / "result.schema.json").read_text(encoding="utf-8")))
POINTS = ("strict", "balanced", "sensitive")
SEEDS = ROOT.parent / "shared" / "seeds"
CASES = Path(__file__).parent / "cases"


@cache
def shipped(point="balanced"):
    return SpinDetector.load(store.models_root() / DEFAULT_MODEL, operating_point=point)


@cache
def trained(point="balanced"):
    return SpinDetector.load(tiny().folder, operating_point=point)


def get(name, point="balanced"):
    if name == "tiny":
        return trained(point)
    if not (store.models_root() / DEFAULT_MODEL / store.MANIFEST).is_file():
        pytest.skip(f"the model {DEFAULT_MODEL} is not in models/")
    return shipped(point)


both_models = pytest.mark.parametrize("name", ["tiny", DEFAULT_MODEL])


def human(seed, sentences=12):
    return article(Random(seed), sentences=sentences)


def spun(seed, sentences=12):
    rng = Random(seed)
    return spinner(tiny().data).spin(article(rng, sentences=sentences), rng).text


def check(text, result, detector):
    """Assert all that holds of every result."""
    SCHEMA.validate(json.loads(json.dumps(result.to_dict())))
    assert result.operating_point == detector.operating_point
    assert result.threshold == detector.threshold
    assert result.model == detector.model_id
    ranges = [*result.spans, *result.segments, *result.ignored]
    assert all(0 <= r.start < r.end <= len(text) for r in ranges)
    if result.verdict is Verdict.NOT_SCORED:
        assert result.reason is not None
        assert result.probability is result.kinds is result.coverage is None
        assert result.spans == result.segments == ()
        return
    assert result.verdict is (Verdict.SPUN if result.probability >= result.threshold else Verdict.CLEAN)
    assert sum(result.kinds.values()) == pytest.approx(1.0, abs=1e-6)
    assert result.kinds["spun"] == pytest.approx(result.probability, abs=1e-6)
    for items in (result.spans, result.segments):
        assert all(a.end <= b.start for a, b in pairwise(items))
    for span in result.spans:
        assert text[span.start : span.end] == span.text
        assert span.text == span.text.strip()
        for edge in (span.start, span.end):
            around = text[max(edge - 1, 0) : edge + 1]
            assert not (len(around) == 2 and around.isascii() and around.isalpha()), "a span cuts a word"
        lowest = 0.2 if result.verdict is Verdict.SPUN else 0.5
        assert not any(s.probability < lowest and s.start < span.end and span.start < s.end for s in result.segments)


# ---------------------------------------------------------------------------------------------------- any text

ODD = [
    *("\u200b", "\ud800", "🙂", "ﬁ", "é", "e\u0301", "…", "\r\n", "\n\n", "Share this article\n", "漢字", "a" * 500),
    *("@x", "3.5", "'", "\u0430", "\x00", "\u202e", "<b>", "№", "\u2028", "½", "Ã©", "ı", "\U0001f468\u200d\U0001f469"),
]


@st.composite
def odd_articles(draw):
    seed = draw(st.integers(0, 40))
    text = (spun if draw(st.booleans()) else human)(seed, draw(st.sampled_from([1, 6, 12])))
    for place, piece in draw(st.lists(st.tuples(st.integers(0, 1500), st.sampled_from(ODD) | st.text(max_size=4)))):
        at = place % (len(text) + 1)
        text = text[:at] + piece + text[at:]
    return text


@both_models
@given(text=odd_articles())
@settings(max_examples=40)
def test_results_hold_together_on_articles_with_odd_characters(name, text):
    detector = get(name)
    check(text, detector.score(text), detector)


@both_models
@given(text=st.text(max_size=60) | st.lists(st.sampled_from([*ODD, "the ", "and "]), max_size=80).map("".join))
@settings(max_examples=40)
def test_results_hold_together_on_any_text(name, text):
    detector = get(name)
    check(text, detector.score(text), detector)


@both_models
def test_a_long_text_without_any_stop_is_scored(name):
    detector = get(name)
    text = " ".join(spun(3).replace(".", "").replace("\n\n", " ").split() * 300)
    result = detector.score(text)
    check(text, result, detector)
    assert result.words > 50_000


# ------------------------------------------------------------------------------------------------------ reasons


@both_models
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, Reason.NOT_TEXT),
        (b"The old ship came back.", Reason.NOT_TEXT),
        (17, Reason.NOT_TEXT),
        (["The old ship."], Reason.NOT_TEXT),
        ("\x00\x01\x02 PNG" * 50, Reason.NOT_TEXT),
        ("", Reason.EMPTY),
        (" \n\t\n", Reason.EMPTY),
        ("The old ship came back to the harbour in the morning.", Reason.TOO_SHORT),
        (
            "Der alte Kahn lag seit dem Herbst im Hafen, und niemand wusste, wem er gehörte. Die Fischer gingen jeden "
            "Morgen an ihm vorbei und sahen nicht mehr hin. Erst als das Wasser im Frühjahr stieg, löste sich das Tau, "
            "und der Kahn trieb langsam auf die Brücke zu, wo die Kinder standen und ihm nachsahen. " * 2,
            Reason.NOT_ENGLISH,
        ),
        (
            "A folyó partján állt egy régi malom, a kerekét a víz hajtotta, a molnár pedig a házból nézte a vizet. "
            "A gyerekek a hídon ültek, a kutya a fűben aludt, és a nap lassan a hegyek mögé bukott. " * 3,
            Reason.NOT_ENGLISH,
        ),
        (
            "".join(
                f"for (int i = {k}; i < n; i++) {{ sum{k} += a[i] * b{k}[i]; if (sum{k} > max) break; }}\n"
                for k in range(12)
            ),
            Reason.NOT_PROSE,
        ),
    ],
)
def test_what_cannot_be_scored_says_why(name, value, reason):
    detector = get(name)
    result = detector.score(value)
    assert (result.verdict, result.reason) == (Verdict.NOT_SCORED, reason)
    check(value if isinstance(value, str) else "", result, detector)


def test_a_text_beyond_the_limit_is_not_looked_at(monkeypatch):
    monkeypatch.setattr(detect, "LONGEST_TEXT", 500)
    assert trained().score(human(1)[:500]).reason is None
    assert trained().score(human(1)[:501]).reason is Reason.TOO_LONG


@both_models
def test_the_shortest_text_is_what_the_model_says(name):
    detector = get(name)
    text = human(2, 40).split()
    least = detector._min_words
    seen = {}
    for n in range(least - 12, least + 12):
        result = detector.score(" ".join(text[:n]))
        seen[result.words] = result.reason
    assert {reason for words, reason in seen.items() if words < least} == {Reason.TOO_SHORT}
    assert {reason for words, reason in seen.items() if words >= least} == {None}


# ------------------------------------------------------------------------------------------------------ verdict


@both_models
def test_verdict_and_threshold_at_each_operating_point(name):
    detectors = [get(name, point) for point in POINTS]
    assert [d.threshold for d in detectors] == sorted((d.threshold for d in detectors), reverse=True)
    assert detectors[0].operating_points == dict(zip(POINTS, (d.threshold for d in detectors), strict=True))
    for seed in range(6):
        text = (spun if seed % 2 else human)(seed)
        results = [d.score(text) for d in detectors]
        for detector, result in zip(detectors, results, strict=True):
            check(text, result, detector)
        assert len({r.probability for r in results}) == 1
        verdicts = [r.verdict is Verdict.SPUN for r in results]
        assert verdicts == sorted(verdicts)  # strict flags no more than balanced, balanced no more than sensitive


def test_a_flagged_text_shows_why_where_no_segment_alone_looks_spun():
    sentences = re.split(r"(?<=[.!?])\s+", (ROOT / "examples" / "spun.txt").read_text(encoding="utf-8"))
    text = " ".join(sentences[2:4])
    lower = OperatingPoint("lower", 0.05, shipped().model_id)
    result = SpinDetector.load(store.models_root() / DEFAULT_MODEL, operating_point=lower).score(text)
    assert result.verdict is Verdict.SPUN and result.coverage == 0.0
    assert 0.2 <= max(s.probability for s in result.segments) < 0.5  # else it is another case
    assert result.spans and not shipped().score(text).spans


def test_an_unknown_operating_point_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"lenient.*strict"):
        SpinDetector.load(tiny().folder, operating_point="lenient")


def test_new_texts_are_told_apart_and_the_replaced_words_shown():
    detector = trained()
    for seed in range(100, 110):
        assert detector.score(human(seed)).probability < 0.1
        text = spun(seed)
        result = detector.score(text)
        assert result.verdict is Verdict.SPUN
        assert result.coverage > 0.9
        assert result.spans


def test_most_replaced_words_are_shown():
    shown = replaced = 0
    for seed in range(300, 320):
        rng = Random(seed)
        made = spinner(tiny().data).spin(article(rng), rng)
        spans = trained().score(made.text).spans
        for r in made.replacements:
            replaced += 1
            shown += any(s.start < r.end and r.start < s.end for s in spans)
    assert shown > 0.8 * replaced


def test_half_spun_articles_are_covered_by_half():
    text = human(200, 40) + "\n\n" + spun(201, 40)
    border = text.index(spun(201, 40))
    result = trained().score(text)
    assert 0.3 < result.coverage < 0.7
    # The segment over the border may look either way.
    assert all(s.start >= border - 900 for s in result.spans)
    assert [s.probability >= 0.5 for s in result.segments] == sorted(s.probability >= 0.5 for s in result.segments)


def test_spans_stand_in_spun_looking_segments_only():
    detector = SpinDetector.load(tiny().folder)
    # Any evidence at all begins a phrase, so that only the segments keep phrases out.
    detector._evidence = replace(detector._evidence, start=-1e3, extend=-1e3)
    detector.threshold = 0.0
    text = human(200, 40) + "\n\n" + spun(201, 40)
    result = detector.score(text)
    check(text, result, detector)
    assert len(result.spans) > 0
    looking = [s for s in result.segments if s.probability >= 0.5]
    assert 0 < len(looking) < len(result.segments)
    covered = sum(s.end - s.start for s in result.spans)
    assert covered > 0.3 * sum(s.end - s.start for s in looking)


# ------------------------------------------------------------------------------------------ sameness, order, threads

MIXED = ["", human(1), spun(2), "Too short.", None, human(3) + "\ud800", spun(4), "für " * 80]


@both_models
def test_a_batch_gives_what_score_gives_in_order(name):
    detector = get(name)
    assert list(detector.score_batch(MIXED)) == [detector.score(t) for t in MIXED]
    assert list(detector.score_batch([])) == []
    assert list(detector.score_batch(iter([MIXED[1]]))) == [detector.score(MIXED[1])]


@both_models
def test_a_batch_is_lazy(name):
    detector = get(name)
    taken = []

    def endless():
        for number in itertools.count():
            taken.append(number)
            yield human(number % 3)

    stream = detector.score_batch(endless())
    assert taken == []
    first = list(itertools.islice(stream, 3))
    assert taken == [0, 1, 2]
    assert first == [detector.score(human(i)) for i in range(3)]


@both_models
def test_an_error_of_the_source_reaches_the_caller(name):
    def broken():
        yield human(1)
        raise OSError("the stream broke")

    stream = get(name).score_batch(broken())
    assert next(stream).probability is not None
    with pytest.raises(OSError, match="the stream broke"):
        next(stream)


@both_models
def test_id_and_source_are_passed_on(name):
    detector = get(name)
    for text in (human(1), "", None):
        result = detector.score(text, id=7, source="a.txt")
        assert (result.id, result.source) == (7, "a.txt")
        assert detector.score(text).id is detector.score(text).source is None


@both_models
def test_eight_threads_give_what_one_gives(name):
    get(name)
    fresh = SpinDetector.load(tiny().folder if name == "tiny" else store.models_root() / name)
    texts = [t for i in range(12) for t in (human(i), spun(i))] * 4
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(fresh.score, texts))
    assert together == [get(name).score(t) for t in texts]


@both_models
def test_results_do_not_depend_on_what_was_scored_before(name):
    detector = get(name)
    alone = SpinDetector.load(tiny().folder if name == "tiny" else store.models_root() / name).score(spun(5))
    list(detector.score_batch([human(i) for i in range(5)]))
    assert detector.score(spun(5)) == detector.score(spun(5)) == alone


# ------------------------------------------------------------------------------------- furniture, repeats, disguises

FURNITURE = ("3 Min Read\n\nShare this article\n\n", "\n\nRelated Articles\n\nLeave a Reply\n\nCancel reply\n")


@both_models
@pytest.mark.parametrize("seed", range(4))
def test_furniture_around_an_article_and_repeats_of_it_hardly_matter(name, seed):
    detector = get(name)
    for text in (human(seed), spun(seed)):
        plain = detector.score(text)
        framed = FURNITURE[0] + text + FURNITURE[1]
        repeated = text + "\n\n" + text
        for other in (framed, repeated):
            result = detector.score(other)
            check(other, result, detector)
            assert result.words == plain.words
            assert result.ignored
            assert abs(result.probability - plain.probability) <= 0.05
        found = detector.score(framed)
        assert [framed[s.start : s.end] for s in found.spans] == [s.text for s in plain.spans]


@both_models
@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.replace("\n", "\r\n"),
        lambda t: t.upper(),
        lambda t: t.replace("'", "’"),
        lambda t: t.replace("a", "\u0430"),
        lambda t: t.replace("er", "e\u200br"),
        lambda t: t.replace("fi", "ﬁ"),
        lambda t: t.replace(" ", "\u00a0"),
        lambda t: "\ufeff" + t,
    ],
    ids=["crlf", "capitals", "quotes", "look-alikes", "zero-width", "ligatures", "no-break", "byte-order-mark"],
)
def test_disguises_and_typography_change_nothing(name, change):
    detector = get(name)
    for text in (human(6), spun(6)):
        plain, changed = detector.score(text), detector.score(change(text))
        check(change(text), changed, detector)
        assert changed.words == plain.words
        assert changed.probability == plain.probability
        if change(text).upper() != change(text):  # capitals within a sentence are taken for names in the evidence
            assert len(changed.spans) == len(plain.spans)


# ------------------------------------------------------------------------------------------------- broken models


@pytest.fixture
def copy(tmp_path):
    return Path(shutil.copytree(tiny().folder, tmp_path / "tiny"))


def test_a_copy_of_the_folder_is_the_same_model(copy):
    assert SpinDetector.load(copy).score(spun(1)) == trained().score(spun(1))


def files(ending=""):
    return sorted(p.name for p in tiny().folder.iterdir() if p.name.endswith(ending))


def test_a_missing_or_altered_file_is_a_model_error(copy):
    assert {"config.json", "manifest.json", "screen.npy", "vocabulary.txt"} <= set(files())
    for file in files():
        content = (copy / file).read_bytes()
        flipped = content[:-1] + bytes([content[-1] ^ 1])
        for other in [content[: len(content) // 2], b"", *([flipped] if file != "manifest.json" else [])]:
            (copy / file).write_bytes(other)
            with pytest.raises(ModelError, match=re.escape(file)):
                SpinDetector.load(copy)
        (copy / file).unlink()
        with pytest.raises(ModelError, match=re.escape(file)):
            SpinDetector.load(copy)
        (copy / file).write_bytes(content)
    SpinDetector.load(copy)


def test_signed_files_that_are_no_arrays_or_do_not_belong_together_are_a_model_error(copy):
    for file in files(".npy"):
        good = (copy / file).read_bytes()
        kind = np.load(copy / file).dtype
        for bad in (b"", b"no array", b"\x93NUMPY\x01\x00", (3,), (0,), (2, 2), (1 << 10, 5)):
            if isinstance(bad, bytes):
                (copy / file).write_bytes(bad)
            else:
                np.save(copy / file, np.zeros(bad, kind))
            write_manifest(copy, "tiny", {})
            try:
                SpinDetector.load(copy)
            except ModelError:
                continue
            finally:
                (copy / file).write_bytes(good)
            pytest.fail(f"{file} with {bad!r} was loaded")


@pytest.mark.parametrize("name", ["weights", "means", "scales"])
def test_an_article_model_of_another_length_is_a_model_error(copy, name):
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    config["article"][name] = config["article"][name][1:]
    (copy / "config.json").write_text(json.dumps(config), encoding="utf-8")
    write_manifest(copy, "tiny", {})
    with pytest.raises(ModelError):
        SpinDetector.load(copy)


CONFIG_KEYS = [
    "operating_points",
    "screen",
    "association",
    "article",
    "segment",
    "kinds",
    "whole_text",
    "evidence",
    "min_words",
]


@pytest.mark.parametrize("key", CONFIG_KEYS)
@pytest.mark.parametrize("value", ["(missing)", None, [], "word", {"other": 1}])
def test_a_config_of_another_version_is_a_model_error(copy, key, value):
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    assert key in config
    if value == "(missing)":
        del config[key]
    else:
        config[key] = value
    (copy / "config.json").write_text(json.dumps(config), encoding="utf-8")
    write_manifest(copy, "tiny", {})
    if key == "operating_points" and value == {"other": 1}:
        with pytest.raises(ValueError, match="other"):
            SpinDetector.load(copy)
        return
    with pytest.raises(ModelError, match="reinstall"):
        SpinDetector.load(copy)


def test_a_model_that_is_not_there_is_a_model_error(tmp_path):
    for model in ("no-such-model", tmp_path / "absent", tmp_path):
        with pytest.raises(ModelError):
            SpinDetector.load(model)


# --------------------------------------------------------------------------------------------------------- cases


def load_cases():
    """Return the cases as parameters; those of known_failures.json must fail."""
    found = []
    for path in sorted(CASES.glob("*.json")):
        for case in json.loads(path.read_text(encoding="utf-8")):
            marks = [pytest.mark.xfail(strict=True, reason=case["comment"])] if path.stem == "known_failures" else []
            found.append(pytest.param(case, id=f"{path.stem}-{case['label']}", marks=marks))
    return found


@pytest.mark.parametrize("case", load_cases())
def test_case(case):
    detector = get(DEFAULT_MODEL, case.get("operating_point", "balanced"))
    result = detector.score(case["text"])
    check(case["text"], result, detector)
    assert result.verdict.value == case["verdict"], f"probability {result.probability}, threshold {result.threshold}"
    if "reason" in case:
        assert str(result.reason) == case["reason"]
    shown = " | ".join(s.text.lower() for s in result.spans)
    for phrase in case.get("phrases", []):
        assert phrase in shown, f"{phrase!r} is not among the spans"


def test_the_cases_are_well_formed():
    seen = set()
    for parameter in load_cases():
        (case,) = parameter.values
        assert {"label", "text", "verdict", "comment"} <= set(case)
        assert set(case) <= {"label", "text", "verdict", "comment", "reason", "phrases", "operating_point"}
        assert case["label"] not in seen
        seen.add(case["label"])
        assert all(phrase in case["text"].lower() for phrase in case.get("phrases", []))
    assert len(seen) >= 20


# --------------------------------------------------------------------------------------------------------- seeds

SEED_VERDICTS = {"000": "spun", "001": "clean", "002": "clean", "003": "clean", "004": "clean"}
SEED_PHRASES = [
    "top state leader",
    "truce was concurred",
    "oppressor",
    "memorable partners",
    "philanthropic guide",
    "better half",
    "in that frame of mind",
]


def seed_text(number):
    found = list(SEEDS.glob(f"{number}_*.txt"))
    if not found:
        pytest.skip("the articles the project began with are not beside the repository")
    return found[0].read_text(encoding="utf-8")


@pytest.mark.parametrize("number", SEED_VERDICTS)
def test_verdicts_of_the_articles_the_project_began_with(number):
    text = seed_text(number)
    detector = get(DEFAULT_MODEL)
    result = detector.score(text)
    check(text, result, detector)
    assert result.verdict.value == SEED_VERDICTS[number], f"probability {result.probability}"


@pytest.mark.parametrize("phrase", SEED_PHRASES)
def test_the_spans_cover_the_phrases_that_a_reader_marks(phrase):
    text = seed_text("000")
    spans = get(DEFAULT_MODEL).score(text).spans
    start = text.lower().index(phrase)
    covered = {i for s in spans for i in range(s.start, s.end)}
    missing = [text[i] for i in range(start, start + len(phrase)) if i not in covered and text[i].isalpha()]
    assert not missing, f"{''.join(missing)!r} of {phrase!r} is not covered"


def test_the_first_article_is_spun_at_every_operating_point():
    text = seed_text("000")
    assert {get(DEFAULT_MODEL, point).score(text).verdict for point in POINTS} == {Verdict.SPUN}
