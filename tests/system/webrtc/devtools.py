"""The DevTools protocol over a pair of pipes (`--remote-debugging-pipe`): they reach a browser in any network
namespace, and nobody else reaches it. Messages are JSON, each ended by a zero octet."""

from __future__ import annotations

import json
import os
import queue
import threading
from collections.abc import Callable
from typing import Any

PATIENCE_S = 20.0


class DevToolsError(Exception):
    """The browser refused a command, or a script in the page threw."""


class DevTools:
    """Commands and events of one browser. `to`, `back`: our ends of the pipes, which are closed with it."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back = to, back
        self._number = 0
        self._lock = threading.Lock()
        self._answers: dict[int, queue.Queue[dict[str, Any]]] = {}
        self._listeners: dict[str, Callable[[dict[str, Any], str], None]] = {}
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def on(self, event: str, listener: Callable[[dict[str, Any], str], None]) -> None:
        """Call `listener(parameters, session)` for each event of this name, on the reader's thread: it may `send`."""
        self._listeners[event] = listener

    def send(self, method: str, session: str = "", **parameters: Any) -> None:
        """A command whose answer nobody waits for."""
        self._put(method, session, parameters, None)

    def ask(self, method: str, session: str = "", patience: float = PATIENCE_S, **parameters: Any) -> dict[str, Any]:
        """A command and its result. DevToolsError; TimeoutError."""
        box: queue.Queue[dict[str, Any]] = queue.Queue()
        number = self._put(method, session, parameters, box)
        try:
            answer = box.get(timeout=patience)
        except queue.Empty:
            raise TimeoutError(method) from None
        finally:
            del self._answers[number]
        if "error" in answer:
            raise DevToolsError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def close(self) -> None:
        os.close(self._to)
        self._thread.join(5)
        os.close(self._back)

    def _put(self, method: str, session: str, parameters: dict[str, Any],
             box: queue.Queue[dict[str, Any]] | None) -> int:  # fmt: skip
        with self._lock:
            self._number += 1
            if box is not None:
                self._answers[self._number] = box
            message = {"id": self._number, "method": method, "params": parameters}
            self._write({**message, "sessionId": session} if session else message)
            return self._number

    def _write(self, message: dict[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data) :]

    def _read(self) -> None:
        rest = b""
        while octets := os.read(self._back, 1 << 16):
            *whole, rest = (rest + octets).split(b"\0")
            for one in whole:
                self._take(json.loads(one))

    def _take(self, message: dict[str, Any]) -> None:
        if "id" in message:
            box = self._answers.get(message["id"])
            if box is not None:
                box.put(message)
        elif listener := self._listeners.get(message["method"]):
            listener(message["params"], message.get("sessionId", ""))
