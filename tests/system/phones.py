"""Real telephones in the lab, without a screen or a sound card: they play a WAV file and record what they hear."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.system import lab as labs
from tests.system import sound
from tests.system.certificates import Authority

SIP, TLS = 5060, 5061  # baresip takes the port after sip_listen's for TLS
PLAYED_S = 15  # then from the start again

_BARESIP = """poll_method epoll
module_path /usr/lib/baresip/modules
sip_listen {address}:{sip}
{certificates}
call_local_timeout 60
call_max_calls 2
audio_source aufile,{folder}/played.wav
audio_player none,none
audio_alert none,none
ausrc_srate {rate}
auplay_srate {rate}
audio_level no
rtp_ports 43000-43498
snd_path {folder}
module g711.so
module aufile.so
module sndfile.so
module srtp.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
"""


@dataclass
class Baresip:
    """One baresip at the address of `role`. `mediaenc`: "" (RTP), srtp-mand (RTP/SAVP); `authority`: SIP over TLS."""

    lab: labs.Lab
    role: str
    seed: int
    mediaenc: str = ""
    authority: Authority | None = None
    codec: str = "pcmu"
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.folder = Path(self.lab.directory / f"baresip-{self.role}-{self.seed}")
        self.folder.mkdir(mode=0o700)
        self.played = sound.noise(PLAYED_S, self.seed)
        sound.write(self.folder / "played.wav", self.played)

    @property
    def address(self) -> str:
        return labs.ADDRESS[self.role]

    def start(self, seconds: float, *, dials: bool = False) -> Baresip:
        """Answers calls, or calls the gateway, for so long; then hangs up and ends."""
        certificates = ""
        if self.authority:
            own = self.authority.issue(self.address).together(self.folder / "own.pem")
            certificates = f"sip_certificate {own}\nsip_cafile {self.authority.own.chain}"
        (self.folder / "config").write_text(
            _BARESIP.format(address=self.address, sip=SIP, folder=self.folder, rate=sound.RATE,
                            certificates=certificates)
        )  # fmt: skip
        (self.folder / "accounts").write_text(self._account())
        (self.folder / "contacts").write_text("")
        words = ["baresip", "-f", str(self.folder), "-t", str(int(seconds))]
        self.process = self.lab.start(self.role, [*words, *(["-e", f"/dial {self._target()}"] if dials else [])],
                                      f"{self.folder.name}/log")  # fmt: skip
        labs.wait_for(lambda: "baresip is ready" in self.log(), 10, self.log)
        return self

    def finish(self) -> Baresip:
        self.process.wait(40)
        return self

    def heard(self) -> sound.Sound:
        (path,) = self.folder.glob("dump-*-dec.wav")
        return sound.read(path)

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def suite(self) -> str:
        """The suite of its SRTP; empty when it speaks RTP."""
        found = re.search(r"SRTP is Enabled \(cryptosuite=(\S+?)\)", self.log())
        return found[1] if found else ""

    def _account(self) -> str:
        encryption = f";mediaenc={self.mediaenc}" if self.mediaenc else ""
        return f"<sip:phone@{self._gateway()}>;regint=0;answermode=auto;audio_codecs={self.codec}/8000/1{encryption}\n"

    def _target(self) -> str:
        """A baresip takes calls for its own account's user only; the transport it adds by itself."""
        return f"sip:phone@{self._gateway().partition(';')[0]}"

    def _gateway(self) -> str:
        host = labs.GATEWAY[self.role]
        return f"{host}:{TLS};transport=tls" if self.authority else f"{host}:{SIP};transport=udp"


_LINPHONE = """[sip]
sip_port=-1
sip_tcp_port={tcp}
sip_tls_port={tls}
bind_address={address}
use_ipv6=0
media_encryption=srtp
media_encryption_mandatory=1
root_ca={authority}
register_only_when_network_is_up=0
guess_hostname=0
contact="phone" <sip:phone@{address}>
[net]
mtu=1300
[rtp]
audio_rtp_port=43500
download_ptime=20
[sound]
echocancellation=0
agc=0
[audio_codec_0]
mime=PCMU
rate=8000
channels=1
enabled=1
[misc]
log_level=1
"""


@dataclass
class Linphone:
    """One linphonec at the address of `role`: SDES; it calls over TLS and is called over TCP (it has no TLS server).
    Its console takes the commands."""

    lab: labs.Lab
    role: str
    seed: int
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="linphone-", dir=self.lab.directory))
        (self.folder / ".local/share/linphone").mkdir(mode=0o700, parents=True)
        self.played = sound.noise(PLAYED_S, self.seed)
        sound.write(self.folder / "played.wav", self.played)

    def start(self, authority: Authority | None) -> Linphone:
        rc = self.folder / "linphonerc"
        trusted = authority.own.chain if authority else ""
        rc.write_text(_LINPHONE.format(address=labs.ADDRESS[self.role], tcp=SIP, tls=TLS, authority=trusted))
        environment = {**os.environ, "HOME": str(self.folder), "TERM": "dumb"}
        words = ["linphonec", "-c", str(rc), "-a"]
        self.process = self.lab.start(
            self.role, words, f"{self.folder.name}/log", stdin=subprocess.PIPE, env=environment
        )
        labs.wait_for(lambda: "Ready" in self.log() or "linphonec>" in self.log(), 10, self.log)
        self.says("soundcard use files")
        self.says(f"play {self.folder}/played.wav")
        self.says(f"record {self.folder}/heard.wav")
        return self

    def call(self, uri: str = "") -> None:
        self.says(f"call {uri or f'sip:phone@{labs.GATEWAY[self.role]}:{TLS};transport=tls'}")

    def says(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\n".encode())
        self.process.stdin.flush()

    def finish(self) -> Linphone:
        """Hang up if need be, and end."""
        self.says("terminate")
        labs.wait_for(lambda: re.search(r"ended|No active calls", self.log()), 10, self.log)
        time.sleep(1)  # quit would not wait for the BYE that it has just queued
        self.says("quit")
        self.process.wait(15)
        return self

    def heard(self) -> sound.Sound:
        return sound.read(self.folder / "heard.wav")

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")
