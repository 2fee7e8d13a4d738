"""The examiner: a small transformer that reads a segment and says of each word whether it was put there by a spinner.

A second, much smaller one of the same kind only says whether the first need read at all (`Examiner.look`).

ONNX Runtime runs the network, `tokenizers` splits the text; both are loaded when the first segment is examined, since
most texts never need one. Every window is run alone: on a CPU that is as fast as a batch (a window of 150 pieces
fills the matrix multiplications already), it needs no padding and little memory, and with dynamically quantised weights
it is the only way to make a window's result independent of its neighbours.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from detector.errors import ModelError
from detector.results import KINDS
from detector.runtime import import_onnxruntime, was_interrupted
from detector.store import ModelFolder
from detector.words import Tokens

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

NOT_EXAMINED = -10.0
"""Logit of a word that no piece covers: as good as certainly not replaced (0.005 %), yet finite."""

_LONGEST_SEGMENT = 8
"""Windows of a segment that are run. Prose needs one or two; only runs of signs, ideographs or the like are cut."""
_CHARACTERS_PER_PIECE = 16
"""Characters read for each piece that may be run; English has four to five, one white space included."""
_SURROGATES = re.compile("[\ud800-\udfff]")  # Python's str may hold them, UTF-8 may not
NETWORK, FIRST_LOOK = "examiner.onnx", "first_look.onnx"
"""Files of the two networks in a model folder."""
_TOKENIZER = "tokenizer.json"
NETWORK_FILES = (NETWORK, FIRST_LOOK, _TOKENIZER)
"""All files of a model folder that the examiner needs."""
_INPUTS = ["input_ids", "attention_mask", "levels"]
_OUTPUTS = ["token_logits", "kind_logits"]
_NO_LEVELS = np.zeros((1, 2), np.int64)  # of the marks at both ends of a window


@dataclass(frozen=True, slots=True)
class WordLevels:
    """How well the words of a text go with their neighbours.

    `starts`, `ends`: int64, shape (words,), half-open character offsets, ascending and disjoint; `levels`: int64, shape
    (words, 2), as from `association.neighbour_levels`.
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    levels: NDArray[np.int64]

    @classmethod
    def of(cls, tokens: Tokens, levels: NDArray[np.int64]) -> WordLevels:
        """Return those of the tokens of one text."""
        return cls(tokens.starts, tokens.ends, levels)

    @classmethod
    def none(cls) -> WordLevels:
        """Return those of a text of whose words nothing is known."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 2), np.int64))

    def at(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the levels of the word at each character, shape (places, 2); zeros where none is."""
        if not len(self.starts):
            return np.zeros((len(places), 2), np.int64)
        word = np.maximum(np.searchsorted(self.starts, places, side="right") - 1, 0)
        inside = (self.starts[word] <= places) & (places < self.ends[word])
        return np.where(inside[:, np.newaxis], self.levels[word], 0)


@dataclass(frozen=True, slots=True)
class Examined:
    """What the examiner says of some segments of one text.

    `kind_logits`: float32, shape (segments, kinds), columns as in `results.KINDS`; zeros for a segment without pieces.
    `starts`, `ends`: int64, shape (pieces,), half-open character offsets of the pieces, ascending; `token_logits`:
    float32, shape (pieces,), the log odds that a spinner put the piece there. `offsets`: int64, shape (segments + 1,);
    the pieces of segment i are those from `offsets[i]` to before `offsets[i + 1]`.
    """

    kind_logits: NDArray[np.float32]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    token_logits: NDArray[np.float32]
    offsets: NDArray[np.int64]

    @classmethod
    def joined(cls, parts: Sequence[Examined]) -> Examined:
        """Return what was said of all segments of `parts`, at least one; in the text's order if offsets matter."""
        lengths = np.concatenate([np.diff(part.offsets) for part in parts])
        return cls(
            np.concatenate([part.kind_logits for part in parts]),
            np.concatenate([part.starts for part in parts]),
            np.concatenate([part.ends for part in parts]),
            np.concatenate([part.token_logits for part in parts]),
            np.concatenate([[0], np.cumsum(lengths)]),
        )

    def word_logits(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the greatest logit among the pieces that overlap each word, `NOT_EXAMINED` where there is none.

        `starts`, `ends`: half-open offsets of the words, ascending and disjoint, as in `words.Tokens`; the words need
        not lie in the segments examined.
        """
        first = np.searchsorted(self.ends, starts, side="right")
        last = np.searchsorted(self.starts, ends, side="left")
        covered = (first < last) & (starts < ends)
        result = np.full(len(starts), NOT_EXAMINED, np.float32)
        if covered.any():
            # reduceat wants pairs of bounds below the length, hence the one more.
            logits = np.append(self.token_logits, np.float32(NOT_EXAMINED))
            bounds = np.stack([first[covered], last[covered]], axis=1).ravel()
            result[covered] = np.maximum.reduceat(logits, bounds)[::2]
        return result


class Examiner:
    """The second model of a verified folder. Thread-safe; also after a fork, where the session is made anew."""

    def __init__(self, folder: ModelFolder, threads: int | None = None) -> None:
        """Read the settings `config["examiner"]`: `max_tokens` and, if given, `threads`; nothing else is loaded yet.

        `threads`: threads that compute one window. None: the setting, else `available_threads()`.

        Raises:
            ModelError: the folder has no examiner, or its settings are not valid.
            ValueError: `threads` is below 1.
        """
        if threads is not None and threads < 1:
            raise ValueError(f"threads: expected 1 or more, got {threads}")
        try:
            settings = folder.config["examiner"]
            self.max_tokens = int(settings["max_tokens"])
            configured = settings.get("threads")
            self._threads = threads or (None if configured is None else int(configured))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"model {folder.path}: examiner: {type(error).__name__}: {error}") from error
        if self.max_tokens < 3 or (self._threads is not None and self._threads < 1):  # 3: two marks and a piece
            raise ModelError(f"model {folder.path}: examiner: settings out of range: {settings}")
        for name in NETWORK_FILES:
            folder.file(name)
        self._folder = folder
        self._lock = threading.Lock()
        # By process: a fork copies the session without its threads. The dead copy is kept, since freeing it would wait
        # for them for ever.
        self._loaded: dict[int, _Loaded] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._folder, self._threads)

    def examine(self, text: str, ranges: Sequence[tuple[int, int]], words: WordLevels) -> Examined:
        """Return what the examiner says of the segments of `text` at `ranges`.

        `text`: any str, in the form that the examiner was trained on (`Prepared.normal.text`). `ranges`: half-open
        character offsets, ascending and disjoint. `words`: of the text. A segment of more than `max_tokens` pieces is
        run in windows of equal length; its kind logits are their mean, weighted by pieces. Of a segment that would need
        more than eight windows only the beginning is examined. About 10 to 30 ms of one core for 110 words.

        Raises:
            ValueError: `ranges` are out of order, overlap, or leave the text.
            ModelError: the network or the tokenizer cannot be loaded.
        """
        return self._run(NETWORK, text, ranges, words)

    def look(self, text: str, ranges: Sequence[tuple[int, int]], words: WordLevels) -> Examined:
        """Return what the network of the first look says of the same; about 1 ms of one core for 110 words.

        Raises:
            ValueError, ModelError: as `examine`.
        """
        return self._run(FIRST_LOOK, text, ranges, words)

    def _run(self, network: str, text: str, ranges: Sequence[tuple[int, int]], words: WordLevels) -> Examined:
        done = 0
        for start, end in ranges:
            if not done <= start <= end <= len(text):
                raise ValueError(
                    f"ranges: {start, end} overlaps the range before it or leaves the text of {len(text)} characters"
                )
            done = end
        loaded = self._load(network)
        kind_logits = np.zeros((len(ranges), len(KINDS)), np.float32)
        spans: list[NDArray[np.int64]] = [np.zeros((0, 2), np.int64)]
        logits: list[NDArray[np.float32]] = [np.zeros(0, np.float32)]
        offsets = np.zeros(len(ranges) + 1, np.int64)
        longest = _LONGEST_SEGMENT * (self.max_tokens - 2)
        for number, (start, end) in enumerate(ranges):
            piece_ids, piece_spans = loaded.pieces(text[start : min(end, start + _CHARACTERS_PER_PIECE * longest)])
            count = min(len(piece_ids), longest)
            offsets[number + 1] = offsets[number] + count
            if not count:
                continue
            own_spans = np.asarray(piece_spans[:count], np.int64) + start
            windows = -(-count // (self.max_tokens - 2))
            parts = (np.asarray(piece_ids[:count], np.int64), words.at(own_spans[:, 0]))
            cut = ([part] if windows == 1 else np.array_split(part, windows) for part in parts)
            for window, levels in zip(*cut, strict=True):
                window_logits, window_kinds = loaded.run(network, window, levels)
                logits.append(window_logits)
                kind_logits[number] += window_kinds * (len(window) / count)
            spans.append(own_spans)
        starts, ends = np.concatenate(spans).T
        return Examined(kind_logits, starts.copy(), ends.copy(), np.concatenate(logits), offsets)

    def _load(self, network: str) -> _Loaded:
        """Return what is loaded in this process, the network among it; each part is made once."""
        process = os.getpid()
        loaded = self._loaded.get(process)
        if loaded is None or network not in loaded.sessions:
            with self._lock:
                if (loaded := self._loaded.get(process)) is None:
                    loaded = self._loaded[process] = _Loaded(self._folder)
                if network not in loaded.sessions:
                    # What the first look computes is too little to be shared out.
                    threads = 1 if network == FIRST_LOOK else self._threads or available_threads()
                    loaded.open(network, threads)
        return loaded


class _Loaded:
    """Tokenizer of one process, and the sessions of its networks by file name."""

    def __init__(self, folder: ModelFolder) -> None:
        self._folder = folder
        self.sessions: dict[str, InferenceSession] = {}
        with _loading(folder):
            self._tokenizer = _tokenizer(folder.read(_TOKENIZER))
            first, last = self._tokenizer.token_to_id("[CLS]"), self._tokenizer.token_to_id("[SEP]")
            if first is None or last is None:
                raise ValueError(f"{_TOKENIZER}: expected the pieces [CLS] and [SEP]")
        self._first, self._last = np.asarray([first], np.int64), np.asarray([last], np.int64)

    def open(self, network: str, threads: int) -> None:
        """Make the session of a network."""
        with _loading(self._folder):
            session = _session(self._folder.read(network), threads)
            inputs = [i.name for i in session.get_inputs()]
            outputs = [o.name for o in session.get_outputs()]
            if inputs != _INPUTS or outputs != _OUTPUTS:
                raise ValueError(f"{network}: expected {_INPUTS} -> {_OUTPUTS}, got {inputs} -> {outputs}")
        self.sessions[network] = session

    def pieces(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Return the ids and the character offsets of the pieces of a text."""
        # One text at a time: the tokenizer's own batches start threads that do not survive a fork.
        encoding = self._tokenizer.encode(_SURROGATES.sub("\ufffd", text), add_special_tokens=False)
        return encoding.ids, encoding.offsets

    def run(
        self, network: str, ids: NDArray[np.int64], levels: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the logits of the pieces of one window and of its kinds; `levels`: shape (pieces, 2)."""
        row = np.concatenate([self._first, ids, self._last])[np.newaxis]
        told = np.concatenate([_NO_LEVELS, levels, _NO_LEVELS])[np.newaxis]
        given = {"input_ids": row, "attention_mask": np.ones_like(row), "levels": told}
        token_logits, kind_logits = self.sessions[network].run(_OUTPUTS, given)
        return token_logits[0, 1:-1], kind_logits[0]


@contextmanager
def _loading(folder: ModelFolder) -> Iterator[None]:
    """Turn what goes wrong while a part of the examiner is loaded into a ModelError."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # both libraries raise bare Exceptions and types of their own
        if was_interrupted(error):
            raise KeyboardInterrupt from error
        raise ModelError(
            f"model {folder.path}: the examiner cannot be loaded: {type(error).__name__}: {error}; install the "
            "version of detect-spin that the model was made for or reinstall detect-spin"
        ) from error


def available_threads() -> int:
    """Return how many threads may compute: `OMP_NUM_THREADS`, else 1 in a worker process, else the process's cores.

    Worker process: started by `multiprocessing`, as `detector.workers` does. Ray and joblib set the variable in theirs.
    """
    try:
        if (wanted := int(os.environ.get("OMP_NUM_THREADS", ""))) >= 1:
            return wanted
    except ValueError:  # not set, or a list as in "4,2"
        pass
    from multiprocessing import parent_process  # late: nothing else needs it in a single process

    if parent_process() is not None:
        return 1
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _session(network: str | bytes, threads: int) -> InferenceSession:
    """Return a session of a network, given as its file's path or content."""
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A plan of memory is kept for each length met, 7 MB once all have been; 4 to 8 % less time.
    options.enable_mem_pattern = True
    options.log_severity_level = 3  # errors only: they are raised as well, and a library does not print
    # Idle threads would spin for work that comes only with the next text, on cores that others want.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])


def _tokenizer(content: bytes) -> Tokenizer:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(content.decode())
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
