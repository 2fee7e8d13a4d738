"""Recipes: TOML files whose every key is known, so that a misspelt one does not train something else in silence.

And the documents that they are trained on.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any

import tomli

from detector.errors import InputError
from train.corpora import Document, load_documents, read_seeds, remove_duplicates, stable_share
from train.package_texts import with_package_texts

log = logging.getLogger(__name__)
RESERVED_TABLES = ("human/dailymail_2020", "human/us_news_2006_2021", "human/reuters_1987")
"""Tables with texts enough to keep some out of everything."""
_RESERVED_SHARE = 0.08  # some 2,300 texts


def is_reserved(document: Document) -> bool:
    """Return whether a text takes part in nothing, not even in counts: a finished model can be tested on it."""
    return document.table in RESERVED_TABLES and stable_share("reserved " + document.group) < _RESERVED_SHARE


def read_recipe(path: Path, default: Path, free: Collection[str]) -> dict[str, Any]:
    """Return the recipe in `path`, which must have the keys of the recipe `default`, those of its sections too.

    `free`: sections whose keys name tables and may be any.

    Raises:
        InputError: a key is unknown or missing, or the file is not valid TOML.
    """
    try:
        raw = tomli.loads(path.read_text(encoding="utf-8"))
    except tomli.TOMLDecodeError as error:
        raise InputError(f"{path}: is not valid TOML: {error}") from error
    known = tomli.loads(default.read_text(encoding="utf-8"))
    unknown, missing = set(raw) - set(known), set(known) - set(raw)
    for section, keys in known.items():
        if isinstance(keys, dict) and section in raw and section not in free:
            if not isinstance(raw[section], dict):
                raise InputError(f"{path}: {section} must be a section; compare with {default}")
            unknown |= {f"{section}.{key}" for key in set(raw[section]) - set(keys)}
            missing |= {f"{section}.{key}" for key in set(keys) - set(raw[section])}
    if unknown or missing:
        raise InputError(f"{path}: unknown {sorted(unknown)}, missing {sorted(missing)}; compare with {default}")
    return raw


def read_documents(data: Path, tables: Collection[str]) -> list[Document]:
    """Return the documents of the folder without duplicates, seed articles and reserved ones.

    `tables`: those that the recipe names; texts that come with packages (`train.package_texts`) are added if theirs are
    among them.

    Raises:
        MissingExtraError: a package with such texts is not installed.
    """
    documents = with_package_texts(load_documents(data), tables)
    documents, dropped = remove_duplicates(documents, exclude=read_seeds(data))
    kept = [d for d in documents if not is_reserved(d)]
    log.info("%d documents, dropped %s, reserved %d", len(kept), dropped, len(documents) - len(kept))
    return kept
