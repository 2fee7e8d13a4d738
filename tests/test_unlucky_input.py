"""Inputs that once went wrong without a word: encodings mistaken, pages nested deep, names with escape codes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from detector import SpinDetector
from detector.errors import InputError
from detector.reading import MOST_LINKS, decode, extract_html, read_bytes
from train.corpora import ROOT

SPUN = (ROOT / "examples" / "spun.txt").read_text(encoding="utf-8")
SENTENCE = "The council met on Tuesday and talked about the old bridge over the river at length again. "


def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}  # type: ignore[dict-item]
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, env=environment, timeout=120, check=False, **options)


@pytest.mark.parametrize("encoding", ["cp1252", "mac_roman"])
@pytest.mark.parametrize(
    "text",
    ["He said “no” – it’s £5.", "It’s a café", "a naïve façade", "“Zoë’s résumé”, she wrote — and left…", "Only £5"],
)
def test_windows_and_mac_texts_are_told_apart(text, encoding):
    assert decode(text.encode(encoding), "x")[0] == text


def test_a_page_may_declare_what_browsers_read_and_nothing_else():
    page = '<html><head><meta charset="{}"></head><body>a café and a naïve façade</body></html>'
    for declared in ("cp037", "undefined", "unicode_escape", "utf-7", "punycode"):
        text, used = decode(page.format(declared).encode(), "x", html=True)
        assert (used, "café" in text) == ("utf-8", True), declared
    assert decode(page.format("iso-8859-2").encode("iso-8859-2", "replace"), "x", html=True)[1] == "iso8859-2"


@pytest.mark.parametrize("encoding", ["undefined", "idna"])
def test_forced_codecs_that_cannot_read_say_so(encoding):
    with pytest.raises(InputError, match=f"x: .*{encoding}"):
        decode(b"a caf\xc3\xa9 " * 30, "x", encoding=encoding)


def test_pages_nested_a_thousand_deep_are_read_and_deeper_ones_refused():
    def page(depth: int) -> str:
        return "<html><body>" + "<div>" * depth + f"<p>{SENTENCE * 20}</p>" + "</div>" * depth + "</body></html>"

    assert extract_html(page(1000), "x").strip() == (SENTENCE * 20).strip()
    with pytest.raises(InputError, match="nested over 2,000 deep"):
        extract_html(page(10_000), "x")


@pytest.mark.parametrize("control", ["\x0b", "&#11;", "&#x1F;", "&#012", "\x00", "\x1b", "\ufffe", "\ud800"])
def test_pages_of_control_characters_alone_are_refused_and_deep_ones_with_some_are_read(control):
    with pytest.raises(InputError, match="no text found"):
        extract_html(f"<html><body><p>{control}", "x")
    deep = "<html><body>" + "<div>" * 400 + f"<p>{SENTENCE * 20}</p><p>{control}</p>" + "</div>" * 400
    assert SENTENCE.strip() in extract_html(deep, "x")
    assert extract_html(f"<html><body><p>Seen {control} twice.</p></body></html>", "x").split() == ["Seen", "twice."]


def test_a_page_of_links_alone_takes_no_square_of_their_number():
    page = "<html><body><p>" + "<a href=x>y</a> " * 10 * MOST_LINKS + f"</p><p>{SENTENCE * 20}</p></body></html>"
    started = time.process_time()
    assert SENTENCE in extract_html(page, "x")
    assert time.process_time() - started < 10.0  # it took hours


def test_a_limit_beyond_memory_reads_a_small_file(tmp_path):
    (tmp_path / "a.txt").write_text(SENTENCE)
    assert read_bytes(str(tmp_path / "a.txt"), max_bytes=10**20) == SENTENCE.encode()
    with pytest.raises(InputError, match="more than the limit of 90 bytes"):
        read_bytes(str(tmp_path / "a.txt"), max_bytes=90)


@pytest.mark.skipif(sys.platform == "win32", reason="a folder in use cannot be removed there")
def test_a_missing_file_in_a_folder_that_is_gone(tmp_path):
    code = (
        f"import os; os.makedirs({str(tmp_path / 'gone')!r}); os.chdir({str(tmp_path / 'gone')!r})\n"
        f"os.rmdir({str(tmp_path / 'gone')!r})\n"
        "from detector.reading import read_bytes\ntry:\n    read_bytes('no.txt')\n"
        "except Exception as error:\n    print(type(error).__name__, error)"
    )
    assert b"InputError no.txt: no such file; check the path (the current folder does not exist any more)" in (
        run("-c", code).stdout
    )


@pytest.mark.skipif(sys.platform == "win32", reason="no such file names there")
def test_names_in_the_log_reach_the_terminal_harmless(tmp_path):
    path = tmp_path / "a\x1b[31mRED\nline2.txt"
    path.write_bytes("caf\xe9 ".encode() * 40 + b"\xff")
    for verbose in ((), ("-v",), ("-vv",)):
        shown = run("-m", "detector", *verbose, str(path)).stderr
        assert b"\x1b" not in shown
        assert b"\nline2" not in shown
        assert b"damaged UTF-8" in shown


def test_a_line_turned_around_is_read_forwards():
    turned = "\n".join(f"\u202e{line[::-1]}\u202c" for line in SPUN.split("\n"))
    result = SpinDetector.load().score(turned)
    assert result.verdict == "spun"
    assert result.warnings == ("bidi",)
    last = 0
    for span in result.spans:
        assert last <= span.start < span.end <= len(turned)
        assert turned[span.start : span.end] == span.text
        last = span.end


def test_the_report_is_not_written_over_an_input(tmp_path):
    path = tmp_path / "in.txt"
    path.write_text(SPUN, encoding="utf-8")
    (tmp_path / "link.txt").symlink_to(path)
    for out in (path, tmp_path / "link.txt", tmp_path / "." / "in.txt"):
        done = run("-m", "detector", str(path), "-o", str(out))
        assert done.returncode == 2
        assert b"is both an input and the output" in done.stderr
    assert path.read_text(encoding="utf-8") == SPUN


def test_scoring_leaves_no_traces_in_the_home_folder(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    code = (
        "import os; before = dict(os.environ)\n"
        "from detector import SpinDetector\n"
        f"result = SpinDetector.load().score(open({str(ROOT / 'examples' / 'spun.txt')!r}, encoding='utf-8').read())\n"
        "assert dict(os.environ) == before\nprint(result.verdict.value)"
    )
    changed = {"HOME": str(home), "USERPROFILE": str(home), "XDG_CACHE_HOME": "", "PYTHONDONTWRITEBYTECODE": "1"}
    done = run("-c", code, env=changed)
    assert done.stdout.strip() == b"spun", done.stderr
    assert list(Path(home).rglob("*")) == []
