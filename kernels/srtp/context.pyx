# cython: language_level=3
"""The names of transforms for Python: `CipherKind` and `AuthKind` of context.pxd."""
