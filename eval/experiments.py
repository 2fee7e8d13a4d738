"""Short trainings of the examiner that differ in one thing each, scored on tools that none of them was trained on.

    python -m eval experiments --cache DIR

What varies is data: `experiments.toml`. Every variant draws from one pool of windows, cut once and kept in the cache
with the texts that are judged; what a variant scored is kept there too, so that a run that was stopped goes on and the
report can be made of what is there. Needs the train extra; one variant takes minutes on one core.
"""

from __future__ import annotations

import json
import logging
import pickle
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from detector.errors import InputError
from detector.results import KINDS
from eval import swaps
from eval.experiments_report import Judged, Sizes, Variant, read_variants
from eval.protocols import ALSO_LEFT_OUT, Settings, capped, family_of, fold_of
from train.corpora import Document
from train.examiner import Settings as ExaminerSettings
from train.examiner import (
    begin_first_look,
    encoder_folder,
    first_look_settings,
    load_tokenizer,
    score_windows,
    teacher_loss,
    train,
    training_documents,
)
from train.examiner_data import (
    UNLABELLED,
    Labelled,
    Windows,
    cut_windows,
    labelled_documents,
    preset_of,
    select,
    simulated,
    spread,
)
from train.examiner_model import ExaminerConfig, ExaminerModel
from train.screen import SPUN, count_pairs
from train.screen import Settings as ScreenSettings

log = logging.getLogger(__name__)
SHIPPED = "shipped"
_CASES = 3  # lower or none, Capitalised, ALL CAPS


@dataclass(frozen=True)
class Pool:
    """All windows to train on and to judge; ids carry the case of their piece: id + vocabulary * case.

    `texts`: table and group of each training text. `held`: groups that are never trained on, by the family held out
    ("" = every tool). `judged`: the judged texts, whose windows' `texts` index them.
    """

    windows: Windows
    texts: list[tuple[str, str]]
    held: Mapping[str, frozenset[str]]
    judged_windows: Windows
    judged: list[Judged]
    vocabulary: int


class CaseTokenizer:
    """A tokenizer whose ids carry the case of their piece."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.vocabulary = int(tokenizer.get_vocab_size())

    def encode_batch(self, texts: Sequence[str]) -> list[Any]:
        """Return what `tokenizers` returns, as far as `cut_windows` looks at it."""
        found = []
        for text, encoding in zip(texts, self.tokenizer.encode_batch(list(texts)), strict=True):
            ids = [i + self.vocabulary * _case(text[a:b]) for i, (a, b) in zip(encoding.ids, encoding.offsets)]  # noqa: B905
            found.append(
                SimpleNamespace(ids=ids, offsets=encoding.offsets, special_tokens_mask=encoding.special_tokens_mask)
            )
        return found


def _case(piece: str) -> int:
    if not piece[:1].isupper():
        return 0
    return 2 if len(piece) > 1 and piece.isupper() else 1


class CaseModel(ExaminerModel):
    """Reads the case that the ids carry like a further embedding of the piece."""

    def __init__(self, config: ExaminerConfig) -> None:
        super().__init__(config)
        self.cases = nn.Embedding(_CASES, config.hidden_size)
        nn.init.zeros_(self.cases.weight)

    def embedded(self, input_ids: Tensor, levels: Tensor) -> Tensor:
        """Return what the encoder reads of each piece."""
        case, piece = input_ids // self.config.vocab_size, input_ids % self.config.vocab_size
        return super().embedded(piece, levels) + self.cases(case)


def make_pool(documents: Sequence[Document], settings: ExaminerSettings, sizes: Sizes, data: Path, cache: Path) -> Pool:
    """Cut all windows once; kept in `cache`."""
    file = cache / "pool.pkl"
    if file.exists():
        kept: Pool = pickle.loads(file.read_bytes())  # the caller's own cache folder
        return kept
    cache.mkdir(parents=True, exist_ok=True)
    folder = encoder_folder(settings.encoder)
    tokenizer = CaseTokenizer(load_tokenizer(folder))
    chosen = training_documents(documents, replace(settings, held_out=0.0))
    texts = list(labelled_documents(chosen, settings.windows["pair_rows"], settings.seed))
    for rate in sizes.change_rates:
        counts_of = {
            "documents": sizes.simulated_documents,
            "llm_documents": sizes.simulated_llm_documents,
            "mt_documents": sizes.simulated_mt_documents,
            "mt_turns": 1,
        }
        for text in simulated(chosen, data, {**settings.simulation, **counts_of, "rate_factors": [rate]}):
            if text.kind == SPUN:
                texts.append(replace(text, table=f"{text.table}@{rate}"))
            elif rate == sizes.change_rates[0]:  # the originals once
                texts.append(text)
        log.info("%d texts with those simulated at rate %s", len(texts), rate)
    # What is judged is in no count, as any new text.
    counts = count_pairs([d for d in documents if not _is_held(d, "", sizes.fold)], ScreenSettings.read())
    windows = cut_windows(texts, tokenizer, counts, settings.max_tokens, settings.windows["min_replaced"])
    judged_texts, judged = judged_documents(documents, sizes, folder)
    judged_windows = cut_windows(judged_texts, tokenizer, counts, settings.max_tokens, 0.0)
    held = {f: frozenset(d.group for d in documents if _is_held(d, f, sizes.fold)) for f in ("", "wild", "spinbot")}
    pool = Pool(
        windows,
        [(t.table, t.group) for t in texts],
        held,
        spread(judged_windows, sizes.windows),
        judged,
        tokenizer.vocabulary,
    )
    file.write_bytes(pickle.dumps(pool))
    return pool


def _is_held(document: Document, family: str, fold: int) -> bool:
    if document.label != SPUN:
        return fold_of(document, Settings()) == fold
    return not family or family_of(document) == family or document.table in ALSO_LEFT_OUT.get(family, frozenset())


def judged_documents(documents: Sequence[Document], sizes: Sizes, encoder: Path) -> tuple[list[Labelled], list[Judged]]:
    """Return the texts to judge: human ones of the fold, all tools' output, and simulated embedding swaps."""
    rules = Settings()
    sources = swaps.source_documents(documents, sizes.fold, sizes.swap_texts, sizes.seed)
    taken = {d.group for d in sources}
    wanted = [
        i
        for i, d in enumerate(documents)
        if not d.licence_nc and d.group not in taken and (d.label == SPUN or fold_of(d, rules) == sizes.fold)
    ]
    texts, judged = [], []
    for limit, label in ((sizes.human, "original"), (sizes.spun, SPUN), (sizes.others, "")):
        rows = [i for i in wanted if (documents[i].label if documents[i].label in ("original", SPUN) else "") == label]
        for i in capped(rows, documents, limit, sizes.seed):
            d = documents[i]
            texts.append(Labelled(d.text, d.label, d.table, d.group, None))
            family = family_of(d) if d.label == SPUN else ""
            judged.append(Judged(d.table, d.label, d.group, family))
    for name, neighbours in swaps.neighbour_tables(documents, sizes.fold, encoder).items():
        made, share = swaps.swapped(sources, neighbours, name, sizes.swap_share, sizes.seed)
        log.info("swaps %s: %d texts, %.1f %% of words", name, len(made), 100 * share)
        texts += [replace(t, replaced=None) for t in made]
        judged += [Judged(t.table, SPUN, t.group, "swaps") for t in made]
    return texts, judged


def training_windows(pool: Pool, variant: Variant, sizes: Sizes) -> Windows:
    """Return the windows that a variant may draw from."""
    held = pool.held[variant.real or ""]
    left_out_tables = (*variant.leave_out_tables, *(() if variant.translations else ("simulated/mt-",)))
    rates = {str(r) for r in variant.rates or sizes.change_rates}
    wanted = []
    for table, group in pool.texts:
        simulator, _, rate = table.removeprefix("simulated/").partition("@")
        keeps = group not in held and not table.startswith(left_out_tables)
        if rate:
            own_names = (simulator, preset_of(simulator))  # both of what machines wrote
            left_out = any(name.startswith(tuple(variant.leave_out)) for name in own_names)
            keeps = keeps and rate in rates and not left_out
        wanted.append(keeps)
    return select(pool.windows, np.array(wanted)[pool.windows.texts])


def halved(windows: Windows, min_replaced: float, fewest: int = 24) -> Windows:
    """Return the windows cut in two, each half between the marks; those of under `fewest` pieces stay whole.

    Half of a spun window counts as spun by the rule of `cut_windows`.
    """
    pieces, labels, levels, kinds, origin = [], [], [], [], []
    spun, original = KINDS.index(SPUN), KINDS.index("original")
    for row in range(len(windows)):
        part = slice(windows.offsets[row], windows.offsets[row + 1])
        ids, label, level = windows.pieces[part], windows.labels[part], windows.levels[part]
        middle = len(ids) // 2
        cuts = [(1, middle), (middle, len(ids) - 1)] if len(ids) >= fewest else [(1, len(ids) - 1)]
        for start, end in cuts:
            kind, known = int(windows.kinds[row]), label[start:end]
            if kind == spun and len(known) and known.min() != UNLABELLED:
                share = float(known.mean())
                if 0.0 < share < min_replaced:
                    continue
                kind = kind if share else original
            pieces.append(np.concatenate([ids[:1], ids[start:end], ids[-1:]]))
            levels.append(np.concatenate([level[:1], level[start:end], level[-1:]]))
            labels.append(np.concatenate([label[:1], known, label[-1:]]))
            kinds.append(kind)
            origin.append(row)
    offsets = np.concatenate([[0], np.cumsum([len(p) for p in pieces])]).astype(np.int64)
    rows = np.array(origin)
    return Windows(
        np.concatenate(pieces), np.concatenate(labels), np.concatenate(levels), offsets, np.array(kinds, np.int8),
        windows.tables[rows], windows.texts[rows], windows.names,
    )  # fmt: skip


def _matters(plan: str) -> dict[str, Any]:
    """Return what of a plan its scores depend on; defaults stand for keys that came later."""
    given = json.loads(plan)
    own = {k: v for k, v in given.items() if k not in ("title", "expected", "found", "against", "sizes") and v}
    unused = {"bootstrap", "shipped_texts"} | (set() if given.get("translations") else {"simulated_mt_documents"})
    sizes = {k: v for k, v in given["sizes"].items() if k not in unused}
    return {**own, "sizes": sizes}


def run_variant(variant: Variant, pool: Pool, settings: ExaminerSettings, sizes: Sizes, cache: Path) -> Path:
    """Train a variant, score the judged texts, and return the file of its scores; kept as long as it is unchanged."""
    file = cache / f"{variant.name}.npz"
    plan = json.dumps({**asdict(variant), "sizes": asdict(sizes)})
    if file.exists() and _matters(str(np.load(file)["plan"])) == _matters(plan):
        return file
    windows, judged = training_windows(pool, variant, sizes), pool.judged_windows
    batch = sizes.batch
    if variant.halves:
        minimum = settings.windows["min_replaced"]
        windows, judged = (halved(w, m) for w, m in ((windows, minimum), (judged, 0.0)))
        batch *= 2
    if not variant.case:
        windows, judged = (replace(w, pieces=w.pieces % pool.vocabulary) for w in (windows, judged))
    if variant.no_levels:
        windows, judged = (replace(w, levels=np.zeros_like(w.levels)) for w in (windows, judged))
    optimiser = {**settings.optimiser, "steps": sizes.steps, "batch": batch, "save_every": sizes.steps}
    own = replace(
        settings,
        seed=sizes.seed if variant.seed is None else variant.seed,
        optimiser=optimiser,
        loss={**settings.loss} if variant.unlabelled is None else {**settings.loss, "unlabelled": variant.unlabelled},
    )
    if variant.first_look_steps:
        own = first_look_settings(replace(own, first_look={**own.first_look, "steps": variant.first_look_steps}))
    torch.manual_seed(own.seed)
    kind = CaseModel if variant.case else ExaminerModel
    layers = variant.layers or sizes.layers
    teach = None
    if variant.teacher:
        folder = cache / variant.teacher
        if not (folder / "model.safetensors").exists():
            raise InputError(f"{variant.name}: no {folder}; run the variant {variant.teacher} first")
        teacher = ExaminerModel.from_pretrained(folder).eval()
        model, teach = teacher.with_fewer_layers(layers), teacher_loss(teacher)
    else:
        model = kind.from_encoder(encoder_folder(own.encoder), layers)
    if variant.first_look_steps:
        model = begin_first_look(model, own)
    log.info("%s: %d windows to draw from, %d to judge", variant.name, len(windows), len(judged))
    started = time.monotonic()
    train(windows, model, own, cache / variant.name, teach=teach)
    trained = time.monotonic()
    kinds, tokens = score_windows(model, judged)
    scored = time.monotonic()
    lengths = judged.lengths()
    replaced = np.add.reduceat(1.0 / (1.0 + np.exp(-tokens.astype(np.float64))), judged.offsets[:-1]) / lengths
    np.savez_compressed(
        file, plan=plan, kinds=kinds, replaced=replaced, pieces=lengths, texts=judged.texts, pool=len(windows),
        train_seconds=trained - started, score_seconds=scored - trained,
        trained_windows=own.optimiser["steps"] * own.optimiser["batch"],
    )  # fmt: skip
    log.info("%s: trained %.0f s, scored %.0f s", variant.name, trained - started, scored - trained)
    return file


def run(
    data: Path, cache: Path, recipe: Path | None, only: Sequence[str], model: str | None, settings: ExaminerSettings
) -> None:
    """Run the variants of `recipe` (default: experiments.toml) or those named, and judge swaps by a shipped model.

    The latter is called SHIPPED, and is kept in the cache under the model's id.
    """
    from detector.store import open_model
    from train.corpora import load_documents, read_seeds, remove_duplicates

    torch.set_num_threads(1)  # the same whatever the machine, so that runs can stand beside each other
    cache.mkdir(parents=True, exist_ok=True)
    sizes, variants = read_variants(recipe)
    known = [SHIPPED, *(v.name for v in variants)]
    names = list(only) or known
    if unknown := sorted(set(names) - set(known)):
        raise InputError(f"unknown variants {', '.join(unknown)}; known: {', '.join(known)}")
    judgement = cache / f"{SHIPPED}-{open_model(model).model_id}.json" if SHIPPED in names else None
    documents: list[Document] = []
    if not (cache / "pool.pkl").exists() or (judgement and not judgement.exists()):
        documents, dropped = remove_duplicates(load_documents(data), exclude=read_seeds(data))
        log.info("%d documents, dropped %s", len(documents), dropped)
    pool = make_pool(documents, settings, sizes, data, cache)
    (cache / "judged.json").write_text(json.dumps([asdict(j) for j in pool.judged]), encoding="utf-8")
    if judgement and not judgement.exists():
        found = swaps.measure_shipped(
            documents, model, encoder_folder(settings.encoder), sizes.swap_share, sizes.fold, sizes.shipped_texts,
            sizes.seed,
        )  # fmt: skip
        judgement.write_text(json.dumps(found), encoding="utf-8")
    for variant in variants:
        if variant.name in names:
            run_variant(variant, pool, settings, sizes, cache)
