"""Read a file as most programs do and score it as it stands: `python -m eval.inputs.naive FILE MEGABYTES`.

Prints one line of JSON: what was said, or the name of the exception, and the peak of memory in MB.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import resource
import sys
from pathlib import Path


def texts(path: str) -> list[str]:
    """Return the texts of a file: one, or those of the records of a table."""
    if path.endswith(".parquet"):
        import pyarrow.parquet as pq

        return list(pq.read_table(path)["text"].to_pylist())
    if path.endswith(".zst"):
        import pyarrow as pa

        return [pa.CompressedInputStream(path, "zstd").read().decode("utf-8")]
    packed = path.endswith(".gz")
    with gzip.open(path, "rt", encoding="utf-8") if packed else open(path, encoding="utf-8", newline="") as stream:  # noqa: PTH123 - as everybody does
        if ".jsonl" in path:
            return [json.loads(line)["text"] for line in stream]
        if path.endswith(".csv"):
            return [row["text"] for row in csv.DictReader(stream)]
        return [stream.read()]


def answer(path: str) -> str:
    """Return the verdict on the first text, and how many control characters a terminal would have obeyed."""
    text = texts(path)[0]
    from detector import SpinDetector
    from eval.plain import as_it_stands, preparing

    with preparing(as_it_stands):
        result = SpinDetector.load().score(text)
    obeyed = len(re.findall("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", text))
    said = str(result.reason or f"{result.verdict} {result.probability:.3f}")
    return said + (f", {obeyed} control characters for the terminal" if obeyed else "")


def main() -> None:
    """Score the file within the memory given."""
    limit = int(sys.argv[2]) * 1_000_000
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        said = answer(sys.argv[1])
    except Exception as error:
        said = type(error).__name__
    print(json.dumps([said, _peak()]))


def _peak() -> float:
    """Return the peak of memory in MB."""
    status = Path("/proc/self/status")  # ru_maxrss begins with that of the process which started this one
    if status.is_file() and (found := re.search(r"VmHWM:\s*(\d+) kB", status.read_text(encoding="ascii"))):
        return int(found[1]) / 1000
    unit = 1_000_000 if sys.platform == "darwin" else 1_000
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


if __name__ == "__main__":
    main()
