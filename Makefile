# The commands of a working day. PYTHON is the environment's own after `make setup` in an activated one.
PYTHON ?= python

.PHONY: setup check gate test wheel train eval

setup:  ## install the package, its tests and linters into the active environment
	$(PYTHON) -m pip install -e '.[dev]'

check:  ## what the lint job and the pre-commit hooks run
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

gate:  ## is the model worse than its floors (eval/floors.json)? A minute; two with the tables in ../shared/data
	$(PYTHON) -m eval gate

test:  ## all tests, offline
	$(PYTHON) -m pytest

wheel:  ## sdist and wheel into dist/; fails if the model differs from its manifest
	$(PYTHON) -m build

train:  ## the shipped model from the data, two hours on two cores; needs the train extra
	$(PYTHON) -m train examiner --out build/examiner
	$(PYTHON) -m train screen --out models/spin-en-v2 --examiner build/examiner --held-out-scores build/held_out.parquet

eval:  ## after `make train`: the reports of the README, an hour and a half on two cores; needs the train and eval extras
	$(PYTHON) -m eval run own
	$(PYTHON) -m eval run shipped --rows 0 --scores build/held_out.parquet --system tortured,association,tfidf
	$(PYTHON) -m eval joined --cache build/rounds --out build/rounds.parquet
	$(PYTHON) -m eval run leave-one-tool-out --scores build/rounds.parquet --system tortured,association,tfidf
	$(PYTHON) -m eval readme
