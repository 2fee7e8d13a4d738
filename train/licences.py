"""Legal prose that is nobody's private contract: the software licences collected by ScanCode, as human documents.

Law is where honest writing looks most like spinning ("in contravention thereof", "yield up possession"), and the tables
have few texts of it. The package `licensedcode-data` (CC BY 4.0; the texts under their own terms) has two thousand,
many of them forms of one another, so no report judges a model by them. They train both models, and owners that the
examiner has not seen take part in the join and its thresholds, like every set.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from detector.errors import MissingExtraError
from detector.gate import check
from train.corpora import Document

TABLE = "human/licences"
_PACKAGE = "licensedcode"
_HEAD = re.compile(r"\A---\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
_OWNER = re.compile(r"^owner: *(.+)$", re.MULTILINE)
_WORDS = re.compile(r"[^\W\d_]+")
_FEWEST_WORDS = 60
_MOST_WORDS = 1200  # of one licence: a few are as long as books


def _folder() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)
    places = list(spec.submodule_search_locations or ()) if spec else []
    folders = [folder for place in places if (folder := Path(place) / "data" / "licenses").is_dir()]
    if not folders:
        raise MissingExtraError(
            f"the recipe asks for {TABLE}, whose texts come with a package: pip install licensedcode-data"
        )
    return folders[0]


def unwrapped(text: str, most_words: int) -> str:
    """Return the first paragraphs of `text`, about `most_words` words in all, each on one line.

    Paragraphs are parted by blank lines; a licence's lines are broken after 70 characters, which articles are not.
    """
    kept, words = [], 0
    for paragraph in re.split(r"\n\s*\n", text):
        line = " ".join(paragraph.split())
        if line and words < most_words:
            kept.append(line)
            words += line.count(" ") + 1
    return "\n\n".join(kept)


def licence_documents() -> Iterator[Document]:
    """Yield the English licences of at least 60 words, in the order of their keys; a group is all of one owner.

    Raises:
        MissingExtraError: the package is not installed.
    """
    for file in sorted(_folder().glob("*.LICENSE")):
        written = file.read_text(encoding="utf-8", errors="replace")
        head = _HEAD.match(written)
        text = unwrapped(written[head.end() :] if head else written, _MOST_WORDS)
        if len(text.split()) < _FEWEST_WORDS or check(text, _WORDS.findall(text.lower())) is not None:
            continue
        owner = _OWNER.search(head[1]) if head else None
        yield Document(
            id=f"{TABLE}/{file.stem}", text=text, label="original", table=TABLE, tool="", tool_family="",
            source="licensedcode-data", group=f"licences {owner[1] if owner else file.stem}", domain="law",
            original=None, licence_nc=False,
        )  # fmt: skip


def with_licences(documents: Sequence[Document], wanted: bool) -> list[Document]:
    """Return the documents, followed by the licences if the recipe wants them."""
    return [*documents, *(licence_documents() if wanted else ())]
