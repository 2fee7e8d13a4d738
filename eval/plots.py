"""The pictures of a report, as PNG: small, the same bytes again, told apart in grey and by colour-blind readers.

Colours are those of Okabe and Ito (2008); every line also has its own dash and marker. matplotlib is imported on first
use; nothing here touches pyplot's global state but the font settings of `_figure`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.errors import MissingExtraError
from eval.blocks import Picture
from eval.judging import NOT_SCORED, Judged
from eval.metrics import AUPRC_PREVALENCE, FPR_TARGETS, Floats, roc_points
from eval.reliability import MIXES
from eval.suite import Item

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GROUP_NAMES = {
    "original": "human",
    "spun": "spun",
    "machine_translated": "machine-translated",
    "llm_rewritten": "language model",
}
DPI = 110  # about 770 pixels wide: sharp in print at half a page
MOST_ROWS = 24  # of the heat map, beyond which the labels cannot be read
Json = dict[str, Any]


def _figure(width: float = 7.0, height: float = 4.6, **grid: Any) -> tuple[Any, Any]:
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("pictures need matplotlib: pip install '.[eval]'") from error
    with rc_context({"font.size": 10, "font.family": "DejaVu Sans"}):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        return figure, figure.subplots(**grid)


def save(figure: Any, path: Path, dpi: int = DPI) -> None:
    """Write a small PNG, the same bytes for the same picture."""
    from PIL import Image  # matplotlib's own requirement

    buffer = io.BytesIO()
    # No version and no date in the file, so that a rerun gives the same bytes.
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    with Image.open(
        buffer
    ) as image:  # 256 colours are enough for flat colours and smooth letters, at a third of the size
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, format="PNG", optimize=True)


def _legend(figure: Any, axes: Any) -> None:
    """Put the legend above the axes, where it hides nothing."""
    entries = axes.get_legend_handles_labels()
    longest = 0.07 * max(map(len, entries[1])) + 0.7  # inches, at 9 points with a sample of the line
    columns = max(1, min(len(entries[1]), 5, int(figure.get_figwidth() / longest)))
    figure.legend(*entries, loc="outside upper center", ncols=columns, frameon=False, fontsize=9)


def _style(number: int) -> dict[str, Any]:
    k = number % len(COLOURS)
    return {"color": COLOURS[k], "linestyle": DASHES[k]}


def _spun_rows(judged: Judged, items: Sequence[Item]) -> NDArray[np.bool_]:
    return np.array([items[t].document.label == "spun" for t in judged.scores.text], dtype=np.bool_)


def _percent_axis(axis: Any) -> None:
    axis.set_ticks(np.linspace(0, 1, 6), [f"{p} %" for p in range(0, 101, 20)])


def roc(systems: Mapping[str, tuple[Judged, Json]], items: Sequence[Item], path: Path) -> Picture:
    """Recall against the false-positive rate, which is on a logarithmic axis: what matters lies below 1 %."""
    figure, axes = _figure()
    from matplotlib.ticker import NullLocator

    least = 1.0
    for number, (name, (judged, _)) in enumerate(systems.items()):
        high = judged.high[_spun_rows(judged, items)]
        rates, recall = roc_points(high)
        floor = 1.0 / max(judged.in_pool.sum(), 1)
        least = min(least, max(floor, 1e-4))
        # A spun text above every human one is caught at a rate too small for the axis: it stands at its left end.
        rates = np.concatenate([[1e-6], np.maximum(rates, 1e-6), [1.0]])
        recall = np.concatenate([[0.0], recall, [recall[-1] if len(recall) else 0.0]])
        axes.plot(rates, recall, drawstyle="steps-post", lw=1.8, label=name, **_style(number))
    chance = np.geomspace(1e-4, 1, 50)
    axes.plot(chance, chance, color="0.6", lw=1, ls=(0, (1, 3)), label="chance")
    for target in FPR_TARGETS:
        axes.axvline(target, color="0.85", lw=1, zorder=0)
    axes.set_xscale("log")
    axes.set_xlim(max(least, 1e-4) * 0.8, 1)
    axes.set_ylim(-0.02, 1.02)
    left = max(least, 1e-4) * 0.8
    rates_shown = [r for r in (1e-4, *FPR_TARGETS, 0.2, 1.0) if r >= left]
    axes.xaxis.set_ticks(rates_shown, [f"{100 * r:g} %" for r in rates_shown])
    axes.xaxis.set_minor_locator(NullLocator())
    _percent_axis(axes.yaxis)
    axes.set_xlabel("human texts flagged (logarithmic)")
    axes.set_ylabel("spun texts found")
    axes.grid(axis="y", color="0.92")
    _legend(figure, axes)
    save(figure, path)
    return Picture(path, "ROC curve, all spun sets together, false positives on a logarithmic axis; higher is better.")


def precision_recall(systems: Mapping[str, tuple[Judged, Json]], items: Sequence[Item], path: Path) -> Picture:
    """Precision against recall in a stream of which `AUPRC_PREVALENCE` is spun."""
    figure, axes = _figure()
    share = AUPRC_PREVALENCE
    for number, (name, (judged, _)) in enumerate(systems.items()):
        rates, recall = roc_points(judged.high[_spun_rows(judged, items)])
        last = np.flatnonzero(np.append(np.diff(rates) > 0, True)) if len(rates) else np.zeros(0, dtype=int)
        rates, recall = rates[last], recall[last]
        precision = share * recall / (share * recall + (1 - share) * rates)
        # Steps: precision between two thresholds is not on the line between them (Davis and Goadrich 2006).
        recall, precision = np.append(0.0, recall), np.append(precision[:1], precision)
        axes.plot(recall, precision, lw=1.8, drawstyle="steps-pre", label=name, marker=MARKERS[number % 7], ms=4,
                  markevery=max(1, len(recall) // 12), **_style(number))  # fmt: skip
    axes.axhline(share, color="0.6", lw=1, ls=(0, (1, 3)), label="chance")
    axes.set_xlim(0, 1.01)
    axes.set_ylim(0, 1.02)
    _percent_axis(axes.xaxis)
    _percent_axis(axes.yaxis)
    axes.set_xlabel("recall: spun texts found")
    axes.set_ylabel("precision: flags that are right")
    axes.grid(color="0.92")
    _legend(figure, axes)
    save(figure, path)
    return Picture(
        path, f"Precision and recall in a stream of which {100 * share:g} % is spun; up and right is better."
    )


def reliability(systems: Mapping[str, tuple[Judged, Json]], path: Path) -> Picture | None:
    """Observed share of spun texts against the probability stated; None where no system states one."""
    shown = {n: s["calibration"] for n, (_, s) in systems.items() if s.get("calibration")}
    if not shown:
        return None
    figure, axes = _figure(5.6, 5.0)
    axes.plot([0, 1], [0, 1], color="0.6", lw=1, ls=(0, (1, 3)), label="perfect")
    for number, (name, c) in enumerate(shown.items()):
        d = c["diagram"]
        x, y = np.array([b["probability"] for b in d]), np.array([b["observed"] for b in d])
        low, high = (np.array([b[k] for b in d]) for k in ("low", "high"))
        errors = [np.clip(y - low, 0, None), np.clip(high - y, 0, None)]
        label = f"{name}: ECE {c['ece']['value']:.3f}, Brier {c['brier']['value']:.3f}"
        axes.errorbar(x, y, yerr=errors, lw=1.5, elinewidth=0.8, capsize=2, ms=5, marker=MARKERS[number % 7],
                      label=label, **_style(number))  # fmt: skip
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    _percent_axis(axes.xaxis)
    _percent_axis(axes.yaxis)
    axes.set_xlabel("probability stated (mean of the bin)")
    axes.set_ylabel("share of spun texts in the bin")
    axes.grid(color="0.92")
    _legend(figure, axes)
    save(figure, path)
    mix = next(iter(shown.values()))["mix"]
    return Picture(
        path, f"Reliability: half of the mix is spun ({MIXES[mix]}), bins of equal mass, 95 % intervals over groups."
    )


def histograms(judged: Judged, name: str, items: Sequence[Item], path: Path) -> Picture:
    """Scores by kind of text, one panel each, the same axis.

    Probabilities on their log odds. Other scores, which may come from models on different scales, as the share of the
    human texts of the same model that score as high, on a logarithmic axis.
    """
    calibrated = judged.scores.calibrated
    if calibrated:
        scored = judged.scores.score != NOT_SCORED
        clipped = np.clip(judged.scores.score, 1e-6, 1 - 1e-6)
        texts, scores = judged.keep(scored).by_text(np.log10(clipped / (1 - clipped))[scored])
    else:
        # Half a text, where none scores as high.
        least = 0.5 / max(int(judged.in_pool.sum()), 1)
        texts, scores = judged.by_text(-np.log10(np.maximum(judged.high, least)))
    labels = np.array([items[t].document.label for t in texts])
    kinds = [k for k in GROUP_NAMES if (labels == k).any()]
    low, high = np.quantile(scores, [0.001, 0.999]) if len(scores) else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1, 41)
    figure, axes = _figure(7.0, 1.15 * len(kinds) + 0.9, nrows=len(kinds), sharex=True, squeeze=False)
    for row, kind in enumerate(kinds):
        panel, own = axes[row, 0], np.clip(scores[labels == kind], edges[0], edges[-1])
        panel.hist(own, bins=edges, color=COLOURS[row], edgecolor="white", lw=0.3)
        panel.set_yticks([])
        panel.set_ylabel(f"{GROUP_NAMES[kind]}\nn = {len(own):,}", rotation=0, ha="right", va="center")
        for spine in ("top", "right", "left"):
            panel.spines[spine].set_visible(False)
        for point, threshold in judged.scores.points.items() if calibrated else ():
            at = float(np.log10(threshold / max(1 - threshold, 1e-6)))
            panel.axvline(at, color="0.3", lw=1, ls="--")
            if row == 0:
                panel.annotate(point, (at, 1.0), xycoords=("data", "axes fraction"), rotation=20, fontsize=8,
                               ha="left", va="bottom")  # fmt: skip
    last = axes[-1, 0]
    if calibrated:
        ticks = (1e-4, 1e-3, 1e-2, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)
        shown = [(float(np.log10(p / (1 - p))), f"{p:g}") for p in ticks]
        last.set_xlabel(f"probability of {name} (axis in log odds)")
    else:
        shown = [(-float(np.log10(p)), f"{100 * p:g} %") for p in (1.0, 0.1, 0.01, 0.001, 1e-4)]
        last.set_xlabel(f"share of human texts that {name} scores as high or higher (right: more spun)")
    shown = [(at, text) for at, text in shown if edges[0] <= at <= edges[-1]]
    last.set_xticks([at for at, _ in shown], [text for _, text in shown])
    save(figure, path)
    points = "; dashed: operating points" if calibrated and judged.scores.points else ""
    return Picture(path, f"Scores of {name} by kind of text, each panel to its own height{points}.")


def _thresholds(summary: Json, wanted: Sequence[str]) -> list[str]:
    return [k for k in wanted if k in summary["thresholds"]]


def threshold_name(key: str) -> str:
    """Return how a threshold is called: an operating point by its name, a target rate as percent of false positives."""
    try:
        return f"{100 * float(key):g} % FPR"
    except ValueError:
        return key


def recall_against(systems: Mapping[str, tuple[Judged, Json]], by: str, label: str, path: Path) -> Picture | None:
    """Recall in bands of length ("length") or of the spun share ("share"), with intervals; None with fewer than two."""
    found = {n: s for n, (_, s) in systems.items() if len(s["slices"]["spun"][by]) > 1}
    if not found:
        return None
    first = next(iter(found.values()))
    keys = _thresholds(first, ["0.01", "balanced", "0.05", "argmax"])[:1]
    if not keys:
        return None
    key = keys[0]
    figure, axes = _figure(7.0, 4.2)
    names = [e["set"] for e in first["slices"]["spun"][by]]
    for number, (name, s) in enumerate(found.items()):
        cells = {e["set"]: e["flagged"].get(key) for e in s["slices"]["spun"][by]}
        points = [(k, cells[n]) for k, n in enumerate(names) if cells.get(n)]
        x = np.array([k for k, _ in points]) + 0.06 * (number - (len(found) - 1) / 2)
        y = np.array([c["value"] for _, c in points])
        errors = [y - np.array([c["low"] for _, c in points]), np.array([c["high"] for _, c in points]) - y]
        axes.errorbar(x, y, yerr=np.clip(errors, 0, None), lw=1.5, elinewidth=0.9, capsize=3, ms=5,
                      marker=MARKERS[number % 7], label=name, **_style(number))  # fmt: skip
    counts = {e["set"]: e["texts"] for e in first["slices"]["spun"][by]}
    axes.set_xticks(range(len(names)), [f"{n}\nn = {counts[n]}" for n in names])
    axes.set_ylim(-0.02, 1.02)
    _percent_axis(axes.yaxis)
    axes.set_xlabel(label)
    axes.set_ylabel(f"spun texts found at {threshold_name(key)}")
    axes.grid(axis="y", color="0.92")
    _legend(figure, axes)
    save(figure, path)
    return Picture(path, f"Recall against {label} at {threshold_name(key)}, with 95 % intervals.")


def heat_map(name: str, summary: Json, path: Path) -> Picture | None:
    """Flagged share of every tool (spun) and every kind of human and machine-made text, at every threshold."""
    keys = summary["thresholds"]
    rows = [(f"spun: {e['set']}", e) for e in summary["slices"]["spun"]["tool"]]
    rows += [(f"made: {e['set']}", e) for e in summary["slices"]["machine_made"]["tool"]]
    rows += [(f"human: {e['set']}", e) for e in summary["slices"]["human"]["writer"]]
    if len(rows) > MOST_ROWS:  # the largest; the tables have them all
        largest = sorted(range(len(rows)), key=lambda k: (-rows[k][1]["texts"], k))[:MOST_ROWS]
        rows = [rows[k] for k in sorted(largest)]
    if not rows or not keys:
        return None
    values: Floats = np.array([[e["flagged"][k]["value"] for k in keys] for _, e in rows])
    figure, axes = _figure(min(3.6 + 0.85 * len(keys), 9.0), 0.27 * len(rows) + 1.2)
    # cividis keeps its order in grey and for every kind of colour blindness (Nuñez et al. 2018).
    axes.imshow(values, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    for i in range(len(rows)):
        for k in range(len(keys)):
            share = 100 * values[i, k]
            text = f"{share:.0f}" if share >= 10 or share == 0 else f"{share:.1f}"
            axes.text(
                k, i, text, ha="center", va="center", fontsize=8, color="black" if values[i, k] > 0.5 else "white"
            )
    axes.set_xticks(range(len(keys)), [threshold_name(k).replace(" % FPR", " %\nFPR") for k in keys], fontsize=8)
    axes.set_yticks(range(len(rows)), [f"{n} ({e['texts']})" for n, e in rows], fontsize=8)
    axes.tick_params(length=0)
    save(figure, path)
    return Picture(
        path,
        f"Percent of texts that {name} flags, by tool or kind of writer (number of texts) and threshold. Spun rows "
        "should be bright, all others dark.",
    )


def draw(systems: Mapping[str, tuple[Judged, Json]], items: Sequence[Item], out: Path) -> list[Picture]:
    """Draw all pictures that the systems have the numbers for; the first system is the one shown alone."""
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("*.png"):
        old.unlink()
    first = next(iter(systems))
    judged, summary = systems[first]
    pictures: list[Picture | None] = []
    if summary.get("spun"):
        pictures += [
            roc(systems, items, out / "roc.png"),
            precision_recall(systems, items, out / "precision-recall.png"),
            reliability(systems, out / "reliability.png"),
            recall_against(systems, "length", "length in words", out / "recall-length.png"),
            recall_against(systems, "share", "share of the article that is spun", out / "recall-share.png"),
        ]
    pictures += [histograms(judged, first, items, out / "scores.png"), heat_map(first, summary, out / "heat-map.png")]
    return [p for p in pictures if p is not None]
