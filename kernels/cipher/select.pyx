# cython: language_level=3
"""Selection of the cipher back end, once at start: the first of the table that passes its known answers.

A new back end is one row of `_ROWS` (fastest first) and a module of that name with offer().
"""
import importlib

from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_IsValid
from libc.stdint cimport uint32_t

from kernels.cipher.selftest cimport selftest_passes

cdef enum:
    MOST_BACKENDS = 4

_ROWS = (
    ("vaes", "kernels.cipher.vaes"),
    ("ipsec-mb", "kernels.cipher.ipsec_mb"),
    ("openssl", "kernels.cipher.openssl"),
)

cdef const Backend *_TABLE[MOST_BACKENDS]
cdef uint32_t _rows = 0
cdef const Backend *_selected = NULL
_lacking = {}               # name -> why it does not run here


cdef const Backend *backend_selected() noexcept nogil:
    return _selected


def names() -> tuple[str, ...]:
    """Back ends that run here, fastest first."""
    return tuple([(<bytes>_TABLE[i].name).decode() for i in range(_rows)])


def passes(name: str) -> bool:
    """Run the known-answer self-test of one back end. ValueError: no such back end."""
    return bool(selftest_passes(backend_named(name)))


def select(name: str = "auto") -> str:
    """Choose for this process (before the engines attach) and say which one it is.

    "auto" takes the first that passes. ValueError: unknown name; RuntimeError: self-test failed, nothing is selected.
    """
    global _selected
    candidates = names() if name == "auto" else (name,)
    _selected = NULL
    for candidate in candidates:
        if selftest_passes(backend_named(candidate)):
            _selected = backend_named(candidate)
            return candidate
    raise RuntimeError(f"cipher back end fails its self-test: {', '.join(candidates)}")


def selected() -> str | None:
    """Name of the back end in use, None when there is none."""
    return None if _selected == NULL else (<bytes>_selected.name).decode()


cdef const Backend *backend_named(str name) except NULL:
    for i in range(_rows):
        if (<bytes>_TABLE[i].name).decode() == name:
            return _TABLE[i]
    raise ValueError(f"no cipher back end {name!r}")


def _learn(str name, str module):
    """Put a back end into the table, or note why it is not there."""
    global _rows
    try:
        offered = importlib.import_module(module).offer()
    except ModuleNotFoundError:
        offered = "not part of this build"
    if PyCapsule_IsValid(offered, NULL):
        _TABLE[_rows] = <const Backend *>PyCapsule_GetPointer(offered, NULL)
        _rows += 1
    else:
        _lacking[name] = offered


for _row in _ROWS:
    _learn(*_row)
try:
    select()
except RuntimeError:        # nothing is selected: engine_attach answers EOPNOTSUPP, select() says why
    pass
