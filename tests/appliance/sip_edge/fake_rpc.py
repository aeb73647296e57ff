"""A Kamailio's RPC socket without a Kamailio: answers by a table, remembers what it was asked."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Answer = Callable[..., Any]  # takes the parameters; raises Refusal


class Refusal(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class FakeRpc:
    """Serves in a thread of its own from `with` on. `asked` holds (method, parameters) in order."""

    def __init__(self, path: Path, answers: Mapping[str, Answer]) -> None:
        self.path, self.answers = path, answers
        self.asked: list[tuple[str, tuple[Any, ...]]] = []
        self.askers: list[Any] = []  # addresses
        self.heard = threading.Event()
        self.silent = False  # takes questions, says nothing
        self.rubbish = b""  # sent before each answer

    def __enter__(self) -> FakeRpc:
        self._link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._link.bind(str(self.path))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            link.sendto(b"", str(self.path))
        self._thread.join()
        self._link.close()
        self.path.unlink()

    def methods(self) -> list[str]:
        return [method for method, _ in self.asked]

    def _serve(self) -> None:
        while True:
            question, asker = self._link.recvfrom(65_536)
            if not question:
                return
            record = json.loads(question)
            self.asked.append((record["method"], tuple(record.get("params", ()))))
            self.askers.append(asker)
            self.heard.set()
            if not self.silent:
                if self.rubbish:
                    self._link.sendto(self.rubbish, asker)
                answer = {"jsonrpc": "2.0", "id": record["id"], **self._answer(record)}
                self._link.sendto(json.dumps(answer).encode(), asker)

    def _answer(self, record: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"result": self.answers[record["method"]](*record.get("params", ()))}
        except KeyError:
            return {"error": {"code": 500, "message": "Method Not Found"}}
        except Refusal as refusal:
            return {"error": {"code": refusal.code, "message": refusal.message}}
