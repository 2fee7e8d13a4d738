"""Tables to tables: the batch job's rows for whoever brings scheduling of their own, such as Ray Data or `datasets`."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detector.batch.parquet import column_values, not_utf8, text_values
from detector.batch.rows import KEEP_ALL, ColumnError, Rows, listed, plain_id
from detector.batch.scoring import score_rows
from detector.batch.writers import OutputForm, output_schema
from detector.errors import ModelError
from detector.operating_point import OperatingPoint, as_operating_point

if TYPE_CHECKING:
    import pyarrow as pa


class SpinScorer:
    """Scores Arrow tables with one text a row; called with one, returns the rows that `detect-spin-batch` would write.

    `model`, `operating_point`: as for `SpinDetector.load`; the model is opened here, once. `text_column`: strings, or
    binary in UTF-8; null and other types give `not_scored`. `id_column`: None for `id` where the table has one.
    `source_column`: what becomes `source`; None for null. `keep`: columns carried through, or `("all",)`. `html`: the
    texts are HTML pages. `spun_only`: leave out rows of another verdict. `spans`: False for an empty list of spans.
    `with_text`: add the text that the offsets point into, as `text`.

    Thread-safe. Pickles as its settings: the copy opens the model where it is, and refuses another one.

    Raises:
        ModelError, ValueError, InputError: as `SpinDetector.load`.

    >>> import pyarrow as pa
    >>> SpinScorer()(pa.table({"id": [7], "text": ["Too short to tell."]})).to_pylist()[0]["reason"]
    'too_short'
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        operating_point: str | Path | OperatingPoint = "balanced",
        text_column: str = "text",
        id_column: str | None = None,
        source_column: str | None = None,
        keep: tuple[str, ...] | list[str] = (),
        html: bool = False,
        spun_only: bool = False,
        spans: bool = True,
        with_text: bool = False,
    ) -> None:
        self._settings: dict[str, Any] = {
            "model": model.resolve() if isinstance(model, Path) else model,
            "operating_point": as_operating_point(operating_point),
            "text_column": text_column,
            "id_column": id_column,
            "source_column": source_column,
            "keep": tuple(keep),
            "html": html,
            "spun_only": spun_only,
            "spans": spans,
            "with_text": with_text,
        }
        self._open()

    def _open(self) -> None:
        from detector import SpinDetector

        self._detector = SpinDetector.load(self._settings["model"], operating_point=self._settings["operating_point"])
        self._text = self._settings["text_column"]
        self._form = lru_cache(maxsize=4)(self._make_form)  # the tables of a stream share one schema

    @property
    def model_id(self) -> str:
        """The model as it is named in the rows: `name@digest`."""
        return self._detector.model_id

    def __getstate__(self) -> dict[str, Any]:
        return {**self._settings, "model_id": self.model_id}

    def __setstate__(self, state: dict[str, Any]) -> None:
        expected = state["model_id"]
        self._settings = {key: value for key, value in state.items() if key != "model_id"}
        self._open()
        if self.model_id != expected:
            raise ModelError(f"the model here is {self.model_id}, and {expected} where this was made; install the same")

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return the scored rows in order; columns and types are those of `detect-spin-batch`'s Parquet.

        Raises:
            ColumnError: the table lacks a column; the message names those that it has.
            TypeError: `table` is none.
        """
        import pyarrow as pa

        if not isinstance(table, pa.Table):
            raise TypeError(
                f"expected a pyarrow.Table, got {type(table).__name__}; "
                'say batch_format="pyarrow" to map_batches of Ray, or with_format("arrow") to a dataset'
            )
        form, row_id, kept = self._form(table.schema.remove_metadata())
        source = self._settings["source_column"]
        count = table.num_rows
        texts = [value for chunk in table.column(self._text).chunks for value in text_values(chunk)]
        binary = [isinstance(text, bytes) for text in texts]
        rows = Rows(
            sources=[None] * count
            if source is None
            else [None if s is None else str(s) for s in _column(table, source)],
            ids=[None] * count if row_id is None else [plain_id(v) for v in _column(table, row_id)],
            texts=texts,
            errors=[not_utf8(f"row {i:,}", self._text) if bad else None for i, bad in enumerate(binary, 1)],
            numbers=list(range(1, count + 1)),
            table=_to_ipc(table.select(kept)) if kept else None,
            html=self._settings["html"],
        )
        return pa.ipc.open_stream(score_rows(self._detector, rows, form).piece).read_all()

    def _make_form(self, schema: pa.Schema) -> tuple[OutputForm, str | None, list[str]]:
        """Return the form of the output for tables of a schema, their id column, and the columns carried through."""
        import pyarrow as pa

        settings, names = self._settings, schema.names
        row_id = settings["id_column"] or ("id" if "id" in names else None)
        used = {row_id, settings["source_column"]}
        keep = list(settings["keep"])
        if keep == [KEEP_ALL]:
            keep = [name for name in names if name not in used]
        for name in (self._text, *(n for n in (row_id, settings["source_column"]) if n is not None), *keep):
            if names.count(name) != 1:
                raise ColumnError(
                    f"{'no' if name not in names else 'more than one'} column {name!r}; there are {listed(names)}"
                )
        of_id = pa.int64() if row_id is None else schema.field(row_id).type
        integer_ids = pa.types.is_integer(of_id) and of_id != pa.uint64()
        carried = [schema.field(name).with_nullable(True).remove_metadata() for name in keep]
        carried = [f.with_type(f.type.value_type) if pa.types.is_dictionary(f.type) else f for f in carried]
        made = output_schema(pa.schema(carried), integer_ids, settings["with_text"])
        if len(set(made.names)) < len(made.names):
            raise ColumnError("two columns would have the same name in the output; keep fewer columns")
        form = OutputForm("parquet", settings["spun_only"], settings["spans"], made, settings["with_text"])
        return form, row_id, keep


def _column(table: pa.Table, name: str) -> list[Any]:
    return [value for chunk in table.column(name).chunks for value in column_values(chunk)]


def _to_ipc(table: pa.Table) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
