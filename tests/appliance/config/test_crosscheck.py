# ruff: noqa: E501 - tables of one row per case
"""Settings that contradict each other: one row per rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.config.load import examine

QUIET = "[sip]\nenabled = false\n"

ERRORS = [
    ("[media]\nports = '30001-39999'\n", "media.ports: must begin with an even port"),
    ("[media]\nports = '30000-39998'\n", "media.ports: must end with an odd port"),
    ("[media]\nports = '30000-30005'\ncores = [0, 1]\n", "media.ports: has 6 ports for 2 worker(s)"),
    ("[media]\ncores = []\n", "media.cores: is empty"),
    ("[media]\ncores = [1, 1]\n", "media.cores: names a core twice"),
    ("[media]\ncores = [-1]\n", "media.cores: cores are numbered from 0"),
    ("[[interfaces]]\nname='a'\naddress='127.0.0.1'\n[[interfaces]]\nname='b'\naddress='127.0.0.1'\n",
     "interfaces[1].address: 127.0.0.1 is also the address of 'a'"),
    ("[[interfaces]]\nname='a'\naddress='0.0.0.0'\n", "interfaces[0].address: must be one address"),
    ("[[trunks]]\nname='a'\ninterface='dmz'\n", "trunks[0].interface: there is no interface 'dmz'"),
    ("[[trunks]]\nname='a'\nlisten='udp:127.0.0.1:5099'\n", "trunks[0].listen: udp:127.0.0.1:5099 is not in sip.listen"),
    ("[[trunks]]\nname='a'\nmatch=['10.0.0.0/8']\ndestination='sip:10.0.0.1'\n[[trunks]]\nname='b'\nmatch=['10.0.0.0/8']\n"
     "destination='sip:10.0.0.2'\n", "trunks[1].match: 10.0.0.0/8 already belongs to trunk 'a'"),
    ("[ng]\nlisten=['10.0.0.1:2223']\n", "ng.listen[0]: 10.0.0.1:2223 is not loopback and ng.allow lets nobody else in"),
    ("[ng]\nlisten=['0.0.0.0:2223']\nallow=['0.0.0.0/0']\n", "ng.allow: 0.0.0.0/0 lets everybody command the gateway"),
    ("[ng]\nlisten=[]\n[sip]\nenabled=true\n", "ng.listen: the SIP edge needs NG"),
    ("[grpc]\nlisten='127.0.0.1:24100'\nkey='/dev/null'\ncertificate='/dev/null'\n", "grpc.client_ca: must be given"),
    ("[sip]\nenabled=true\nlisten=['tls:127.0.0.1:5061']\n", "sip.certificate: must be given with sip.listen tls:"),
    ("[sip]\ncertificate='/nowhere/x.pem'\nenabled=false\n", "sip.certificate: /nowhere/x.pem is not there"),
    ("[ng]\nlisten=['127.0.0.1:2223', '127.0.0.1:2223']\n", "ng.listen[1]: udp 127.0.0.1:2223 is already used by ng.listen"),
    ("[ng]\nlisten=['127.0.0.1:5060']\n[sip]\nenabled=true\n", "sip.listen[0]: udp 127.0.0.1:5060 is already used by ng.listen"),
    ("[sip]\nenabled=true\nlisten=['tcp:0.0.0.0:9090']\n[http]\nlisten='127.0.0.1:9090'\n",
     "http.listen: tcp 127.0.0.1:9090 is already used by sip.listen"),
    ("[ng]\nlisten=['127.0.0.1:30100']\n", "ng.listen[0]: 127.0.0.1:30100 lies in media.ports 30000-39999"),
    # P08: an interface's own ports, and two interfaces that would open the same ones
    ("[[interfaces]]\nname='a'\naddress='127.0.0.1'\nports='40001-40999'\n",
     "interfaces[0].ports: must begin with an even port"),
    ("[media]\ncores=[0, 1]\n[[interfaces]]\nname='a'\naddress='127.0.0.1'\nports='40000-40005'\n",
     "interfaces[0].ports: has 6 ports for 2 worker(s)"),
    ("[[interfaces]]\nname='a'\naddress='127.0.0.1'\nports='2222-2299'\n[ng]\nlisten=['127.0.0.1:2224']\n",
     "ng.listen[0]: 127.0.0.1:2224 lies in interfaces[0].ports 2222-2299"),
    ("[[interfaces]]\nname='a'\naddress='127.0.0.1'\nports='40000-40999'\n"
     "[[interfaces]]\nname='b'\naddress='127.0.0.1'\nports='40500-41999'\n",
     "interfaces[1].address: 127.0.0.1 is also the address of 'a'"),
]  # fmt: skip

ERRORS += [
    ("[sip]\nenabled=false\ntls_versions='tlsv1,tlsv1.1,tlsv1.2'\n",  # H14
     "sip.tls_versions: tlsv1, tlsv1.1: forbidden by RFC 8996 (sip.allow_legacy_tls = true"),
]  # fmt: skip
WARNINGS = [
    ("[media]\nports = '30000-30399'\ncalls = 5000\n", "media.ports: has room for 100 calls of the 5000"),
    ("[[trunks]]\nname='a'\nmatch=['10.0.0.0/8']\n", "trunks[0]: calls from 'a' go nowhere"),
    ("[[trunks]]\nname='a'\nallow_null_auth=true\n", "trunks[0].allow_null_auth: weakens the media of this trunk"),
    ("[[trunks]]\nname='a'\nsdes_over_cleartext='allow'\n",  # SDES-23
     "trunks[0].sdes_over_cleartext: SDES keys of this trunk may be sent in the clear"),
    ("[[trunks]]\nname='a'\nrtp_secure_media='optional:AEAD_AES_256_GCM,AEAD_AES_256_GCM_8'\n",  # B10, trap 3
     "trunks[0].rtp_secure_media: names AEAD_AES_256_GCM_8: an 8-octet AEAD tag is no SRTP standard"),
    ("[[trunks]]\nname='a'\nrtp_secure_media_suites='AES_CM_128_NULL_AUTH'\n",  # B17
     "trunks[0].rtp_secure_media_suites: names AES_CM_128_NULL_AUTH: SRTP without authentication"),
    ("[security]\nlog_srtp_keys='/tmp/keys'\n", "security.log_srtp_keys: every SRTP key is written to /tmp/keys"),  # C11
    ("[security]\nallow_null_cipher=true\n", "security.allow_null_cipher: weakens the media of every call"),
    ("[security]\nsdes_requires_tls=false\n[sip]\nenabled=true\nlisten=['udp:192.0.2.1:5060']\n",
     "security.sdes_requires_tls: SDES keys may be sent in the clear over udp:192.0.2.1:5060"),
]  # fmt: skip


def _found(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "x.toml"
    path.write_text(text if "[sip]" in text else text + QUIET)
    return [str(fault) for fault in examine([path], {}).faults]


@pytest.mark.parametrize(("text", "words"), ERRORS)
def test_contradiction_is_an_error(tmp_path: Path, text: str, words: str) -> None:
    assert any(f"error: {words}" in fault for fault in _found(tmp_path, text)), _found(tmp_path, text)


@pytest.mark.parametrize(("text", "words"), WARNINGS)
def test_doubt_is_a_warning_and_it_starts(tmp_path: Path, text: str, words: str) -> None:
    found = _found(tmp_path, text)
    assert any(f"warning: {words}" in fault for fault in found), found
    assert not any(": error: " in fault for fault in found)


def test_key_that_everybody_can_read(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("")
    key.chmod(0o644)
    text = f"[sip]\nenabled=false\nkey='{key}'\n"
    assert any("can be read by everybody" in fault for fault in _found(tmp_path, text))
    key.chmod(0o640)
    assert _found(tmp_path, text) == []


def test_same_port_of_other_transport_or_address_is_fine(tmp_path: Path) -> None:
    text = "[sip]\nlisten=['udp:127.0.0.1:5060','tcp:127.0.0.1:5060','udp:127.0.0.2:5060','udp:[::1]:5060']\n"
    assert _found(tmp_path, text) == []


def test_ng_outside_with_an_allow_list_is_fine(tmp_path: Path) -> None:
    assert _found(tmp_path, "[ng]\nlisten=['10.0.0.1:2223']\nallow=['10.0.0.0/24']\n") == []
