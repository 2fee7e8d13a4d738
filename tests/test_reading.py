from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.errors import InputError
from detector.reading import (
    DEFAULT_MAX_BYTES,
    MAX_HTML_BYTES,
    decode,
    display_name,
    extract_html,
    read_article,
    read_bytes,
)

PROSE = "The café’s owner said “we won’t go” – naïve or not, the résumé was fine. " * 8
LATIN = "Señor Núñez paid £20 for a naïve painting in the old café by the river. " * 8


@pytest.mark.parametrize(
    ("written_as", "found"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("utf-16", "utf-16-le" if sys.byteorder == "little" else "utf-16-be"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("utf-32", "utf-32-le" if sys.byteorder == "little" else "utf-32-be"),
        ("cp1252", "cp1252"),
        ("mac_roman", "mac_roman"),
    ],
)
def test_encodings_of_english_text_are_found(written_as: str, found: str):
    assert decode(PROSE.encode(written_as), "a.txt") == (PROSE, found)


def test_latin_1_is_read_as_its_superset_windows_1252():
    assert decode(LATIN.encode("latin_1"), "a.txt") == (LATIN, "cp1252")


def test_a_byte_that_windows_1252_lacks_falls_back_to_latin_1():
    text, encoding = decode(LATIN.encode("latin_1") + b" \x81", "a.txt")
    assert (text, encoding) == (LATIN + " \x81", "latin_1")


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=300))
@settings(max_examples=200, deadline=None)
def test_utf_8_comes_back_as_it_was_or_is_refused_as_binary(text: str):
    try:
        decoded, encoding = decode(text.encode(), "a.txt")
    except InputError as error:
        assert "binary" in str(error) or "not text" in str(error)
        return
    if encoding == "utf-8":
        assert decoded == text.removeprefix("\ufeff")


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_text_or_an_input_error(data: bytes):
    try:
        text, _ = decode(data, "a.bin")
    except InputError as error:
        assert str(error).startswith("a.bin: ")
    else:
        text.encode("utf-8")  # no lone surrogates, which no output could carry


def test_line_ends_emoji_and_combining_marks_stay(tmp_path: Path):
    text = "One\r\ntwo\rthree\n👩‍👩‍👧 cafe\u0301\t\u200bend"
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_article(str(path)).text == text


def test_a_few_damaged_bytes_do_not_turn_utf_8_into_mojibake():
    data = PROSE.encode().replace(b"owner", b"own\xffer", 1)
    text, encoding = decode(data, "a.txt")
    assert encoding == "utf-8"
    assert text == PROSE.replace("owner", "own\ufffder", 1)


def test_a_character_cut_off_at_the_end_is_forgiven():
    text, encoding = decode((PROSE + "é").encode()[:-1], "a.txt")
    assert (text, encoding) == (PROSE + "\ufffd", "utf-8")


def test_a_forced_encoding_is_obeyed():
    assert decode("привет".encode("cp1251"), "a.txt", encoding="cp1251") == ("привет", "cp1251")
    assert decode(PROSE.encode("utf-8-sig"), "a.txt", encoding="utf-8")[0] == PROSE
    assert decode(PROSE.encode("utf-16"), "a.txt", encoding="utf-16")[0] == PROSE


def test_a_wrong_forced_encoding_names_the_byte():
    with pytest.raises(InputError, match=r"a\.txt: not valid ascii at byte 7 .*--encoding"):
        decode("The café".encode(), "a.txt", encoding="ascii")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (bytes(range(256)) * 40, "binary"),
        (b"\x01\x02\x03\x04 mostly controls \x05\x06\x0e\x0f" * 20, "binary"),
        (b"%PDF-1.7\nstream of text", "PDF.*; save its text, for example with pdftotext"),
        (b"PK\x03\x04rest", "docx"),
        (b"\x1f\x8b\x08rest", "gzip archive, not text; unpack it"),
        (b"{\\rtf1 Some text}", "RTF document, not text; export"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
    ],
)
def test_binary_data_is_refused_with_a_next_step(data: bytes, says: str):
    with pytest.raises(InputError, match=rf"^a: .*{says}"):
        decode(data, "a")


def test_escape_sequences_alone_are_no_binary_data():
    assert decode(b"\x1b[1mA log line\x1b[0m\n" * 20, "a.log")[0].startswith("\x1b[1mA")


def test_missing_folder_and_empty(tmp_path: Path):
    with pytest.raises(InputError, match=r"nothing\.txt: no such file; check the path"):
        read_bytes(str(tmp_path / "nothing.txt"))
    with pytest.raises(InputError, match=r"is a folder; .*detect-spin-batch"):
        read_bytes(str(tmp_path))
    with pytest.raises(InputError, match="cannot be read"):
        read_bytes("a\0b")
    with pytest.raises(InputError, match="empty file name"):
        read_bytes("")
    (tmp_path / "empty.html").touch()
    assert read_article(str(tmp_path / "empty.html")).text == ""


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="POSIX modes")
def test_a_file_without_read_permission(tmp_path: Path):
    path = tmp_path / "secret.txt"
    path.write_text("text")
    path.chmod(0)
    user = os.geteuid()
    if user == 0:  # root may read everything: be "nobody" for a moment
        os.seteuid(65534)
    try:
        with pytest.raises(InputError, match=r"secret\.txt: no permission to read it"):
            read_bytes(str(path))
    finally:
        if user == 0:
            os.seteuid(0)


def test_the_size_limit_holds_for_files_and_pipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a.txt"
    for size, fits in ((9, True), (10, True), (11, False)):
        path.write_bytes(b"x" * size)
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"x" * size)))
        if fits:
            assert len(read_bytes(str(path), max_bytes=10)) == len(read_bytes("-", max_bytes=10)) == size
            continue
        with pytest.raises(InputError, match=r"too large: 11 bytes .* 10 bytes; .*--max-bytes"):
            read_bytes(str(path), max_bytes=10)
        with pytest.raises(InputError, match="standard input: too large"):
            read_bytes("-", max_bytes=10)


@pytest.mark.skipif(sys.platform == "win32", reason="sparse files")
def test_a_100_mb_file_is_refused_without_reading_it(tmp_path: Path):
    path = tmp_path / "huge.txt"
    with path.open("wb") as stream:
        stream.truncate(100_000_000)
    assert DEFAULT_MAX_BYTES < 100_000_000
    with pytest.raises(InputError, match="too large: 100,000,000 bytes"):
        read_article(str(path))


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no /dev/zero")
def test_an_endless_device_is_refused():
    with pytest.raises(InputError, match=r"/dev/zero: too large"):
        read_bytes("/dev/zero", max_bytes=100_000)


PAGE = """<!DOCTYPE html><html><head><title>Ferry news</title>{meta}</head><body>
<nav><a href="/">Home</a> <a href="/sport">Sport</a></nav>
<article><h1>The ferry will run again</h1>
<p>The ferry across the Wend, closed since the spring storm, will run again from Monday, the harbour office said.</p>
<p>Its café opens too, and children travel free for a month, which “should bring people back”, the captain hopes.</p>
</article><script>var menu = "never shown";</script><footer>All rights reserved</footer></body></html>"""


def test_html_gives_the_article_without_menu_and_script(tmp_path: Path):
    path = tmp_path / "page.HTML"
    path.write_text(PAGE.format(meta='<meta charset="utf-8">'), encoding="utf-8")
    article = read_article(str(path))
    assert article.kind == "html"
    assert "The ferry across the Wend" in article.text
    assert "“should bring people back”" in article.text
    for part in ("<p>", "never shown", "Sport"):
        assert part not in article.text


@pytest.mark.parametrize("declared", ["windows-1252", "iso-8859-1"])
def test_html_declares_its_encoding(tmp_path: Path, declared: str):
    path = tmp_path / "page.htm"
    path.write_bytes(
        PAGE.format(meta=f'<meta http-equiv="Content-Type" content="text/html; charset={declared}">').encode("cp1252")
    )
    article = read_article(str(path))
    assert article.encoding == "cp1252"
    assert "“should bring people back”" in article.text


def test_html_with_a_wrong_or_unknown_declaration_is_guessed():
    for declared in ("utf-8", "x-unknown", "utf-16", "base64"):
        page = f'<meta charset="{declared}"><p>{LATIN}</p>'
        assert decode(page.encode("cp1252"), "page.html", html=True) == (page, "cp1252")


@pytest.mark.parametrize(
    "page",
    ["<html><body><div>Just a line</div></body></html>", "<BODY><p>Just a line", "<p>Just a line</p>", "Just a line"],
)
def test_html_without_an_article_gives_all_its_text(page: str):
    assert extract_html(page, "page.html").strip() == "Just a line"


def test_a_huge_html_page_is_refused(tmp_path: Path):
    path = tmp_path / "page.html"
    path.write_bytes(b"<p>word</p>\n" * (MAX_HTML_BYTES // 12 + 1))
    with pytest.raises(InputError, match=r"too large for an HTML page: .*; save the article's text"):
        read_article(str(path))


def test_html_without_text_is_an_error():
    page = "<html><head><script>app()</script></head><body><div id=root></div></body></html>"
    with pytest.raises(InputError, match=r"page\.html: no text found .*save its text as \.txt"):
        extract_html(page, "page.html")


def test_markdown_is_kept_as_it_is(tmp_path: Path):
    path = tmp_path / "note.md"
    path.write_text("# Title\n\nSome *text* with <b>tags</b>.\n", encoding="utf-8")
    assert read_article(str(path)).text == "# Title\n\nSome *text* with <b>tags</b>.\n"


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names are not bytes there")
def test_a_file_name_that_is_not_utf_8_can_be_shown():
    assert display_name(os.fsdecode(b"caf\xe9.txt")) == "caf\ufffd.txt"


def test_any_file_can_be_read_as_a_page(tmp_path: Path):
    path = tmp_path / "page.txt"
    path.write_bytes(PAGE.format(meta='<meta charset="windows-1252">').encode("cp1252"))
    article = read_article(str(path), html=True)
    assert (article.kind, article.encoding) == ("html", "cp1252")
    assert "Sport" not in article.text
    assert read_article(str(path)).kind == "text"


def test_backspaces_are_no_binary_data():
    assert decode(b"It wax\bs bez\btter thq\ban it lox\boked." * 9, "a.txt")[0].startswith("It wax\bs")
