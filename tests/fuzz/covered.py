"""One target under atheris (libFuzzer): inputs that reach new code are kept and mutated further. For exceptions and
broken round trips only: instrumented code says nothing about time.

    python -m tests.fuzz.covered TARGET RUNS SECONDS

Coverage grows in build/fuzz/corpus-TARGET from run to run. Needs the package atheris, which has wheels for some Pythons
on x86-64 only; without it `make fuzz` mutates blindly and says so.
"""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = Path("build/fuzz")
LONGEST = 66_000
INSTRUMENTED = ["appliance.protocols", "appliance.calls", "appliance.policy"]


def main(name: str, runs: str, seconds: str) -> None:
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz.targets import TARGETS
    target = next(target for target in TARGETS if target.name == name)

    def one(data: bytes) -> None:
        try:
            result = target.run(data)
        except target.documented:
            return
        target.check(data, result)

    corpus = FOLDER / f"corpus-{name}"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.corpus.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = FOLDER / f"words-{name}"
    words.write_text("".join(f'"{_quoted(word)}"\n' for word in target.corpus.words if word))
    atheris.Setup(
        [name, f"-atheris_runs={runs}", f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-dict={words}",
         f"-artifact_prefix={FOLDER}/{name}-", str(corpus)],
        one,
    )  # fmt: skip
    atheris.Fuzz()


def _quoted(word: bytes) -> str:
    return "".join(f"\\x{octet:02x}" for octet in word)


if __name__ == "__main__":
    main(*sys.argv[1:])
