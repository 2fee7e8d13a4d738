"""The examiner's export: int8 forms of a real, tiny network; with torch also the whole way from a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from onnx import numpy_helper

from train.quantise import compute_int8, pair_scales, store_int8

TINY = Path(__file__).parent / "data" / "tiny_examiner" / "examiner.onnx"
SMALLEST = 64  # so that all matrices of the tiny network count as large
IDS = np.random.default_rng(3).integers(5, 120, (3, 40))


def logits(network, ids):
    """Return the token and the kind logits of a network."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(network.SerializeToString(), options, providers=["CPUExecutionProvider"])
    levels = np.random.default_rng(4).integers(0, 16, (1, ids.shape[1], 2)).repeat(len(ids), axis=0)
    given = {"input_ids": ids, "attention_mask": np.ones_like(ids), "levels": levels}
    return session.run(["token_logits", "kind_logits"], given)


@pytest.fixture(scope="module")
def plain():
    return logits(onnx.load(TINY), IDS)


# Bounds: eight bits of weights and of activations each leave an error of about 1/256 of the greatest value, and the
# logits are sums over 16 channels of it; the network's weights are uniformly large, which is its worst case.
@pytest.mark.parametrize(("make", "bound"), [(store_int8, 0.05), (compute_int8, 0.1)])
def test_int8_is_close_to_float32(plain, make, bound):
    network = make(onnx.load(TINY), SMALLEST)
    for before, after in zip(plain, logits(network, IDS), strict=True):
        difference = np.sqrt(np.mean((after - before) ** 2))
        assert 0 < difference < bound * before.std()
    large = [t for t in network.graph.initializer if t.data_type == onnx.TensorProto.FLOAT and np.prod(t.dims) > 512]
    assert not large


@pytest.mark.parametrize("make", [store_int8, compute_int8])
def test_int8_results_do_not_depend_on_the_batch(make):
    network = make(onnx.load(TINY), SMALLEST)
    token_logits, kind_logits = logits(network, IDS)
    for row, ids in enumerate(IDS):
        alone = logits(network, ids[np.newaxis])
        np.testing.assert_allclose(alone[0][0], token_logits[row], atol=1e-5)
        np.testing.assert_allclose(alone[1][0], kind_logits[row], atol=1e-5)


@given(
    st_numpy.arrays(
        np.float32,
        st.tuples(st.integers(1, 9), st.integers(1, 5)),
        elements=st.floats(-1e3, 1e3, width=32) | st.just(0.0),
    )
)
def test_neighbouring_weights_fit_16_bits(matrix):
    scales = pair_scales(matrix)
    assert scales.shape == (1, matrix.shape[1])
    weights = np.rint(matrix / scales).clip(-127, 127).astype(np.int64)
    assert np.abs(weights[1:] + np.zeros(1, np.int64)).max(initial=0) <= 127
    pairs = np.abs(weights[1:]) + np.abs(weights[:-1])
    assert 255 * pairs.max(initial=0) < 2**15
    # All of the range is used, so that nothing is given away.
    used = max(np.abs(weights).max(), pairs.max(initial=0))
    assert used >= 126 or not np.abs(matrix).max(initial=0)
    assert np.abs(weights * scales - matrix).max() <= 0.51 * scales.max()


def test_written_weights_fit_16_bits():
    network = compute_int8(onnx.load(TINY), SMALLEST)
    matrices = {n.input[1] for n in network.graph.node if n.op_type == "MatMulIntegerToFloat"}
    assert len(matrices) == 6  # query, key, value, output, and two of the feed-forward part
    for tensor in network.graph.initializer:
        if tensor.name in matrices:
            weights = np.abs(numpy_helper.to_array(tensor).astype(np.int64))
            assert 255 * (weights[1:] + weights[:-1]).max() < 2**15


def test_a_matrix_with_another_use_is_refused():
    network = onnx.load(TINY)
    matrix = next(n.input[1] for n in network.graph.node if n.op_type == "MatMul" and "MatMul" in n.input[1])
    network.graph.node.append(onnx.helper.make_node("Abs", [matrix], ["elsewhere"]))
    with pytest.raises(ValueError, match="other uses"):
        store_int8(network, SMALLEST)


def test_a_network_of_other_inputs_is_refused():
    network = onnx.load(TINY)
    network.graph.input[0].name = "words"
    with pytest.raises(ValueError, match="input_ids"):
        compute_int8(network)


class TestFromTorch:
    """The whole export. Skipped without the train extra."""

    @pytest.fixture(autouse=True)
    def libraries(self):
        for name in ("torch", "transformers"):
            pytest.importorskip(name, reason="needs the train extra")

    @pytest.fixture
    def parts(self, tmp_path):
        from tests.make_tiny_examiner import tiny_model, tiny_tokenizer

        tokenizer = tiny_tokenizer()
        tokenizer.enable_truncation(8)
        tokenizer.enable_padding(length=8)
        tokenizer.save(str(tmp_path / "given.json"))
        return tiny_model(tokenizer.get_vocab_size()), tmp_path / "given.json"

    @pytest.mark.parametrize("precision", ["float32", "int8-weights", "int8"])
    def test_export(self, tmp_path, parts, precision):
        from tokenizers import Tokenizer

        from tests.make_tiny_examiner import tiny_model
        from train.export_examiner import export_examiner

        # 64 wide: the matrices of the committed one are too small to be worth int8.
        model = tiny_model(parts[0].config.vocab_size, width=64)
        report = export_examiner(model, parts[1], tmp_path / "out", precision=precision, max_tokens=64)
        assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["examiner.onnx", "tokenizer.json"]
        assert report.torch_difference < 1e-4
        assert report.bytes == sum(p.stat().st_size for p in (tmp_path / "out").iterdir())
        assert (report.token_difference == 0) == (precision == "float32")
        assert report.token_difference < 0.5 * report.token_spread
        tokenizer = Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
        assert tokenizer.truncation is None and tokenizer.padding is None

    def test_the_committed_networks_are_what_the_script_makes(self, tmp_path, monkeypatch):
        from tests import make_tiny_examiner

        monkeypatch.setattr(make_tiny_examiner, "FOLDER", tmp_path)
        make_tiny_examiner.main()
        for name in ("examiner.onnx", "first_look.onnx"):
            made, committed = (logits(onnx.load(folder / name), IDS) for folder in (tmp_path, TINY.parent))
            for one, other in zip(made, committed, strict=True):
                np.testing.assert_allclose(one, other, atol=1e-4)
        assert (logits(onnx.load(TINY), IDS)[0] != committed[0]).any(), "two networks"

    def test_a_network_that_disagrees_is_not_written(self, tmp_path, parts, monkeypatch):
        import train.export_examiner as export

        def altered(model, path):
            network = onnx.load(TINY)
            bias = next(t for t in network.graph.initializer if t.name.endswith("kind_head.bias"))
            bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(0.001), bias.name))
            onnx.save(network, path)

        monkeypatch.setattr(export, "to_onnx", altered)
        with pytest.raises(ValueError, match=r"differ by 0\.001"):
            export.export_examiner(*parts, tmp_path / "out", max_tokens=64)
        assert not (tmp_path / "out").exists()

    def test_a_tokenizer_with_too_many_pieces_is_refused(self, tmp_path, parts):
        from tokenizers import Tokenizer

        from train.export_examiner import export_examiner

        tokenizer = Tokenizer.from_file(str(parts[1]))
        tokenizer.add_tokens(["unheard", "of"])
        tokenizer.save(str(parts[1]))
        with pytest.raises(ValueError, match="pieces"):
            export_examiner(*parts, tmp_path / "out")
