from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings

from detector.render import Scored, visible
from detector.render.html import MAX_OPEN_EVIDENCE, render_html
from detector.results import Failed, Ignored, Reason, Span
from tests.rendering import FAILED, MODEL, SPUN, nasty_entries, not_scored, scored

VOID = {"meta", "input", "br", "link", "img", "hr"}
WRITTEN_BY_US = {
    *("html", "head", "meta", "title", "style", "body", "main", "section", "footer", "nav", "h1", "h2", "h3", "p"),
    *("table", "thead", "tbody", "tr", "th", "td", "dl", "dt", "dd", "div", "span", "a", "strong", "em", "i", "bdi"),
    *("mark", "label", "input", "details", "summary"),
}


class Page(HTMLParser):
    """Checks that tags nest and collects what the tests ask for."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, str]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.articles: list[str] = []
        self.words: list[str] = []
        self.feed(source)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        assert len(attributes) == len(attrs)
        self.tags.append((tag, attributes))
        if tag not in VOID:
            self.open.append((tag, attributes.get("class") or ""))
            if attributes.get("class") == "article":
                self.articles.append("")

    def handle_endtag(self, tag):
        assert self.open and self.open[-1][0] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data):
        classes = {c for _, c in self.open}
        if "article" in classes and not classes & {"tip", "was", "why"}:
            self.articles[-1] += data
        elif not any(tag == "style" for tag, _ in self.open):
            self.words.append(data)

    def ids(self) -> list[str]:
        return [a["id"] for _, a in self.tags if a.get("id")]


def page(*entries) -> tuple[str, Page]:
    source = "".join(render_html(entries))
    return source, Page(source)


def test_a_moderator_finds_everything_on_the_page():
    text = SPUN.read_text(encoding="utf-8") + "\nShare this article\n"
    start = text.index("Share this")
    source, parsed = page(scored(text, warnings=["homoglyphs"], ignored=[Ignored(start, len(text), "furniture")]))
    assert source.startswith("<!DOCTYPE html>")
    assert "<title>Spun: a.txt</title>" in source
    words = " ".join(" ".join(parsed.words).split())
    for part in (
        "0.999",
        "threshold of 0.620",
        "balanced",
        "50 % of the words",
        MODEL,
        "look like Latin ones (homoglyphs)",
        "0.91",
        "0.14",
    ):
        assert part in words
    assert parsed.articles == [text]
    assert "Probably: prime minister; premier (score 0.99)" in source
    assert "not counted, page furniture" in source
    assert words.index("philanthropic guide") < words.index("in that frame of mind")


def test_all_formats_of_entries_and_a_summary():
    _, parsed = page(
        scored("Prose."), scored("Prose.", probability=0.1), not_scored(Reason.NOT_ENGLISH, "Bonjour."), FAILED
    )
    words = " ".join(" ".join(parsed.words).split())
    assert "4 texts: 1 spun, 1 clean, 1 not scored, 1 failed." in words
    assert "No verdict: the text is not English." in words
    assert FAILED.error in words
    links = [a["href"] for t, a in parsed.tags if t == "a" and (a.get("href") or "").startswith("#text-")]
    assert links == ["#text-1", "#text-2", "#text-3", "#text-4"]


def test_one_text_needs_no_summary():
    assert 'aria-label="Summary"' not in page(scored("Prose."))[0]


def test_every_link_leads_somewhere_and_no_id_is_double():
    text = SPUN.read_text(encoding="utf-8")
    _, parsed = page(scored(text), scored(text, source="again.txt"), FAILED)
    ids = parsed.ids()
    assert len(ids) == len(set(ids))
    targets = {a["href"] for t, a in parsed.tags if t == "a" and a.get("href")}
    assert targets and targets <= {f"#{i}" for i in ids}
    described = {a["aria-describedby"] for t, a in parsed.tags if a.get("aria-describedby")}
    assert described and described <= set(ids)
    marks = [a for t, a in parsed.tags if t == "mark"]
    assert marks and all(a["tabindex"] == "0" for a in marks)


def test_the_page_fetches_and_runs_nothing():
    source, parsed = page(scored(SPUN.read_text(encoding="utf-8")), FAILED)
    assert "default-src 'none'" in source
    assert not re.search(r"https?:|//[a-z]|@import|url\(", source)
    for tag, attributes in parsed.tags:
        assert tag not in {"script", "link", "img", "iframe", "object", "form"}
        assert not {a for a in attributes if a.startswith("on") or a in {"src", "srcset", "action"}}


@given(nasty_entries())
@settings(max_examples=200)
def test_whatever_the_article_holds_only_our_tags_are_on_the_page(entry: Scored):
    source, parsed = page(entry, Failed("<b>\x1b", '"><script>\x00'))
    assert {tag for tag, _ in parsed.tags} <= WRITTEN_BY_US
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", source)
    assert parsed.articles == [visible(entry.text)]
    for _, attributes in parsed.tags:
        assert "onload" not in attributes


@given(nasty_entries())
def test_names_and_warnings_are_escaped_too(entry: Scored):
    source, _ = page(entry)
    assert "<script" not in source and '</mark>"' not in source


@pytest.mark.parametrize("count", [MAX_OPEN_EVIDENCE, MAX_OPEN_EVIDENCE + 1, 200])
def test_much_evidence_unfolds(count: int):
    text = " ".join(f"phrase{i:03}" for i in range(count))
    spans = [Span(m.start(), m.end(), m[0], 0.5) for m in re.finditer(r"\w+", text)]
    source, parsed = page(scored(text, spans=spans))
    assert sum(t == "mark" for t, _ in parsed.tags) == count
    assert ("<details>" in source) == (count > MAX_OPEN_EVIDENCE)
    assert len([a for t, a in parsed.tags if t == "td" and a.get("class") == "score"]) == count


def test_empty_text_has_no_article():
    source, parsed = page(not_scored(Reason.EMPTY))
    assert "No verdict: the text is empty." in source
    assert parsed.articles == []


def test_odd_phrases_of_a_clean_text_are_not_called_evidence():
    source, _ = page(scored("The top state leader left.", probability=0.1))
    assert "Odd phrases, not enough for a verdict" in source and "Evidence, strongest" not in source
