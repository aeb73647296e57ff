# cython: language_level=3
"""The names of a worker's counters for Python: `Counter` of counters.pxd."""
