"""A float32 network in ONNX -> one with int8 weights, which computes in float32 or in int8.

Why not `onnxruntime.quantization.quantize_dynamic`: it scales the activations by the greatest value of the whole
tensor. BERT has single channels with values ten times those of the others, so that most of the range stays unused, and
a window's result changes with whatever else is in its batch. Here each token has a scale of its own, as in LLM.int8
(Dettmers et al. 2022) and ZeroQuant (Yao et al. 2022); eval/reports/spin-en-v2/export.md has the comparison.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SMALLEST = 4096
"""Values of a matrix below which it stays float32: nothing to be gained."""
_MIDDLE = 128  # what stands for zero among the uint8 values of an activation


def store_int8(network: onnx.ModelProto, smallest: int = SMALLEST) -> onnx.ModelProto:
    """Return the network with its matrices of `smallest` values or more as int8 and scales; it computes in float32.

    Symmetric, one scale for each column of a matrix (each output) and each row of an embedding. The matrices are
    multiplied out when the network is loaded, embeddings row by row when they are used. By Cast and Mul rather than
    DequantizeLinear, because every runtime folds these into constants by itself. The argument is changed.

    Raises:
        ValueError: a matrix is used by something else than Gather and MatMul.
    """
    return _rewrite(network, smallest, _float_multiplication)


def compute_int8(network: onnx.ModelProto, smallest: int = SMALLEST) -> onnx.ModelProto:
    """Return the network with its matrices as in `store_int8`, but multiplied as integers; the argument is changed.

    Each row of an activation (a token) is divided by its greatest value, so that its result depends on no other. The
    weights are kept small enough for the 16-bit sums of processors without VNNI, see `pair_scales`: the products are
    exact, and the same, everywhere.

    Raises:
        ValueError: as `store_int8`, or the network has no input `input_ids` of shape (batch, tokens).
    """
    if "input_ids" not in [i.name for i in network.graph.input]:
        raise ValueError("the network has no input input_ids")
    network.opset_import.append(helper.make_opsetid("com.microsoft", 1))  # of MatMulIntegerToFloat
    return _rewrite(network, smallest, _integer_multiplication)


def pair_scales(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return one scale for each column, shape (1, columns), so that two neighbouring weights sum to 128 at most.

    Processors with AVX2 or AVX-512 but without VNNI add the products of two neighbours in 16 bits, signed: 255 times
    128 is just below 2**15, and what is above it would be cut. This costs 0.6 bits of the weights on average, where the
    usual way, seven bits for all, costs one.
    """
    size = np.abs(matrix)
    pairs = size[1:] + size[:-1] if len(size) > 1 else size
    # 127, not 128: each of the two may be rounded up by a half.
    scales = np.maximum(size.max(axis=0), pairs.max(axis=0)) / np.float32(127)
    scales[scales == 0] = 1
    return np.asarray(scales[np.newaxis], np.float32)


class _Graph:
    """The nodes and constants of the network that is being written."""

    def __init__(self, network: onnx.ModelProto) -> None:
        self.stored = {
            t.name: t for t in network.graph.initializer if t.data_type == TensorProto.FLOAT and len(t.dims) == 2
        }
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, NDArray[np.generic]] = {}
        self.made: set[str] = set()
        self.replaced: set[str] = set()

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node unless its output is there already; return the output."""
        if output not in self.made:
            self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
            self.made.add(output)
        return output

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.constants[name] = value
        return name

    def int8(self, name: str, values: NDArray[np.float32], scales: NDArray[np.float32]) -> tuple[str, str]:
        """Add the values over their scales, and the scales; return the names of both."""
        if name not in self.replaced:
            self.replaced.add(name)
            self.constant(f"{name}.int8", np.rint(values / scales).clip(-127, 127).astype(np.int8))
            self.constant(f"{name}.scale", scales)
        return f"{name}.int8", f"{name}.scale"


def _rewrite(
    network: onnx.ModelProto, smallest: int, multiply: Callable[[_Graph, onnx.NodeProto, NDArray[np.float32]], None]
) -> onnx.ModelProto:
    graph = _Graph(network)
    for node in network.graph.node:
        place = {"Gather": 0, "MatMul": 1}.get(node.op_type)
        table = None if place is None else graph.stored.get(node.input[place])
        if table is None or np.prod(table.dims) < smallest:
            graph.nodes.append(node)
        elif node.op_type == "Gather":
            _gather_rows(graph, node, numpy_helper.to_array(table))
        else:
            multiply(graph, node, numpy_helper.to_array(table))
    kept = [t for t in network.graph.initializer if t.name not in graph.replaced]
    if left := graph.replaced & {name for node in graph.nodes for name in node.input}:
        raise ValueError(f"matrices with other uses than Gather and MatMul: {sorted(left)}")
    del network.graph.node[:], network.graph.initializer[:]
    network.graph.node.extend(graph.nodes)
    network.graph.initializer.extend(kept)
    network.graph.initializer.extend(numpy_helper.from_array(v, name) for name, v in graph.constants.items())
    onnx.checker.check_model(network)
    return network


def _gather_rows(graph: _Graph, node: onnx.NodeProto, table: NDArray[np.float32]) -> None:
    """Take rows of an int8 table and multiply them out: the table itself stays int8 in memory."""
    scales = np.abs(table).max(axis=1, keepdims=True) / np.float32(127)
    scales[scales == 0] = 1
    values, scale = graph.int8(node.input[0], table, scales)
    out = node.output[0]
    rows = graph.node("Gather", [values, node.input[1]], f"{out}.int8")
    rows = graph.node("Cast", [rows], f"{out}.cast", to=TensorProto.FLOAT)
    graph.node("Mul", [rows, graph.node("Gather", [scale, node.input[1]], f"{out}.scale")], out)


def _float_multiplication(graph: _Graph, node: onnx.NodeProto, matrix: NDArray[np.float32]) -> None:
    scales = np.abs(matrix).max(axis=0, keepdims=True) / np.float32(127)
    scales[scales == 0] = 1
    values, scale = graph.int8(node.input[1], matrix, scales)
    cast = graph.node("Cast", [values], f"{values}.cast", to=TensorProto.FLOAT)
    weights = graph.node("Mul", [cast, scale], f"{values}.float")
    graph.node("MatMul", [node.input[0], weights], node.output[0])


def _integer_multiplication(graph: _Graph, node: onnx.NodeProto, matrix: NDArray[np.float32]) -> None:
    """Add x W = s (q Wq) t with q = round(x / s), s one number for each row of x and t one for each column of W."""
    given, out = node.input[0], node.output[0]
    values, scale = graph.int8(node.input[1], matrix, pair_scales(matrix))
    graph.constants[scale] = graph.constants[scale].ravel()
    # For all matrices together: the shape (batch, tokens, -1), and the zero point of each row.
    shape = graph.node("Shape", ["input_ids"], "int8.shape")
    back = graph.node("Concat", [shape, graph.constant("int8.rest", np.asarray([-1], np.int64))], "int8.back", axis=0)
    rows = graph.node("ReduceProd", [shape], "int8.rows", keepdims=1)
    middle = helper.make_tensor("value", TensorProto.UINT8, [1], [_MIDDLE])
    middles = graph.node("ConstantOfShape", [rows], "int8.middles", value=middle)
    # Once for all matrices that read the same activation.
    flat = graph.constant(f"int8.flat{len(matrix)}", np.asarray([-1, len(matrix)], np.int64))
    given2d = graph.node("Reshape", [given, flat], f"{given}.flat")
    size = graph.node("Abs", [given2d], f"{given}.size")
    greatest = graph.node("ReduceMax", [size], f"{given}.greatest", axes=[-1], keepdims=1)
    share = graph.constant("int8.share", np.asarray(1 / 127, np.float32))
    least = graph.constant("int8.least", np.asarray(1e-20, np.float32))  # any number but 0, for rows of zeros
    step = graph.node("Mul", [greatest, share], f"{given}.share")
    step = graph.node("Max", [step, least], f"{given}.step")
    steps = graph.node("Reshape", [step, "int8.rest"], f"{given}.steps")
    quantised = graph.node("QuantizeLinear", [given2d, steps, middles], f"{given}.uint8", axis=0)
    product = graph.node(
        "MatMulIntegerToFloat",
        [
            quantised,
            values,
            graph.constant("int8.one", np.asarray(1, np.float32)),
            scale,
            graph.constant("int8.middle", np.asarray(_MIDDLE, np.uint8)),
        ],
        f"{out}.product",
        domain="com.microsoft",
    )
    scaled = graph.node("Mul", [product, step], f"{out}.scaled")
    graph.node("Reshape", [scaled, back], out)
