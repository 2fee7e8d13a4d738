"""Long texts are read a block at a time: the results are those of the whole text at once, and memory stays bounded."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector import SpinDetector, detect, evidence, screen, store
from detector.association import AssociationTable
from detector.words import BOUNDARY, FIRST_WORD_ID, NUMBER, UNKNOWN

ROOT = Path(__file__).parent.parent
needs_model = pytest.mark.skipif(store.DEFAULT_MODEL not in store.model_names(), reason="the model is not trained yet")
token_ids = st.lists(st.sampled_from([BOUNDARY, NUMBER, UNKNOWN, *range(FIRST_WORD_ID, 12)]), min_size=1, max_size=60)


@st.composite
def segmented(draw):
    ids = draw(token_ids)
    cuts = draw(st.sets(st.integers(1, len(ids)), max_size=8))
    return np.array(ids, np.int32), sorted({*cuts, len(ids)})


@given(segmented(), st.integers(1, 30))
@settings(max_examples=80)
def test_ngrams_of_blocks_are_those_of_the_whole(drawn, tokens):
    ids, ends = drawn
    whole = screen.find_ngrams(ids, ends)
    expected = set(zip(whole.segments.tolist(), whole.starts.tolist(), whole.hashes.tolist(), strict=True))
    blocks = list(screen.segment_blocks(ends, tokens))
    assert [a for a, _ in blocks] == [0, *(b for _, b in blocks[:-1])]
    assert blocks[-1][1] == len(ends)
    found = set()
    counts = []
    for first, last in blocks:
        begin = ends[first - 1] if first else 0
        assert last - first == 1 or ends[last - 1] - begin <= tokens
        part = screen.block_ngrams(ids, ends, first, last)
        found |= set(
            zip(
                (part.segments + first).tolist(),
                (part.starts + begin).tolist(),
                part.hashes.tolist(),
                strict=True,
            )
        )
        counts += part.counts.tolist()
    assert found == expected
    assert counts == whole.counts.tolist()


@given(segmented(), st.integers(1, 30), st.randoms(use_true_random=False))
@settings(max_examples=80)
def test_evidence_blocks_hold_every_wanted_segment_and_end_behind_boundaries(drawn, tokens, rng):
    ids, ends = drawn
    wanted = np.array([rng.random() < 0.5 for _ in ends])
    blocks = list(evidence.evidence_blocks(ids, ends, wanted, tokens))
    covered = {number for first, last in blocks for number in range(first, last)}
    assert set(np.flatnonzero(wanted).tolist()) <= covered
    assert all(a[1] <= b[0] for a, b in pairwise(blocks))
    for first, last in blocks:
        length = ends[last - 1] - (ends[first - 1] if first else 0)
        assert last == len(ends) or ids[ends[last - 1] - 1] == BOUNDARY or length >= 2 * tokens


def test_pairs_are_looked_up_in_blocks(monkeypatch):
    rng = np.random.default_rng(5)
    ids = rng.integers(0, 40, 500).astype(np.int32)
    table = AssociationTable.count([ids] * 3, 40, 256)
    at, whole = table.adjacent(ids)
    monkeypatch.setattr("detector.association._BLOCK", 7)
    again, parts = table.adjacent(ids)
    assert np.array_equal(at, again)
    assert np.array_equal(whole, parts)


@needs_model
@pytest.mark.parametrize("tokens", [1, 150, 700])
def test_a_text_scored_in_blocks_gives_the_same_result(monkeypatch, tokens):
    model = SpinDetector.load()
    spun, original = ((ROOT / "examples" / f"{n}.txt").read_text(encoding="utf-8") for n in ("spun", "original"))
    text = " ".join([spun, original, spun.upper(), spun]).replace("\n", " ")  # no paragraph is a repeat
    whole = model.score(text).to_dict()
    assert len(whole["segments"]) > 10
    assert whole["spans"]
    monkeypatch.setattr(detect, "segment_blocks", partial(screen.segment_blocks, tokens=tokens))
    monkeypatch.setattr(detect, "evidence_blocks", partial(evidence.evidence_blocks, tokens=tokens))
    parts = model.score(text).to_dict()
    assert parts.pop("kinds") == pytest.approx(whole.pop("kinds"), abs=5e-6)  # summed in another order
    # Suggestions are ranked by the words around, of which a block's first and last spans see fewer.
    for result in (whole, parts):
        for span in result["spans"]:
            del span["suggestions"]
    assert parts == whole


MEMORY = """
import resource, sys
from detector import SpinDetector
unit = 1 if sys.platform == "darwin" else 1024
detector = SpinDetector.load()
text = open("examples/spun.txt", encoding="utf-8").read().replace("\\n", " ")
detector.score(text)
text *= 2_000_000 // len(text)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
detector.score(text)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before) / len(text))
"""


@needs_model
@pytest.mark.skipif(sys.platform == "win32", reason="the resource module is Unix only")
def test_memory_for_a_long_text_is_a_few_bytes_a_character():
    done = subprocess.run([sys.executable, "-c", MEMORY], cwd=ROOT, capture_output=True, text=True, check=True)
    # Measured 18; with all n-grams of the text in memory at once it was 94.
    assert float(done.stdout) < 45
