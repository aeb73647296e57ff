"""Kamailio's KEMI modules as the routing script sees them: every call is written down, every answer can be set."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

GATEWAY_SDP = "v=0\r\ns=of the gateway\r\n"  # what the gateway makes of every SDP


class Verbs:
    """One KEMI module: any method exists, answers what `answers` says (1 by default), is recorded."""

    def __init__(self, ksr: FakeKSR, module: str) -> None:
        self._ksr, self._module = ksr, module

    def __getattr__(self, method: str) -> Any:
        name = f"{self._module}.{method}"

        def call(*words: Any) -> Any:
            self._ksr.calls.append((name, *words))
            answer = self._ksr.answers.get(name, 1)
            return answer(*words) if callable(answer) else answer

        return call


class FakeKSR:
    """Module `KSR`. `variables` are the pseudo-variables, `answers` what calls return, `calls` what was called."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.answers: dict[str, Any] = {
            "siputils.has_totag": -1, "textops.has_body_type": -1, "tm.t_check_trans": -1, "tm.t_is_canceled": -1,
            "pvx.evalx": self._evaluates,
            "rtpengine.rtpengine_offer": self._writes_sdp, "rtpengine.rtpengine_answer": self._writes_sdp,
        }  # fmt: skip
        self.variables: dict[str, Any] = {}
        self.log: list[str] = []
        self.flags: set[int] = set()
        self.dropped = False
        self.pv = SimpleNamespace(
            get=self.variables.get, gete=lambda name: self.variables.get(name, ""), sets=self.variables.__setitem__,
            unset=lambda name: self.variables.pop(name, None),
        )
        self.notice = self.log.append
        self.setflag = self.flags.add
        self.isflagset = self.flags.__contains__

    def _evaluates(self, variable: str, template: str) -> int:
        """Of one variable alone."""
        self.variables[variable] = self.variables.get(template, "")
        return 1

    def _writes_sdp(self, flags: str) -> int:
        self.variables["$var(sdp)"] = GATEWAY_SDP
        return 1

    def __getattr__(self, module: str) -> Verbs:
        """Any module there is in Kamailio."""
        if module.startswith("_"):
            raise AttributeError(module)
        return Verbs(self, module)

    def force_rport(self) -> int:
        self.calls.append(("force_rport",))
        return 1

    def set_drop(self) -> None:
        self.dropped = True
        self.calls.append(("set_drop",))

    def set_reply_close(self) -> None:
        self.calls.append(("set_reply_close",))

    def set_reply_no_connect(self) -> None:
        self.calls.append(("set_reply_no_connect",))

    def called(self, name: str) -> list[tuple[Any, ...]]:
        return [call[1:] for call in self.calls if call[0] == name]

    @property
    def replies(self) -> list[tuple[int, str]]:
        """Final and provisional replies of the script, in order."""
        return [call[1:3] for call in self.calls if call[0] in ("sl.send_reply", "tm.t_reply")]
