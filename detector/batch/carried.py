"""The types of the columns that are carried through to Parquet."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from detector.batch.files import open_arrow
from detector.batch.inputs import Input
from detector.batch.remote import is_url, name_of
from detector.batch.rows import ColumnError, ReadOptions
from detector.batch.tables import csv_header

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)


def kept_schema(inputs: Iterable[Input], options: ReadOptions) -> tuple[pa.Schema, bool]:
    """Return the types of the carried columns for Parquet output, and whether all ids are integers.

    Looks at the schema of every Parquet input; columns of CSV and JSONL are strings. Files that cannot be read are
    left to the reader.

    Raises:
        ColumnError: types of two files do not go together, or `--keep all` is asked for records without a schema.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields: dict[str, pa.Field] = {}
    integer_ids = True
    for item in inputs:
        if item.kind == "parquet":
            try:
                with open_arrow(item.path) as raw:
                    schema = pq.read_schema(raw)
            except Exception:  # it is reported when it is read
                logger.debug("%s", name_of(item.path), exc_info=not is_url(item.path))
                continue
            if schema.names.count(options.id_column) == 1:  # twice is the reader's to report
                of_id = schema.field(options.id_column).type
                integer_ids &= pa.types.is_integer(of_id) and of_id != pa.uint64()
            found = [f for f in schema if options.keep_all or f.name in options.keep]
        elif item.kind in ("jsonl", "csv"):
            integer_ids = False
            if item.kind == "jsonl" and options.keep_all:
                raise ColumnError(
                    f"{name_of(item.path)}: JSON lines have no schema; for Parquet output name the columns "
                    "with --keep, or write JSONL"
                )
            names: Sequence[str] = options.keep
            if options.keep_all:
                names = csv_header(item, options) if item.kind == "csv" else ()
            found = [pa.field(name, pa.string()) for name in names]
        else:  # a text has neither columns nor an id, and what cannot be opened is reported when it is read
            continue
        for one in found:
            if options.keep_all and one.name == options.id_column:
                continue
            if pa.types.is_dictionary(one.type):
                one = one.with_type(one.type.value_type)
            known = fields.setdefault(one.name, one.with_nullable(True).remove_metadata())
            if not known.type.equals(one.type):
                try:
                    merged = pa.unify_schemas([pa.schema([known]), pa.schema([one])], promote_options="permissive")
                except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                    raise ColumnError(
                        f"{name_of(item.path)}: column {one.name!r} is {one.type} here and {known.type} in a file "
                        "before it; keep other columns, or write JSONL"
                    ) from error
                fields[one.name] = merged.field(0)
    ordered = (
        list(fields.values()) if options.keep_all else [fields.get(n) or pa.field(n, pa.string()) for n in options.keep]
    )
    return pa.schema(ordered), integer_ids
