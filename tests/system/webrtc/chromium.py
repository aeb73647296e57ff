"""Headless Chromium with a telephone in it, in a namespace of the lab.

Its microphone plays a WAV file; what it hears is recorded by the page. The page is served by nobody: its requests are
answered over the DevTools protocol, so that it has an Origin as a page of the operator's web server would.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.system import lab as labs
from tests.system import sound
from tests.system.certificates import Authority
from tests.system.webrtc import library
from tests.system.webrtc.devtools import DevTools, DevToolsError

HERE = Path(__file__).resolve().parent
ORIGIN = "https://phone.example.org"
ALIAS = "edge.example.org"  # a name of the gateway that its certificate does not have
PLAYED_S = 15  # then from the start again
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required", f"--host-resolver-rules=MAP {ALIAS} {labs.GATEWAY['access']}",
    # The page is at a public name and calls a private address; in the field a person permits that.
    "--disable-features=LocalNetworkAccessChecks,WebRtcHideLocalIpsWithMdns", "--remote-debugging-pipe",
)  # fmt: skip


def available() -> str:
    """Why there is no browser here; empty when there is one."""
    missing = [name for name in ("chromium", "certutil") if not shutil.which(name)]
    return f"not installed: {', '.join(missing)}" if missing else ""


@dataclass
class Chromium:
    """One browser at the address of `role`, one page. `authority` is the only one that it trusts besides its own."""

    lab: labs.Lab
    role: str
    seed: int
    authority: Authority
    tools: DevTools = field(init=False, repr=False)
    session: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self.folder = self.lab.directory / f"chromium-{self.role}-{self.seed}"
        self.folder.mkdir(mode=0o700)
        self.played = sound.noise(PLAYED_S, self.seed)
        sound.write(self.folder / "played.wav", self.played)
        self.console: list[str] = []

    def start(self) -> Chromium:
        self._trust()
        (to_read, to_write), (back_read, back_write) = os.pipe(), os.pipe()
        # The browser reads from descriptor 3 and writes to 4, whatever numbers these have here.
        command = f'exec 3<&{to_read} 4>&{back_write}; exec chromium "$@"'
        words = [*OPTIONS, f"--user-data-dir={self.folder}/profile",
                 f"--use-file-for-fake-audio-capture={self.folder}/played.wav", "about:blank"]  # fmt: skip
        environment = {**os.environ, "HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self.folder)}
        self.process = self.lab.start(
            self.role, ["bash", "-c", command, "chromium", *words], f"{self.folder.name}/log", env=environment,
            pass_fds=(to_read, back_write),
        )  # fmt: skip
        os.close(to_read)
        os.close(back_write)
        self.tools = DevTools(to_write, back_read)
        self._open()
        return self

    def stop(self) -> None:
        labs.end(self.process)
        self.tools.close()

    def run(self, script: str, patience: float = 20.0) -> Any:
        """Value of an expression in the page, of a promise when it is settled. DevToolsError: it threw."""
        words = {"expression": script, "awaitPromise": True, "returnByValue": True, "userGesture": True}
        answer = self.tools.ask("Runtime.evaluate", self.session, patience, **words)
        if "exceptionDetails" in answer:
            raise DevToolsError(json.dumps(answer["exceptionDetails"])[:1000])
        return answer["result"].get("value")

    def events(self, name: str = "") -> list[str]:
        """Details of the events of this name so far; without one, all of them by name."""
        seen = self.run("events")
        return [detail for one, detail in seen if one == name] if name else [f"{one} {text}" for one, text in seen]

    def wait(self, name: str, seconds: float = 15.0) -> str:
        """Detail of the first event of this name."""
        return str(labs.wait_for(lambda: self.events(name), seconds, lambda: f"no {name}: {self.story()}")[0])

    def story(self) -> str:
        return "\n".join([*self.events(), *self.console, self.log()[-2000:]])

    def register(self, url: str, user: str, domain: str, password: str) -> None:
        words = {"url": url, "uri": f"sip:{user}@{domain}", "password": password, "user_agent": "page"}
        self.run(f"connect({json.dumps(words)})")

    def call(self, target: str) -> None:
        self.run(f"call({json.dumps(target)})")

    def hang_up(self) -> None:
        self.run("session.terminate()")

    def statistics(self) -> dict[str, Any]:
        """getStats of the call's RTCPeerConnection, by type."""
        found: dict[str, Any] = self.run("statistics()")
        return found

    def heard(self) -> sound.Sound:
        """What the page recorded of the other side since the last time."""
        octets = base64.b64decode(self.run("recorded()"))
        return np.frombuffer(octets, "<i2") / 32768

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def _trust(self) -> None:
        """A database of certificates, as a user's Chromium on Linux has it, with our authority in it."""
        store = self.folder / ".pki" / "nssdb"
        store.mkdir(parents=True)
        for words in (["-N", "--empty-password"], ["-A", "-n", "tests", "-t", "C,,", "-i", self.authority.own.chain]):
            subprocess.run(["certutil", "-d", f"sql:{store}", *map(str, words)], check=True, capture_output=True,
                           timeout=30)  # fmt: skip

    def _open(self) -> None:
        target = self.tools.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.tools.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.tools.on("Fetch.requestPaused", self._serve)
        self.tools.on("Runtime.consoleAPICalled", lambda event, _: self.console.append(str(event["args"])))
        self.tools.on("Runtime.exceptionThrown", lambda event, _: self.console.append(str(event["exceptionDetails"])))
        for method in ("Page.enable", "Runtime.enable", "Fetch.enable"):
            self.tools.ask(method, self.session)
        self.tools.ask("Page.navigate", self.session, url=f"{ORIGIN}/")
        labs.wait_for(lambda: self.run("typeof JsSIP == 'object' && typeof connect == 'function'"), 15, self.story)

    def _serve(self, event: dict[str, Any], session: str) -> None:
        kind, text = _files(event["request"]["url"])
        words = {"requestId": event["requestId"], "responseCode": 200 if text else 404}
        headers = [{"name": "Content-Type", "value": kind}]
        self.tools.send("Fetch.fulfillRequest", session, **words, responseHeaders=headers,
                        body=base64.b64encode(text.encode()).decode())  # fmt: skip


def _files(url: str) -> tuple[str, str]:
    """Content type and text of what the page asks for; no text: there is no such thing."""
    name = url.removeprefix(f"{ORIGIN}/")
    if not name:
        return "text/html", '<!doctype html><script src="jssip.js"></script><script src="phone.js"></script>'
    if name == "jssip.js":
        return "text/javascript", library.script()
    return "text/javascript", (HERE / name).read_text() if name in ("phone.js", "recorder.js") else ""


@contextmanager
def browser(lab: labs.Lab, role: str, seed: int, authority: Authority) -> Iterator[Chromium]:
    running = Chromium(lab, role, seed, authority).start()
    try:
        yield running
    finally:
        running.stop()
