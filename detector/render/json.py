"""Results as JSON: one array, or one object a line. The shape is docs/result.schema.json."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from detector.render import Entry, Scored

# JSON lets these stand in a string, but some line splitters end a line there, and terminals obey the C1 ones.
_RISKY = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def render_json(entries: Iterable[Entry], *, with_text: bool = False) -> Iterator[str]:
    """Yield the parts of one JSON array with an object per entry, in order, indented.

    `with_text`: add to each result the text that its offsets point into, as `text`.
    """
    count = 0
    for entry in entries:
        body = _dump(entry, with_text, indent=2).replace("\n", "\n  ")
        yield ("[\n  " if count == 0 else ",\n  ") + body
        count += 1
    yield "\n]\n" if count else "[]\n"


def render_jsonl(entries: Iterable[Entry], *, with_text: bool = False) -> Iterator[str]:
    """Yield one line with one JSON object per entry, in order: as many lines as entries; `with_text` as above."""
    for entry in entries:
        yield _dump(entry, with_text) + "\n"


def _dump(entry: Entry, with_text: bool, indent: int | None = None) -> str:
    if not isinstance(entry, Scored):
        return dump_record(entry.to_dict(), indent)
    record = entry.result.to_dict()
    return dump_record({**record, "text": entry.text} if with_text else record, indent)


def dump_record(record: dict[str, Any], indent: int | None = None) -> str:
    """Return a record of plain JSON types as JSON; without `indent` as one line for every reader."""
    text = json.dumps(record, ensure_ascii=False, allow_nan=False, indent=indent)
    return _RISKY.sub(lambda m: f"\\u{ord(m[0]):04x}", text)
