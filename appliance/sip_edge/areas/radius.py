"""Kamailio's modules auth_radius and acc_radius, and the files that their library (radcli) reads (rows J10, J12).

radcli finds attributes by name in a dictionary of ours. The names are those that Kamailio's modules ask for; by the
numbers of the digest attributes they leave as the draft has them that the modules were written after, which is what
FreeRADIUS understands (radcli packs numbers from 1063 on into Digest-Attributes, 207), or as RFC 5090 has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from appliance.config.schema import Settings
from appliance.config.types import HostPort
from appliance.sip_edge.areas.area import Area, MissingModule, Places, Value
from appliance.sip_edge.ksr.rules.radius import ACCOUNTED, RadiusRules
from appliance.sip_edge.secret_file import own_secret

FOLDER = "radius"
CONFIG, SERVERS, DICTIONARY = f"{FOLDER}/client.conf", f"{FOLDER}/servers", f"{FOLDER}/dictionary"
SECRET_FILE = "radius-nonce.key"
NOBODY = "127.0.0.1:9"  # radcli wants a server of each kind; this one is never asked

_STRING, _INTEGER, _ADDRESS, _TIME = "string", "integer", "ipv4addr", "date"
ATTRIBUTES: tuple[tuple[str, int, str], ...] = (
    ("User-Name", 1, _STRING), ("NAS-IP-Address", 4, _ADDRESS), ("NAS-Port", 5, _INTEGER),  # RFC 2865
    ("Service-Type", 6, _INTEGER), ("Reply-Message", 18, _STRING), ("Called-Station-Id", 30, _STRING),
    ("Calling-Station-Id", 31, _STRING), ("NAS-Identifier", 32, _STRING),
    ("Acct-Status-Type", 40, _INTEGER), ("Acct-Delay-Time", 41, _INTEGER), ("Acct-Session-Id", 44, _STRING),  # RFC 2866
    ("Event-Timestamp", 55, _TIME),  # RFC 2869
    ("Sip-Method", 204, _INTEGER), ("Sip-Response-Code", 205, _INTEGER), ("Sip-Uri-User", 208, _STRING),  # Kamailio's
    ("Sip-URI-User", 208, _STRING), ("Sip-From-Tag", 217, _STRING), ("Sip-To-Tag", 218, _STRING),
    ("SIP-AVP", 225, _STRING),
)  # fmt: skip
DIGEST = {  # in the order of their numbers: draft-sterman-aaa-sip-00 within 207 (1063 and up), RFC 5090
    "draft": dict(Response=206, Realm=1063, Nonce=1064, Method=1065, URI=1066, QOP=1067, Algorithm=1068,
                  **{"Body-Digest": 1069, "CNonce": 1070, "Nonce-Count": 1071, "User-Name": 1072}),
    "rfc5090": dict(Response=103, Realm=104, Nonce=105, Method=108, URI=109, QOP=110, Algorithm=111,
                    **{"Body-Digest": 112, "CNonce": 113, "Nonce-Count": 114, "User-Name": 115}),
}  # fmt: skip
VALUES = (
    ("Service-Type", "Sip-Session", 15), ("Service-Type", "SIP", 15),
    ("Acct-Status-Type", "Start", 1), ("Acct-Status-Type", "Stop", 2), ("Acct-Status-Type", "Alive", 3),
    ("Acct-Status-Type", "Failed", 15),
)  # fmt: skip


def area(settings: Settings, places: Places) -> Area:
    """Nothing when no server is named. MissingModule; OSError: the secret cannot be read."""
    ours = settings.sip_radius
    if not (ours.servers or ours.accounting):
        return Area()
    if not (places.modules / "auth_radius.so").exists():
        raise MissingModule("sip_radius: install kamailio-radius-modules")
    secret = ours.secret_file.read_text().strip() if ours.secret_file else ""
    hosts = dict.fromkeys(HostPort.parse(name).host for name in (*ours.servers, *ours.accounting))
    passwords = ("auth", "auth_radius") if ours.servers else ()
    return Area(
        modules=(*passwords, *(("acc", "acc_radius") if ours.accounting else ())),
        parameters=tuple(_parameters(settings, places.run)),
        files={
            CONFIG: "\n".join(_client(settings, places.run)) + "\n",
            SERVERS: "".join(f"{host} {secret}\n" for host in hosts),
            DICTIONARY: dictionary(ours.digest),
        },
    )


def rules(settings: Settings) -> RadiusRules:
    ours = settings.sip_radius
    silent = (len(ours.servers) * ours.tries - 0.5) * ours.timeout_s
    return RadiusRules(bool(ours.servers), bool(ours.accounting), silent)


def dictionary(digest: str) -> str:
    """As radcli reads it; `digest`: draft, rfc5090."""
    lines = [f"ATTRIBUTE {name} {number} {kind}" for name, number, kind in ATTRIBUTES]
    lines += [f"ATTRIBUTE Digest-{name} {number} {_STRING}" for name, number in DIGEST[digest].items()]
    return "\n".join((*lines, *(f"VALUE {name} {word} {number}" for name, word, number in VALUES))) + "\n"


def _client(settings: Settings, run: Path) -> Iterator[str]:
    ours = settings.sip_radius
    yield from (f"authserver {name}" for name in ours.servers or (NOBODY,))
    yield from (f"acctserver {name}" for name in ours.accounting or (NOBODY,))
    yield f"servers {run / SERVERS}"
    yield f"dictionary {run / DICTIONARY}"
    yield "default_realm"
    yield f"radius_timeout {ours.timeout_s}"
    yield f"radius_retries {ours.tries - 1}"
    yield "bindaddr *"


def _parameters(settings: Settings, run: Path) -> Iterator[tuple[str, str, Value]]:
    ours = settings.sip_radius
    if ours.servers:
        yield "auth", "secret", own_secret(run / SECRET_FILE)
        yield "auth", "nonce_expire", settings.sip_auth.nonce_expire_s
        yield "auth", "nonce_count", 1
        yield "auth", "qop", "auth"
        yield "auth_radius", "radius_config", str(run / CONFIG)
        yield "auth_radius", "append_realm_to_username", 0
    if ours.accounting:
        yield "acc", "report_cancels", 1
        yield "acc_radius", "radius_config", str(run / CONFIG)
        yield "acc_radius", "radius_extra", "User-Name=$fU;Calling-Station-Id=$fu;Called-Station-Id=$ou"
        yield "acc_radius", "radius_flag", ACCOUNTED
        yield "acc_radius", "radius_missed_flag", ACCOUNTED
