# cython: language_level=3
"""The states of a worker for Python: `WorkerState` of layout.pxd."""
