"""The fuzzers' targets on their corpus and on inputs made at random, the same in every run; see fuzz/README.md."""

from __future__ import annotations

import pytest

from detector import store
from tests.fuzz import generate
from tests.fuzz.targets import CORPUS, TARGETS

pytestmark = pytest.mark.skipif(store.DEFAULT_MODEL not in store.model_names(), reason="the model is not trained yet")


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_is_taken(name):
    for path in sorted(CORPUS.iterdir()):
        data = path.read_bytes()
        for kind in range(4):  # as bytes of a file, and in each way in which a text is made of them
            TARGETS[name](bytes([kind]) + data)
        TARGETS[name](data)


def test_inputs_made_at_random_are_taken(capsys):
    assert generate.run(200, seed=7, names=list(TARGETS)) == 0
    assert "200 inputs" in capsys.readouterr().out


def test_a_finding_stops_the_run(monkeypatch, capsys):
    def broken(data: bytes) -> None:
        raise AssertionError

    monkeypatch.setitem(generate.TARGETS, "normalise", broken)
    with pytest.raises(AssertionError):
        generate.run(5, seed=7, names=["normalise"])
    assert "finding: input 1 of seed 7, target normalise" in capsys.readouterr().err


def test_the_same_seed_makes_the_same_inputs():
    assert list(generate.inputs(30, 3)) == list(generate.inputs(30, 3)) != list(generate.inputs(30, 4))
