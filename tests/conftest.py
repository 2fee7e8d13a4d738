"""What all tests share."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from detector.store import MODEL_DIR_VARIABLE

# Scripts that make what the tests read, not tests; some need torch.
collect_ignore = ["make_tiny_examiner.py"]

# A time limit for each example would test how busy the machine is.
# In CI the same examples every time: whether a change passes must not hang on luck. Elsewhere new ones are tried.
settings.register_profile("detect-spin", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("detect-spin")


@pytest.fixture(autouse=True)
def no_model_from_the_environment(monkeypatch):
    """Tests look at the model that belongs to the code, whatever the developer has set."""
    monkeypatch.delenv(MODEL_DIR_VARIABLE, raising=False)
