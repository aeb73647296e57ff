"""`make fuzz`: every target, 10^6 inputs each or as many as the time allows; a table; findings as files.

First by mutation alone, with the CPU time of each input; then, where the package atheris is, guided by coverage.

Exit code 1: something else than the documented error came out, or a message took more than 10 ms of CPU.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

from tests.fuzz.drive import SLOW_MS, Figures, drive
from tests.fuzz.targets import TARGETS

FOLDER = Path("build/fuzz")


def main() -> int:
    names = [target.name for target in TARGETS]
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("targets", nargs="*", default=names, metavar="TARGET", help=", ".join(names))
    parser.add_argument("--inputs", type=int, default=1_000_000, help="for each target (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=600, help="of CPU for each at most (default %(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="to repeat a run (default: another one each time)")
    words = parser.parse_args()
    unknown = set(words.targets) - set(names)
    if unknown:
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    seed = words.seed if words.seed is not None else time.time_ns() & 0xFFFFFFFF
    print(f"seed {seed}, {words.inputs} inputs for each target, {words.seconds:g} s of CPU at most", flush=True)
    print(f"{'target':12} {'inputs':>9} {'accepted':>9} {'refused':>9} {'escaped':>8} {'slowest':>9} {'CPU':>7}")
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        runs = [pool.submit(_run, name, words.inputs, seed, words.seconds) for name in words.targets]
        figures = [_tell(run.result()) for run in runs]
    guided = _guided(words.targets, words.inputs, words.seconds)
    return 1 if guided or any(found.findings or found.slowest_ms > SLOW_MS for found in figures) else 0


def _guided(names: list[str], inputs: int, seconds: float) -> int:
    """The second pass; how many targets it found something in."""
    if importlib.util.find_spec("atheris") is None:
        print("no coverage-guided pass: there is no atheris for this Python", flush=True)
        return 0
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return sum(pool.map(lambda name: _guide(name, inputs, seconds), names))


def _guide(name: str, inputs: int, seconds: float) -> bool:
    """Whether it found something."""
    command = [sys.executable, "-m", "tests.fuzz.covered", name, str(inputs), str(int(seconds))]
    run = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    done = re.findall(r"^(?:Done (\d+)|#(\d+).* cov: (\d+))", run.stderr, re.MULTILINE)
    reached = next((cov for _, _, cov in reversed(done) if cov), "?")
    number = next((ended or count for ended, count, _ in reversed(done)), "0")
    print(f"{name:12} {number:>9} guided by coverage, {reached} edges, "
          f"{'nothing found' if run.returncode == 0 else 'FOUND:'}", flush=True)  # fmt: skip
    if run.returncode:
        print("  " + "\n  ".join(run.stderr.splitlines()[-25:]), flush=True)
    return run.returncode != 0


def _run(name: str, inputs: int, seed: int, seconds: float) -> Figures:
    return drive(next(target for target in TARGETS if target.name == name), inputs, seed, seconds)


def _tell(found: Figures) -> Figures:
    print(f"{found.target:12} {found.inputs:9} {found.accepted:9} {found.refused:9} {len(found.findings):8} "
          f"{found.slowest_ms:6.1f} ms {found.cpu_s:5.0f} s", flush=True)  # fmt: skip
    for what, data in found.findings:
        print(f"  {what}: {_keep(found.target, data)}", flush=True)
    if found.slowest_ms > SLOW_MS:
        print(f"  more than {SLOW_MS:g} ms: {_keep(found.target, found.slowest)}", flush=True)
    return found


def _keep(target: str, data: bytes) -> Path:
    """A file to repeat it with."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{target}-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    return path


if __name__ == "__main__":
    sys.exit(main())
