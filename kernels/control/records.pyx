# cython: language_level=3
"""The kinds of commands and of latching for Python: enums of records.pxd."""
