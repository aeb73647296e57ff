"""The two libsrtp that our ciphers are compared with, as meters: programs that keep their contexts between questions.

`nss` is the library as Debian ships it. `openssl` is the honest baseline (FIGURES.md section 1): the same version,
built here from Debian's source package with OpenSSL. It is fetched by apt with lists, cache and sources of its own
below build/, so that nothing of the system changes and apt checks the signatures; built once, kept under a stamp."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("libsrtp_meter.c")
BUILD = Path(__file__).parents[2] / "build"
FOLDER = BUILD / "libsrtp-openssl"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SUITE = "bookworm"
SOURCES = f"""Types: deb-src
URIs: http://deb.debian.org/debian
Suites: {SUITE}
Components: main
Signed-By: {KEYRING}
"""
NAMES = {  # of the meter's suites, by ours; libsrtp has no others
    "AES_CM_128_HMAC_SHA1_80": "cm128_80",
    "AES_CM_128_HMAC_SHA1_32": "cm128_32",
    "AES_192_CM_HMAC_SHA1_80": "cm192_80",
    "AES_192_CM_HMAC_SHA1_32": "cm192_32",
    "AES_256_CM_HMAC_SHA1_80": "cm256_80",
    "AES_256_CM_HMAC_SHA1_32": "cm256_32",
    "AEAD_AES_128_GCM": "gcm128",
    "AEAD_AES_256_GCM": "gcm256",
    "NULL_HMAC_SHA1_80": "null_80",
}


class Unavailable(Exception):
    """Why there is no such library here."""


@dataclass
class Meter:
    """One library with the contexts of one suite; `None` from `meter` when it has no such suite."""

    process: subprocess.Popen[str]

    def measure(self, payload: int, packets: int) -> tuple[float, float]:
        """ns per packet to protect and to unprotect; see kernels.load.meter. RuntimeError."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{payload} {packets}\n")
        self.process.stdin.flush()
        words = self.process.stdout.readline().split()
        if len(words) != 2:
            raise RuntimeError(f"libsrtp's meter ended with status {self.process.wait(10)}")
        return float(words[0]), float(words[1])


@contextlib.contextmanager
def meter(program: Path, suite: str, contexts: int, cpu: int) -> Iterator[Meter | None]:
    if suite not in NAMES:
        yield None
        return
    command = ["taskset", "-c", str(cpu), str(program), NAMES[suite], str(contexts)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = process.stdout.readline() == "ready\n"  # NSS has no AES-192: no suite, no figure
        yield Meter(process) if ready else None
        assert process.stdin is not None
        process.stdin.close()


def system_meter() -> Path:
    """The meter against the system's libsrtp. Unavailable."""
    return _compile(BUILD / "libsrtp-nss", ["-lsrtp2"])


def openssl_meter() -> Path:
    """The meter against libsrtp with OpenSSL, made when it is not there yet. Unavailable."""
    library = FOLDER / "libsrtp2.a"
    if not library.exists():
        source = _fetch(FOLDER)
        _build(source)
        shutil.copy(source / "libsrtp2.a", library)
        shutil.copytree(source / "include", FOLDER / "include" / "srtp2", dirs_exist_ok=True)
        shutil.copytree(source / "crypto" / "include", FOLDER / "include" / "srtp2", dirs_exist_ok=True)
    return _compile(FOLDER, [f"-I{FOLDER / 'include'}", str(library), "-lcrypto"])


def _fetch(folder: Path) -> Path:
    """Debian's source package of libsrtp, unpacked and patched as Debian does it."""
    for tool in ("apt-get", "dpkg-source", "make", "gcc"):
        if not shutil.which(tool):
            raise Unavailable(f"no {tool} here")
    if not KEYRING.exists():
        raise Unavailable("no keys of the Debian archive here")
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "debian.sources").write_text(SOURCES)
    apt = [
        "apt-get", "-qq", "-o", f"Dir::State::Lists={folder / 'lists'}", "-o", f"Dir::Cache={folder / 'cache'}",
        "-o", f"Dir::Etc::SourceList={folder / 'debian.sources'}", "-o", "Dir::Etc::SourceParts=-",
        "-o", "APT::Sandbox::User=", "-o", "Acquire::Retries=2",
    ]  # fmt: skip
    _run([*apt, "update"], folder)
    _run([*apt, "source", "libsrtp2"], folder)
    found = [path for path in folder.glob("libsrtp2-*") if path.is_dir()]
    if not found:
        raise Unavailable("Debian's source package is not what was expected")
    return found[0]


def _build(source: Path) -> None:
    environment = {"CFLAGS": "-O3 -fPIC", "CPPFLAGS": ""}
    _run(["./configure", "--enable-openssl"], source, environment)
    _run(["make", f"-j{os.cpu_count()}", "libsrtp2.a"], source, environment)


def _compile(folder: Path, words: list[str]) -> Path:
    """The meter as a program in `folder`, compiled when its source is newer."""
    program = folder / "meter"
    if program.exists() and program.stat().st_mtime > SOURCE.stat().st_mtime:
        return program
    folder.mkdir(parents=True, exist_ok=True)
    if not shutil.which("gcc"):
        raise Unavailable("no compiler here")
    _run(["gcc", "-O2", "-o", str(program), str(SOURCE), *words], folder)
    return program


def _run(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **(environment or {})}, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise Unavailable(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()[-300:]}")
