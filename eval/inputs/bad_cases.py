# The cases of a group stand on one line each.
# ruff: noqa: E501
"""Bad inputs as files, each with what a program should say to it; data for `eval.inputs.bad`."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from eval.robustness_input import garble, typeset

ROOT = Path(__file__).parent.parent.parent
SPUN = (ROOT / "examples" / "spun.txt").read_text(encoding="utf-8")
TYPESET = typeset(SPUN)
BOMB_BYTES = 300_000_000
"""What the archives unpack to: enough to see in a process's memory, not so much that the naive reading harms."""

Make = Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    """A bad input. `make` writes it to a path; `should` is found in what the program answers (a regular expression).

    `batch`: for `detect-spin-batch`, which reads records and archives. `options`: of the command line. `shown`: the text
    and the page that are shown to a person are looked at too.
    """

    about: str
    name: str
    make: Make
    should: str
    options: tuple[str, ...] = ()
    batch: bool = False
    shown: bool = False


def _bytes(data: bytes) -> Make:
    return lambda path: _write(path, data)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _text(text: str, encoding: str = "utf-8") -> Make:
    return _bytes(text.encode(encoding, "surrogatepass" if encoding == "utf-8" else "strict"))


def _page(body: str, head: str = "") -> Make:
    return _text(f"<!DOCTYPE html><html><head><title>News</title>{head}</head><body>{body}</body></html>")


def _paragraphs(close: str = "</p>") -> str:
    return "<article>" + "".join(f"<p>{p}{close}" for p in SPUN.split("\n\n")) + "</article>"


def _nothing(path: Path) -> None:
    """Leave the path without a file."""


def _folder(path: Path) -> None:
    path.mkdir()


def _random(path: Path) -> None:
    path.write_bytes(Random(1).randbytes(5000))


def _sparse(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(21_000_000)


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("article.txt", "a" * 10_000_000)


def _gzip_bomb(path: Path, head: bytes = b"") -> None:
    with gzip.open(path, "wb") as stream:
        stream.write(head)
        for _ in range(BOMB_BYTES // 1_000_000):
            stream.write(b"word " * 200_000)


def _zstd_bomb(path: Path) -> None:
    import pyarrow as pa

    with pa.CompressedOutputStream(str(path), "zstd") as stream:
        for _ in range(BOMB_BYTES // 1_000_000):
            stream.write(b"word " * 200_000)


def _parquet_bomb(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"text": ["word " * (BOMB_BYTES // 5)]}), path, compression="zstd")


def _parquet_cut(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(pa.table({"text": [SPUN] * 50}), sink)
    path.write_bytes(sink.getvalue()[:-100])


def _csv_open_quote(path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["text"], [SPUN]])
        stream.write('"' + SPUN.replace('"', "") * 50)


def _scattered(piece: str, every: int) -> str:
    return "".join(SPUN[i : i + every] + piece for i in range(0, len(SPUN), every))


def _cut_character(path: Path) -> None:
    path.write_bytes(TYPESET.encode()[: TYPESET.encode().index("’".encode()) + 2])


def _damaged(path: Path) -> None:
    data = bytearray(TYPESET.encode())
    for at in (100, 400, 900):
        data[at] = 0xFF
    path.write_bytes(data)


def cases() -> Iterator[tuple[str, list[Case]]]:
    """Yield the cases by group."""
    spun, refused = "^spun", "^refused: .*"
    yield "No text", [
        Case("a file that is not there", "missing.txt", _nothing, refused + "no such file"),
        Case("a folder", "folder", _folder, refused + "is a folder"),
        Case("an empty file", "empty.txt", _bytes(b""), "empty"),
        Case("white space only", "spaces.txt", _text(" \t\r\n\u00a0\u2003" * 200), "empty"),
        Case("invisible characters only", "invisible.txt", _text("\u200b\ufeff" * 500), "empty|not_text"),
        Case("random bytes", "random.txt", _random, refused + "binary"),
        Case("a PNG image", "image.txt", _bytes(b"\x89PNG\r\n\x1a\n" + bytes(500)), refused + "PNG"),
        Case("a PDF document", "paper.txt", _bytes(b"%PDF-1.7\n" + SPUN.encode()), refused + "PDF"),
        Case("a ZIP archive that unpacks to 10 MB", "a.zip", _zip, refused + "ZIP"),
        Case("21 MB, above --max-bytes", "large.txt", _sparse, refused + "too large"),
        Case("an endless device", "/dev/zero", _nothing, refused + "too large"),
    ]  # fmt: skip
    forced = partial(Case, options=("--encoding", "utf-8"))
    yield "Encodings (a spun article with typographic quotes)", [
        Case("UTF-8", "utf8.txt", _text(TYPESET), spun),
        Case("UTF-8 with a mark", "utf8_mark.txt", _text(TYPESET, "utf-8-sig"), spun),
        Case("UTF-16 with a mark", "utf16.txt", _text(TYPESET, "utf-16"), spun),
        Case("UTF-16, little end first, no mark", "utf16le.txt", _text(TYPESET, "utf-16-le"), spun),
        Case("UTF-16, big end first, no mark", "utf16be.txt", _text(TYPESET, "utf-16-be"), spun),
        Case("UTF-32 with a mark", "utf32.txt", _text(TYPESET, "utf-32"), spun),
        Case("Windows-1252", "cp1252.txt", _text(TYPESET, "cp1252"), spun),
        Case("Latin-1", "latin1.txt", _text(SPUN.replace("e", "\u00e9", 3), "latin-1"), spun),
        Case("Mac Roman", "mac.txt", _text(TYPESET, "mac-roman"), spun),
        Case("UTF-8 cut within a character", "cut.txt", _cut_character, ".*"),
        Case("UTF-8 with three damaged bytes", "damaged.txt", _damaged, spun),
        Case("lone surrogates, as some programs write them", "surrogates.txt", _text(_scattered("\ud83d", 300)), spun),
        Case("UTF-8 read as Windows-1252 (mojibake)", "mojibake.txt", _text(garble(TYPESET, ("cp1252",))), spun + ".*mojibake"),
        Case("mojibake twice over", "twice.txt", _text(garble(TYPESET, ("cp1252", "cp1252"))), spun + ".*mojibake"),
        forced("Windows-1252, --encoding utf-8", "forced.txt", _text(TYPESET, "cp1252"), refused + "not valid utf-8"),
        Case("UTF-8, --encoding cp1252", "wrong.txt", _text(TYPESET), "refused: .*not valid|mojibake", ("--encoding", "cp1252")),
        Case("UTF-8, --encoding utf-16", "wide.txt", _text(SPUN), "refused|not_", ("--encoding", "utf-16")),
        Case("--encoding rot13, which is none", "rot.txt", _text(SPUN), "^usage", ("--encoding", "rot13")),
    ]  # fmt: skip
    yield "Pages", [
        Case("a page", "page.html", _page(_paragraphs()), spun),
        Case("no closing tags", "open.html", _page(_paragraphs("")), spun),
        Case("cut within a tag", "cut.html", _text(f"<html><body>{_paragraphs()}<p class="), spun),
        Case("no html or body", "bare.html", _text(_paragraphs()), spun),
        Case("tags out of order", "crossed.html", _page("<b><i>" + _paragraphs().replace("<p>", "<p></b></div>")), spun),
        Case("declares UTF-7", "utf7.html", _page(_paragraphs(), '<meta charset="utf-7">'), spun),
        Case("declares UTF-16, is UTF-8", "declared.html", _page(_paragraphs(), '<meta charset="utf-16">'), spun),
        Case("scripts and styles only", "script.html", _page("<script>alert(1)</script><style>p{}</style>"), refused + "no text"),
        Case("divisions nested 10,000 deep", "deep.html", _text("<html><body>" + "<div>" * 10_000 + _paragraphs() + "</div>" * 10_000), "spun|refused", shown=True),
        Case("no HTML at all", "plain.html", _text(SPUN), spun),
        Case("HTML in a .txt file", "source.txt", _page(_paragraphs()), "spun|not_prose"),
    ]  # fmt: skip
    yield "Texts", [
        Case("one word of 10 MB", "word.txt", _bytes(b"a" * 10_000_000), "not_|too_short"),
        Case("a million line ends", "lines.txt", _bytes(b"\n" * 1_000_000), "empty"),
        Case("a million opening brackets", "brackets.txt", _bytes(b"(" * 1_000_000), "not_|too_short"),
        Case("a text and a NUL", "nul.txt", _text(SPUN[:1000] + "\0" + SPUN[1000:]), refused + "binary"),
        Case("control sequences of terminals", "escapes.txt", _text(_scattered("\x1b[31m\x1b]0;x\x07\x9b2J", 120)), "refused|spun|not_text", shown=True),
        Case("script tags in the text", "tags.txt", _text(_scattered("<script>alert(1)</script>", 400)), "spun|clean", shown=True),
        Case("Windows line ends", "crlf.txt", _text(SPUN.replace("\n", "\r\n")), spun),
        Case("old Mac line ends", "cr.txt", _text(SPUN.replace("\n", "\r")), spun),
        Case("form feeds and vertical tabs", "feeds.txt", _text(_scattered("\f\v", 500)), spun),
        Case("written backwards under an override", "bidi.txt", _text("\u202e" + "\u202c \u202e".join(w[::-1] for w in SPUN.split()) + "\u202c"), spun + ".*bidi", shown=True),
        Case("zero-width characters in every word", "zero.txt", _text(_scattered("\u200b", 3)), spun + ".*zero_width"),
        Case("a letter and a backspace in every word", "back.txt", _text(_scattered("x\b", 5)), spun + ".*backspaces"),
        Case("full-width letters", "wide_letters.txt", _text("".join(chr(ord(c) + 0xFEE0) if c.isalpha() and c.isascii() else c for c in SPUN)), spun + ".*styled"),
        Case("ten combining marks on every letter", "zalgo.txt", _text("".join(c + "\u0301\u0316" * 5 if c.isalpha() else c for c in SPUN)), spun + ".*combining"),
    ]  # fmt: skip
    batch = partial(Case, batch=True)
    rows = [
        {"id": 1, "text": SPUN},
        {"id": 2, "text": None},
        {"id": 3, "text": 7},
        {"id": 4},
        {"id": 5, "text": [SPUN]},
    ]
    lines = "".join(json.dumps(r) + "\n" for r in rows) + '{"text": "cut off\n[1, 2]\nnull\n' + "[" * 100_000 + "\n"
    many = f"{BOMB_BYTES // 1_000_000} MB"
    yield "Many records and archives (`detect-spin-batch`)", [
        batch(f"gzip that unpacks to {many} of text", "bomb.txt.gz", _gzip_bomb, "1 row, 1 failed.*too large"),
        batch(f"Zstandard that unpacks to {many}", "bomb.txt.zst", _zstd_bomb, "1 row, 1 failed.*too large"),
        batch(f"gzip with one JSON line of {many}", "line.jsonl.gz", partial(_gzip_bomb, head=b'{"text": "'), "failed.*longer than"),
        batch(f"Parquet with one value of {many}", "bomb.parquet", _parquet_bomb, "failed.*(bomb|most)"),
        batch("gzip cut off", "cut.txt.gz", _bytes(gzip.compress(SPUN.encode())[:-400]), "1 row, 1 failed"),
        batch("no gzip at all", "none.txt.gz", _text(SPUN), "1 row, 1 failed"),
        batch("a ZIP archive", "b.zip", _zip, "failed.*no known kind"),
        batch("Parquet cut off", "cut.parquet", _parquet_cut, "failed"),
        batch("broken and odd JSON lines, nested 100,000 deep", "odd.jsonl", _text(lines), "9 rows.*spun"),
        batch("CSV with a quote that is never closed", "open.csv", _csv_open_quote, "rows?.*spun"),
        batch("CSV without the text column", "other.csv", _text("a,b\n1,2\n"), "failed|usage"),
    ]  # fmt: skip
