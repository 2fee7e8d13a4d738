"""A job as shards: an output file for each input file, so that many machines can share it and finished ones stay.

Nothing here knows who schedules the shards; `detector.batch.ray` lets Ray Data do it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detector.batch.inputs import Input
from detector.batch.pool import use_one_thread
from detector.batch.readers import read_chunks
from detector.batch.remote import check_output, is_url, name_of, upload
from detector.batch.rows import Position, ReadOptions
from detector.batch.scoring import score_rows
from detector.batch.summary import Counts, JobError
from detector.batch.writers import OutputForm, PartFile, assemble
from detector.errors import ModelError
from detector.operating_point import OperatingPoint

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

TEXTS_PER_SHARD = 1000
"""Files with one text each that share a shard; a table has one of its own."""

JOB_FORMAT = 1
_JOB = "_job.json"  # readers of folders of Parquet pass over names that start with an underscore or a dot
SUMMARY = "_summary.json"


@dataclass(frozen=True)
class ShardJob:
    """What every actor is told."""

    output: str
    form: OutputForm
    read: ReadOptions
    model: str | None
    model_id: str
    operating_point: str | OperatingPoint
    first_table: Input | None


def split_inputs(found: Iterable[Input]) -> list[list[Input]]:
    """Return the inputs of each shard, in order."""
    shards: list[list[Input]] = []
    for item in found:
        last = shards[-1] if shards else None
        if not item.is_table and last is not None and not last[-1].is_table and len(last) < TEXTS_PER_SHARD:
            last.append(item)
        else:
            shards.append([item])
    return shards


class ShardScorer:
    """The actor: opens the model once, then makes one shard a call."""

    def __init__(self, job: ShardJob) -> None:
        use_one_thread()
        from detector import SpinDetector

        self._job = job
        self._detector = SpinDetector.load(job.model, operating_point=job.operating_point)
        if self._detector.model_id != job.model_id:
            raise ModelError(
                f"this node has the model {self._detector.model_id}, the job was started with {job.model_id}; install "
                "the same version of detect-spin everywhere"
            )
        self._folder = ShardFolder(job)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Make the shards of a batch with the columns `number` and `inputs` (as JSON); return their numbers."""
        for number, inputs in zip(batch["number"], batch["inputs"], strict=True):
            self._make(int(number), [Input(*fields) for fields in json.loads(inputs)])
        return {"number": batch["number"]}

    def _make(self, number: int, inputs: list[Input]) -> None:
        form, first = self._job.form, self._job.first_table
        position = Position(0, 0)
        if first is not None and first not in inputs:
            # Reading goes on behind the first table: only that one's columns decide whether the names are wrong.
            inputs, position = [first, *inputs], Position(1, 0)
        counts = Counts()
        # On this node's own disk first: a shard is then one upload, and what dies half-way leaves nothing.
        with tempfile.TemporaryDirectory(prefix="detect-spin-") as scratch:
            part, made = Path(scratch, "part"), Path(scratch, "made")
            with part.open("wb") as stream:
                pieces = PartFile(stream, form)
                for chunk in read_chunks(inputs, self._job.read, position):
                    scored = score_rows(self._detector, chunk.rows, form)
                    pieces.add(scored.piece)
                    counts.add(scored.counts)
                pieces.finish()
            assemble([part], made, form)
            self._folder.publish(number, made, counts)


class ShardFolder:
    """The output: shards, what was counted in each, and for which job. All writing is to another name, then a rename.

    A shard may be made twice, when Ray takes a slow node for dead; both have the same bytes.
    """

    def __init__(self, job: ShardJob) -> None:
        from fsspec.core import url_to_fs

        self._ending = f".{job.form.format}"
        self._shown = name_of(job.output)
        self._url = job.output.rstrip("/") if is_url(job.output) else None
        if self._url is not None:
            check_output(f"{self._url}/{SUMMARY}")
        self._fs: AbstractFileSystem
        self._fs, self._root = url_to_fs(job.output)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def shard(self, number: int) -> str:
        """Return the name of a shard."""
        return f"part-{number:06d}{self._ending}"

    def open(self, fingerprint: dict[str, Any], *, resume: bool, restart: bool) -> None:
        """Begin a job in the folder, or go on with the one in it.

        Raises:
            JobError: there is a job and neither `resume` nor `restart`, or another one; or it cannot be written.
        """
        if resume and restart:
            raise JobError("resume keeps what an interrupted job finished, restart throws it away; choose one")
        try:
            self._fs.makedirs(self._root, exist_ok=True)
            self._fs.invalidate_cache()
            names = self._names()
            if _JOB not in names:
                if names:
                    raise JobError(f"{self._shown}: is not empty and holds no job; choose another output")
            elif restart:
                # The job's own file first: a folder without it is never taken for a finished one.
                for name in sorted(names, key=lambda n: n != _JOB):
                    if name in (_JOB, SUMMARY) or name.lstrip("._").startswith("part-"):
                        self._fs.rm_file(self._path(name))
            elif not resume:
                raise JobError(
                    f"{self._shown}: holds a job, finished or interrupted; continue it with resume, or throw it away "
                    "with restart"
                )
            else:
                self._check(fingerprint)
                return
            self.write(_JOB, json.dumps(fingerprint, indent=2).encode())
        except OSError as error:
            raise JobError(f"{self._shown}: cannot be written: {error.strerror or error}") from error

    def _check(self, fingerprint: dict[str, Any]) -> None:
        try:
            before = json.loads(self._fs.cat_file(self._path(_JOB)))
        except ValueError as error:
            raise JobError(f"{self._shown}: {_JOB} is damaged; begin again with restart") from error
        changed = [k for k in fingerprint if not isinstance(before, dict) or before.get(k) != fingerprint[k]]
        if changed:
            raise JobError(
                f"{self._shown}: cannot resume, because the interrupted job had another {', '.join(changed)}; give the "
                "same inputs and options, or begin again with restart"
            )

    def _names(self) -> set[str]:
        return {str(path).rstrip("/").rsplit("/", 1)[-1] for path in self._fs.ls(self._root, detail=False)}

    def finished(self) -> set[int]:
        """Return the numbers of the shards that are complete."""
        names = self._names()
        numbers = (n.removeprefix("part-").removesuffix(self._ending) for n in names if n.endswith(self._ending))
        return {int(n) for n in numbers if n.isdigit() and self._counted(int(n)) in names}

    def _counted(self, number: int) -> str:
        return f"_part-{number:06d}.json"

    def counts(self, numbers: Iterable[int]) -> Counts:
        """Return what was counted in these shards together."""
        total = Counts()
        for number in numbers:
            total.add(Counts(**json.loads(self._fs.cat_file(self._path(self._counted(number))))))
        return total

    def publish(self, number: int, made: Path, counts: Counts) -> None:
        """Give a shard its name; what was counted comes before, so that a shard with its name has everything."""
        self.write(self._counted(number), json.dumps(asdict(counts)).encode())
        self._put(made, self.shard(number))

    def write(self, name: str, content: bytes) -> None:
        """Write a small file; it appears complete or not at all."""
        with tempfile.TemporaryDirectory(prefix="detect-spin-") as scratch:
            made = Path(scratch, name)
            made.write_bytes(content)
            self._put(made, name)

    def _put(self, made: Path, name: str) -> None:
        if self._url is not None:
            upload(made, f"{self._url}/{name}")
            return
        temporary = Path(self._path(f".{name}.{os.urandom(4).hex()}.tmp"))
        with made.open("rb") as source, temporary.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
            target.flush()
            os.fsync(target.fileno())
        temporary.replace(self._path(name))

    def remove_temporary(self) -> None:
        """Remove what killed workers left; after the last shard nobody writes any more."""
        for name in self._names():
            if name.endswith(".tmp"):
                with contextlib.suppress(OSError):
                    self._fs.rm_file(self._path(name))


def fingerprint(job: ShardJob, threshold: float, operating_point: str, found: Iterable[Input]) -> dict[str, Any]:
    """Return what must be equal for a job to go on: another input, option, model or version gives other rows."""
    from detector import __version__

    digest = hashlib.sha256()
    for item in found:
        digest.update(repr(tuple(item)).encode("utf-8", "surrogatepass"))
    return {
        "format": JOB_FORMAT,
        "version": __version__,
        "model": job.model_id,
        "operating_point": operating_point,
        "threshold": threshold,
        "inputs": digest.hexdigest(),
        "reading": {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(job.read).items()},
        "output": job.form.format,
        "spun_only": job.form.spun_only,
        "spans": job.form.spans,
        "with_text": job.form.with_text,
    }
