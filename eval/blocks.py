"""A report as a list of blocks, written as Markdown or as one self-contained HTML page: no script, no other file."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; level 1 is the title."""

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph of Markdown's inline marks: `code`, **strong** and *emphasis*."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first column is text, the others numbers. `signature` stands below it."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    signature: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG beside the report. `caption` says what to see in it and stands in for it where it cannot be shown."""

    path: Path
    caption: str


Block = Heading | Paragraph | Table | Picture

# No scripts and nothing from elsewhere, whatever stands in a name of a set.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}
table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums;font-size:.85rem}
div{overflow-x:auto}
th,td{border-bottom:1px solid #ccc;padding:.25rem .6rem;text-align:right;vertical-align:top}
th:first-child,td:first-child{text-align:left}
thead th{border-bottom:2px solid #555}
code{font-size:.8em;overflow-wrap:anywhere;color:#444}
figure{margin:1.5rem 0}img{max-width:100%;height:auto}figcaption{font-size:.9rem;color:#444;max-width:44rem}
@media print{body{max-width:none}figure,table{break-inside:avoid}}
"""


def cell_text(text: str) -> str:
    """Return text for a cell of a Markdown table: a bar in a name must not end the cell, nor a `<` begin a tag."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def table_lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table, first column left, others right, and an empty line."""
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    return [*lines, *("| " + " | ".join(cell_text(c) for c in row) + " |" for row in rows), ""]


def to_markdown(blocks: Sequence[Block]) -> str:
    """Return the blocks as Markdown; pictures are linked by file name."""
    lines: list[str] = []
    for block in blocks:
        if isinstance(block, Heading):
            lines += [f"{'#' * block.level} {block.text}", ""]
        elif isinstance(block, Paragraph):
            lines += [block.text, ""]
        elif isinstance(block, Table):
            lines += table_lines(block.head, block.rows)
            lines += [f"`{block.signature}`", ""] if block.signature else []
        else:
            lines += [f"![{block.caption}]({block.path.name})", "", f"*{block.caption}*", ""]
    return "\n".join(lines).rstrip() + "\n"


def _inline(text: str) -> str:
    out = escape(text)
    for mark, tag in ((r"`([^`]+)`", "code"), (r"\*\*([^*]+)\*\*", "strong"), (r"(?<!\*)\*([^*]+)\*(?!\*)", "em")):
        out = re.sub(mark, rf"<{tag}>\1</{tag}>", out)
    return out


def to_html(blocks: Sequence[Block]) -> str:
    """Return the blocks as one HTML page with the pictures inside; every text is escaped."""
    title = next((b.text for b in blocks if isinstance(b, Heading)), "Report")
    out = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
    ]
    for block in blocks:
        if isinstance(block, Heading):
            out.append(f"<h{block.level}>{_inline(block.text)}</h{block.level}>")
        elif isinstance(block, Paragraph):
            out.append(f"<p>{_inline(block.text)}</p>")
        elif isinstance(block, Table):
            head = "".join(f'<th scope="col">{_inline(c)}</th>' for c in block.head)
            rows = ["<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in block.rows]
            out.append(f"<div><table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>")
            out += [f"<p><code>{escape(block.signature)}</code></p>"] if block.signature else []
        else:
            data = base64.b64encode(block.path.read_bytes()).decode("ascii")
            image = f'<img src="data:image/png;base64,{data}" alt="{escape(block.caption)}">'
            out.append(f"<figure>{image}<figcaption>{_inline(block.caption)}</figcaption></figure>")
    return "\n".join([*out, "</body></html>"]) + "\n"
