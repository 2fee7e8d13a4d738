"""What the examiner alone is worth on texts whose groups it never saw: by window and by article, before int8 and after.

    python -m eval examiner-windows CHECKPOINT

CHECKPOINT is the folder of `python -m train examiner` that the model was joined from. No gate, no first look and no
screen: every text is read. The detector's own figures are those of `python -m eval run shipped`.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.calibrate import replaced_log_odds, spun_log_odds
from detector.errors import InputError
from detector.store import open_model
from eval.experiments_report import HEADS, area, article_means
from eval.metrics import signature
from eval.protocols import capped
from train.corpora import Document
from train.examiner import Settings, is_held_out
from train.examiner_data import Labelled, Windows, cut_windows, spread
from train.export import upper_quantile
from train.join import read_checkpoint
from train.screen import SPUN, count_pairs
from train.screen import Settings as ScreenSettings

log = logging.getLogger(__name__)
Floats = NDArray[np.float64]
FORMS = ("float32", "int8")
TARGET = 0.01
"""False-positive rate at which recall is compared."""
FEWEST = 10
"""Texts of a spun set below which it only counts among all."""


@dataclass(frozen=True)
class Scores:
    """One form's scores by head: of every window, and of every article the mean over its pieces."""

    windows: Mapping[str, Floats]
    articles: Mapping[str, Floats]


def held_out_texts(
    documents: Sequence[Document],
    settings: Settings,
    rows: int,
    seed: int,
    labels: Collection[str] = ("original", SPUN),
) -> list[Document]:
    """Return at most `rows` texts of each table whose groups the examiner held out, by default human and spun ones."""
    fewest = ScreenSettings.read().article["min_words"]
    fit = [
        i
        for i, d in enumerate(documents)
        if not d.licence_nc
        and is_held_out(d.group, settings.held_out)
        and d.label in labels
        and len(d.text.split()) >= fewest
    ]
    return [documents[i] for i in capped(fit, documents, rows, seed)]


def score(network: Path, windows: Windows, texts: int) -> Scores:
    """Run every window of so many texts through a network, alone and unpadded, as the detector does."""
    from detector.examiner import _session

    session = _session(str(network), 1)
    replaced, spun = np.zeros(len(windows)), np.zeros(len(windows))
    for row in range(len(windows)):
        part = slice(windows.offsets[row], windows.offsets[row + 1])
        ids = windows.pieces[np.newaxis, part].astype(np.int64)
        levels = windows.levels[np.newaxis, part].astype(np.int64)
        given = {"input_ids": ids, "attention_mask": np.ones_like(ids), "levels": levels}
        tokens, kinds = session.run(None, given)
        replaced[row] = replaced_log_odds(tokens[0, 1:-1])  # without the marks
        spun[row] = spun_log_odds(kinds)[0]
    by_window = dict(zip(HEADS, (replaced, spun), strict=True))
    owner, pieces = windows.texts.astype(np.int64), windows.lengths().astype(np.float64)
    return Scores(by_window, {h: article_means(v, owner, pieces, texts) for h, v in by_window.items()})


def compare(texts: Sequence[Document], windows: Windows, scores: Mapping[str, Scores]) -> list[dict[str, Any]]:
    """Return a row for each spun set of some size and one for all: areas by window and article, recall of both forms.

    Recall: above the threshold that `TARGET` of the human articles exceed, in the same form by the same head.
    """
    present = np.flatnonzero(np.isfinite(scores[FORMS[0]].articles[HEADS[0]]))
    human = np.array([d.label != SPUN for d in texts])
    table = np.array([d.table for d in texts])
    sets = {str(t): table == t for t in np.unique(table[~human]) if np.count_nonzero(table[present] == t) >= FEWEST}
    rows = []
    for name, wanted in {**sets, "all": ~human}.items():
        articles, people = present[wanted[present]], present[human[present]]
        of_set, of_people = (np.flatnonzero(w[windows.texts]) for w in (wanted, human))
        row: dict[str, Any] = {"set": name, "texts": len(articles), "windows": len(of_set), "heads": {}}
        for head in HEADS:
            own = row["heads"][head] = {}
            for form, found in scores.items():
                by_window, by_article = found.windows[head], found.articles[head]
                limit = upper_quantile(by_article[people], TARGET)
                own[form] = {
                    "window_auroc": area(by_window, of_people, of_set),
                    "article_auroc": area(by_article, people, articles),
                    "recall": float(np.mean(by_article[articles] >= limit)),
                }
        rows.append(row)
    return rows


def measure(
    documents: Sequence[Document], checkpoint: Path, model: str | None, rows: int, most: int, seed: int
) -> dict[str, Any]:
    """Return the figures of the report.

    `documents`: those of the training, by which the words' associations were counted. `rows`: texts of a table; `most`:
    windows of a text.

    Raises:
        InputError: the checkpoint was trained with other counts, or on other texts.
    """
    from train.examiner import load_tokenizer
    from train.export_examiner import to_onnx

    settings, network = read_checkpoint(checkpoint)
    counts = count_pairs(documents, ScreenSettings.read())
    if network.config.association_digest != counts.table.digest():
        raise InputError(f"{checkpoint}: trained with counts of other texts than those here; give the same data")
    texts = held_out_texts(documents, settings, rows, seed)
    if not any(d.label == SPUN for d in texts) or not any(d.label != SPUN for d in texts):
        raise InputError(f"{checkpoint}: it held out no spun or no human text of these data")
    labelled = [Labelled(d.text, d.label, d.table, d.group, None) for d in texts]
    windows = cut_windows(labelled, load_tokenizer(checkpoint), counts, settings.max_tokens, 0.0)
    windows = spread(windows, most)
    log.info("%d texts, %d windows", len(texts), len(windows))
    folder = open_model(model)
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch, "float32.onnx")
        to_onnx(network.eval(), plain)
        scores = {
            form: score(path, windows, len(texts))
            for form, path in zip(FORMS, (plain, folder.file("examiner.onnx")), strict=True)
        }
    human = np.array([d.label != SPUN for d in texts])
    return {
        "model": folder.model_id,
        "signature": signature(model=folder.model_id, rows=rows, windows=most, seed=seed),
        "human_texts": int(human.sum()),
        "human_windows": int(human[windows.texts].sum()),
        "sets": compare(texts, windows, scores),
    }


def to_markdown(found: Mapping[str, Any]) -> str:
    """Return the report."""
    lines = [
        "# The examiner alone, by window and by article, in float32 and int8",
        "",
        "Made by `python -m eval examiner-windows CHECKPOINT`. Texts of tools in training, of groups that the examiner "
        f"held out, against {found['human_texts']:,} human texts ({found['human_windows']:,} windows) of such groups. "
        "Every text is read: no gate, no screen.",
        "",
        "- Area under the ROC curve: of windows of about 110 words, and of articles, each the mean over its windows.",
        f"- Recall: articles above the threshold that {TARGET:.0%} of these human articles exceed (so a comparison of "
        "the forms, no estimate), in % in float32 and as shipped, and the difference in points.",
        "",
    ]
    for head in HEADS:
        lines += [
            f"## By the {head}",
            "",
            "| set | texts | windows | area, windows | area, articles | in int8 | recall, float32 | in int8 | points |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        for row in found["sets"]:
            plain, small = (row["heads"][head][form] for form in FORMS)
            lines.append(
                f"| {row['set']} | {row['texts']} | {row['windows']} | {plain['window_auroc']:.4f} "
                f"| {plain['article_auroc']:.4f} | {small['article_auroc']:.4f} | {100 * plain['recall']:.1f} "
                f"| {100 * small['recall']:.1f} | {100 * (small['recall'] - plain['recall']):+.1f} |"
            )
        lines.append("")
    lines += [f"`{found['signature']}`", ""]
    return "\n".join(lines)
