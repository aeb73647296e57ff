# cython: language_level=3
"""The names of packet kinds and drop reasons for Python: `Kind` and `Drop` of packet.pxd."""
