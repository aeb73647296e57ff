"""Settings to Kamailio's TLS domains, and Kamailio's own opinion of them (J01 to J05, H14, H15)."""

from __future__ import annotations

import dataclasses
import stat
from pathlib import Path
from typing import Any

import pytest

from appliance.config.load import load
from appliance.config.schema import Settings
from appliance.sip_edge import from_settings, kamailio
from appliance.sip_edge.areas import tls
from appliance.sip_edge.edge_config import EdgeConfig
from tests.appliance.sip_edge.certificates import Authority

REFERENCE = "ALL:!ADH:!LOW:!EXP:!MD5:@STRENGTH"
SOCKET = "tls:127.0.0.1:29961"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def settings_with(authority: Authority, sip: dict[str, Any] | None = None, **tables: Any) -> Settings:
    made = load(environment={}).model_dump(mode="json")
    own = authority.issue("gateway", ["sip.example.org"])
    made["sip"] |= {"listen": [SOCKET], "certificate": own.chain, "key": own.key, **(sip or {})}
    return Settings(**{**made, **tables})


def edge_of(settings: Settings, run: Path) -> EdgeConfig:
    return dataclasses.replace(from_settings.edge_config(settings, run), user="")


def checked(settings: Settings, run: Path) -> tuple[str, str]:
    """(kamailio.cfg, tls.cfg) that Kamailio has taken."""
    edge = edge_of(settings, run)
    text = kamailio.prepare(edge).read_text()
    kamailio.check(edge)
    return text, (run / tls.CONFIG).read_text()


def section(text: str, title: str) -> dict[str, str]:
    body = text.split(f"[{title}]\n", 1)[1].split("\n[", 1)[0]
    return dict(line.split(" = ", 1) for line in body.splitlines() if line)


@pytest.mark.parametrize("verified", [False, True])
def test_tls_sockets_have_their_certificate(authority: Authority, tmp_path: Path, verified: bool) -> None:
    """J01, J05, H14, H15: sip.certificate, key, client_ca, versions and ciphers reach Kamailio, the files as private
    copies."""
    sip: dict[str, Any] = {"tls_versions": "tlsv1.2", "tls_ciphers": REFERENCE}
    sip |= {"client_ca": authority.file} if verified else {}
    settings = settings_with(authority, sip)
    text, domains = checked(settings, tmp_path / "sip")
    assert text.index('loadmodule "tls.so"') < text.index('loadmodule "tm.so"')
    default = section(domains, "server:default")
    assert default["method"] == "TLSv1.2"
    assert default["cipher_list"] == f'"{REFERENCE}"'
    assert default["require_certificate"] == ("yes" if verified else "no")
    assert ("ca_list" in default) == verified
    copied = Path(default["private_key"].strip('"'))
    assert copied.is_relative_to(tmp_path / "sip" / "tls")
    assert settings.sip.key and copied.read_bytes() == settings.sip.key.read_bytes()
    assert stat.S_IMODE(copied.stat().st_mode) == 0o600
    assert stat.S_IMODE(copied.parent.stat().st_mode) == 0o700


def test_without_tls_nothing_of_it(tmp_path: Path) -> None:
    edge = edge_of(load(environment={}), tmp_path / "sip")
    assert "tls.so" not in kamailio.prepare(edge).read_text()


def test_keys_are_wiped(authority: Authority, tmp_path: Path) -> None:
    """Keys do not outlive the edge, and are in no repr of its configuration."""
    edge = edge_of(settings_with(authority), tmp_path / "sip")
    kamailio.prepare(edge)
    copied = list((edge.run / "tls").iterdir())
    assert copied
    kamailio.wipe_files(copied)
    assert not list((edge.run / "tls").iterdir())
    kamailio.wipe_files(copied)  # also when nothing is there
    assert "PRIVATE KEY" not in repr(edge)


@pytest.mark.parametrize(
    ("word", "ca", "verify", "require"),
    [
        ("auto", True, "yes", "yes"), ("auto", False, "no", "no"), ("off", True, "no", "no"),
        ("optional", True, "yes", "no"), ("require", True, "yes", "yes"),
    ],
)  # fmt: skip
def test_client_verification(
    authority: Authority, tmp_path: Path, word: str, ca: bool, verify: str, require: str
) -> None:
    """J05: Kamailio's verify_certificate and require_certificate from one word."""
    settings = settings_with(authority, {"client_ca": authority.file} if ca else {}, sip_tls={"verify_client": word})
    text = tls.tls_cfg(tls.domains(settings), settings, tmp_path)
    default = section(text, "server:default")
    assert (default["verify_certificate"], default["require_certificate"]) == (verify, require)


def test_domains_by_server_name(authority: Authority, tmp_path: Path) -> None:
    """J04: a certificate per name, everywhere or on one socket; every address with names has the default one last."""
    one, two = authority.issue("one.example.org"), authority.issue("two.example.org")
    rows = [
        {"server_name": "One.example.org", "certificate": one.chain, "key": one.key},
        {"server_name": "*.two.example.org", "listen": SOCKET, "certificate": two.chain, "key": two.key,
         "client_ca": authority.file, "crl": authority.revoke(), "tls_ciphers": "HIGH"},
    ]  # fmt: skip
    _, text = checked(settings_with(authority, sip_tls_domains=rows), tmp_path / "sip")
    assert section(text, "server:any")["server_name"] == '"one.example.org"'
    two_first, default_last = text.split("[server:127.0.0.1:29961]\n")[1:]
    assert 'server_name = "two.example.org"\nserver_name_mode = 2' in two_first
    assert "require_certificate = yes" in two_first and "crl = " in two_first and 'cipher_list = "HIGH"' in two_first
    assert f'server_name = "{tls.DEFAULT_NAME}"' in default_last and "require_certificate = no" in default_last


def test_a_trunk_has_its_own_way_to_connect(authority: Authority, tmp_path: Path) -> None:
    """J01: client certificate, authority and names of one trunk."""
    own = authority.issue("us")
    trunks = [{"name": "carrier", "match": ["192.0.2.0/24"], "destination": "sip:192.0.2.1:5061;transport=tls"}]
    peers = [{"trunk": "carrier", "server_name": "sbc.example.net", "ca": authority.file, "names": ["sbc.example.net"],
              "certificate": own.chain, "key": own.key}]  # fmt: skip
    settings = settings_with(authority, trunks=trunks, sip_tls_peers=peers)
    _, text = checked(settings, tmp_path / "sip")
    domain = section(text, "client:any")
    assert domain["server_id"] == '"carrier"'
    assert domain["verify_certificate"] == domain["require_certificate"] == "yes"
    assert Path(domain["private_key"].strip('"')).read_bytes() == own.key.read_bytes()
    assert section(text, "client:default")["verify_certificate"] == "no"
    (peer,) = edge_of(settings, tmp_path / "sip").table.tls.peers
    assert (peer.trunk, peer.server_name, peer.names) == ("carrier", "sbc.example.net", ("sbc.example.net",))


def test_versions_that_kamailio_has_no_word_for(authority: Authority, tmp_path: Path) -> None:
    """J02: TLS 1.3 alone is said by OpenSSL's own configuration."""
    settings = settings_with(authority, {"tls_versions": "tlsv1.3"})
    edge = edge_of(settings, tmp_path / "sip")
    kamailio.prepare(edge)
    assert f"OPENSSL_CONF={edge.run}/openssl.cnf" in kamailio.command(edge)
    assert "MinProtocol = TLSv1.3" in (edge.run / "openssl.cnf").read_text()
    kamailio.check(edge)


def test_ws_sockets_are_tcp_and_tls_to_the_core(authority: Authority, tmp_path: Path) -> None:
    """RFC 7118: Kamailio's core has no ws or wss in `listen`."""
    listen = ["ws:127.0.0.1:29962", "wss:127.0.0.1:29963", "udp:127.0.0.1:29964"]
    settings = settings_with(authority, {"listen": listen}, sip_websocket={"origins": ["https://A.example/"]})
    text, _ = checked(settings, tmp_path / "sip")
    assert "listen=udp:127.0.0.1:29964\nlisten=tcp:127.0.0.1:29962\nlisten=tls:127.0.0.1:29963\n" in text
    rules = edge_of(settings, tmp_path / "sip").table.websocket
    assert rules.sockets == ("127.0.0.1:29962", "127.0.0.1:29963")
    assert rules.origins == ("https://a.example",)


@pytest.mark.parametrize("name", ["192.0.2.1", "a_b.example", "*", "-a.example", "a..b"])
def test_a_server_name_is_a_host_name(authority: Authority, name: str) -> None:
    """RFC 6066 section 3."""
    with pytest.raises(ValueError, match="host name"):
        settings_with(authority, sip_tls_domains=[{"server_name": name, "certificate": "/c", "key": "/k"}])
