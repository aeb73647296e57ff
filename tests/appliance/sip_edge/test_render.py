"""Settings to Kamailio's configuration, and Kamailio's own opinion of it."""

from __future__ import annotations

import dataclasses
import stat
from pathlib import Path
from typing import Any

import pytest

from appliance.config.load import load
from appliance.config.schema import Settings
from appliance.policy.options import SdesOptions
from appliance.protocols.ng import flags as ng_flags
from appliance.sip_edge import from_settings, kamailio, render
from appliance.sip_edge.kamailio import ConfigurationRefused
from appliance.sip_edge.ksr import routing
from appliance.sip_edge.ksr.routing import MediaPolicy
from appliance.sip_edge.ksr.rules.masking import Mask


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The embedded default configuration, its state elsewhere."""
    return load(environment={"SRTPGW_PATHS__STATE": str(tmp_path / "state")})


def with_trunk(settings: Settings, **values: object) -> Settings:
    tables = settings.model_dump(mode="json")
    tables["trunks"] = [{"name": "one", "match": ["10.0.0.0/8"], **values}]
    return Settings(**tables)


def test_the_configuration_says_what_the_settings_say(settings: Settings, tmp_path: Path) -> None:
    text = render.kamailio_cfg(from_settings.edge_config(settings, tmp_path))
    for socket in settings.sip.listen:
        assert f"listen={socket}" in text
    assert f'"udp:{settings.ng.listen[0]}"' in text
    assert 'modparam("topoh", "mask_callid", 1)' in text


def test_an_edge_without_streams_has_no_tcp_process(settings: Settings, tmp_path: Path) -> None:
    """Kamailio 5.6's spins when there is nothing for it to wait for."""
    edge = from_settings.edge_config(settings, tmp_path)
    assert "disable_tcp" not in render.kamailio_cfg(edge)
    text = render.kamailio_cfg(dataclasses.replace(edge, listen=("udp:127.0.0.1:5060",)))
    assert "disable_tcp=yes" in text and "tcp_children" not in text


def test_no_string_can_break_out_of_its_quotes(settings: Settings, tmp_path: Path) -> None:
    edge = dataclasses.replace(from_settings.edge_config(settings, tmp_path), user_agent='x"\nloadmodule "exec.so')
    with pytest.raises(ValueError, match="not possible"):
        render.kamailio_cfg(edge)


def test_kamailio_takes_it(settings: Settings, tmp_path: Path) -> None:
    """`kamailio -c` at render; and a configuration that it does not take is refused with its words."""
    if kamailio.find("kamailio") is None:
        pytest.skip("not installed: kamailio")
    edge = dataclasses.replace(from_settings.edge_config(settings, tmp_path / "sip"), user="")
    path = kamailio.prepare(edge)
    kamailio.check(edge)
    path.write_text(path.read_text() + "\nnonsense\n")
    with pytest.raises(ConfigurationRefused, match="syntax error"):
        kamailio.check(edge)


def test_what_is_secret_is_private_and_stays(settings: Settings, tmp_path: Path) -> None:
    """K04: the mask key outlives a restart, is nobody else's to read and in no repr."""
    edge = dataclasses.replace(from_settings.edge_config(settings, tmp_path / "sip"), user="")
    path = kamailio.prepare(edge)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = settings.paths.state / "sip" / "mask.key"
    assert stat.S_IMODE(key.stat().st_mode) == stat.S_IMODE((edge.run / "routing.json").stat().st_mode) == 0o600
    again = from_settings.edge_config(settings, tmp_path / "sip")
    assert again.table.topology.mask == edge.table.topology.mask == Mask(key.read_text())
    assert key.read_text() not in repr(edge) + " ".join(kamailio.command(edge))
    assert routing.load((edge.run / "routing.json").read_text()) == edge.table


@pytest.mark.parametrize(
    ("values", "inbound", "outbound"),
    [
        ({}, MediaPolicy("optional", stated=False), MediaPolicy("forbidden", stated=False)),
        ({"rtp_secure_media": "true"}, MediaPolicy("mandatory"), MediaPolicy("mandatory")),
        (
            {"rtp_secure_media": "optional", "rtp_secure_media_outbound": "mandatory:AES_CM_256_HMAC_SHA1_80"},
            MediaPolicy("optional"),
            MediaPolicy("mandatory", ("AES_256_CM_HMAC_SHA1_80",)),
        ),
    ],
)
def test_policies_of_trunks(
    settings: Settings, values: dict[str, str], inbound: MediaPolicy, outbound: MediaPolicy
) -> None:
    """H01-H08: the words of rtp_secure_media, per direction, any spelling of a suite."""
    changed = with_trunk(settings, **values)
    trunk = from_settings.trunk(changed.trunks[0], changed)
    assert (trunk.inbound, trunk.outbound) == (inbound, outbound)


def test_an_allowed_weak_suite_joins_the_built_in_order(settings: Settings) -> None:
    """B13, B17, B18: only what was allowed, in its place."""
    changed = with_trunk(settings, rtp_secure_media="mandatory", allow_gcm_8=True)
    suites = from_settings.trunk(changed.trunks[0], changed).outbound.suites
    assert suites[:4] == ("AEAD_AES_256_GCM", "AEAD_AES_128_GCM", "AEAD_AES_256_GCM_8", "AEAD_AES_128_GCM_8")
    assert not [name for name in suites if "NULL" in name]


def test_quirks_are_said_in_ng_words(settings: Settings) -> None:
    changed = with_trunk(settings, sdes_padding=False, sdes_unencrypted_srtcp=True, flags=["trust-address"])
    assert without_dtls(changed) == ("SDES-nopad", "SDES-unencrypted_srtcp", "trust-address")


def without_dtls(settings: Settings) -> tuple[str, ...]:
    """Words of the first trunk but for its certificate, which each has."""
    flags = from_settings.quirk_flags(settings.trunks[0])
    assert any(word.startswith("DTLS-certificate") for word in flags)
    return tuple(word for word in flags if not word.startswith("DTLS-"))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"legacy_192": True}, ("SDES-legacy-192",)),  # libsrtp 2.2 to 2.7
        ({"gcm8_answered_as_gcm": True}, ("SDES-gcm8-answered-as-gcm",)),  # freeswitch#691
        ({"roc": "reset"}, ("SDES-roc-reset",)),  # C13, rtpengine#1443
        ({"key_exchange": "sdes_first"}, ("SDES-prefer",)),  # D07
        ({"sdes_over_cleartext": "allow"}, ("SDES-over-cleartext",)),  # SDES-23
        ({"srtcp_tag": "same-as-srtp"}, ("SDES-srtcp-tag-as-srtp",)),  # trap 5
        ({"sdes_mki": 2, "sdes_lifetime_log2": 20, "sdes_lifetime_floor_log2": 16},
         ("SDES-lifetime-20", "SDES-lifetime-floor-16", "SDES-mki-2")),  # C05, C06
    ],
)  # fmt: skip
def test_every_quirk_of_a_trunk_reaches_the_negotiation(
    settings: Settings, values: dict[str, Any], words: tuple[str, ...]
) -> None:
    """The setting becomes a word, and NG understands the word, for either side of a call."""
    changed = with_trunk(settings, **values)
    flags = without_dtls(changed)
    assert flags == ("SDES-pad", *words)
    options = ng_flags.read({"SDES": [word.removeprefix("SDES-") for word in flags]})
    assert options.unknown == () and options.sdes != SdesOptions()
    judged = ng_flags.read({"SDES": [f"from-{word.removeprefix('SDES-')}" for word in flags]})
    assert judged.sdes_from == options.sdes and judged.sdes == SdesOptions()


def test_the_rule_of_a_trunk_names_every_spelling(settings: Settings) -> None:
    """H12 as a setting: a list, or any suite."""
    changed = with_trunk(settings, secure_out_when_secure_in="AES_CM_256_HMAC_SHA1_80,AEAD_AES_128_GCM")
    assert from_settings.trunk(changed.trunks[0], changed).secure_in == (
        "AES_256_CM_HMAC_SHA1_80", "AES_CM_256_HMAC_SHA1_80", "AEAD_AES_128_GCM",
    )  # fmt: skip
    changed = with_trunk(settings, secure_out_when_secure_in="any")
    assert {"F8_128_HMAC_SHA1_32", "AES_CM_192_HMAC_SHA1_32"} < set(
        from_settings.trunk(changed.trunks[0], changed).secure_in
    )


@pytest.mark.parametrize(
    ("trunk", "everywhere", "holds"),
    [("", "forbid", "forbid"), ("", "allow", "allow"), ("forbid", "allow", "forbid"), ("allow", "forbid", "allow")],
)
def test_a_trunks_word_about_variable_rate_goes_first(
    settings: Settings, trunk: str, everywhere: str, holds: str
) -> None:
    """H09."""
    changed = with_trunk(settings, vbr=trunk)
    changed = changed.model_copy(update={"security": changed.security.model_copy(update={"vbr": everywhere})})
    assert from_settings.trunk(changed.trunks[0], changed).vbr == holds
