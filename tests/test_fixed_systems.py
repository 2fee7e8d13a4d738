"""Systems that are trained already, with real models: ours, and a tiny classifier of random weights."""

from __future__ import annotations

import numpy as np
import pytest

from detector.errors import InputError
from eval.fixed_systems import DetectorSystem, HubClassifier
from eval.judging import NOT_SCORED
from eval.suite import SUITES, read_rows
from eval.systems import SYSTEMS, FixedFunction, load_system

TEXTS = ["A pump stands by the river.", "A siphon remains by the stream, and so on and on and on.", ""]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A BERT of two layers and a handful of words, random weights, in the files that transformers reads."""
    torch = pytest.importorskip("torch", reason="the hub's classifiers need the extra 'train'")
    transformers = pytest.importorskip("transformers", reason="the hub's classifiers need the extra 'train'")
    folder = tmp_path_factory.mktemp("hub") / "owner" / "tiny"
    folder.mkdir(parents=True)
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *["a", "pump", "stands", "by", "the", "river", "siphon", "remains", "stream", "on"],
    ]
    (folder / "vocab.txt").write_text("\n".join(words))
    transformers.BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=512).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=32, id2label={0: "human", 1: "machine-paraphrased"}, initializer_range=1.0,
        label2id={"human": 0, "machine-paraphrased": 1},
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def test_a_classifier_of_the_hub_gives_the_softmax_of_its_spun_class(classifier):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    system = load_system(str(classifier), classifier, trained=False)
    assert isinstance(system, HubClassifier)
    found = system.fit([], 0)(TEXTS)
    assert found.shape == (3,)
    tokenizer = AutoTokenizer.from_pretrained(classifier)
    model = AutoModelForSequenceClassification.from_pretrained(classifier).eval()
    with torch.inference_mode():
        alone = torch.softmax(model(**tokenizer(TEXTS[1], return_tensors="pt")).logits, -1)[0, 1]
    assert found[1] == pytest.approx(float(alone), abs=1e-5)  # padding in the batch changes nothing
    assert len(set(found.tolist())) == 3
    assert np.array_equal(found, system(TEXTS))


def test_longer_texts_are_cut_to_what_the_model_takes(classifier):
    system = HubClassifier(str(classifier))
    long = "a pump by the river " * 50
    assert system([long]).tolist() == system([long + "siphon siphon siphon"]).tolist()


def test_the_class_can_be_named_and_must_be_clear(classifier):
    spun = HubClassifier(str(classifier))(TEXTS)
    other = load_system(f"{classifier}#human", classifier, trained=False).fit([], 0)(TEXTS)
    assert spun + other == pytest.approx(np.ones(3))
    with pytest.raises(InputError, match="which class is spun"):
        HubClassifier(str(classifier), "nobody")(TEXTS)
    choose = HubClassifier("x")._class_number
    assert choose({0: "LABEL_0", 1: "LABEL_1"}) == 1
    assert choose({0: "plagiarised", 1: "original"}) == 0
    with pytest.raises(InputError, match="x#LABEL"):
        choose({0: "a", 1: "b", 2: "c"})


def test_a_missing_classifier_says_so(tmp_path, monkeypatch):
    pytest.importorskip("transformers", reason="the hub's classifiers need the extra 'train'")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="cannot be loaded"):
        load_system(str(tmp_path), tmp_path, trained=False).fit([], 0)(TEXTS)


def test_ours_is_the_shipped_detector():
    rows = read_rows(SUITES / "own" / "machine.jsonl")
    system = load_system("ours", SUITES, trained=False)
    assert isinstance(system, DetectorSystem)
    found = system.fit([], 0)([rows[-1]["text"], "Too short."])
    assert found[0] == system.detector.score(rows[-1]["text"]).probability
    assert found[1] == NOT_SCORED
    assert list(system.points) == ["strict", "balanced", "sensitive"]
    assert system.model_id.count("@") == 1


def test_a_new_system_is_one_function(monkeypatch):
    monkeypatch.setitem(
        SYSTEMS, "length", lambda wanted: FixedFunction("length", lambda texts: [len(t) for t in texts])
    )
    assert load_system("length", SUITES).fit([], 0)(["ab"]).tolist() == [2.0]
