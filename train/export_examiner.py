"""A trained examiner -> a network and `tokenizer.json` of a model folder, checked against torch.

See `Precision` for how small and fast it may be made, and eval/reports/spin-en-v2/export.md for what that costs.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from detector.association import NEIGHBOUR_LEVELS
from detector.examiner import NETWORK
from detector.runtime import import_onnxruntime
from train.quantise import compute_int8, store_int8

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from train.examiner_model import ExaminerModel

OPSET = 17
"""Lowest with LayerNormalization; onnxruntime reads it since 1.13."""
IR_VERSION = 8  # what goes with opset 17; onnx writes its newest one, which older runtimes refuse
MAX_DIFFERENCE = 1e-4
"""Allowed difference of a logit between torch and ONNX in float32; sums in another order make about 1e-6."""
Precision = Literal["float32", "int8-weights", "int8"]
"""As trained; weights stored as int8, computation in float32; the large multiplications in int8 too."""
Inputs = dict[str, NDArray[np.int64]]
"""Input of the network by name: `input_ids`, `attention_mask`, shape (batch, tokens), `levels`, (batch, tokens, 2)."""

SAMPLES = (
    "The council met on Tuesday to talk about the old bridge. Two engineers said that the northern pier had sunk.",
    "The chamber assembled on Tuesday to discuss the antiquated span. Two architects said that the dock had plunged.",
    "Heat the oil, add the onions and stir until they are soft; then pour in 250 ml of stock (see page 12).",
    "be that as it may , the outcomes were acquired in the wake of preparing @xmath tests at 37 ° c .",
    "Zürich, 東京 and naïve café owners agreed: https://example.org/a?b=c isn't a proper sentence!!! 😀",
)
"""Texts that the checks at export run on if none are given."""


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export was measured to be.

    `bytes`: of both files together. `torch_difference`: greatest difference of a logit between torch and the float32
    network. `token_difference`, `kind_difference`: greatest differences between the float32 network and the one
    written, in logits, and `token_rms`, `kind_rms`: the roots of their mean squares; `token_spread`, `kind_spread`:
    standard deviations of the logits themselves, to compare with.
    """

    bytes: int
    torch_difference: float
    token_difference: float
    kind_difference: float
    token_rms: float
    kind_rms: float
    token_spread: float
    kind_spread: float


def export_examiner(
    model: ExaminerModel,
    tokenizer: Path,
    folder: Path,
    *,
    name: str = NETWORK,
    precision: Precision = "int8",
    texts: Sequence[str] = SAMPLES,
    max_tokens: int = 256,
) -> ExportReport:
    """Write the network and `tokenizer.json` into `folder` and return how far they are from the model.

    `name`: of the network's file. `tokenizer`: a `tokenizer.json` of the library tokenizers, with [CLS] and [SEP].
    `texts`: what the differences are measured on, the first `max_tokens` pieces of each. The model is left in
    evaluation mode, on the CPU, in float32.

    Raises:
        ValueError: torch and ONNX disagree by more than `MAX_DIFFERENCE`, or the tokenizer does not fit the model.
    """
    pieces = read_tokenizer(tokenizer)
    if pieces.get_vocab_size() > model.config.vocab_size:
        raise ValueError(f"{tokenizer}: {pieces.get_vocab_size()} pieces, the model has {model.config.vocab_size}")
    model = model.eval().cpu().float()
    windows = [window_inputs(pieces, text, max_tokens) for text in texts]
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch, "float32.onnx")
        to_onnx(model, plain)
        torch_difference = compare_with_torch(model, plain, windows)
        if not torch_difference <= MAX_DIFFERENCE:  # also where it is NaN
            raise ValueError(
                f"ONNX and torch differ by {torch_difference:.2g}, more than {MAX_DIFFERENCE:g}; not written"
            )
        written = Path(scratch, "examiner.onnx")
        network = onnx.load(plain)
        if precision == "int8":
            network = compute_int8(network)
        elif precision == "int8-weights":
            network = store_int8(network)
        onnx.save(network, written)
        before, after = (run(path, windows) for path in (plain, written))
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(written, folder / name)
    pieces.save(str(folder / "tokenizer.json"), pretty=False)
    token, kind = (np.concatenate([b[i].ravel() for b in before]) for i in (0, 1))
    token_after, kind_after = (np.concatenate([a[i].ravel() for a in after]) for i in (0, 1))
    return ExportReport(
        bytes=sum((folder / file).stat().st_size for file in (name, "tokenizer.json")),
        torch_difference=torch_difference,
        token_difference=float(np.abs(token_after - token).max()),
        kind_difference=float(np.abs(kind_after - kind).max()),
        token_rms=float(np.sqrt(np.mean((token_after - token) ** 2))),
        kind_rms=float(np.sqrt(np.mean((kind_after - kind) ** 2))),
        token_spread=float(token.std()),
        kind_spread=float(kind.std()),
    )


def read_tokenizer(path: Path) -> Tokenizer:
    """Return the tokenizer with truncation and padding off, whatever the file says."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def window_inputs(tokenizer: Tokenizer, text: str, max_tokens: int) -> Inputs:
    """Return the network's inputs for the first window of a text, at most `max_tokens` with its marks.

    The levels are drawn: which words go together is for the table to say, here they only have to be told alike.
    """
    ids = tokenizer.encode(text, add_special_tokens=False).ids[: max_tokens - 2]
    marked = np.asarray([[tokenizer.token_to_id("[CLS]"), *ids, tokenizer.token_to_id("[SEP]")]], np.int64)
    levels = np.random.default_rng(len(ids)).integers(0, NEIGHBOUR_LEVELS, (*marked.shape, 2))
    levels[:, [0, -1]] = 0
    return {"input_ids": marked, "attention_mask": np.ones_like(marked), "levels": levels}


def one_batch(windows: Sequence[Inputs]) -> Inputs:
    """Return all windows as one batch, padded with zeros."""
    longest = max(w["input_ids"].shape[1] for w in windows)

    def padded(value: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.pad(value, [(0, 0), (0, longest - value.shape[1]), *[(0, 0)] * (value.ndim - 2)])

    return {name: np.concatenate([padded(w[name]) for w in windows]) for name in windows[0]}


def to_onnx(model: ExaminerModel, path: Path) -> None:
    """Write the model as float32 ONNX with inputs and outputs named as in its `forward`, batch and length free.

    The TorchScript exporter: its graph is the one that ONNX Runtime knows how to fuse, and it needs no further package.
    """
    import torch

    model.set_attn_implementation("eager")  # the others choose their kernel by the example's values

    class Outputs(torch.nn.Module):  # type: ignore[misc]  # torch is not followed
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any, levels: Any) -> tuple[Any, Any]:
            output = self.model(input_ids=input_ids, attention_mask=attention_mask, levels=levels)
            return output.token_logits, output.kind_logits

    ids = torch.randint(0, model.config.vocab_size, (2, 12), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 7:] = 0
    levels = torch.ones((*ids.shape, 2), dtype=torch.int64)
    window = {0: "batch", 1: "tokens"}
    with torch.no_grad():
        torch.onnx.export(
            Outputs().eval(),
            (ids, mask, levels),
            str(path),
            input_names=["input_ids", "attention_mask", "levels"],
            output_names=["token_logits", "kind_logits"],
            dynamic_axes={
                "input_ids": window,
                "attention_mask": window,
                "levels": window,
                "token_logits": window,
                "kind_logits": {0: "batch"},
            },
            opset_version=OPSET,
            dynamo=False,
        )
    network = onnx.load(path)
    network.ir_version = IR_VERSION
    onnx.checker.check_model(network)
    onnx.save(network, path)


def compare_with_torch(model: ExaminerModel, path: Path, windows: Sequence[Inputs]) -> float:
    """Return the greatest difference of a logit: each window alone, and all of them in one padded batch."""
    import torch

    session = _session(path)
    greatest = 0.0
    for given in [*windows, one_batch(windows)]:
        with torch.no_grad():
            expected = model(**{name: torch.from_numpy(value) for name, value in given.items()})
        token, kind = session.run(None, given)
        differences = np.concatenate(
            [
                (token - expected.token_logits.numpy())[given["attention_mask"] == 1],
                (kind - expected.kind_logits.numpy()).ravel(),
            ]
        )
        greatest = float(np.max([greatest, np.abs(differences).max()]))  # np.max keeps a NaN
    return greatest


def run(path: Path, windows: Sequence[Inputs]) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return the token and the kind logits of each window, run alone as `detector.examiner` does."""
    session = _session(path)
    return [tuple(session.run(None, w)) for w in windows]


def _session(path: Path) -> Any:
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
