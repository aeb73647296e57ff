"""Contradictions in TLS and WebSocket settings (J01 to J05)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from appliance.config.load import examine
from tests.appliance.sip_edge.certificates import Authority

HEAD = """
[sip]
listen = ["tls:127.0.0.1:5061", "udp:127.0.0.1:5060"]
certificate = "{one.chain}"
key = "{one.key}"
"""
CARRIER = """
[[trunks]]
name = "carrier"
match = ["192.0.2.1/32"]
destination = "sip:192.0.2.1:5061;transport=tls"
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def faults(authority: Authority, folder: Path, text: str, head: str = HEAD) -> list[str]:
    """What `srtpgw check` says."""
    one, other = authority.issue("one"), authority.issue("other")
    old = authority.issue("old", days=-1, since_days=-3)
    file = folder / "srtpgw.toml"
    file.write_text((head + text).format(one=one, other=other, old=old, ca=authority.file, crl=authority.revoke()))
    return [str(fault) for fault in examine([file], environment={}).faults]


def test_nothing_to_say(authority: Authority, tmp_path: Path) -> None:
    text = """client_ca = "{ca}"
[sip_tls]
crl = "{crl}"
verify_client = "optional"
[[sip_tls_domains]]
server_name = "a.example"
certificate = "{other.chain}"
key = "{other.key}"
[[sip_tls_peers]]
trunk = "carrier"
names = ["carrier.example"]
"""
    assert faults(authority, tmp_path, text + CARRIER) == []


DOMAIN = '[[sip_tls_domains]]\nserver_name = "a.example"\ncertificate = "{other.chain}"\nkey = "{other.key}"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[sip_tls]\nverify_client = "require"\n', "sip_tls.verify_client: needs sip.client_ca"),
        ('[sip_tls]\ncrl = "{crl}"\n', "sip_tls.crl: needs sip.client_ca"),
        (DOMAIN + DOMAIN, "a.example is already taken there"),
        (DOMAIN + 'listen = "tls:127.0.0.1:9"\n', "tls:127.0.0.1:9 is not in sip.listen"),
        (DOMAIN + 'listen = "udp:127.0.0.1:5060"\n', "udp:127.0.0.1:5060 has no TLS"),
        (DOMAIN + 'verify_client = "optional"\n', "verify_client: needs client_ca"),
        (DOMAIN + 'client_ca = "/nowhere"\n', "/nowhere is not there"),
        (DOMAIN.replace("other.key", "one.key"), "is not the key of the certificate"),
        (DOMAIN.replace("other.", "old."), "warning: .*expired on"),
        ('[[sip_tls_peers]]\ntrunk = "x"\n', "there is no trunk 'x'"),
        (CARRIER + '[[sip_tls_peers]]\ntrunk = "carrier"\nkey = "{one.key}"\n', "certificate: must be given too"),
        (CARRIER + '[[sip_tls_peers]]\ntrunk = "carrier"\nnames = ["a"]\n', "names: prove nothing without ca"),
        (CARRIER, "warning: .*no certificate is checked"),
        ('[sip_websocket]\norigins = ["phone.example"]\n', "is not an origin"),
    ],
)
def test_what_is_said(authority: Authority, tmp_path: Path, text: str, said: str) -> None:
    found = "\n".join(faults(authority, tmp_path, text))
    assert re.search(said, found), found


def test_websocket_in_the_clear(authority: Authority, tmp_path: Path) -> None:
    head = '[sip]\nlisten = ["ws:192.0.2.9:80"]\n'
    assert "in the clear" in "\n".join(faults(authority, tmp_path, "", head))


def test_a_trunk_is_not_called_over_websocket(authority: Authority, tmp_path: Path) -> None:
    head = '[sip]\nlisten = ["ws:127.0.0.1:80"]\n' + CARRIER + 'listen = "ws:127.0.0.1:80"\n'
    assert "nobody is called" in "\n".join(faults(authority, tmp_path, "", head))
