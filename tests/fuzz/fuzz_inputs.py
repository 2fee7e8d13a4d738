"""Coverage-guided fuzzing with atheris: python tests/fuzz/fuzz_inputs.py TARGET [CORPUS...] [-libFuzzer options]

TARGET: read, normalise, segment, render, score, report, or all: the first four, which need no model. See README.md.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Instrument the package and fuzz until a finding or the time given."""
    import atheris

    name = sys.argv.pop(1) if len(sys.argv) > 1 else "all"
    sys.path.insert(0, str(Path(__file__).parent.parent.parent))
    with atheris.instrument_imports(include=["detector"]):
        from tests.fuzz import targets

    target = targets.quick if name == "all" else targets.TARGETS[name]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
