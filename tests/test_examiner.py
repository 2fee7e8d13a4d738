"""The examiner with a real, tiny network of random weights; tests/make_tiny_examiner.py made it."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from detector.errors import ModelError
from detector.examiner import NETWORK_FILES, NOT_EXAMINED, Examined, Examiner, WordLevels, available_threads
from detector.results import KINDS
from detector.segment import prepare
from detector.store import open_model, write_manifest

TINY = Path(__file__).parent / "data" / "tiny_examiner"
MAX_TOKENS = 48
NOTHING = WordLevels.none()
TEXT = (
    "The council closed the bridge in winter. A farmer agreed to span the river.\n\n"
    "Ships, vessels and the 東京 harbour: naïve café-owners don't mind 3.5 % of it!"
)


def make_folder(path, settings=None, **changes):
    """Write a model folder that holds the tiny examiner and return it opened."""
    path.mkdir(parents=True)
    for name in NETWORK_FILES:
        shutil.copy(TINY / name, path / name)
    for name, content in changes.items():
        (path / ".".join(name.rsplit("_", 1))).write_bytes(content)
    config = {"examiner": {"max_tokens": MAX_TOKENS} if settings is None else settings}
    (path / "config.json").write_text(json.dumps(config))
    write_manifest(path, "tiny", {})
    return open_model(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def examiner(folder):
    return Examiner(folder, threads=1)


def same(one, other):
    """Whether two results are equal to the bit."""
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("kind_logits", "starts", "ends", "token_logits", "offsets")
    )


def halves(text):
    return [(0, len(text) // 2), (len(text) // 2, len(text))]


def run_directly(ids, levels=None):
    """Return the logits that the network gives for some pieces, with its marks around them; `levels`: (pieces, 2)."""
    tokenizer = Tokenizer.from_file(str(TINY / "tokenizer.json"))
    session = onnxruntime.InferenceSession(str(TINY / "examiner.onnx"), providers=["CPUExecutionProvider"])
    row = np.asarray([[tokenizer.token_to_id("[CLS]"), *ids, tokenizer.token_to_id("[SEP]")]], np.int64)
    levels = np.zeros((*row.shape, 2), np.int64) if levels is None else np.pad(levels, ((1, 1), (0, 0)))[np.newaxis]
    given = {"input_ids": row, "attention_mask": np.ones_like(row), "levels": levels}
    token_logits, kind_logits = session.run(None, given)
    return token_logits[0, 1:-1], kind_logits[0]


@st.composite
def texts_and_ranges(draw):
    text = draw(st.text(st.characters(), max_size=200) | st.text("aé東 .'3-\u0301\u200dİ한ß\x00😀", max_size=200))
    bounds = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    return text, list(zip(bounds[::2], bounds[1::2], strict=False))


@given(texts_and_ranges())
def test_any_text_and_ranges(examiner, case):
    text, ranges = case
    examined = examiner.examine(text, ranges, NOTHING)
    pieces = len(examined.token_logits)
    assert examined.kind_logits.shape == (len(ranges), len(KINDS))
    assert examined.starts.shape == examined.ends.shape == (pieces,)
    assert examined.offsets.tolist() == sorted(examined.offsets.tolist())
    assert examined.offsets[0] == 0 and examined.offsets[-1] == pieces and len(examined.offsets) == len(ranges) + 1
    for (start, end), first, last in zip(ranges, examined.offsets, examined.offsets[1:], strict=False):
        starts, ends = examined.starts[first:last], examined.ends[first:last]
        assert (start <= starts).all() and (starts <= ends).all() and (ends <= end).all()
    # What word_logits needs.
    assert (np.diff(examined.starts) >= 0).all() and (np.diff(examined.ends) >= 0).all()
    assert np.isfinite(examined.kind_logits).all() and np.isfinite(examined.token_logits).all()
    assert examined.kind_logits.dtype == examined.token_logits.dtype == np.float32
    assert examined.starts.dtype == examined.ends.dtype == examined.offsets.dtype == np.int64


@given(texts_and_ranges())
def test_a_segment_does_not_depend_on_its_neighbours(examiner, case):
    text, ranges = case
    together = examiner.examine(text, ranges, NOTHING)
    for number, (start, end) in enumerate(ranges):
        alone = examiner.examine(text[start:end], [(0, end - start)], NOTHING)
        of_segment = slice(*together.offsets[number : number + 2])
        assert np.array_equal(alone.kind_logits[0], together.kind_logits[number])
        assert np.array_equal(alone.token_logits, together.token_logits[of_segment])
        assert np.array_equal(alone.starts + start, together.starts[of_segment])


def test_offsets_name_the_pieces(examiner):
    examined = examiner.examine(TEXT, [(4, 40)], NOTHING)
    found = [TEXT[a:b] for a, b in zip(examined.starts, examined.ends, strict=True)]
    assert found[:8] == ["council", "closed", "the", "bridge", "in", "winter", "."]
    accented = examiner.examine(TEXT, [(TEXT.index("naïve"), TEXT.index("-owners"))], NOTHING)
    assert "".join(TEXT[a:b] for a, b in zip(accented.starts, accented.ends, strict=True)) == "naïvecafé"


def test_logits_are_the_networks_own(examiner):
    tokenizer = Tokenizer.from_file(str(TINY / "tokenizer.json"))
    encoding = tokenizer.encode(TEXT[:40], add_special_tokens=False)
    assert len(encoding.ids) <= MAX_TOKENS - 2
    token_logits, kind_logits = run_directly(encoding.ids)
    examined = examiner.examine(TEXT, [(0, 40)], NOTHING)
    np.testing.assert_allclose(examined.token_logits, token_logits, atol=1e-6)
    np.testing.assert_allclose(examined.kind_logits[0], kind_logits, atol=1e-6)
    assert np.ptp(token_logits) > 0.5  # a network that tells nothing apart would pass everything here


def test_segments_are_the_same_alone_and_among_others(examiner):
    ranges = [(0, 24), (24, 40), (40, 40), (41, len(TEXT))]
    for read in (examiner.examine, examiner.look):
        alone = [read(TEXT, [given], NOTHING) for given in ranges]
        for first in (0, 1):
            assert same(read(TEXT, ranges[first:], NOTHING), Examined.joined(alone[first:]))


def test_every_piece_is_told_the_levels_of_its_word(examiner):
    starts = np.array([TEXT.index(w) for w in ("council", "bridge", "naïve")])
    ends = starts + np.array([7, 6, 5])
    levels = np.array([[3, 12], [15, 1], [7, 0]])
    tokenizer = Tokenizer.from_file(str(TINY / "tokenizer.json"))
    encoding = tokenizer.encode(TEXT[:40], add_special_tokens=False)
    told = np.zeros((len(encoding.ids), 2), np.int64)
    for number, (a, b) in enumerate(encoding.offsets):
        for start, end, own in zip(starts, ends, levels, strict=True):
            if start <= a and b <= end:
                told[number] = own
    assert 2 < (told > 0).sum() < told.size
    token_logits, kind_logits = run_directly(encoding.ids, told)
    examined = examiner.examine(TEXT, [(0, 40)], WordLevels(starts, ends, levels))
    np.testing.assert_allclose(examined.token_logits, token_logits, atol=1e-6)
    np.testing.assert_allclose(examined.kind_logits[0], kind_logits, atol=1e-6)
    without = examiner.examine(TEXT, [(0, 40)], NOTHING)
    assert np.abs(examined.token_logits - without.token_logits).max() > 0.01, "the network hears them"


def test_levels_of_a_long_segment_stay_with_their_pieces(examiner):
    text = "the bridge closed in winter " * 25  # three windows
    prepared = prepare(text)
    levels = np.arange(2 * len(prepared.tokens.starts)).reshape(-1, 2) % 16
    words = WordLevels.of(prepared.tokens, levels)
    ids = Tokenizer.from_file(str(TINY / "tokenizer.json")).encode(text, add_special_tokens=False).ids
    parts = np.array_split(np.arange(len(ids)), 3)
    # A piece a word here.
    expected = [run_directly([ids[i] for i in part], levels[part])[0] for part in parts]
    examined = examiner.examine(text, [(0, len(text))], words)
    np.testing.assert_allclose(examined.token_logits, np.concatenate(expected), atol=1e-6)


def test_a_long_segment_is_split_and_joined(examiner):
    text = "the bridge " * 50  # 100 pieces, 3 windows of at most 46
    tokenizer = Tokenizer.from_file(str(TINY / "tokenizer.json"))
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    parts = [ids[:34], ids[34:67], ids[67:]]
    expected = [run_directly(part) for part in parts]
    examined = examiner.examine(text, [(0, len(text))], NOTHING)
    np.testing.assert_allclose(examined.token_logits, np.concatenate([t for t, _ in expected]), atol=1e-6)
    mean = sum(kinds * len(part) for (_, kinds), part in zip(expected, parts, strict=True)) / len(ids)
    np.testing.assert_allclose(examined.kind_logits[0], mean, atol=1e-5)


@pytest.mark.parametrize("odd", ["x" * 10_000_000, "!" * 1_000_000, "東" * 1_000_000, "a" + "\u0301" * 1_000_000])
def test_odd_text_is_bounded(examiner, odd):
    started = time.process_time()
    examined = examiner.examine(odd, [(0, len(odd))], NOTHING)
    assert len(examined.token_logits) <= 8 * (MAX_TOKENS - 2)
    assert np.isfinite(examined.kind_logits).all()
    assert time.process_time() - started < 2


def test_surrogates_and_nothing_at_all(examiner):
    text = "the \ud800bridge\udfff \x00 "
    examined = examiner.examine(text, [(0, 4), (4, 12), (12, 15), (15, 15)], NOTHING)
    assert [text[a:b] for a, b in zip(examined.starts, examined.ends, strict=True)] == ["the", "bridge"]
    assert examined.offsets.tolist() == [0, 1, 2, 2, 2]
    assert not examined.kind_logits[2:].any()
    assert same(examiner.examine("", [], NOTHING), examiner.examine(TEXT, [], NOTHING))


@pytest.mark.parametrize("ranges", [[(5, 4)], [(0, 5), (4, 8)], [(4, 8), (0, 2)], [(-1, 3)], [(0, len(TEXT) + 1)]])
def test_ranges_out_of_order_are_refused(examiner, ranges):
    with pytest.raises(ValueError, match="ranges"):
        examiner.examine(TEXT, ranges, NOTHING)


@given(texts_and_ranges())
def test_word_logits_are_the_greatest_of_each_word(examiner, case):
    text, ranges = case
    prepared = prepare(text)
    normal = prepared.normal.text
    ranges = [(min(a, len(normal)), min(b, len(normal))) for a, b in ranges]
    examined = examiner.examine(normal, ranges, NOTHING)
    words = examined.word_logits(prepared.tokens.starts, prepared.tokens.ends)
    for start, end, logit in zip(prepared.tokens.starts, prepared.tokens.ends, words, strict=True):
        overlapping = (examined.starts < end) & (examined.ends > start)
        expected = examined.token_logits[overlapping].max() if overlapping.any() and start < end else NOT_EXAMINED
        assert logit == np.float32(expected)


def test_word_logits_of_an_article(examiner):
    prepared = prepare(TEXT)
    ranges = [prepared.segment_range(i) for i in range(len(prepared.ends))]
    examined = examiner.examine(prepared.normal.text, ranges, NOTHING)
    words = examined.word_logits(prepared.tokens.starts, prepared.tokens.ends)
    assert words.dtype == np.float32 and words.shape == prepared.tokens.starts.shape
    given_words = prepared.tokens.special == -1
    assert (words[given_words] != NOT_EXAMINED).all()


def test_word_logits_without_pieces():
    empty = np.zeros(0, np.int64)
    nothing = Examined(np.zeros((0, 4), np.float32), empty, empty, np.zeros(0, np.float32), np.zeros(1, np.int64))
    assert nothing.word_logits(empty, empty).shape == (0,)
    assert nothing.word_logits(np.array([0, 4]), np.array([3, 9])).tolist() == [NOT_EXAMINED] * 2


def test_threads_do_not_change_the_result(folder, examiner):
    text = TEXT * 20
    expected = examiner.examine(text, halves(text), NOTHING)
    assert same(Examiner(folder, threads=3).examine(text, halves(text), NOTHING), expected)
    shared = Examiner(folder)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: shared.examine(text, halves(text), NOTHING), range(24)):
            assert same(found, expected)


@pytest.mark.parametrize("file", NETWORK_FILES)
def test_a_file_that_is_replaced_after_the_folder_was_opened_is_refused(tmp_path, file):
    folder = make_folder(tmp_path / "tiny")
    (folder.path / file).write_bytes((folder.path / file).read_bytes() + b" ")
    found = Examiner(folder, threads=1)
    with pytest.raises(ModelError, match=f"{file} was altered"):
        for read in (found.look, found.examine):
            read(TEXT, [(0, len(TEXT))], NOTHING)


def test_a_copy_by_pickle(folder, examiner):
    copy = pickle.loads(pickle.dumps(examiner))
    assert same(copy.examine(TEXT, halves(TEXT), NOTHING), examiner.examine(TEXT, halves(TEXT), NOTHING))


def test_threads_available(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert available_threads() == 3
    for without_meaning in ("", "4,2", "0"):
        monkeypatch.setenv("OMP_NUM_THREADS", without_meaning)
        assert 1 <= available_threads() <= (os.cpu_count() or 1)


def test_a_worker_process_computes_with_one_thread(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(available_threads) == 1


def python(code, *arguments):
    """Run code in a process of its own and return what it prints; nothing may go to stderr."""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=env,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_libraries_are_imported_late_and_nothing_is_printed(folder):
    code = """
import sys
import detector.examiner
from detector.store import open_model
def loaded(): return [name in sys.modules for name in ("onnxruntime", "tokenizers", "torch", "transformers")]
print(*loaded())
examiner = detector.examiner.Examiner(open_model(sys.argv[1]))
print(*loaded())
examiner.examine("the bridge", [(0, 10)], detector.examiner.WordLevels.none())
print(*loaded())
"""
    assert python(code, folder.path) == ["False"] * 8 + ["True", "True", "False", "False"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_can_go_on(folder):
    code = """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 and later warn of the fork
from detector.examiner import Examiner, WordLevels
from detector.store import open_model
examiner, nothing = Examiner(open_model(sys.argv[1]), threads=2), WordLevels.none()
before = examiner.examine("the bridge " * 40, [(0, 440)], nothing).token_logits
if (child := os.fork()) == 0:
    after = examiner.examine("the bridge " * 40, [(0, 440)], nothing).token_logits
    os._exit(0 if (before == after).all() else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert python(code, folder.path) == ["0"]


@pytest.mark.parametrize(
    "settings",
    [{}, {"max_tokens": 2}, {"max_tokens": "many"}, {"max_tokens": 48, "threads": 0}, [], {"max_tokens": None}],
)
def test_settings_that_make_no_sense(tmp_path, settings):
    with pytest.raises(ModelError, match="examiner"):
        Examiner(make_folder(tmp_path / "model", settings))


def test_folder_without_an_examiner(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    write_manifest(tmp_path, "bare", {})
    with pytest.raises(ModelError, match="examiner"):
        Examiner(open_model(tmp_path))
    (tmp_path / "config.json").write_text('{"examiner": {"max_tokens": 48}}')
    write_manifest(tmp_path, "bare", {})
    with pytest.raises(ModelError, match=r"examiner\.onnx"):
        Examiner(open_model(tmp_path))


def test_threads_below_one(folder):
    with pytest.raises(ValueError, match="threads"):
        Examiner(folder, threads=0)


@pytest.mark.parametrize("changes", [{"examiner_onnx": b"no network"}, {"tokenizer_json": b"{}"}])
def test_broken_parts_are_named(tmp_path, changes):
    examiner = Examiner(make_folder(tmp_path / "model", **changes))
    with pytest.raises(ModelError, match="cannot be loaded"):
        examiner.examine(TEXT, [(0, 10)], NOTHING)


def test_the_first_look_is_a_network_of_its_own_over_the_same_pieces(examiner, tmp_path):
    looked, examined = (read(TEXT, halves(TEXT), NOTHING) for read in (examiner.look, examiner.examine))
    for name in ("starts", "ends", "offsets"):
        np.testing.assert_array_equal(getattr(looked, name), getattr(examined, name))
    assert looked.kind_logits.shape == examined.kind_logits.shape
    assert (looked.token_logits != examined.token_logits).any()

    broken = Examiner(make_folder(tmp_path / "model", first_look_onnx=b"no network"))
    assert same(broken.examine(TEXT, halves(TEXT), NOTHING), examined)
    with pytest.raises(ModelError, match="cannot be loaded"):
        broken.look(TEXT, halves(TEXT), NOTHING)


def test_ctrl_c_while_the_runtime_is_imported_is_no_broken_model(folder, monkeypatch):
    """As pybind11 does it: a KeyboardInterrupt during a module's initialisation becomes the cause of an ImportError."""

    def interrupted(*arguments):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise ImportError("initialization failed") from error

    monkeypatch.setattr("detector.examiner._session", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Examiner(folder, threads=1).examine(TEXT, [(0, len(TEXT))], NOTHING)


def test_a_network_with_other_outputs_is_refused(tmp_path):
    onnx = pytest.importorskip("onnx")
    network = onnx.load(TINY / "examiner.onnx")
    del network.graph.output[1:]
    examiner = Examiner(make_folder(tmp_path / "model", examiner_onnx=network.SerializeToString()))
    with pytest.raises(ModelError, match="kind_logits"):
        examiner.examine(TEXT, [(0, 10)], NOTHING)
