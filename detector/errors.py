"""The exceptions that detect-spin raises on purpose; everything else is a bug."""

from __future__ import annotations


class DetectorError(Exception):
    """Base of all errors below; catch this to catch them all."""


class InputError(DetectorError):
    """An input could not be read or is not what the call takes; the message names it and the next step."""


class ModelError(DetectorError):
    """The model folder is missing, incomplete, altered or of another version."""


class MissingExtraError(DetectorError, ImportError):
    """A feature needs an optional extra; the message holds the exact pip command."""
