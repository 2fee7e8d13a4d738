"""Results as one self-contained HTML page for a moderator: no script, no font, no image, nothing fetched.

Everything from an input is escaped, and a content security policy forbids what escaping might have missed. Meaning
never hangs on colour alone: verdicts are words, phrases are underlined, and their probable originals can be shown in
the line itself (always on paper). Works with the keyboard: each phrase takes the focus and then shows its note.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from string import Template

from detector.render import (
    REASONS,
    Entry,
    Evidence,
    Scored,
    describe_ignored,
    describe_warning,
    evidence,
    number,
    one_line,
    percent,
    pieces,
    visible_slice,
)
from detector.results import Failed, Ignored, Reason, Segment, Span, SpinResult, Verdict

MAX_OPEN_EVIDENCE = 12
"""Rows of evidence that show at once; the others unfold."""

MAX_LABELLED_PASSAGES = 24
"""With more passages their probabilities no longer fit into the strip, and only the note of each shows its own."""

_KIND_SHOWN = 0.5
"""Probability from which a kind is named: the likeliest of four is no finding, and a reader would take it for one."""
_KINDS = {
    "original": "written by a person",
    "spun": "spun",
    "machine_translated": "machine-translated",
    "llm_rewritten": "rewritten by a language model",
}

_VERDICT_WORDS = {Verdict.SPUN: "Spun", Verdict.CLEAN: "Clean", Verdict.NOT_SCORED: "Not scored"}

# Depth of the highlight by score; the bounds cut [0, 1] into thirds and carry no other meaning.
_STRENGTHS = ((2 / 3, "s3"), (1 / 3, "s2"), (0.0, "s1"))

_CSS = """
:root {
  color-scheme: light dark;
  --page: #f5f4f1; --card: #ffffff; --ink: #1d1d1f; --soft: #62626a; --line: #dcdad4;
  --spun: #b3261e; --spun-soft: #fbe6e3; --clean: #1b6e3c; --clean-soft: #e2f2e7; --none: #7a5a00; --none-soft:
  #fbf0d0;
  --m1: #fff3d6; --m2: #ffe2ad; --m3: #ffc9a3; --mark-line: #b4481c; --was: #1b6e3c; --bar: #e8e6e0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #17171a; --card: #202024; --ink: #e8e6e3; --soft: #a2a0a8; --line: #3a3a40;
    --spun: #ff8a7e; --spun-soft: #46211d; --clean: #7fd69c; --clean-soft: #1c3a27; --none: #e9c46a; --none-soft:
    #3d3214;
    --m1: #3b331d; --m2: #54401a; --m3: #6e3d1e; --mark-line: #ffa372; --was: #8fdcaa; --bar: #34343a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink); font: 16px/1.6 system-ui, "Segoe UI", Roboto,
  "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.35rem; margin: 0 0 .15rem; }
h2 { font-size: 1.15rem; margin: 0; overflow-wrap: anywhere; }
h3 { font-size: .8rem; letter-spacing: .06em; text-transform: uppercase; color: var(--soft); margin: 1.8rem 0 .5rem; }
.soft { color: var(--soft); font-size: .875rem; margin: 0; }
a { color: inherit; }
section {
  background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1.4rem 1.6rem 1.6rem;
  margin-top: 1.4rem;
}
table { border-collapse: collapse; width: 100%; font-size: .925rem; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: .8rem; }
th, td {
  padding: .4rem .8rem .4rem 0; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap:
  anywhere;
}
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; overflow-wrap: normal; }
td.score { white-space: nowrap; overflow-wrap: normal; font-variant-numeric: tabular-nums; width: 9rem; }
.head { display: flex; gap: .8rem; align-items: center; flex-wrap: wrap; justify-content: space-between; }
.badge {
  display: inline-block; padding: .05rem .7rem; border-radius: 1rem; font-weight: 650; border: 1.5px solid;
  white-space: nowrap;
}
.badge.spun { color: var(--spun); background: var(--spun-soft); }
.badge.clean { color: var(--clean); background: var(--clean-soft); }
.badge.not_scored, .badge.failed { color: var(--none); background: var(--none-soft); border-style: dashed; }
.said { font-size: 1.05rem; margin: .9rem 0 0; }
.scale { position: relative; height: .75rem; border-radius: .4rem; background: var(--bar); margin: 1.9rem 0 1.7rem; }
.scale .fill { position: absolute; inset: 0 auto 0 0; border-radius: .4rem; }
.scale .fill.spun { background: var(--spun); } .scale .fill.clean { background: var(--clean); }
.scale .at {
  position: absolute; top: -.35rem; bottom: -.35rem; width: 3px; margin-left: -1.5px; background: var(--ink);
  outline: 2px solid var(--card);
}
.scale .label {
  position: absolute; top: -1.75rem; font-size: .8rem; white-space: nowrap; transform: translateX(-50%);
}
.scale .label.right { transform: translateX(-100%); } .scale .label.left { transform: none; }
.scale .end { position: absolute; top: .95rem; font-size: .75rem; color: var(--soft); }
dl {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, max-content)); gap: .8rem 2rem; margin:
  1.1rem 0 0;
}
dt {
  font-size: .8rem; color: var(--soft); } dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap:
  anywhere;
}
.warned {
  margin: 1rem 0 0; padding: .35rem .8rem; border-left: 4px solid var(--none); background: var(--none-soft);
  font-size: .925rem;
}
.strip {
  display: flex; height: 1.5rem; border-radius: 4px; overflow: hidden; background: var(--bar); border: 1px solid
  var(--line);
}
.strip a {
  display: block; min-width: 1px; text-decoration: none; text-align: center; font-size: .7rem; line-height:
  1.4rem; overflow: hidden; color: var(--ink); border-right: 1px solid var(--card);
}
.strip a:hover, .strip a:focus-visible { outline: 2px solid var(--ink); outline-offset: -2px; }
.toggle {
  display: flex; gap: .5rem; align-items: center; font-size: .9rem; margin: .7rem 0 0; cursor: pointer; width:
  fit-content;
}
.article {
  white-space: pre-wrap; overflow-wrap: anywhere; font: 1.0625rem/1.75 Charter, "Bitstream Charter", Georgia,
  Cambria, serif;
}
mark {
  color: inherit; border-radius: 3px; padding: .06em .1em; text-decoration: underline; text-decoration-color:
  var(--mark-line); text-decoration-thickness: 2px; text-underline-offset: 3px; cursor: help;
}
mark.s1 { background: var(--m1); } mark.s2 { background: var(--m2); } mark.s3 { background: var(--m3); }
mark:target, mark:focus { outline: 2px solid var(--mark-line); outline-offset: 1px; }
.tip {
  position: fixed; left: 50%; bottom: 1rem; transform: translateX(-50%); z-index: 2; display: none; width:
  max-content; max-width: min(22rem, 90vw); white-space: normal; background: var(--ink); color: var(--card);
  font: .85rem/1.45 system-ui, sans-serif; padding: .45rem .7rem; border-radius: 6px; pointer-events: none;
}
mark:hover .tip, mark:focus .tip { display: block; }
mark:focus:not(:hover) { anchor-name: --focused; } mark:hover { anchor-name: --hovered; }
@supports (position-area: top) {
  .tip {
    position-anchor: --focused; position-area: top span-right; position-try-fallbacks: flip-block, flip-inline,
    flip-block flip-inline; left: auto; bottom: auto; transform: none; margin: .3rem 0;
  }
  mark:hover .tip { position-anchor: --hovered; }
}
.was { display: none; color: var(--was); font-size: .9em; }
body:has(#inline:checked) .was { display: inline; }
.skip {
  color: var(--soft); opacity: .75; text-decoration: none; border-left: 3px dotted var(--soft); padding-left:
  .4rem; font-size: .9em;
}
.skip .why { font: italic .75rem system-ui, sans-serif; }
.meter {
  display: inline-block; width: 4.5rem; height: .55rem; background: var(--bar); border-radius: .3rem;
  vertical-align: middle; margin-right: .5rem;
}
.meter i { display: block; height: 100%; border-radius: .3rem; background: var(--mark-line); }
summary { cursor: pointer; font-size: .9rem; padding: .6rem 0; }
footer { margin-top: 1.6rem; }
@media (max-width: 34rem) { section { padding: 1rem; } .meter { display: none; } td.score { width: auto; } }
@media print {
  :root {
    --page: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb; --was: #0a5c2c; --spun: #a3150e;
    --clean: #14592f; --none: #5c4400; --bar: #e5e5e5;
  }
  body { font-size: 10.5pt; } main { max-width: none; padding: 0; }
  section { border: 0; padding: 0; break-before: auto; } .article { font-size: 11pt; }
  .was { display: inline; } .tip, .toggle { display: none !important; }
  mark, .badge, .strip a, .scale, .scale *, .meter, .meter i {
    print-color-adjust: exact; -webkit-print-color-adjust: exact;
  }
  tr, .scale, .strip { break-inside: avoid; }
}
"""

_PAGE_HEAD = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>$title</title>
<style>$css</style>
</head>
<body>
<main>
<h1>detect-spin report</h1>
<p class="soft">$counts</p>
""")

_PAGE_FOOT = """<footer class="soft">
<p>The probability says how likely it is that the text went through an article spinner, a tool that swaps words and
phrases for synonyms. It says nothing about who wrote the text or whether it is true. A probable original is the
model's guess from the phrase alone: read the passage before acting on it.</p>
</footer>
</main>
</body>
</html>
"""

_TOGGLE = """<label class="toggle"><input type="checkbox" id="inline"> Show probable originals in the text</label>
"""


def render_html(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield the parts of one page: a summary where there is more than one entry, then each entry in order.

    Nothing is yielded before the last entry was taken, because the summary comes first.
    """
    everything = list(entries)
    title = "detect-spin report"
    if len(everything) == 1:
        title = f"{_verdict_word(everything[0])}: {_source_name(everything[0])}"
    yield _PAGE_HEAD.substitute(title=_text(title), css=_CSS, counts=_counts(everything))
    if any(isinstance(e, Scored) and e.result.spans for e in everything):
        yield _TOGGLE
    if len(everything) > 1:
        yield _summary(everything)
    for index, entry in enumerate(everything, start=1):
        yield _failed_section(entry, index) if isinstance(entry, Failed) else _scored_section(entry, index)
    yield _PAGE_FOOT


def _text(value: str) -> str:
    """Return a value of one line, safe as an element's text and as a quoted attribute."""
    return escape(one_line(value), quote=True)


def _body(text: str, start: int, end: int) -> str:
    return escape(visible_slice(text, start, end), quote=True)


def _source_name(entry: Entry) -> str:
    source = entry.result.source if isinstance(entry, Scored) else entry.source
    if source is None:
        row = entry.result.id if isinstance(entry, Scored) else entry.id
        return "text" if row is None else str(row)
    return "standard input" if source == "-" else source


def _verdict_word(entry: Entry) -> str:
    return _VERDICT_WORDS[entry.result.verdict] if isinstance(entry, Scored) else "Failed"


def _badge(entry: Entry) -> str:
    css = entry.result.verdict.value if isinstance(entry, Scored) else "failed"
    return f'<span class="badge {css}">{_verdict_word(entry)}</span>'


def _counts(entries: list[Entry]) -> str:
    words = [_verdict_word(e) for e in entries]
    parts = [f"{words.count(w)} {w.lower()}" for w in ("Spun", "Clean", "Not scored", "Failed") if w in words]
    models = sorted({e.result.model for e in entries if isinstance(e, Scored)})
    texts = f"{len(entries)} text{'' if len(entries) == 1 else 's'}: {', '.join(parts)}."
    return texts + (f" Model {_text(', '.join(models))}." if models else "")


def _summary(entries: list[Entry]) -> str:
    rows = []
    for index, entry in enumerate(entries, start=1):
        link = f'<a href="#text-{index}"><bdi>{_text(_source_name(entry))}</bdi></a>'
        if isinstance(entry, Failed):
            probability, words, phrases = "", "", ""
        else:
            result = entry.result
            probability = "" if result.probability is None else number(result.probability, result.threshold)
            words, phrases = f"{result.words:,}", f"{len(result.spans):,}"
        rows.append(
            f'<tr><td>{link}</td><td>{_badge(entry)}</td><td class="n">{escape(probability)}</td>'
            f'<td class="n">{words}</td><td class="n">{phrases}</td></tr>'
        )
    return (
        '<section aria-label="Summary">\n<table>\n<thead><tr><th scope="col">Text</th><th scope="col">Verdict</th>'
        '<th scope="col" class="n">Probability</th><th scope="col" class="n">Words</th>'
        '<th scope="col" class="n">Odd phrases</th></tr></thead>\n<tbody>\n'
        + "\n".join(rows)
        + "\n</tbody>\n</table>\n</section>\n"
    )


def _open_section(entry: Entry, index: int) -> str:
    return (
        f'<section id="text-{index}" aria-labelledby="head-{index}">\n<div class="head">'
        f'<h2 id="head-{index}"><bdi>{_text(_source_name(entry))}</bdi></h2>{_badge(entry)}</div>\n'
    )


def _failed_section(entry: Failed, index: int) -> str:
    return f'{_open_section(entry, index)}<p class="said">{_text(entry.error)}</p>\n</section>\n'


def _scored_section(entry: Scored, index: int) -> str:
    result = entry.result
    parts = [_open_section(entry, index)]
    if result.reason is not None:
        parts.append(f'<p class="said">No verdict: {escape(REASONS[result.reason])}.</p>\n')
    else:
        parts.append(_scale(result))
    parts.append(_facts(result))
    found = evidence(result)
    if result.segments:
        parts.append(_strip(result, len(entry.text), index))
    if result.reason not in (Reason.EMPTY, Reason.NOT_TEXT):
        parts.append(f'<h3>Article</h3>\n<div class="article">{_article(entry, index)}</div>\n')
    if found:
        parts.append(_evidence_table(found, result, index))
    parts.append("</section>\n")
    return "".join(parts)


def _scale(result: SpinResult) -> str:
    if result.probability is None:
        return ""
    probability = number(result.probability, result.threshold)
    threshold = number(result.threshold, result.probability)
    spun = result.verdict is Verdict.SPUN
    relation = "at or above" if spun else "below"
    left = 100 * result.threshold
    # Keep the threshold's label inside the bar near its ends; the bounds fit the label's width on a phone.
    side = "right" if left > 75 else "left" if left < 25 else ""
    return (
        f'<p class="said">Probability of spinning <strong>{escape(probability)}</strong>, {relation} the threshold of '
        f"{escape(threshold)} at the operating point <em>{_text(result.operating_point)}</em>.</p>\n"
        f'<div class="scale" role="img" aria-label="Probability {escape(probability)} on a scale from 0 to 1, '
        f'threshold {escape(threshold)}">'
        f'<span class="fill {result.verdict.value}" style="width:{100 * result.probability:.2f}%"></span>'
        f'<span class="at" style="left:{left:.2f}%"></span>'
        f'<span class="label {side}" style="left:{left:.2f}%">threshold {escape(threshold)}</span>'
        '<span class="end" style="left:0">0</span><span class="end" style="right:0">1</span></div>\n'
    )


def _facts(result: SpinResult) -> str:
    facts = [("Operating point", result.operating_point), ("Words scored", f"{result.words:,}")]
    if result.coverage is not None:
        facts.append(("In spun-looking passages", f"{percent(result.coverage)} of the words"))
    facts += [("Odd phrases", f"{len(result.spans):,}"), ("Model", result.model)]
    if result.kinds is not None:
        kind, share = max(result.kinds.items(), key=lambda item: item[1])
        if share >= _KIND_SHOWN:
            facts.append(("Most likely kind", f"{_KINDS.get(kind, kind)} ({number(share)})"))
    listed = "".join(f"<div><dt>{escape(name)}</dt><dd>{_text(value)}</dd></div>\n" for name, value in facts)
    warned = "".join(
        f'<p class="warned"><strong>Warning:</strong> {_text(describe_warning(code))} ({_text(code)})</p>\n'
        for code in result.warnings
    )
    return f"<dl>\n{listed}</dl>\n{warned}"


def _strip(result: SpinResult, length: int, index: int) -> str:
    cells = []
    position = 0
    labelled = len(result.segments) <= MAX_LABELLED_PASSAGES
    for count, segment in enumerate(result.segments, start=1):
        if segment.start > position:
            cells.append(f'<span style="flex:{segment.start - position} 0 0"></span>')
        label = f"Passage {count}: probability {number(segment.probability)}"
        shown = f"{segment.probability:.2f}" if labelled else ""
        cells.append(
            f'<a href="#t{index}p{count}" title="{label}" aria-label="{label}" '
            f'style="flex:{segment.end - segment.start} 0 0;background:{_shade(segment)}">{shown}</a>'
        )
        position = segment.end
    if length > position:
        cells.append(f'<span style="flex:{length - position} 0 0"></span>')
    return (
        "<h3>Passages, in reading order, with the probability of each</h3>\n"
        f'<nav class="strip" aria-label="Passages">{"".join(cells)}</nav>\n'
    )


def _shade(segment: Segment) -> str:
    return f"color-mix(in srgb, var(--spun) {round(60 * segment.probability)}%, var(--card))"


def _article(entry: Scored, index: int) -> str:
    text, result = entry.text, entry.result
    anchors = [(s.start, f'<a id="t{index}p{n}"></a>') for n, s in enumerate(result.segments, start=1)]
    anchors.reverse()
    parts: list[str] = []
    for start, end, mark in pieces(text, result):
        if mark is None:
            while anchors and anchors[-1][0] < end:
                at, anchor = anchors.pop()
                cut = max(at, start)
                parts += [_body(text, start, cut), anchor]
                start = cut
            parts.append(_body(text, start, end))
            continue
        while anchors and anchors[-1][0] < end:
            parts.append(anchors.pop()[1])
        shown = _body(text, start, end)
        parts.append(_phrase(shown, mark, index) if isinstance(mark, Span) else _skipped(shown, mark))
    return "".join(parts)


def _phrase(shown: str, span: Span, index: int) -> str:
    strength = next(name for bound, name in _STRENGTHS if span.score >= bound)
    if span.suggestions:
        note = f"Probably: {_text('; '.join(span.suggestions))}"
        was = f'<span class="was" aria-hidden="true"> [{_text(span.suggestions[0])}]</span>'
    else:
        note, was = "No probable original known", ""
    note += f" (score {span.score:.2f})"
    # The note is read out as the label of the phrase's description; the class `tip` shows it on hover and focus.
    return (
        f'<mark class="{strength}" id="t{index}c{span.start}" tabindex="0" '
        f'aria-describedby="t{index}n{span.start}">{shown}'
        f'<span class="tip" role="tooltip" id="t{index}n{span.start}">{note}</span></mark>{was}'
    )


def _skipped(shown: str, ignored: Ignored) -> str:
    if not shown.strip():
        return shown
    why = _text(describe_ignored(ignored.why))
    return f'<span class="skip" title="Not counted: {why}"><span class="why">not counted, {why}: </span>{shown}</span>'


def _evidence_table(found: list[Evidence], result: SpinResult, index: int) -> str:
    title = "Evidence, strongest first" if result.verdict is Verdict.SPUN else "Odd phrases, not enough for a verdict"
    head = (
        '<table>\n<thead><tr><th scope="col">Score</th><th scope="col">Phrase</th>'
        '<th scope="col">Probably was</th></tr></thead>\n<tbody>\n'
    )
    rows = [_evidence_row(item, index) for item in found]
    parts = [f"<h3>{title}</h3>\n{head}{''.join(rows[:MAX_OPEN_EVIDENCE])}</tbody>\n</table>\n"]
    if rest := rows[MAX_OPEN_EVIDENCE:]:
        more = f"{len(rest):,} more phrase{'' if len(rest) == 1 else 's'}"
        parts.append(f"<details><summary>{more}</summary>\n{head}{''.join(rest)}</tbody>\n</table>\n</details>\n")
    return "".join(parts)


def _evidence_row(item: Evidence, index: int) -> str:
    times = f' <span class="soft">{len(item.places)} times</span>' if len(item.places) > 1 else ""
    originals = _text("; ".join(item.suggestions)) if item.suggestions else '<span class="soft">not known</span>'
    return (
        f'<tr><td class="score"><span class="meter" aria-hidden="true">'
        f'<i style="width:{100 * item.score:.0f}%"></i></span>{item.score:.2f}</td>'
        f'<td><a href="#t{index}c{item.places[0]}">{_text(item.text)}</a>{times}</td><td>{originals}</td></tr>\n'
    )
