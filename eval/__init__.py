"""Evaluation from a clone: `python -m eval --help`. Never installed, never imported by `detector`."""
