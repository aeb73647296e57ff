"""FreeRADIUS with users for SIP digest, and what it was told for accounting."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.system import lab

SECRET = "between-the-two-of-us"
_CONFIG = """
prefix = /usr
libdir = /usr/lib/freeradius
logdir = {place}
run_dir = {place}
raddbdir = {place}
max_requests = 256
pidfile = {place}/pid
security {{
  allow_core_dumps = no
  max_attributes = 200
  reject_delay = 0
  status_server = no
}}
log {{
  destination = stdout
  auth = yes
}}
client sip {{
  ipaddr = 127.0.0.1
  secret = "{secret}"
}}
modules {{
  digest {{ }}
  files {{
    usersfile = {place}/users
  }}
  detail {{
    filename = {place}/detail
    permissions = 0600
  }}
}}
server sip {{
  listen {{
    type = auth
    ipaddr = 127.0.0.1
    port = {port}
  }}
  listen {{
    type = acct
    ipaddr = 127.0.0.1
    port = {acct}
  }}
  authorize {{
    digest
    files
  }}
  authenticate {{
    digest
  }}
  accounting {{
    detail
  }}
}}
"""


@dataclass
class RadiusServer:
    place: Path
    process: subprocess.Popen[bytes]

    def log(self) -> str:
        return (self.place / "log").read_text(errors="replace")

    def told(self) -> list[dict[str, str]]:
        """Accounting requests: attribute -> value, without quotes."""
        try:
            text = (self.place / "detail").read_text()
        except FileNotFoundError:
            return []
        pairs = [[line.strip().partition(" = ") for line in part.splitlines()[1:]] for part in text.split("\n\n")]
        return [{name: value.strip('"') for name, _, value in part} for part in pairs if part]


@contextmanager
def running(place: Path, port: int, users: Mapping[str, str]) -> Iterator[RadiusServer]:
    """Passwords by user; accounting at the next port."""
    place.mkdir(mode=0o700)
    (place / "radiusd.conf").write_text(_CONFIG.format(place=place, secret=SECRET, port=port, acct=port + 1))
    (place / "dictionary").write_text(
        "$INCLUDE /usr/share/freeradius/dictionary\nATTRIBUTE Edge-Method 204 integer\n"
        "ATTRIBUTE Edge-Status 205 integer\nATTRIBUTE Edge-From-Tag 217 string\nATTRIBUTE Edge-To-Tag 218 string\n"
    )
    (place / "users").write_text("".join(f'{name} Cleartext-Password := "{word}"\n' for name, word in users.items()))
    with (place / "log").open("wb") as log:
        words = ["freeradius", "-d", str(place), "-n", "radiusd", "-f", "-x", "-l", "stdout"]
        process = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
    server = RadiusServer(place, process)
    try:
        lab.wait_for(lambda: "Ready to process requests" in server.log() or process.poll() is not None, 10, server.log)
        assert process.poll() is None, server.log()
        yield server
    finally:
        lab.end(process)
