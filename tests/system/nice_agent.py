"""libnice (Janus, GStreamer, Pidgin) as an ICE agent in a process of its own: Debian's Python has its bindings, and
this file runs under that one. Orders come and news go as lines of JSON; see `nice_peer`.

libnice's functions with callbacks on octets are not introspectable, so these two go by ctypes.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys

import gi

gi.require_version("Nice", "0.1")
from gi.repository import GLib, Nice  # noqa: E402

LIBRARY = ctypes.CDLL("libnice.so.10")
RECEIVE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_uint] * 3, *[ctypes.c_void_p] * 2)
LIBRARY.nice_agent_attach_recv.argtypes = [
    ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, RECEIVE, ctypes.c_void_p,
]  # fmt: skip
LIBRARY.nice_agent_send.argtypes = [ctypes.c_void_p, *[ctypes.c_uint] * 3, ctypes.c_char_p]


def say(what, **words):
    print(json.dumps({"what": what, **words}), flush=True)


class Peer:
    """One stream."""

    def __init__(self, loop):
        self.loop, self.agent, self.stream, self.components, self.rest = loop, None, 0, 1, b""
        self.receive = RECEIVE(self.received)  # kept: libnice calls it

    def received(self, _agent, _stream, component, length, data, _user):
        say("received", component=component, data=ctypes.string_at(data, length).hex())

    def open(self, controlling, addresses, components, options):
        flags = Nice.AgentOption.NONE
        for name in options:
            flags |= getattr(Nice.AgentOption, name)
        agent = self.agent = Nice.Agent.new_full(GLib.MainContext.default(), Nice.Compatibility.RFC5245, flags)
        for name, value in (("controlling-mode", controlling), ("upnp", False), ("ice-tcp", False)):
            agent.set_property(name, value)
        for text in addresses:
            address = Nice.Address()
            address.set_from_string(text)
            agent.add_local_address(address)
        agent.connect("component-state-changed", self.changed)
        agent.connect("candidate-gathering-done", lambda *_: self.described())
        self.components = components
        self.stream = agent.add_stream(components)
        agent.set_stream_name(self.stream, "audio")
        for component in range(1, components + 1):
            LIBRARY.nice_agent_attach_recv(hash(agent), self.stream, component, None, self.receive, None)
        agent.gather_candidates(self.stream)

    def described(self):
        _, ufrag, pwd = self.agent.get_local_credentials(self.stream)
        found = [
            self.agent.generate_local_candidate_sdp(candidate).removeprefix("a=candidate:")
            for component in range(1, self.components + 1)
            for candidate in self.agent.get_local_candidates(self.stream, component)
        ]
        say("described", ufrag=ufrag, pwd=pwd, candidates=found)

    def restart(self):
        self.agent.restart_stream(self.stream)
        self.described()

    def hear(self, ufrag, pwd, candidates):
        self.agent.set_remote_credentials(self.stream, ufrag, pwd)
        for component in range(1, self.components + 1):
            mine = (line for line in candidates if line.split()[1] == str(component))
            found = [self.agent.parse_remote_candidate_sdp(self.stream, f"a=candidate:{line}") for line in mine]
            self.agent.set_remote_candidates(self.stream, component, [one for one in found if one is not None])

    def changed(self, _agent, _stream, component, state):
        say("state", component=component, state=Nice.component_state_to_string(Nice.ComponentState(state)))

    def send(self, component, data):
        octets = bytes.fromhex(data)
        LIBRARY.nice_agent_send(hash(self.agent), self.stream, component, len(octets), octets)

    def orders(self, descriptor, _condition):
        octets = os.read(descriptor, 65536)
        if not octets:
            self.loop.quit()
        *lines, self.rest = (self.rest + octets).split(b"\n")
        for line in lines:
            words = json.loads(line)
            getattr(self, words.pop("order"))(**words)
        return bool(octets)


def main():
    loop = GLib.MainLoop()
    peer = Peer(loop)
    readable = GLib.IOCondition.IN | GLib.IOCondition.HUP
    GLib.unix_fd_add_full(GLib.PRIORITY_DEFAULT, sys.stdin.fileno(), readable, peer.orders)
    loop.run()


if __name__ == "__main__":
    main()
