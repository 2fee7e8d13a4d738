# The commands of a working day. PYTHON is the environment's own after `make setup` in an activated one.
PYTHON ?= python

.PHONY: setup check gate test wheel train eval

setup:  ## install the package, its tests and linters into the active environment
	$(PYTHON) -m pip install -e '.[dev]'

check:  ## what the lint job and the pre-commit hooks run
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

gate:  ## is the model worse than its floors (eval/floors.json)? A minute; more with the tables in ../shared/data
	$(PYTHON) -m eval gate

test:  ## all tests, offline
	$(PYTHON) -m pytest

wheel:  ## sdist and wheel into dist/; fails if the model differs from its manifest
	$(PYTHON) -m build

train:  ## the shipped model from the data, 45 minutes on two cores; needs the train extra
	$(PYTHON) -m train examiner --out build/examiner
	$(PYTHON) -m train screen --out models/spin-en-v2 --examiner build/examiner --held-out-scores build/held_out.parquet

eval:  ## the reports, an hour on two cores; needs the eval extra and the data (own needs none)
	$(PYTHON) -m eval run own
	$(PYTHON) -m eval run shipped
	$(PYTHON) -m eval run known-tool
	$(PYTHON) -m eval run leave-one-tool-out
	$(PYTHON) -m eval readme
