# ruff: noqa: E501 - tables of one row per case
"""Files, environment and command line: order, places, and every mistake by name and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.config.faults import ConfigError, Severity
from appliance.config.load import examine, load
from appliance.config.sources import SYSTEM, files
from appliance.config.types import PortRange

GOOD = """\
[media]
ports = "40000-40999"
calls = 100

[[interfaces]]
name = "inside"
address = "127.0.0.1"

[[trunks]]
name = "pbx"
interface = "inside"
destination = "sip:127.0.0.9"
"""


def _file(folder: Path, text: str, name: str = "srtpgw.toml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def _faults(path: Path, environment: dict[str, str] | None = None) -> list[str]:
    return [str(fault).replace(str(path.parent) + "/", "") for fault in examine([path], environment or {}).faults]


def test_embedded_default_is_loopback_only_and_without_faults() -> None:
    """DESIGN section 9: what starts without a file must not be reachable from elsewhere."""
    if files():
        pytest.skip(f"this machine has {SYSTEM}")
    loaded = examine((), {})
    assert loaded.faults == ()
    settings = loaded.settings
    assert settings is not None
    assert all(interface.address == "127.0.0.1" for interface in settings.interfaces)
    assert all(listen.loopback for listen in settings.ng.listen)
    assert all(listen.at.loopback for listen in settings.sip.listen)
    assert settings.grpc.listen is None and settings.http.listen is None


def test_built_in_security_is_the_strict_one() -> None:
    security = load([_nothing()], {}).security
    assert security.sdes_requires_tls
    assert not (security.allow_null_auth or security.allow_null_cipher or security.allow_gcm_8)


def _nothing() -> Path:
    return Path("/dev/null")


def test_order_file_drop_in_environment_command_line(tmp_path: Path) -> None:
    _file(tmp_path, GOOD)
    _file(tmp_path / "conf.d", "[media]\ncalls = 101\n[log]\nlevel = 'debug'", "10-more.toml")
    _file(tmp_path / "conf.d", "[media]\ncalls = 102\nlearning_s = 1", "20-more.toml")
    assert load([tmp_path], {}).media.calls == 102
    environment = {"SRTPGW_MEDIA__CALLS": "103", "SRTPGW_MEDIA__LEARNING_S": "2"}
    assert load([tmp_path], environment).media.calls == 103
    settings = load([tmp_path], environment, {"media": {"calls": 104}})
    assert (settings.media.calls, settings.media.learning_s, settings.log.level) == (104, 2, "debug")
    assert settings.media.ports == PortRange(40000, 40999)


def test_drop_in_adds_to_a_trunk_by_name_and_brings_its_own(tmp_path: Path) -> None:
    _file(tmp_path, GOOD)
    more = "[[trunks]]\nname = 'pbx'\nsdes_padding = false\n[[trunks]]\nname = 'new'\ninterface = 'nowhere'\n"
    drop_in = _file(tmp_path / "conf.d", more, "50-trunks.toml")
    loaded = examine([tmp_path], {})
    assert loaded.settings is not None
    assert [trunk.name for trunk in loaded.settings.trunks] == ["pbx", "new"]
    assert loaded.settings.trunks[0].destination == "sip:127.0.0.9" and not loaded.settings.trunks[0].sdes_padding
    (fault,) = loaded.errors
    assert (fault.place.source, fault.place.line, fault.key) == (str(drop_in), 6, "trunks[1].interface")


def test_environment_words_lists_and_json() -> None:
    environment = {
        "SRTPGW_MEDIA__CORES": "[1, 2]",
        "SRTPGW_NG__LISTEN": "127.0.0.1:24100, [::1]:24100",
        "SRTPGW_SIP__LISTEN": '["udp:127.0.0.1:24101"]',
        "SRTPGW_HTTP__LISTEN": "127.0.0.1:24102",
        "SRTPGW_SIP__ENABLED": "false",
        "SRTPGW_SOCKET": "/not/a/setting",
        "UNRELATED": "1",
    }
    settings = load([_nothing()], environment)
    assert settings.media.cores == (1, 2)
    assert [str(listen) for listen in settings.ng.listen] == ["127.0.0.1:24100", "[::1]:24100"]
    assert [str(listen) for listen in settings.sip.listen] == ["udp:127.0.0.1:24101"]
    assert str(settings.http.listen) == "127.0.0.1:24102"
    assert not settings.sip.enabled


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SRTPGW_MEDIAS__CALLS", "1", "names no setting"),
        ("SRTPGW_MEDIA__CALS", "1", "media.cals: unknown key (did you mean calls?)"),
        ("SRTPGW_MEDIA__CALLS", "many", "media.calls: "),
        ("SRTPGW_TRUNKS", "[{", "trunks"),
    ],
)
def test_mistake_in_the_environment_names_the_variable(name: str, value: str, words: str) -> None:
    faults = [str(fault) for fault in examine([_nothing()], {name: value}).faults]
    assert len(faults) == 1
    assert faults[0].startswith("environment") and words in faults[0]
    if "TRUNKS" not in name:
        assert name in faults[0]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[media]\nports = '40000-40999'\nprots = 1\n", "srtpgw.toml:3: error: media.prots: unknown key (did you mean ports?)"),
        ("\n[meida]\ncalls = 1\n", "srtpgw.toml:2: error: meida: unknown key (did you mean media?)"),
        ("nothing = 1\n", "srtpgw.toml:1: error: nothing: unknown key (known here: media, "),
        ("[[interfaces]]\naddress = '127.0.0.1'\nadress = 'x'\n", "srtpgw.toml:3: error: interfaces[0].adress: unknown key"),
        (
            GOOD + "\n[[trunks]]\nname = 'b'\nrtp_secure_mdia = 'optional'\n",
            "srtpgw.toml:16: error: trunks[1].rtp_secure_mdia: unknown key (did you mean rtp_secure_media?)",
        ),
        ("[grpc]\nlisten = ''\ntls = false\n", "srtpgw.toml:3: error: grpc.tls: unknown key"),
        ("[media]\nports = [\n", "srtpgw.toml:3: error: is not TOML: "),
        ("[media]\ncalls = 1\ncalls = 2\n", "srtpgw.toml:3: error: is not TOML: "),
        ("[media]\nbackend = 'dpdk'\n", "srtpgw.toml:2: error: media.backend: Input should be 'auto', 'udp', 'udp-sockets', 'udp-wildcard' or 'xdp'"),
        ("[media]\nreplay_window = 100\n", "srtpgw.toml:2: error: media.replay_window: must be a power of two"),
        ("[media]\nports = '1-2'\n", "srtpgw.toml:2: error: media.ports: '1-2': ports must rise"),
        ("[ng]\nlisten = [\n'127.0.0.1:24100',\n'localhost:1']\n", "srtpgw.toml:4: error: ng.listen[1]: 'localhost' is not an IPv4"),
        ("[ng]\nallow = ['10.0.0.1/8']\n", "srtpgw.toml:2: error: ng.allow[0]: not a network such as 192.0.2.0/24: "),
        ("[sip]\nlisten = ['sctp:127.0.0.1:5060']\n", "srtpgw.toml:2: error: sip.listen[0]: 'sctp:127.0.0.1:5060' does not begin"),
        ("[[interfaces]]\nname = 'x'\n", "srtpgw.toml:1: error: interfaces[0].address: must be given"),
        ("[[trunks]]\nname = 'a b'\n", "srtpgw.toml:2: error: trunks[0].name: holds characters"),
        ("[[trunks]]\nname = 'a'\nrtp_secure_media = 'mandatory:AES_X'\n", "srtpgw.toml:3: error: trunks[0].rtp_secure_media: unknown crypto suite 'AES_X'"),
        ("[[trunks]]\nname = 'a'\nvbr = 'pad'\n", "srtpgw.toml:3: error: trunks[0].vbr: padding payloads to one length (RFC 6562 section 5) is not"),
        ("[security]\nvbr = 'pad'\n", "srtpgw.toml:2: error: security.vbr: padding payloads to one length"),
        ("[sip]\ntls_versions = 'sslv3'\n", "srtpgw.toml:2: error: sip.tls_versions: sslv3 is refused"),
        ("[sip]\ntls_ciphers = 'NONSENSE'\n", "srtpgw.toml:2: error: sip.tls_ciphers: 'NONSENSE' names no cipher"),
        ("[[trunks]]\nname = 'a'\nsecure_out_when_secure_in = 'AES_CM_127'\n", "srtpgw.toml:3: error: trunks[0].secure_out_when_secure_in: "),
        ("[[trunks]]\nname = 'a'\nrtp_secure_media_inbound = 'perhaps'\n", "srtpgw.toml:3: error: trunks[0].rtp_secure_media_inbound: "),
        ("[[trunks]]\nname = 'a'\nrtp_secure_media_suites = 'NO'\n", "srtpgw.toml:3: error: trunks[0].rtp_secure_media_suites: "),
        ("[[trunks]]\nname = 'a'\ndestination = 'tel:1'\n", "srtpgw.toml:3: error: trunks[0].destination: 'tel:1' is not a SIP URI"),
        ("media = 1\n", "srtpgw.toml:1: error: media: must be a table"),
    ],
)  # fmt: skip
def test_mistake_names_file_line_key_and_hint(tmp_path: Path, text: str, fault: str) -> None:
    found = _faults(_file(tmp_path, text))
    assert len(found) == 1
    assert found[0].startswith(fault)


def test_every_mistake_at_once_in_the_order_of_lines(tmp_path: Path) -> None:
    path = _file(tmp_path, "[media]\ncalls = 0\nx = 1\n[ng]\ny = 1\n[log]\nlevel = 'loud'\n")
    assert [fault.place.line for fault in examine([path], {}).faults] == [2, 3, 5, 7]
    with pytest.raises(ConfigError) as caught:
        load([path], {})
    assert len(caught.value.faults) == 4 and "media.calls" in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        "mandatory:AEAD_AES_256_GCM_8,AES_CM_128_HMAC_SHA1_80",
        "true:AEAD_AES_256_GCM_8,AES_256_CM_HMAC_SHA1_80",
        "optional:AES_CM_256_HMAC_SHA1_80",
        "optional:AES_CM_256_HMAC_SHA1_80:AES_CM_128_HMAC_SHA1_80",
        "forbidden",
        "false",
    ],
)
def test_secure_media_words_are_taken_verbatim(tmp_path: Path, value: str) -> None:
    """H01-H08: FreeSWITCH's words, either separator and either spelling."""
    path = _file(tmp_path, f"[[trunks]]\nname = 'a'\nrtp_secure_media = '{value}'\n")
    assert load([path], {}).trunks[0].rtp_secure_media == value


def test_missing_and_unreadable_files_are_faults(tmp_path: Path) -> None:
    (fault,) = examine([tmp_path / "none.toml"], {}).errors
    assert "cannot be read: No such file" in fault.message
    (fault,) = examine([tmp_path], {}).errors  # an empty directory is not silently the embedded default
    assert fault.place.source.endswith("srtpgw.toml")
    (tmp_path / "latin.toml").write_bytes(b"a = '\xe4'\n")
    (fault,) = examine([tmp_path / "latin.toml"], {}).errors
    assert fault.message == "cannot be read: is not UTF-8 text" and fault.severity is Severity.ERROR


def test_faults_do_not_repeat_what_was_written_as_a_key(tmp_path: Path) -> None:
    """Somebody pastes a key where none belongs: the check must not show it in a terminal or a ticket."""
    path = _file(tmp_path, "[grpc]\nmaster_key = 'inline:c3dvcmRmaXNo'\n")
    (text,) = _faults(path)
    assert "c3dvcmRmaXNo" not in text
