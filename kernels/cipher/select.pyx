# cython: language_level=3
"""Selection of the cipher back end, once at start. A back end that fails its known answers, single or in batches,
carries no traffic; of those that work on many packets at once the faster one on this CPU is taken, else OpenSSL.

A new back end is one row of `_ROWS` (multi-buffer ones first, the likely fastest before) and a module of that name
with offer().
"""
import importlib

from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_IsValid
from libc.stdint cimport uint32_t

from kernels.cipher.batchtest cimport batch_agrees
from kernels.cipher.selfbench cimport bench_ns
from kernels.cipher.selftest cimport selftest_passes

cdef enum:
    MOST_BACKENDS = 4

_ROWS = (
    ("vaes", "kernels.cipher.vaes"),
    ("ipsec-mb", "kernels.cipher.ipsec_mb"),
    ("openssl", "kernels.cipher.openssl"),
)
_EVERYWHERE = "openssl"     # the reference of the others, and what is left when none of them runs

cdef const Backend *_TABLE[MOST_BACKENDS]
cdef uint32_t _rows = 0
cdef const Backend *_selected = NULL
_why = ""
_lacking = {}               # name -> why it does not run here


cdef const Backend *backend_selected() noexcept nogil:
    return _selected


def names() -> tuple[str, ...]:
    """Back ends that run here, multi-buffer ones first."""
    return tuple([(<bytes>_TABLE[i].name).decode() for i in range(_rows)])


def lacking() -> dict[str, str]:
    """Those that do not, and why."""
    return dict(_lacking)


def passes(name: str) -> bool:
    """Run the known-answer self-test of one back end. ValueError: no such back end."""
    cdef const Backend *backend = backend_named(name)
    return selftest_passes(backend) and batch_agrees(backend, backend_named(_EVERYWHERE))


def measure_ns(name: str) -> float:
    """Nanoseconds per packet by the self-benchmark (ms); negative: it failed. ValueError: no such back end."""
    return bench_ns(backend_named(name))


def select(name: str = "auto") -> str:
    """Choose for this process (before the engines attach) and say which one it is.

    "multibuffer": the fastest of the multi-buffer ones, measured now (a few ms each); "auto": the same, but
    OpenSSL rather than nothing. ValueError: unknown name; RuntimeError: it does not run here or fails its self-test,
    nothing is selected.
    """
    global _selected, _why
    _selected = NULL
    if name in ("auto", "multibuffer"):
        chosen, why = _fastest(name == "auto")
    elif name in _lacking:
        raise RuntimeError(f"cipher back end {name} does not run here: {_lacking[name]}")
    elif passes(name):
        chosen, why = name, "as set"
    else:
        raise RuntimeError(f"cipher back end {name} fails its self-test")
    _selected, _why = backend_named(chosen), why
    return chosen


def selected() -> str | None:
    """Name of the back end in use, None when there is none."""
    return None if _selected == NULL else (<bytes>_selected.name).decode()


def why() -> str:
    """Why it is this one, in words."""
    return _why


cdef const Backend *backend_named(str name) except NULL:
    for i in range(_rows):
        if (<bytes>_TABLE[i].name).decode() == name:
            return _TABLE[i]
    raise ValueError(f"no cipher back end {name!r}")


def _fastest(everywhere: bool) -> tuple[str, str]:
    """(name, why) by features, known answers, measurement. RuntimeError: none."""
    unfit = dict(_lacking)
    costs = {}
    for name in names():
        if name == _EVERYWHERE:
            continue
        cost = measure_ns(name) if passes(name) else -1
        if cost < 0:
            unfit[name] = "fails its self-test"
        else:
            costs[name] = cost
    reasons = [f"{name}: {reason}" for name, reason in unfit.items()]
    if costs:
        order = sorted(costs, key=costs.__getitem__)
        measured = ", ".join([f"{name} {costs[name]:.0f} ns" for name in order]) + " a packet"
        return order[0], "; ".join([measured, *reasons])
    if everywhere and passes(_EVERYWHERE):
        return _EVERYWHERE, "; ".join(reasons)
    raise RuntimeError("no cipher back end: " + "; ".join(reasons))


def _first():
    """The default of a process that never calls select(): the first of the table that passes, not measured."""
    global _selected, _why
    for name in names():
        if passes(name):
            _selected, _why = backend_named(name), "first that passes its self-test"
            return


def _learn(str name, str module):
    """Put a back end into the table, or note why it is not there."""
    global _rows
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError:
        offered = "not part of this build"
    except ImportError as error:            # its library is gone since
        offered = str(error)
    else:
        offered = loaded.offer()
    if PyCapsule_IsValid(offered, NULL):
        _TABLE[_rows] = <const Backend *>PyCapsule_GetPointer(offered, NULL)
        _rows += 1
    else:
        _lacking[name] = offered


for _row in _ROWS:
    _learn(*_row)
_first()                    # none passes: engine_attach answers EOPNOTSUPP, select() says why
