"""The gateway between a browser (access) and desk phones (core): SIP over WSS with DTLS-SRTP here, plain SIP there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.system import lab as labs
from tests.system.certificates import Authority
from tests.system.gateway import PLACES, PORTS, Gateway
from tests.system.phones import Baresip
from tests.system.webrtc.chromium import ORIGIN, Chromium

USER, OTHER_USER, PASSWORD = "alice", "bob", "a password of the tests"
WSS = 8443
DOMAIN = "example.org"  # of the users; nobody looks it up: the browser has the edge's URL, the phone an outbound proxy
URL = f"wss://{labs.GATEWAY['access']}:{WSS}"
PHONE = f"sip:phone@{DOMAIN}"  # a baresip takes calls for its own account's user only
SECURE_PHONE = f"sip:9phone@{DOMAIN}"
OTHER_BROWSER = f"sip:8{OTHER_USER}@{DOMAIN}"
SECURE = "10.77.2.3"

SETTINGS = """
[media]
ports = "{ports[0]}-{ports[1]}"
calls = 20
silence_timeout_s = 31
""" + PLACES + """[sip]
listen = ["udp:{access}:5060", "wss:{access}:8443", "ws:{access}:8080", "udp:{core}:5060", "tls:{core}:5061"]
certificate = "{certificate.chain}"
key = "{certificate.key}"
[sip_websocket]
origins = ["{origin}"]
[sip_registrar]
enabled = true
domains = ["{domain}"]
trunk = "browsers"
[security]
sdes_requires_tls = true
[[trunks]]
name = "browsers"
match = ["10.77.1.2/32"]
authenticate = "digest"
destination = "{to_core}"
interface = "access"
[[trunks]]
name = "core"
match = ["10.77.2.2/32"]
destination = "registrar"
interface = "core"
rtp_secure_media = "forbidden"
[[trunks]]
name = "secure"
match = ["10.77.2.3/32", "10.77.2.2/32"]
sockets = ["tls:{core}:5061"]
destination = "registrar"
uri = "sip:10.77.2.3:5061;transport=tls"
interface = "core"
rtp_secure_media = "mandatory:AES_CM_128_HMAC_SHA1_80"
flags = ["ICE-lite-off"]
[[routes]]
name = "secure"
from_trunk = "browsers"
prefix = "9"
strip = 1
destination = "trunk:secure"
[[routes]]
name = "browsers"
from_trunk = "browsers"
prefix = "8"
strip = 1
destination = "registrar"
"""


def text(lab: labs.Lab, authority: Authority) -> str:
    """SETTINGS as the file of a gateway whose run and state are in the lab's directory."""
    return SETTINGS.format(ports=PORTS, run=lab.directory / "run", state=lab.directory / "state",
                           access=labs.GATEWAY["access"], core=labs.GATEWAY["core"], **values(authority))  # fmt: skip


def values(authority: Authority) -> Mapping[str, object]:
    """What SETTINGS has places for, besides what every gateway of the lab has."""
    certificate = authority.issue(labs.GATEWAY["access"])
    return {"to_core": f"sip:{labs.ADDRESS['core']}:5060", "certificate": certificate, "origin": ORIGIN,
            "domain": DOMAIN}  # fmt: skip


@contextmanager
def gateway(lab: labs.Lab, authority: Authority) -> Iterator[Gateway]:
    """A whole gateway with two users."""
    running = Gateway(lab, settings=SETTINGS, values=values(authority)).start()
    try:
        for user in (USER, OTHER_USER):
            add_user(running, user)
        yield running
    finally:
        labs.end(running.process, patience=15)
    assert "Traceback" not in running.log("sip") + running.log("control") + running.log("media")


class DeskPhone(Baresip):
    """A baresip in the core with an account of DOMAIN; it calls the browser's user. `secure`: SIP over TLS with SDES,
    at the address of the trunk `secure`."""

    def __init__(self, lab: labs.Lab, seed: int, authority: Authority | None = None) -> None:
        self.secure = authority is not None
        super().__init__(lab, "core", seed, "srtp-mand" if authority else "", authority)

    @property
    def address(self) -> str:
        return SECURE if self.secure else labs.ADDRESS["core"]

    def _account(self) -> str:
        encryption = f";mediaenc={self.mediaenc}" if self.mediaenc else ""
        proxy = f'outbound="sip:{self._gateway()}"'
        return f"<sip:phone@{DOMAIN}>;regint=0;answermode=auto;audio_codecs=pcmu/8000/1;{proxy}{encryption}\n"

    def _target(self) -> str:
        return f"sip:{USER}@{DOMAIN}"

    def hang_up(self) -> None:
        """It says BYE before it ends."""
        self.process.terminate()
        self.process.wait(10)

    def ended(self) -> None:
        """Hung up by the other side."""
        labs.wait_for(lambda: re.search("terminated|session closed", self.log()), 10, self.log)
        labs.end(self.process)


def add_user(gateway: Gateway, user: str) -> None:
    words = [sys.executable, "-m", "appliance.cli.main", "users", "add", f"{user}@{DOMAIN}", "--password-file", "-",
             "--socket", str(gateway.run / "control.sock")]  # fmt: skip
    subprocess.run(words, input=PASSWORD, text=True, check=True, capture_output=True, timeout=30)


def register(browser: Chromium, user: str = USER) -> None:
    browser.register(URL, user, DOMAIN, PASSWORD)
    browser.wait("registered")
