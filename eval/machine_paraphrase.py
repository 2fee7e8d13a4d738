"""The machine-paraphrase corpus of Wahle et al. (2022), judged as its authors did: macro F1 per spinner and domain.

"Identifying Machine-Paraphrased Plagiarism" (iConference 2022): paragraphs of arXiv, theses and Wikipedia, rewritten by
SpinBot and by SpinnerChief at two rates (default, DF, and increased, IF). A paragraph is original or rewritten; the
score is the mean of the F1 of both classes, for each spinner against the originals of the same domain.

A system decides at its operating points (ours) or at probability 0.5 (classifiers of the hub). One without
probabilities gets the threshold that flags `TARGET` of the originals of the *other* domains.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detector import __version__
from detector.errors import InputError
from eval.blocks import Block, Heading, Paragraph, Table, to_html, to_markdown
from eval.metrics import Floats, conformal_p_values, flagged, signature
from eval.report import rounded
from eval.systems import TrainableSystem, checked_scores
from train.corpora import Document, read_hub

CORPUS = "jpwahle/machine-paraphrase-dataset"
TARGET = 0.01  # the rate of the default operating point
DOMAINS = {"arxiv": "arXiv", "thes": "theses", "wiki": "Wikipedia"}
SPINNERS = {"spinbot": "SpinBot", "df": "SpinnerChief-DF", "if": "SpinnerChief-IF", "spinnerchief": "SpinnerChief"}
RESAMPLES = 1000
Json = dict[str, Any]


def domain_of(value: str) -> str:
    """Return the name of a domain as the paper has it, or the value itself where it is none of the three.

    >>> domain_of("wikipedia_documents_test"), domain_of("ArXiv"), domain_of("thesis")
    ('Wikipedia', 'arXiv', 'theses')
    """
    return next((name for part, name in DOMAINS.items() if part in value.lower()), value or "unknown")


def spinner_of(value: str) -> str:
    """Return the name of a spinner as the paper has it, or the value itself.

    >>> spinner_of("spinbot"), spinner_of("SpinnerChief_DF"), spinner_of("spinnerchief-if")
    ('SpinBot', 'SpinnerChief-DF', 'SpinnerChief-IF')
    """
    words = value.lower().replace("-", " ").replace("_", " ").split()
    return next((name for part, name in SPINNERS.items() if part in words), value or "unknown")


def macro_f1(spun: Floats, flags: Floats, weights: Floats | None = None) -> float:
    """Return the mean of the F1 of both classes, in [0, 1]; a class without truth or flags has F1 0.

    scikit-learn's f1_score(average="macro"); `spun` and `flags` are 0 or 1.
    """
    w = np.ones(len(spun)) if weights is None else weights
    both = [(spun, flags), (1 - spun, 1 - flags)]
    scores = [2 * (w * t * p).sum() / max((w * t).sum() + (w * p).sum(), 1e-12) for t, p in both]
    return float(np.mean(scores))


def decisions(system: TrainableSystem, documents: Sequence[Document], seed: int) -> dict[str, Floats]:
    """Return 1 for each text that a system calls rewritten, by name of the system and its threshold."""
    scorer = system.fit([], seed)
    scores = checked_scores(scorer, [d.text for d in documents], system.name)
    points: Mapping[str, float] = dict(getattr(system, "points", {}))
    if points:
        return {f"{system.name}, {name}": (scores >= t).astype(np.float64) for name, t in points.items()}
    domains = np.array([domain_of(d.domain) for d in documents])
    human = np.array([d.label == "original" for d in documents])
    out = np.zeros(len(documents))
    for domain in np.unique(domains):
        own, others = domains == domain, human & (domains != domain)
        if not others.any():
            raise InputError(
                f"system {system.name!r}: needs originals of a second domain to set a threshold for {domain}"
            )
        out[own] = flagged(conformal_p_values(scores[others], scores[own]), TARGET)
    return {f"{system.name}, {100 * TARGET:g} % FPR": out}


def _interval(spun: Floats, flags: Floats, seed: int) -> tuple[float, float]:
    """Return the 95 % percentile interval over resampled texts, originals and rewritten ones drawn apart."""
    # Macro F1 depends on the four counts alone: two binomial draws are the bootstrap of the two classes.
    rng = np.random.default_rng(seed)
    n, m = int(spun.sum()), int(len(spun) - spun.sum())
    found = rng.binomial(n, flags[spun == 1].mean(), RESAMPLES)
    false = rng.binomial(m, flags[spun == 0].mean(), RESAMPLES)
    first = 2 * found / np.maximum(n + found + false, 1)
    second = 2 * (m - false) / np.maximum(m + (n - found) + (m - false), 1)
    low, high = np.quantile((first + second) / 2, [0.025, 0.975])
    return float(low), float(high)


def evaluate(documents: Sequence[Document], systems: Sequence[TrainableSystem], seed: int, source: str) -> Json:
    """Return macro F1 of every system, spinner and domain, as plain JSON types.

    Raises:
        InputError: no originals or no rewritten texts.
    """
    domains = np.array([domain_of(d.domain) for d in documents])
    spinners = np.array([spinner_of(d.tool) if d.label == "spun" else "" for d in documents])
    spun = np.array([float(d.label == "spun") for d in documents])
    if not len(spun) or spun.min() == spun.max():
        raise InputError(f"{source}: needs originals and rewritten paragraphs")
    order = list(SPINNERS.values())
    columns = sorted(
        {(s, d) for s, d in zip(spinners, domains, strict=True) if s},
        key=lambda c: (order.index(c[0]) if c[0] in order else len(order), *c),
    )
    rows: Json = {}
    for system in systems:
        for name, flags in decisions(system, documents, seed).items():
            cells = []
            for spinner, domain in columns:
                chosen = (domains == domain) & ((spinners == spinner) | (spun == 0))
                y, f = spun[chosen], flags[chosen]
                if y.min() == y.max():
                    continue
                low, high = _interval(y, f, seed)
                value = macro_f1(y, f)
                n = {"rewritten": int(y.sum()), "original": int(len(y) - y.sum())}
                cells.append(
                    {
                        "spinner": str(spinner),
                        "domain": str(domain),
                        "macro_f1": {"value": value, "low": min(low, value), "high": max(high, value), "n": n},
                    }
                )
            rows[name] = {"model": str(getattr(system, "model_id", "fixed")), "cells": cells}
    result: Json = {
        "schema": 1,
        "corpus": CORPUS,
        "source": source,
        "texts": len(documents),
        "systems": rows,
        "signature": signature(corpus=CORPUS, n=len(documents), bs=RESAMPLES, seed=seed, v=__version__),
    }
    plain: Json = rounded(result)
    return plain


def blocks(result: Json) -> list[Block]:
    """Return the report in the layout of the paper's table: systems by row, spinner and domain by column."""
    first = next(iter(result["systems"].values()))
    head = ["", *(f"{c['spinner']} {c['domain']}" for c in first["cells"])]
    sizes = ["texts, rewritten + original"]
    sizes += [f"{c['macro_f1']['n']['rewritten']:,} + {c['macro_f1']['n']['original']:,}" for c in first["cells"]]
    rows = [sizes]
    for name, entry in result["systems"].items():
        cells = [c["macro_f1"] for c in entry["cells"]]
        rows.append([name, *(f"{100 * c['value']:.2f} ({100 * c['low']:.1f}–{100 * c['high']:.1f})" for c in cells)])
    about = (
        f"Macro F1 in percent with the 95 % bootstrap interval over {result['texts']:,} paragraphs of "
        f"`{result['source']}`, layout as in Wahle et al. (2022). The corpus does not say which paragraph was "
        "rewritten into which, so that both may be in it; the intervals take texts as independent."
    )
    return [Heading("Machine-paraphrase corpus", 1), Paragraph(about), Table(head, rows, result["signature"])]


def run(systems: Sequence[TrainableSystem], seed: int, split: str, file: Path | None, limit: int | None) -> Json:
    """Read the corpus from the hub, or from a local copy, and judge the systems on it.

    Raises:
        InputError: the corpus cannot be read.
    """
    documents = read_hub(CORPUS, split, data_file=file, limit=limit)
    return evaluate(documents, systems, seed, file.name if file else f"{CORPUS}, {split}")


def write(result: Json, out: Path) -> list[Path]:
    """Write metrics.json, report.md and report.html into `out` and return their paths."""
    out.mkdir(parents=True, exist_ok=True)
    report = blocks(result)
    files = {
        "metrics.json": json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        "report.md": to_markdown(report),
        "report.html": to_html(report),
    }
    for name, content in files.items():
        (out / name).write_text(content, encoding="utf-8")
    return [out / name for name in files]
