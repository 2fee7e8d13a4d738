"""`detect-spin-batch`: many records in, one row out for each, in order; interrupted jobs continue where they were.

readers.py finds and reads the inputs, writers.py gives rows their form, job.py joins them and keeps the journal.
pyarrow is imported here and nowhere else in the package, when a format needs it.
"""
