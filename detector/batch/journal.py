"""The journal: a folder that holds what a job has finished, so that a kill or a power cut costs seconds.

While a job runs, the folder OUTPUT.parts holds `job.json` (what the job is: inputs, options, model), and finished
parts. Each part is written under another name, synced to the disk and renamed, after a small file that says where
reading goes on behind it; so a part that has its name is complete, and everything after the last one is scored again.
The output is put together from the parts and gets its name when it is complete.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from detector.batch.remote import upload
from detector.batch.rows import START, Chunk, Position
from detector.batch.scoring import ScoredRows
from detector.batch.summary import Counts, JobError
from detector.batch.writers import OutputForm, PartFile, assemble
from detector.reading import display_name

CHECKPOINT_ROWS = 10_000
CHECKPOINT_SECONDS = 30.0
"""A part ends after so many rows or seconds: what a power cut can cost, and rare enough that syncing costs nothing."""

JOURNAL_FORMAT = 1


class Journal:
    """The parts folder: what is finished, and for which job."""

    def __init__(self, folder: Path, form: OutputForm) -> None:
        self.folder = folder
        self.form = form
        self.counts = Counts()
        self.position = START
        self.bytes_read = 0
        self.parts: list[Path] = []
        self._ending = ".jsonl" if form.format == "jsonl" else ".arrow"
        self._lock: Any = None
        self._stream: Any = None
        self._part: PartFile | None = None
        self._rows = 0
        self._since = time.monotonic()
        self._whole = True

    def open(self, fingerprint: dict[str, Any], *, resume: bool, restart: bool) -> None:
        """Begin a new job, or go on with the one that the folder holds.

        Raises:
            JobError: there is an interrupted job and neither `resume` nor `restart`, it is another job, or it runs.
        """
        name = display_name(str(self.folder))
        started = (self.folder / "job.json").is_file()
        ours = {"lock", "job.json.tmp"}  # all there is before job.json
        if self.folder.is_dir() and not started and any(p.name not in ours for p in self.folder.iterdir()):
            raise JobError(f"{name}: is there and holds no batch job; remove it or choose another --output")
        for old in self.folder.parent.glob(f"{glob.escape(self.folder.name)}.*.old"):  # of a job killed at its very end
            shutil.rmtree(old, ignore_errors=True)
        self.folder.mkdir(exist_ok=True)
        self._take_lock(name)
        if started and restart:
            self.remove()
            self.folder.mkdir()
            self._take_lock(name)
            started = False
        if started:
            self._check(fingerprint, name, resume)
            self._find_parts()
        else:
            _write_durably(self.folder / "job.json", json.dumps(fingerprint, indent=2).encode())
        for path in self.folder.glob("*.tmp"):
            path.unlink()

    def _take_lock(self, name: str) -> None:
        try:
            import fcntl
        except ImportError:  # Windows: there an open file cannot be renamed or removed, which stops a second job too
            return
        self._lock = (self.folder / "lock").open("wb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise JobError(f"{name}: another job is writing to this output; wait for it or choose another") from error

    def _check(self, fingerprint: dict[str, Any], name: str, resume: bool) -> None:
        if not resume:
            raise JobError(
                f"{name}: an interrupted job for this output is there; continue it with --resume, or throw away what "
                "it finished with --restart"
            )
        try:
            before = json.loads((self.folder / "job.json").read_bytes())
        except ValueError as error:
            raise JobError(f"{name}: job.json is damaged; begin again with --restart") from error
        if not isinstance(before, dict) or before.get("format") != JOURNAL_FORMAT:
            raise JobError(f"{name}: was written by another version of detect-spin; begin again with --restart")
        if changed := [key for key in fingerprint if before.get(key) != fingerprint[key]]:
            shown = ", ".join(
                f"{key} (was {before.get(key)!r}, is {fingerprint[key]!r})" if key in _SHOWN else key for key in changed
            )
            raise JobError(
                f"{name}: cannot resume, because the interrupted job had another {shown}; give the same inputs and "
                "options, or begin again with --restart"
            )

    def _find_parts(self) -> None:
        while (part := self._path(len(self.parts))).is_file():
            self.parts.append(part)
        for path in self.folder.glob("part-*"):
            if path not in self.parts and path.with_suffix(self._ending) not in self.parts:
                path.unlink()
        if self.parts:
            state = json.loads(self.parts[-1].with_suffix(".json").read_bytes())
            self.position = Position(*state["position"])
            self.bytes_read = state["bytes_read"]
            self.counts = Counts(**state["counts"])

    def _path(self, number: int) -> Path:
        return self.folder / f"part-{number:08d}{self._ending}"

    def add(self, chunk: Chunk, scored: ScoredRows, checkpoint_rows: int) -> None:
        """Append a scored chunk; end the part where it is time."""
        if self._part is None:
            self._stream = self._path(len(self.parts)).with_suffix(".tmp").open("wb")
            self._part = PartFile(self._stream, self.form)
            self._rows, self._since = 0, time.monotonic()
        self._whole = False
        self._part.add(scored.piece)
        self._rows += scored.counts.rows
        self.counts.add(scored.counts)
        self.position, self.bytes_read = chunk.end, chunk.bytes_read
        self._whole = True
        if self._rows >= checkpoint_rows or time.monotonic() - self._since >= CHECKPOINT_SECONDS:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Make everything added so far survive a power cut.

        A part in which a chunk was interrupted half-way (Ctrl-C can come anywhere) is left to be scored again.
        """
        if self._part is None or not self._whole:
            return
        self._part.finish()
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        self._part = None
        part = self._path(len(self.parts))
        state = {"position": self.position, "bytes_read": self.bytes_read, "counts": asdict(self.counts)}
        _write_durably(part.with_suffix(".json"), json.dumps(state).encode())
        part.with_suffix(".tmp").replace(part)
        _sync_folder(self.folder)
        self.parts.append(part)

    def finish(self, target: Path, upload_to: str | None = None) -> None:
        """Put the output together under its name, or at the URL `upload_to`, and remove the folder.

        Raises:
            RemoteError: it could not be uploaded; everything is kept.
        """
        self.checkpoint()
        made = self.folder / "output.tmp"
        assemble(self.parts, made, self.form)
        if upload_to is not None:
            upload(made, upload_to)
            self.remove()
            return
        with made.open("rb+") as stream:
            os.fsync(stream.fileno())
        if target.exists():
            shutil.copymode(target, made)
        made.replace(target)
        _sync_folder(target.parent)
        self.remove()

    def remove(self) -> None:
        """Remove the folder; it gets another name first, so that no half of it can be taken for a job."""
        self.release()
        old = self.folder.with_name(f"{self.folder.name}.{os.urandom(4).hex()}.old")
        self.folder.rename(old)
        shutil.rmtree(old, ignore_errors=True)

    def holds_work(self) -> bool:
        """Return whether a finished part is in the folder, also one that Ctrl-C came too early to note here."""
        return any(self.folder.glob(f"part-*{self._ending}"))

    def release(self) -> None:
        """Let go of the folder without changing it."""
        if self._stream is not None:
            self._stream.close()
        if self._lock is not None:
            self._lock.close()


_SHOWN = frozenset({"version", "model", "operating_point", "threshold", "output", "spun_only", "spans", "with_text"})


def _write_durably(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    # A new name is safe when its folder is; Windows has no such thing.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
