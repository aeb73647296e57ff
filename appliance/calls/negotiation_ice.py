"""ICE on one leg of one stream: what a peer's m-line says of it, what ours says, and when the session is restarted
(RFC 8445, RFC 8839). Pure; randomness is handed in."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace

from appliance.calls.media import IceCredentials, IceMedia, LocalPorts
from appliance.policy.options import Ice, MediaOptions
from appliance.protocols.sdp.description import Description, Media
from appliance.values import frozen

Random = Callable[[int], bytes]

UFRAG_OCTETS, PWD_OCTETS = 6, 18  # 48 and 144 bits; RFC 8445 section 5.3 wants 24 and 128
MOST_CANDIDATES = 100  # pairs that an agent checks at most (RFC 8445 section 6.1.2.5)
_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}\Z")
_PWD = re.compile(r"[A-Za-z0-9+/]{22,256}\Z")
HOST_PREFERENCE = 126  # RFC 8445 section 5.1.2.2


@frozen
class Said:
    """What a peer's m-line says of ICE."""

    credentials: IceCredentials
    lite: bool = False
    trickle: bool = False
    candidates: tuple[str, ...] = ()
    complete: bool = True


@frozen
class IceLine:
    """ICE on one leg of one stream."""

    session: IceMedia
    peer_lite: bool = False
    trickle: bool = False  # our SDP says that candidates may come later

    def media(self) -> IceMedia | None:
        """None where both are lite: nobody would ever check, media goes to the addresses of the SDP."""
        return None if self.session.lite and self.peer_lite else self.session


def read(sdp: Description, media: Media) -> Said | None:
    """None where there is no ICE, or none that checks could be made with; `ice-mismatch` in an answer: an ALG has put
    another address into our offer, and the peer does without (RFC 8839 section 5.3). Read with tolerance: `ice-lite`
    of an m-line, spaces, commas between options."""
    ufrag, pwd = ((sdp.attribute(media, name) or "").strip() for name in ("ice-ufrag", "ice-pwd"))
    if not _UFRAG.match(ufrag) or not _PWD.match(pwd) or media.has("ice-mismatch"):
        return None
    said = [*media.attributes("ice-options"), *sdp.session.attributes("ice-options")]
    trickle = any("trickle" in options.lower().replace(",", " ").split() for options in said)
    ended = media.has("end-of-candidates") or sdp.session.has("end-of-candidates")
    return Said(
        IceCredentials(ufrag, pwd),
        sdp.session.has("ice-lite") or media.has("ice-lite"),
        trickle,
        tuple(media.attributes("candidate")[:MOST_CANDIDATES]),
        ended or not trickle,
    )


def offered(said: Said, options: MediaOptions, old: IceLine | None, moved: bool, random: Random) -> IceLine:
    """Our answer to an offer with ICE. The peer's new credentials restart it (RFC 8445 section 9), and so does `moved`:
    our own ports are others."""
    if old is not None and not moved and old.session.remote in (None, said.credentials):
        session = replace(
            old.session, remote=said.credentials, candidates=said.candidates, complete=said.complete
        )  # fmt: skip
        return IceLine(session, said.lite, said.trickle)
    lite = options.ice_lite in ("backward", "both") or not (options.ice_lite == "off" or said.lite)
    session = IceMedia(
        _credentials(random), said.credentials, lite,
        controlling=_role(old, lite, said.lite, said.lite and not lite),  # the offerer is, unless it is lite
        earlier=(old.session.local,) if old is not None else (),
        candidates=said.candidates, complete=said.complete,
    )  # fmt: skip
    return IceLine(session, said.lite, said.trickle)


def wanted(options: MediaOptions, offered: bool, known: bool, old: IceLine | None) -> bool:
    """Do we offer ICE? `offered`: this side does; `known`: the other leg has said by now whether it can (rtpengine's
    rule: one that answered without is not asked again)."""
    if options.ice is Ice.REMOVE:
        return False
    if known:
        return old is not None
    return offered or options.ice in (Ice.FORCE, Ice.OPTIONAL)


def ours(options: MediaOptions, old: IceLine | None, moved: bool, random: Random) -> IceLine:
    """Our offer. It is no restart unless our own ports are others."""
    if old is not None and not moved:
        return replace(old, trickle=options.trickle)
    lite = options.ice_lite != "off"
    earlier = (old.session.local,) if old is not None else ()
    remote = old.session.remote if old is not None else None
    controlling = _role(old, lite, old is not None and old.peer_lite, not lite)
    session = IceMedia(_credentials(random), remote, lite, controlling, earlier, complete=False)
    return IceLine(session, trickle=options.trickle)


def _role(old: IceLine | None, lite: bool, peer_lite: bool, first: bool) -> bool:
    """Who controls is settled by the first offer (`first`). A restart, whoever offers it, changes that only where one
    of both becomes lite or full (RFC 8445 section 6.1.1)."""
    kept = old is not None and (old.session.lite, old.peer_lite) == (lite, peer_lite)
    return old.session.controlling if kept and old is not None else first


def answered(line: IceLine, said: Said | None) -> IceLine | None:
    """Our offer after its answer; None: the peer does without."""
    if said is None:
        return None
    session = replace(line.session, remote=said.credentials, candidates=said.candidates, complete=said.complete)
    if said.lite and not session.lite:
        session = replace(session, controlling=True)
    return replace(line, session=session, peer_lite=said.lite)


def attributes(line: IceLine, ports: LocalPorts, host: str, *, mux: bool) -> list[str]:
    """Of our m-line: one host candidate for each component (ICE-1), none to follow. `mux`: there is one component."""
    session = line.session
    said = [
        f"ice-ufrag:{session.local.ufrag}", f"ice-pwd:{session.local.pwd}",
        f"ice-options:{'trickle ' if line.trickle else ''}ice2",
    ]  # fmt: skip
    said += [_host(component, host, port) for component, port in ((1, ports.rtp), (2, ports.rtcp))[: 1 if mux else 2]]
    return [*said, "end-of-candidates"]


def _host(component: int, host: str, port: int) -> str:
    priority = (HOST_PREFERENCE << 24) + (65535 << 8) + 256 - component
    return f"candidate:1 {component} UDP {priority} {host} {port} typ host"


def _credentials(random: Random) -> IceCredentials:
    return IceCredentials(b64encode(random(UFRAG_OCTETS)).decode(), b64encode(random(PWD_OCTETS)).decode())
