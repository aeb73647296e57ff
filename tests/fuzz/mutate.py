"""Mutation of seed messages. Deterministic: the same random source gives the same inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

LONGEST = 140_000  # octets; beyond every limit that the parsers have
EXTREMES = (
    b"0", b"-1", b"1", b"255", b"256", b"65535", b"65536", b"2147483647", b"2147483648", b"4294967295", b"4294967296",
    b"9223372036854775807", b"18446744073709551616", b"1" * 40, b"1" * 5000, b"007", b"+1", b"1e9", b"2^48", b"2^999",
)  # fmt: skip
ODD = (
    b"\0", b"\r", b"\n", b"\r\n", b" ", b"\t", b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"%s", b"=",
)  # fmt: skip

Mutation = Callable[[Random, bytes, "Corpus"], bytes]


class Corpus:
    """Seed messages and the words of their language."""

    def __init__(self, seeds: Sequence[bytes], words: Sequence[bytes] = ()) -> None:
        if not seeds:
            raise ValueError("a corpus needs a seed")
        self.seeds, self.words = list(seeds), list(words) or [b"0"]

    def next(self, source: Random) -> bytes:
        """A seed with one to eight mutations; now and then a seed itself, or noise."""
        if source.random() < 0.01:
            return source.randbytes(source.randrange(0, 300))
        data = source.choice(self.seeds)
        for _ in range(source.choice((0, 1, 1, 1, 2, 2, 3, 5, 8))):
            data = source.choice(MUTATIONS)(source, data, self)
        return data[:LONGEST]


def _place(source: Random, data: bytes) -> tuple[int, int]:
    """A random slice, short ones more often."""
    start = source.randrange(len(data) + 1)
    return start, min(len(data), start + int(source.expovariate(1 / 12)) + 1)


def flip(source: Random, data: bytes, corpus: Corpus) -> bytes:
    if not data:
        return b"\0"
    at = source.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << source.randrange(8)]) + data[at + 1 :]


def overwrite(source: Random, data: bytes, corpus: Corpus) -> bytes:
    start, end = _place(source, data)
    return data[:start] + source.randbytes(end - start) + data[end:]


def delete(source: Random, data: bytes, corpus: Corpus) -> bytes:
    start, end = _place(source, data)
    return data[:start] + data[end:]


def truncate(source: Random, data: bytes, corpus: Corpus) -> bytes:
    return data[: source.randrange(len(data) + 1)]


def insert_word(source: Random, data: bytes, corpus: Corpus) -> bytes:
    start, end = _place(source, data)
    return data[:start] + source.choice(corpus.words) + data[start if source.random() < 0.5 else end :]


def insert_odd(source: Random, data: bytes, corpus: Corpus) -> bytes:
    start, _ = _place(source, data)
    return data[:start] + source.choice(ODD) + data[start:]


def number(source: Random, data: bytes, corpus: Corpus) -> bytes:
    """Put an extreme in the place of a run of digits."""
    digits = [at for at in range(len(data)) if data[at : at + 1].isdigit()]
    if not digits:
        return data
    start = end = source.choice(digits)
    while end < len(data) and data[end : end + 1].isdigit():
        end += 1
    return data[:start] + source.choice(EXTREMES) + data[end:]


def repeat(source: Random, data: bytes, corpus: Corpus) -> bytes:
    """A piece many times: floods of lines, of brackets, of words."""
    start, end = _place(source, data)
    times = source.choice((2, 2, 3, 10, 100, 3000))
    return (data[:start] + data[start:end] * times + data[end:])[:LONGEST]


def line(source: Random, data: bytes, corpus: Corpus) -> bytes:
    """Lines: one twice, one away, two exchanged, one many times."""
    lines = data.splitlines(keepends=True)
    if len(lines) < 2:
        return data
    one, two = source.randrange(len(lines)), source.randrange(len(lines))
    what = source.randrange(4)
    if what == 0:
        lines.insert(two, lines[one])
    elif what == 1:
        del lines[one]
    elif what == 2:
        lines[one], lines[two] = lines[two], lines[one]
    else:
        lines[one:one] = [lines[one]] * source.choice((2, 70, 2100))
    return b"".join(lines)[:LONGEST]


def splice(source: Random, data: bytes, corpus: Corpus) -> bytes:
    other = source.choice(corpus.seeds)
    return data[: source.randrange(len(data) + 1)] + other[source.randrange(len(other) + 1) :]


MUTATIONS: tuple[Mutation, ...] = (
    flip, overwrite, delete, truncate, insert_word, insert_word, insert_odd, number, number, repeat, line, line, splice,
)  # fmt: skip
