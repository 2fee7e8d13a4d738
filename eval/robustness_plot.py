"""The picture of the robustness report: recall kept and human texts newly flagged, one row an attack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eval.plots import save

# Okabe and Ito's colours, told apart by colour-blind people; markers tell them apart in grey.
_STYLES = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#999999", "D"), ("#CC79A7", "v"))


def draw_plot(result: dict[str, Any], point: str, path: Path) -> None:
    """Write a PNG with two panels at one operating point: left spun texts, right human ones."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    names = list(result["attacks"])
    systems = list(result["without"])
    figure, axes = plt.subplots(1, 2, figsize=(10, 0.36 * len(names) + 1.6), sharey=True, width_ratios=(3, 2))
    kinds = (("spun", "kept", "recall kept, %"), ("human", "newly_flagged", "human texts newly flagged, %"))
    for axis, (kind, key, title) in zip(axes, kinds, strict=True):
        for number, system in enumerate(systems):
            colour, marker = _STYLES[number % len(_STYLES)]
            shift = (number - (len(systems) - 1) / 2) * 0.17  # keeps the intervals of one row apart
            rows = []
            for row, name in enumerate(names):
                found = result["attacks"][name]["systems"][system].get(kind)
                if found is not None and found[point][key] is not None:
                    entry = found[point][key]
                    rows.append((row + shift, *(100 * entry[k] for k in ("value", "low", "high"))))
            if not rows:
                continue
            y, x, low, high = zip(*rows, strict=True)
            errors = [[a - b for a, b in zip(x, low, strict=True)], [b - a for a, b in zip(x, high, strict=True)]]
            axis.errorbar(
                x, y, xerr=errors, fmt=marker, color=colour, markersize=4, elinewidth=1, linestyle="", label=system
            )
        axis.set_xlabel(title)
        axis.grid(axis="x", color="#dddddd", linewidth=0.6)
        axis.set_axisbelow(True)
        for row in range(0, len(names), 2):
            axis.axhspan(row - 0.5, row + 0.5, color="#f4f4f4", zorder=0)
    axes[0].axvline(98, color="#444444", linewidth=0.8, linestyle="--")  # what is asked for under attacks on characters
    axes[0].set_xlim(0, 130)
    axes[1].set_xlim(left=-1)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    figure.suptitle(f"{result['model']} at {point}, with 95 % intervals", fontsize=11)
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="lower center", ncols=len(systems), fontsize=9, frameon=False
    )
    figure.tight_layout(rect=(0, 0.025, 1, 1))
    save(figure, path, dpi=80)
    plt.close(figure)
