"""`make test-asan` proves something only when the modules under test are instrumented and the checks are on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kernels.cipher import openssl, select
from kernels.control import worker
from kernels.flow import pipeline
from kernels.port import memory
from kernels.srtp import open as opening
from kernels.srtp import seal, session
from kernels.wire import rtp
from tests.kernels.guarded import SANITIZED, Exact, Guarded, instrumented

pytestmark = pytest.mark.malformed
sanitized = pytest.mark.sanitized

READ_AFTER_FREE = """
from kernels.wire.rtp import kind
from tests.kernels.guarded import _libc
import ctypes
address = _libc.malloc(2)
view = memoryview((ctypes.c_ubyte * 2).from_address(address)).cast("B")
_libc.free(address)
kind(view)
"""
GUARD_PAGE = """
from kernels.srtp.session import Session
from tests.kernels.guarded import Guarded
from tests.kernels.srtp.suites import CM, keys
import ctypes
guarded = Guarded()
last = guarded.tail(b"\\x80" + bytes(59))
frame = memoryview((ctypes.c_ubyte * 100).from_address(ctypes.addressof(ctypes.c_char.from_buffer(last)))).cast("B")
Session(CM, *keys(CM), send=True).in_place(frame, LENGTH)
"""


@sanitized
@pytest.mark.parametrize("module", [worker, pipeline, memory, opening, seal, session, rtp, select, openssl])
def test_the_modules_under_test_are_instrumented(module: object) -> None:
    path = str(getattr(module, "__file__"))  # noqa: B009
    assert Path(path).is_relative_to(SANITIZED)
    assert instrumented(path)


@sanitized
@pytest.mark.skipif(select.lacking().get("vaes") == "not part of this build", reason="the C files are for x86-64")
def test_every_c_file_is_instrumented() -> None:
    """A module of several files calls the sanitizer as soon as one of them does, so the objects are asked. Masked
    vector loads and stores are beyond it: those meet the guard pages of the other tests."""
    tree = Path(SANITIZED).parents[1]
    sources = {path.stem for path in (Path(__file__).resolve().parents[2] / "kernels/cipher").glob("*.c")}
    objects = {path.name.removesuffix(".c.o"): path for path in tree.glob("kernels/cipher/*.p/*.c.o")}
    assert len(sources) >= 7
    assert sources <= set(objects)
    for name in sources:
        octets = objects[name].read_bytes()
        assert b"__asan_report_" in octets, name
        assert b"__ubsan_handle" in octets, name


def run(program: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, with the same modules as here."""
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False, cwd=Path.cwd()
    )


@sanitized
def test_a_read_of_freed_memory_is_reported() -> None:
    done = run(READ_AFTER_FREE)
    assert done.returncode != 0
    assert "heap-use-after-free" in done.stderr
    assert "rtp" in done.stderr


@pytest.mark.parametrize(("length", "harmless"), [(40, True), (55, False), (61, False)])
def test_a_guard_page_faults(length: int, harmless: bool) -> None:
    """The guard pages of the other tests are real: a frame that lies about its size ends the process, whether the
    datagram (61 octets) or only its tag (55 + 10) reaches over the end."""
    done = run(GUARD_PAGE.replace("LENGTH", str(length)))
    assert (done.returncode == 0) is harmless
    assert "Traceback" not in done.stderr


def test_frames_lie_where_they_should() -> None:
    guarded = Guarded()
    assert bytes(guarded.tail(b"abc", 2)[:3]) == b"abc"
    assert len(guarded.tail(b"abc", 2)) == 5
    with Exact(b"abc", 4) as view:
        assert bytes(view[:3]) == b"abc"
        assert len(view) == 7
