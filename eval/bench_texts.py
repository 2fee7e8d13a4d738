"""Articles to measure speed with: cut to one length, of people, of spinners, or mixed as a stream would be."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from detector.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
HUMAN_TABLES = ("human/us_news_2006_2021", "human/dailymail_2020", "human/rss_2016", "human/bbc_2004")
SPUN_TABLES = ("spun/spinbot_news", "spun/spinbot_science", "spun/wild")
SPUN_SHARE = 0.02  # of the articles of a mixed stream, as in the goals that are measured against


def first_words(text: str, count: int) -> str | None:
    """Return the text up to the end of its `count`-th word, white space kept; None if it has fewer.

    >>> first_words("one  two three", 2)
    'one  two'
    """
    for number, word in enumerate(re.finditer(r"\S+", text), 1):
        if number == count:
            return text[: word.end()]
    return None


def _texts(data: Path, tables: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield table and text of every row of the tables that are there."""
    import pyarrow.parquet as pq

    for table in tables:
        path = data / f"{table}.parquet"
        if path.is_file():
            yield from ((table, text) for text in pq.read_table(path, columns=["text"])["text"].to_pylist())


def articles_from_tables(data: Path, count: int, words: int) -> list[str]:
    """Return up to `count` human articles, each cut to `words` words, in table order."""
    cut = (first_words(text, words) for _, text in _texts(data, HUMAN_TABLES))
    return list(islice((text for text in cut if text is not None), count))


def spun_articles(data: Path, count: int, words: int) -> list[str]:
    """Return up to `count` spun texts of `words` words each, made of passages of one table put one behind the other."""

    def joined() -> Iterator[str]:
        passages, of = "", ""
        for table, text in _texts(data, SPUN_TABLES):
            passages = f"{passages}\n\n{text}" if passages and table == of else text
            of = table
            if (cut := first_words(passages, words)) is not None:
                yield cut
                passages = ""

    return list(islice(joined(), count))


def articles_from_examples(folder: Path, count: int, words: int, seed: int, pattern: str = "*.txt") -> list[str]:
    """Return `count` articles of about `words` words, made of the sentences of the folder's texts in random order.

    Raises:
        InputError: the folder holds no .txt with sentences.
    """
    sentences = [
        sentence
        for path in sorted(folder.glob(pattern))
        for sentence in re.split(r"(?<=[.!?])\s+", path.read_text(encoding="utf-8").strip())
        if len(sentence.split()) > 3
    ]
    if not sentences:
        raise InputError(f"{folder}: no .txt with sentences to build the benchmark from; name the tables with --data")
    rng = random.Random(seed)
    articles = []
    for _ in range(count):
        chosen: list[str] = []
        length = 0
        while length < words:
            paragraph = [rng.choice(sentences) for _ in range(4)]
            chosen.append(" ".join(paragraph))
            length += len(chosen[-1].split())
        articles.append("\n\n".join(chosen))
    return articles


def mixed_articles(data: Path, count: int, words: int, spun_share: float, seed: int) -> tuple[list[str], str]:
    """Return articles of which `spun_share` are spun, in random order, and what they are in words.

    Without the tables they are made of the sentences of examples/.

    Raises:
        InputError: there are neither tables nor examples.
    """
    wanted = round(count * spun_share)
    spun = spun_articles(data, wanted, words) if wanted else []
    human = articles_from_tables(data, count - wanted, words) if wanted < count else []
    source = f"texts of the tables, cut to {words} words"
    if len(spun) < wanted or len(human) < count - wanted:
        examples, source = ROOT / "examples", f"sentences of examples/, recombined to about {words} words"
        spun = articles_from_examples(examples, wanted, words, seed, "spun*.txt") if wanted else []
        human = articles_from_examples(examples, count - wanted, words, seed, "original*.txt") if wanted < count else []
    articles = [*human, *spun]
    random.Random(seed).shuffle(articles)
    return articles, source


def short_rows(articles: Sequence[str], count: int, words: int, seed: int) -> Iterator[str]:
    """Yield `count` stretches of `words` words of the articles.

    Words without white space between them ("and/or/both", addresses) are left out: with a few of them a row is long
    enough to be examined, and the examiner's 70 MB would look like memory that grows with the rows.
    """
    rng = random.Random(seed)
    pool = [word for word in " ".join(articles[:200]).split() if len(re.findall(r"\w+", word)) <= 2]
    for _ in range(count):
        start = rng.randrange(max(1, len(pool) - words))
        yield " ".join(pool[start : start + words])
