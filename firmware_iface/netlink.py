"""Questions to the kernel over netlink, answered at once. pyroute2 does the coding; the socket is ours.

The kernel answers a request inside the send call, so a question costs microseconds and never waits: no loop, no thread,
usable inside and outside asyncio. The socket belongs to the network namespace of the thread that opens it.
"""

from __future__ import annotations

import itertools
import os
import socket
from typing import Any

from pyroute2.netlink import GENL_ID_CTRL, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, ctrlmsg
from pyroute2.netlink.marshal import Marshal
from pyroute2.netlink.rtnl.marshal import MarshalRtnl

NETLINK_GENERIC = 16
RECEIVE_OCTETS = 1 << 18
TIMEOUT_S = 2.0
CTRL_CMD_GETFAMILY = 3


class Conversation:
    """One netlink socket for requests. Use as a context manager, or `close`."""

    def __init__(self, protocol: int = socket.NETLINK_ROUTE, marshal: Any = None) -> None:
        self._marshal = marshal or MarshalRtnl()
        self._sequence = itertools.count(1)
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self._socket.settimeout(TIMEOUT_S)
        self._socket.bind((0, 0))

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def dump(self, message: Any, kind: int) -> list[Any]:
        """Every object of that kind. OSError with the kernel's errno."""
        return self._ask(message, kind, NLM_F_REQUEST | NLM_F_DUMP)

    def get(self, message: Any, kind: int) -> Any:
        """The one that `message` names. OSError."""
        (found,) = self._ask(message, kind, NLM_F_REQUEST)  # no ACK: it would cost as much as the answer
        return found

    def change(self, message: Any, kind: int, flags: int = 0) -> None:
        """Create, change, remove. OSError: EPERM without CAP_NET_ADMIN."""
        self._ask(message, kind, NLM_F_REQUEST | NLM_F_ACK | flags)

    def _ask(self, message: Any, kind: int, flags: int) -> list[Any]:
        sequence = next(self._sequence) & 0xFFFFFFFF
        header = message["header"]
        header["type"], header["flags"], header["sequence_number"], header["pid"] = kind, flags, sequence, 0
        message.encode()
        self._socket.send(message.data)
        found: list[Any] = []
        while True:
            for answer in self._marshal.parse(self._socket.recv(RECEIVE_OCTETS)):
                if answer["header"]["sequence_number"] != sequence:
                    continue  # of a question that ended in a timeout
                if _ends(answer):
                    return found
                found.append(answer)
                if not flags & (NLM_F_ACK | NLM_F_DUMP):
                    return found


def _ends(answer: Any) -> bool:
    """Is this the end of the conversation? OSError when it is a bad one."""
    error = answer["header"].get("error")
    if error is not None and error.code:
        raise OSError(error.code, os.strerror(error.code))
    return answer["header"]["type"] in (NLMSG_DONE, NLMSG_ERROR)


class GenericConversation(Conversation):
    """Generic netlink to one family. OSError (ENOENT) when this kernel does not have the family."""

    def __init__(self, family: str, message: type[Any]) -> None:
        marshal = Marshal()
        marshal.msg_map = {GENL_ID_CTRL: ctrlmsg}
        super().__init__(NETLINK_GENERIC, marshal)
        try:
            self.family = self._find(family)
        except OSError:
            self.close()
            raise
        marshal.msg_map = {GENL_ID_CTRL: ctrlmsg, self.family: message}

    def __enter__(self) -> GenericConversation:
        return self

    def _find(self, family: str) -> int:
        question = ctrlmsg()
        question["cmd"], question["version"] = CTRL_CMD_GETFAMILY, 1
        question["attrs"] = [["CTRL_ATTR_FAMILY_NAME", family]]
        return int(self.get(question, GENL_ID_CTRL).get_attr("CTRL_ATTR_FAMILY_ID"))
