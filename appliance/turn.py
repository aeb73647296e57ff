"""A turn of the event loop as what is done in it sees it: what can wait for its end is done once for all of it, and
what needs no waiting is done within it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any


class Turn:
    """One for each event loop; whoever is given none has its own."""

    def __init__(self) -> None:
        self._due: dict[Callable[[], None], None] = {}
        self.alone = False  # nobody else has a share in this turn: its end may be now

    def at_end(self, what: Callable[[], None]) -> bool:
        """Call `what` once, at the end of this turn. False: there is no event loop, and nobody will."""
        if not self._due and not self.alone:
            try:
                asyncio.get_running_loop().call_soon(self.end)
            except RuntimeError:
                return False
        self._due[what] = None
        return True

    def end(self) -> None:
        """Do what was put off, in the order in which it was. What fails keeps nothing else from being done."""
        due, self._due = self._due, {}
        for what in due:
            try:
                what()
            except Exception as error:
                asyncio.get_running_loop().call_exception_handler(
                    {"message": "put off to the end of a turn, and failed", "exception": error}
                )

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
        """Run `work` as a turn of its own, to where it first has to wait; the task of the rest, if there is one.
        A turn of the event loop for each step of a call is a fifth of its cost."""
        self.alone = True
        try:
            waits_for = work.send(None)
        except StopIteration:
            return None
        finally:
            self.alone = False
            self.end()
        return asyncio.get_running_loop().create_task(_rest(work, waits_for))


async def _rest(work: Coroutine[Any, Any, None], waits_for: Any) -> None:
    await _Begun(work, waits_for)


class _Begun:
    """A coroutine that waits already."""

    def __init__(self, work: Coroutine[Any, Any, None], waits_for: Any) -> None:
        self._work, self._waits_for = work, waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        work, waits_for = self._work, self._waits_for
        while True:
            try:
                value = yield waits_for
            except GeneratorExit:
                work.close()
                raise
            except BaseException as error:
                step = partial(work.throw, error)
            else:
                step = partial(work.send, value)
            try:
                waits_for = step()
            except StopIteration:
                return
