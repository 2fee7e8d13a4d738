"""Forms of an exported examiner compared: size, speed, error, and what the rest of a batch does to a window.

python -m eval.bench_examiner CHECKPOINT --out eval/reports/spin-en-v2/export.md

CHECKPOINT: a folder of `train.examiner_model.ExaminerModel`, or of a plain BERT encoder, whose heads are then random.
Needs the train extra. All times are CPU time of one thread and the least of several runs, so that other work on the
machine matters little; forms are measured in turns for the same reason.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx

from detector.runtime import import_onnxruntime
from train.corpora import default_data_dir
from train.export_examiner import SAMPLES, Inputs, one_batch, read_tokenizer, to_onnx, window_inputs
from train.quantise import compute_int8, store_int8

WINDOW = 150
"""Pieces of a window of 110 words with its marks."""
ARTICLE_WINDOWS = 5
"""Windows of an article of 500 words."""

TABLES, TEXTS = ("human/bbc_2004", "spun/wild"), 6
"""What the errors are measured on beside the samples of the export, if the data is there."""

# In a process of its own: loads the session as the detector does, runs one window; prints the seconds.
_LOADER = """
import sys, time
import numpy as np
started = time.process_time()
from detector.examiner import _session
session = _session(sys.argv[1], 1)
ids = np.full((1, 150), 7)
levels = np.zeros((1, 150, 2), np.int64)
session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids), "levels": levels})
print(time.process_time() - started)
"""


@dataclass
class Form:
    """One form of the network and what was measured of it; times in seconds of CPU, sizes in bytes."""

    name: str
    path: Path
    bytes: int = 0
    load_seconds: float = 0.0
    window_seconds: float = 0.0
    token_rms: float = 0.0
    token_greatest: float = 0.0
    kind_rms: float = 0.0
    neighbours: float = 0.0  # greatest change of a token logit when the window is run in a padded batch


def make_forms(plain: Path, folder: Path) -> list[Form]:
    """Write all forms of a float32 network into `folder`."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers import optimizer

    forms = [Form("float32", plain)]

    def add(name: str, network: Any) -> None:
        forms.append(Form(name, folder / f"{len(forms)}.onnx"))
        onnx.save(network, forms[-1].path)

    add("float32, fused offline (onnxruntime.transformers)", _fused(optimizer, plain))
    add("float16 weights, float32 computation", _float16(onnx.load(plain)))
    add("int8 weights, float32 computation (`int8-weights`)", store_int8(onnx.load(plain)))
    add("int8, a scale for each token (`int8`)", compute_int8(onnx.load(plain)))
    for name, options in {
        "int8 dynamic, per tensor and column (onnxruntime)": {"per_channel": True},
        "the same, 7-bit weights": {"per_channel": True, "reduce_range": True},
    }.items():
        forms.append(Form(name, folder / f"{len(forms)}.onnx"))
        quantize_dynamic(
            plain, forms[-1].path, weight_type=QuantType.QInt8, extra_options={"MatMulConstBOnly": True}, **options
        )
    for bits in (8, 4):
        add(f"MatMulNBits, {bits} bits in blocks, embeddings float32", _blocks(onnx.load(plain), bits))
    return forms


def _fused(optimizer: Any, plain: Path) -> Any:
    return optimizer.optimize_model(str(plain), model_type="bert", opt_level=0).model


def _float16(network: Any) -> Any:
    """Return the network with its matrices stored as float16 and cast at load."""
    nodes = []
    for tensor in [t for t in network.graph.initializer if t.data_type == onnx.TensorProto.FLOAT and len(t.dims) == 2]:
        values = onnx.numpy_helper.to_array(tensor).astype(np.float16)
        network.graph.initializer.remove(tensor)
        network.graph.initializer.append(onnx.numpy_helper.from_array(values, f"{tensor.name}.half"))
        nodes.append(onnx.helper.make_node("Cast", [f"{tensor.name}.half"], [tensor.name], to=onnx.TensorProto.FLOAT))
    rest = list(network.graph.node)
    del network.graph.node[:]
    network.graph.node.extend([*nodes, *rest])
    return network


def _blocks(network: Any, bits: int) -> Any:
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    # Accuracy level 4: activations in int8 too, the fast way.
    quantiser = MatMulNBitsQuantizer(
        network, bits=bits, block_size=128 if bits == 8 else 32, is_symmetric=True, accuracy_level=4
    )
    quantiser.process()
    return quantiser.model.model


def measure(forms: Sequence[Form], windows: Sequence[Inputs], rounds: int) -> float:
    """Fill in the forms, the first being the reference; return the spread of its token logits."""
    from detector.examiner import _session

    sessions = [_session(str(form.path), 1) for form in forms]
    padded = one_batch(windows)
    timed = {name: np.resize(value, (1, WINDOW, *value.shape[2:])) for name, value in padded.items()}
    timed["attention_mask"][:] = 1
    results = []
    for form, session in zip(forms, sessions, strict=True):
        form.bytes = form.path.stat().st_size
        alone = [session.run(None, w) for w in windows]
        together = session.run(None, padded)[0]
        results.append([np.concatenate([a[i].ravel() for a in alone]) for i in (0, 1)])
        form.neighbours = float(np.abs(results[-1][0] - together[padded["attention_mask"] == 1]).max())
    times = np.full((rounds, len(forms)), np.inf)
    for turn in range(rounds):
        for number, session in enumerate(sessions):
            started = time.thread_time()
            session.run(None, timed)
            times[turn, number] = time.thread_time() - started
    for form, (token, kind), seconds in zip(forms, results, times.min(axis=0), strict=True):
        form.window_seconds = float(seconds)
        form.token_rms = float(np.sqrt(np.mean((token - results[0][0]) ** 2)))
        form.token_greatest = float(np.abs(token - results[0][0]).max())
        form.kind_rms = float(np.sqrt(np.mean((kind - results[0][1]) ** 2)))
        done = subprocess.run(
            [sys.executable, "-c", _LOADER, str(form.path)], capture_output=True, text=True, check=True
        )
        form.load_seconds = float(done.stdout)
    return float(results[0][0].std())


def to_markdown(forms: Sequence[Form], spread: float, checkpoint: str, windows: int) -> str:
    """Return the report."""
    onnxruntime = import_onnxruntime()

    columns = ["form", "MB", "window, ms", "articles/s", "load, s"]
    columns += ["token rms", "token max", "kind rms", "neighbours"]
    lines = [
        "# Forms of the exported examiner",
        "",
        f"Checkpoint: {checkpoint}. Made by `python -m eval.bench_examiner CHECKPOINT --out FILE`, "
        f"{platform.machine()}, onnxruntime {onnxruntime.__version__}.",
        "",
        f"- Times: CPU time of one thread, the least of several runs, for a window of {WINDOW} pieces and for loading",
        f"  with one window run. Articles of {ARTICLE_WINDOWS} windows, for each core, by the same time.",
        f"- Errors: of the logits against float32, {windows} windows; the token logits' deviation is {spread:.2f}.",
        "- Neighbours: greatest change of a token logit when the same window runs in a padded batch.",
        "",
        f"| {' | '.join(columns)} |",
        "|---" * len(columns) + "|",
    ]
    for f in forms:
        lines.append(
            f"| {f.name} | {f.bytes / 1e6:.1f} | {1e3 * f.window_seconds:.1f} "
            f"| {1 / (ARTICLE_WINDOWS * f.window_seconds):.1f} | {f.load_seconds:.2f} "
            f"| {f.token_rms:.4f} | {f.token_greatest:.3f} | {f.kind_rms:.4f} | {f.neighbours:.2g} |"
        )
    return "\n".join(lines) + "\n"


def _texts() -> list[str]:
    """Return some human and some spun texts of the tables, none where there are no tables."""
    texts: list[str] = []
    for name in TABLES:
        path = default_data_dir() / f"{name}.parquet"
        if path.exists():
            from pyarrow.parquet import read_table

            texts += read_table(path, columns=["text"]).column("text").to_pylist()[:TEXTS]
    return texts


@click.command()
@click.argument("checkpoint", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=None, help="Also write it here.")
@click.option("--rounds", type=click.IntRange(1), default=10, show_default=True, help="Runs of each form.")
def main(checkpoint: Path, out: Path | None, rounds: int) -> None:
    """Compare the forms of one examiner."""
    from train.examiner_model import ExaminerConfig, ExaminerModel

    kind = json.loads((checkpoint / "config.json").read_text(encoding="utf-8")).get("model_type")
    own = kind == ExaminerConfig.model_type
    model = ExaminerModel.from_pretrained(checkpoint) if own else ExaminerModel.from_encoder(checkpoint)
    tokenizer = read_tokenizer(checkpoint / "tokenizer.json")
    windows = [window_inputs(tokenizer, text, WINDOW) for text in [*SAMPLES, *_texts()]]
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch, "plain.onnx")
        to_onnx(model.eval(), plain)
        forms = make_forms(plain, Path(scratch))
        spread = measure(forms, windows, rounds)
    size = f"{model.config.num_hidden_layers} layers of {model.config.hidden_size}"
    report = to_markdown(forms, spread, f"{checkpoint.name} ({size})", len(windows))
    print(report)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
