# The commands of a working day. PYTHON is the environment's own after `make setup` in an activated one.
PYTHON ?= python

.PHONY: setup check test wheel train eval

setup:  ## install the package, its tests and linters into the active environment
	$(PYTHON) -m pip install -e '.[dev]'

check:  ## what the lint job and the pre-commit hooks run
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

test:  ## all tests, offline
	$(PYTHON) -m pytest

wheel:  ## sdist and wheel into dist/; fails if the model differs from its manifest
	$(PYTHON) -m build

train:  ## list the training commands; needs the train extra and the data
	$(PYTHON) -m train --help

eval:  ## list the evaluation commands; needs the eval extra and the data
	$(PYTHON) -m eval --help
