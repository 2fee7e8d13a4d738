"""`detect-spin-batch`: many records in, one row out for each, in order; interrupted jobs continue where they were.

inputs.py finds the files, files.py opens them, tables.py and parquet.py make rows of them and readers.py chunks of the
rows; writers.py gives results their form, job.py joins it all and keeps the journal. pyarrow is imported here and
nowhere else in the package, when a format needs it.
"""
