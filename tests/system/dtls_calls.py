"""Calls with DTLS-SRTP through a running gateway: offers and answers over NG, phones, what the API tells."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from srtpgw.v1 import calls_pb2, calls_pb2_grpc
from tests.appliance.processes import Machine, NgClient, Phone, machine, media_port, rtp
from tests.system.dtls_phone import DtlsPhone

SAVP, AVP = "UDP/TLS/RTP/SAVP", "RTP/AVP"
KINDS = calls_pb2.WatchEvent.Kind


@dataclass
class Events:
    """What the API's watch tells, in the order of its coming."""

    seen: list[calls_pb2.WatchEvent] = field(default_factory=list)

    def of(self, call_id: str) -> list[str]:
        return [KINDS.Name(event.kind) for event in self.seen if event.call_id == call_id]

    def wait(self, call_id: str, kind: str, seconds: float = 5.0) -> calls_pb2.WatchEvent:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for event in list(self.seen):
                if event.call_id == call_id and KINDS.Name(event.kind) == kind:
                    return event
            time.sleep(0.01)
        raise TimeoutError(f"no {kind} of {call_id}: {self.of(call_id)}")


class House:
    """A gateway and calls in it."""

    def __init__(self, box: Machine, ng: NgClient) -> None:
        self.box, self.ng = box, ng
        self.events = Events()
        self._numbers = itertools.count(1)
        self._phones: list[Any] = []
        self._threads: list[threading.Thread] = []
        self.connect()

    def connect(self) -> None:
        """To the API of the control process that runs now."""
        self.channel = grpc.insecure_channel(f"unix:{self.box.run}/control.sock")
        self.calls = calls_pb2_grpc.CallServiceStub(self.channel)
        stream = self.calls.Watch(calls_pb2.WatchRequest(), wait_for_ready=True)
        synced = threading.Event()

        def read() -> None:
            try:
                for event in stream:
                    self.events.seen.append(event)
                    if event.kind == calls_pb2.WatchEvent.SYNCED:
                        synced.set()
            except (grpc.RpcError, ValueError):
                pass

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        assert synced.wait(60), self.box.log[-3000:]
        self._threads.append(thread)

    def plain(self) -> Phone:
        self._phones.append(phone := Phone())
        return phone

    def phone(self, setup: str = "active", **words: Any) -> DtlsPhone:
        self._phones.append(phone := DtlsPhone(setup, **words))
        return phone

    def offer(self, sdp: str, call_id: str = "", protocol: str = SAVP, tag: str = "a", **words: Any) -> tuple[str, str]:
        """Its call-id, and our offer."""
        name = call_id or f"call-{next(self._numbers)}"
        words = {"ICE": "remove", "rtcp_mux": ["offer"], **words}
        reply = self.ng.ask("offer", call_id=name, from_tag=tag, sdp=sdp, transport_protocol=protocol, **words)
        assert reply["result"] == "ok", reply
        return name, reply["sdp"]

    def answer(self, name: str, sdp: str, tags: tuple[str, str] = ("a", "b"), **words: Any) -> str:
        reply = self.ng.ask("answer", call_id=name, from_tag=tags[0], to_tag=tags[1], sdp=sdp, **words)
        assert reply["result"] == "ok", reply
        return str(reply["sdp"])

    def get(self, name: str) -> calls_pb2.Call:
        return self.calls.Get(calls_pb2.GetCallRequest(call_id=name), timeout=5)

    def gone(self, name: str) -> bool:
        try:
            self.get(name)
        except grpc.RpcError as error:
            return bool(error.code() is grpc.StatusCode.NOT_FOUND)
        return False

    def end(self, name: str) -> None:
        self.ng.ask("delete", call_id=name)

    def wait(self, what: Any, seconds: float = 5.0) -> None:
        """Until it is true."""
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, self.box.log[-3000:]
            time.sleep(0.01)

    def close_phones(self) -> None:
        for phone in self._phones:
            phone.close()
        self._phones.clear()


@contextmanager
def house(
    folder: Path, ng_port: int, ports: tuple[int, int], calls: int = 40, more: str = ""
) -> Iterator[House]:
    with machine(folder, ng_port, ports, calls, more=more) as (box, ng):
        built = House(box, ng)
        try:
            yield built
        finally:
            built.close_phones()
            built.channel.close()


def our_port(sdp: str) -> tuple[str, int]:
    return "127.0.0.1", media_port(sdp)


def their_port(sdp: str) -> tuple[str, int]:
    """Where RTCP goes without mux."""
    found = re.search(r"a=rtcp:(\d+)", sdp)
    return "127.0.0.1", int(found[1]) if found else media_port(sdp) + 1


def talk(plain: Phone, phone: DtlsPhone, to_plain: int, to_phone: tuple[str, int], first: int = 1) -> None:
    """Media both ways, checked octet by octet. The keys may be a moment on their way to the worker."""
    deadline = time.monotonic() + 3
    while True:
        phone.send(rtp(first), to_phone)
        plain.socket.settimeout(0.05)
        try:
            assert plain.receive() == rtp(first)
            break
        except TimeoutError:
            assert time.monotonic() < deadline, "no media from the phone"
            first += 1
    plain.send(rtp(first + 1), to_plain)
    assert phone.receive() == rtp(first + 1)
