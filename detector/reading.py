"""Bytes to article text: which encoding, which file type, and what is refused.

Offsets of a result count code points of the text that leaves this module: decoded, without a byte-order mark, line
ends untouched. For HTML that is the extracted article, not the page's source.
"""

from __future__ import annotations

import codecs
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from detector.errors import InputError
from detector.log import get_logger

logger = get_logger(__name__)

STDIN = "-"
DEFAULT_MAX_BYTES = 20_000_000
"""Largest input read, in bytes: six times "War and Peace". 49 MB of spun text took 94 s and 4.5 GB."""

MAX_HTML_BYTES = 10_000_000
"""Largest HTML page read, in bytes: extraction takes some three seconds a megabyte; no article's page is larger."""

MOST_LINKS = 10_000
"""Links of a page up to which the article is looked for: trafilatura's time grows with their square (seven seconds)."""

HTML_SUFFIXES = frozenset({".html", ".htm", ".xhtml"})

# Longest first, because the UTF-32 mark begins with the UTF-16 one.
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

# What people drop on a text tool most often, so that the message can name it. RTF and PDF can pass for text.
_SIGNATURES = (
    (b"%PDF-", "a PDF document", "save its text, for example with pdftotext, and score that"),
    (b"PK\x03\x04", "a ZIP archive or an office document (.docx, .odt, .epub)", "export it as plain text"),
    (b"\xd0\xcf\x11\xe0", "an old office document (.doc)", "export it as plain text"),
    (b"{\\rtf", "an RTF document", "export it as plain text"),
    (b"\x1f\x8b", "a gzip archive", "unpack it first, or use detect-spin-batch"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive", "unpack it first, or use detect-spin-batch"),
    (b"PAR1", "a Parquet table", "use detect-spin-batch"),
    (b"\x89PNG", "a PNG image", "give its text"),
    (b"\xff\xd8\xff", "a JPEG image", "give its text"),
    (b"\x7fELF", "a program", "give a text file"),
)

# Of the first characters, how many may be control characters other than tab, line ends, form feed and escape. Text
# files have none; compressed or numeric data decoded as a one-byte encoding has over 0.2. Set between by hand.
_MAX_CONTROL_SHARE = 0.02
_SAMPLE = 65_536
_BLOCK = 1 << 20
_ASCII = bytes(range(128))
_MAX_BEYOND_ASCII = 0.3  # of the bytes of English text in a one-byte encoding; an article has 0.02 at most
_CONTROL = re.compile(r"[\x00-\x07\x0e-\x1a\x1c-\x1f\x7f]")  # backspaces are the normal form's business

# UTF-16 text in Latin letters has a zero byte in nearly every character (0.97 and more in English prose).
_MIN_UTF16_ZEROS = 0.7
_MAX_UTF16_OTHER = 0.05

# A UTF-8 file with a few damaged bytes is still UTF-8: a one-byte encoding read as UTF-8 has hardly any valid
# sequence (an "é" must be followed by two characters from a block that no English text uses).
_MAX_DAMAGED_SHARE = 0.1

# Tried when the bytes are not UTF-8: what English text of the web and of old office programs comes in.
_LEGACY_ENCODINGS = ("cp1252", "latin_1", "mac_roman")
# Windows-1252 and Mac Roman give every byte some letter. These are the ones that English text has; quotes and dashes
# count double, since they stand in every second article and read in the other encoding they are mere accented letters.
_TYPOGRAPHIC = re.compile("[\u2018\u2019\u201c\u201d\u2013\u2014\u2026\u2122]")
_ACCENTED = re.compile("[\xe0\xe1\xe2\xe4\xe6-\xef\xf1\xf3\xf4\xf6\xf8\xfa-\xfc\xdf\xa3\xa7\xa9\xae\xb0\xbd]")

# What a page may declare: the encodings of browsers (https://encoding.spec.whatwg.org), by Python's names. Python has
# more, which no page is in, such as EBCDIC's, and some that are no encodings of text.
_WEB_ENCODINGS = frozenset(
    ["ascii", "big5", "big5hkscs", "cp866", "cp874", "cp932", "cp949", "euc_jp", "euc_kr", "gb18030", "gb2312", "gbk"]
    + ["iso2022_jp", "koi8-r", "koi8-u", "mac-cyrillic", "mac-roman", "shift_jis", "tis-620", "utf-8"]
    + [f"cp{number}" for number in range(1250, 1259)]
    + [f"iso8859-{number}" for number in (*range(1, 12), *range(13, 17))]
)

_META_CHARSET = re.compile(
    rb"""<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]{2,40})""", re.IGNORECASE
)


# Control characters, as such and as references, which XML cannot hold: the extraction stops at them.
_NOT_XML = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]"
    "|&#0*(?:[0-8]|1[124-9]|2[0-9]|3[01])(?:;|(?![0-9]))|&#[xX]0*(?:[0-8bceBCEfF]|1[0-9a-fA-F])(?:;|(?![0-9a-fA-F]))"
)
_LINK = re.compile(r"<a[\s>]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Article:
    """An input's text. `encoding`: Python's name of what it was decoded from. `kind`: `text` or `html`."""

    text: str
    encoding: str
    kind: str


def read_article(
    source: str, *, encoding: str | None = None, max_bytes: int = DEFAULT_MAX_BYTES, html: bool = False
) -> Article:
    """Read one input: a path, or `-` for standard input.

    `encoding` forces a decoding; without it a byte-order mark, an HTML page's own declaration, UTF-8 and at last
    detection decide. `html`: the input is a page whatever its name. Markdown is kept as it is, so that offsets fit the
    file.

    Raises:
        InputError: missing, unreadable, a folder, over `max_bytes` (HTML: over `MAX_HTML_BYTES`), binary, undecodable,
            or a page without text.
    """
    name = display_name(source)
    data = read_bytes(source, max_bytes=max_bytes)
    kind = "html" if html or (source != STDIN and Path(source).suffix.lower() in HTML_SUFFIXES) else "text"
    if kind == "html" and len(data) > MAX_HTML_BYTES:
        raise InputError(
            f"{name}: too large for an HTML page: {len(data):,} bytes are more than {MAX_HTML_BYTES:,}; "
            "save the article's text as .txt and score that"
        )
    text, used = decode(data, name, encoding=encoding, html=kind == "html")
    if kind == "html" and text.strip():
        text = extract_html(text, name)
    logger.info("%s: %d bytes, %s, %d characters of %s", name, len(data), used, len(text), kind)
    return Article(text, used, kind)


def display_name(source: str) -> str:
    """Return `source` for messages and results; bytes of a file name that are not UTF-8 become U+FFFD."""
    return os.fsencode(source).decode("utf-8", "replace")


def read_bytes(source: str, *, max_bytes: int = DEFAULT_MAX_BYTES) -> bytes:
    """Return the bytes of a file, or of standard input for `-`; at most `max_bytes` are ever held.

    Raises:
        InputError: the file cannot be read, or it is larger than `max_bytes`.
    """
    name = display_name(source)
    try:
        if source == STDIN:
            if sys.stdin is None:
                raise InputError("-: standard input is closed; pipe a text in or name a file")
            return _read_limited(sys.stdin.buffer, "standard input", max_bytes)
        if not source:
            raise InputError("'': an empty file name; name a file (is a variable unset?)")
        path = Path(source)
        if path.is_dir():
            raise InputError(
                f"{name}: is a folder; name the files in it (such as {os.path.join(name, '*.txt')}), "  # noqa: PTH118 - keeps "./"
                "or use detect-spin-batch for whole folders"
            )
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > max_bytes:
                raise _too_large(name, size, max_bytes)
            return _read_limited(stream, name, max_bytes)
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such file; check the path ({current_folder()})") from error
    except PermissionError as error:
        raise InputError(f"{name}: no permission to read it; check its mode and owner") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the name
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"{name}: cannot be read: {reason}") from error


def current_folder() -> str:
    """Return in words, for messages, which folder the process is in; it may have been deleted."""
    try:
        return f"the current folder is {display_name(str(Path.cwd()))}"
    except OSError:
        return "the current folder does not exist any more"


def _read_limited(stream: BinaryIO, name: str, max_bytes: int) -> bytes:
    # A pipe or a device says nothing about its size beforehand, so the limit holds while reading too. In blocks, since
    # a read reserves what it asks for.
    data = bytearray()
    while len(data) <= max_bytes:
        block = stream.read(min(_BLOCK, max_bytes + 1 - len(data)))
        if not block:
            return bytes(data)
        data += block
    raise _too_large(name, None, max_bytes)


def _too_large(name: str, size: int | None, max_bytes: int) -> InputError:
    is_size = f"{size:,} bytes are" if size is not None else "it is"
    return InputError(
        f"{name}: too large: {is_size} more than the limit of {max_bytes:,} bytes; "
        "split it, use detect-spin-batch for many records, or raise --max-bytes"
    )


def decode(data: bytes, name: str, *, encoding: str | None = None, html: bool = False) -> tuple[str, str]:
    """Return (text, encoding used); a byte-order mark is dropped, line ends stay.

    Order: `encoding`, byte-order mark, a page's own declaration (`html`), UTF-8, UTF-16 without a mark, UTF-8 with a
    few damaged bytes (each becomes U+FFFD), then detection among Windows-1252, Latin-1 and Mac Roman.

    Raises:
        InputError: binary data, bytes that `encoding` cannot decode, or no encoding found.
    """
    for signature, what, step in _SIGNATURES:
        if data.startswith(signature):
            raise InputError(f"{name}: is {what}, not text; {step}")
    if encoding is not None:
        text, used = _decode_forced(data, name, encoding), encoding
    else:
        text, used = _decode_guessed(data, name, html=html)
    sample = text[:_SAMPLE]
    if "\0" in sample or len(_CONTROL.findall(sample)) > _MAX_CONTROL_SHARE * len(sample):
        raise InputError(f"{name}: looks like binary data, not text; give a text file, or its --encoding if it is one")
    return text, used


def _decode_forced(data: bytes, name: str, encoding: str) -> str:
    for mark, marked in _BOMS:
        if data.startswith(mark) and marked.replace("-", "").startswith(_plain(encoding)):
            data, encoding = data[len(mark) :], marked
            break
    try:
        text = data.decode(encoding)
        text.encode("utf-8")  # some codecs decode to lone surrogates, which no output can carry
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name}: not valid {encoding} at byte {error.start:,} ({error.reason}); "
            "leave --encoding out to have it detected, or name the right one"
        ) from error
    except UnicodeEncodeError as error:
        raise InputError(f"{name}: as {encoding} it holds lone surrogates; name the right --encoding") from error
    except UnicodeError as error:  # of codecs such as "undefined", "idna"
        raise InputError(f"{name}: cannot be read as {encoding} ({error}); name the right --encoding") from error
    return text


def _plain(encoding: str) -> str:
    return codecs.lookup(encoding).name.replace("-", "").replace("_", "")


def _decode_guessed(data: bytes, name: str, *, html: bool) -> tuple[str, str]:
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            # The mark settles it; a file that breaks off within a character is still readable.
            return data[len(mark) :].decode(encoding, "replace"), encoding
    if html and (declared := _declared_encoding(data)) is not None:
        try:
            return data.decode(declared), declared
        except UnicodeDecodeError:
            logger.info("%s: declares %s but is not; guessing", name, declared)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        if "\0" not in text[:_SAMPLE]:
            return text, "utf-8"
    if (wide := _utf16_without_mark(data)) is not None:
        return data.decode(wide, "replace"), wide
    if b"\0" in data[:_SAMPLE]:
        raise InputError(f"{name}: looks like binary data, not text (it has zero bytes); give a text file")
    text = data.decode("utf-8", "replace")
    damaged = text.count("\ufffd")
    beyond_ascii = len(text) - len(text.encode("ascii", "ignore"))
    if damaged <= _MAX_DAMAGED_SHARE * beyond_ascii:
        logger.warning("%s: damaged UTF-8, characters replaced by U+FFFD: %d", name, damaged)
        return text, "utf-8"
    return _detect(data, name)


def _declared_encoding(data: bytes) -> str | None:
    # 4096: browsers look at the first 1024 bytes, pages in the wild put long scripts and comments before it.
    match = _META_CHARSET.search(data[:4096])
    if match is None:
        return None
    try:
        found = codecs.lookup(match[1].decode("ascii"))
    except LookupError:
        return None
    # The declaration was read as ASCII, so it cannot be UTF-16. Browsers read Latin-1 as Windows-1252.
    if found.name not in _WEB_ENCODINGS:
        return None
    return "cp1252" if found.name in {"iso8859-1", "ascii"} else found.name


def _utf16_without_mark(data: bytes) -> str | None:
    sample = data[: _SAMPLE // 2 * 2]
    half = len(sample) // 2
    if half < 2:
        return None
    even, odd = sample[0::2].count(0) / half, sample[1::2].count(0) / half
    if odd >= _MIN_UTF16_ZEROS and even <= _MAX_UTF16_OTHER:
        return "utf-16-le"
    if even >= _MIN_UTF16_ZEROS and odd <= _MAX_UTF16_OTHER:
        return "utf-16-be"
    return None


def _detect(data: bytes, name: str) -> tuple[str, str]:
    from charset_normalizer import from_bytes  # 50 ms, and hardly ever needed

    best = from_bytes(data[:_SAMPLE], cp_isolation=list(_LEGACY_ENCODINGS)).best()
    # Of a few letters beyond ASCII it makes nothing, and there they do not matter.
    if best is None and len(data[:_SAMPLE].translate(None, _ASCII)) > _MAX_BEYOND_ASCII * len(data[:_SAMPLE]):
        raise InputError(f"{name}: neither UTF-8 nor another encoding of English text; name it with --encoding")
    # Windows-1252 differs from Latin-1 only where Latin-1 has control characters that no text uses.
    encoding = max(("cp1252", "mac_roman"), key=lambda e: _english_looking(data[:_SAMPLE].decode(e, "replace")))
    try:
        return data.decode(encoding), encoding
    except UnicodeDecodeError:
        return data.decode("latin_1"), "latin_1"


def _english_looking(text: str) -> int:
    return 2 * len(_TYPOGRAPHIC.findall(text)) + len(_ACCENTED.findall(text))


def extract_html(page: str, name: str) -> str:
    """Return the article of an HTML page: main text, without menus, comments and tables.

    Where no article stands out (a bare list of paragraphs, a fragment), and of pages with more than `MOST_LINKS` links,
    it is all visible text.

    Raises:
        InputError: the page holds no visible text.
    """
    # trafilatura: 0.5 s to import, so only when a page is read.
    from trafilatura import extract, html2txt

    if not re.search("<html", page, re.IGNORECASE):
        page = f"<html><body>{page}</body></html>"  # trafilatura takes a fragment without it for no HTML at all
    page = _NOT_XML.sub(" ", page)
    few_links = len(_LINK.findall(page)) <= MOST_LINKS

    def read(page: Any) -> str:
        article = extract(page, include_comments=False, include_tables=False) if few_links else None
        return str(article or html2txt(page) or "")

    text = read(page)
    if not text.strip():
        from lxml.html import HTMLParser, document_fromstring

        # Nested deeper than libxml2 reads unless asked to, 255 levels; then it reads up to 2,000.
        parser = HTMLParser(huge_tree=True, remove_comments=True, remove_pis=True)
        tree = document_fromstring(page, parser=parser)
        body = tree.find("body")
        if body is not None and body.text_content().strip():  # else its title would be taken for its text
            text = read(tree)
    if not text.strip():
        raise InputError(
            f"{name}: no text found in this HTML page (is it filled in by a script, or nested over 2,000 deep?); "
            "save its text as .txt and score that"
        )
    return text
