"""CallState to a JSON-compatible record and back. Keys are in it as SDP text: whoever stores it wraps it first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from appliance.calls import media_record
from appliance.calls.media import Address, Latching, LocalPorts, RocPolicy, StreamPlacement
from appliance.calls.negotiation_dtls import DtlsLine
from appliance.calls.negotiation_ice import IceLine
from appliance.calls.negotiation_state import (
    CallState,
    Exchange,
    LegLine,
    OriginState,
    Quirks,
    Slot,
    StreamLine,
    Transcoding,
)
from appliance.errors import InvalidSdp
from appliance.protocols.sdes import crypto
from appliance.protocols.sdes.crypto import Crypto
from appliance.protocols.sdp.fields import MediaLine

FORM = 2  # raised when a record of an older form can no longer be read


def to_record(state: CallState) -> dict[str, Any]:
    return {
        "form": FORM,
        "agreed": _exchange(state.agreed),
        "pending": _exchange(state.pending),
        "offerer": state.offerer,
        "tag_a": state.tag_a,
        "tags_b": list(state.tags_b),
        "origin_a": _origin(state.origin_a),
        "origin_b": _origin(state.origin_b),
    }


def from_record(record: Mapping[str, Any]) -> CallState:
    """ValueError for another form or a damaged record."""
    if record.get("form") != FORM:
        raise ValueError(f"negotiation record of form {record.get('form')!r}, not {FORM}")
    try:
        return CallState(
            agreed=_read_exchange(record["agreed"]),
            pending=_read_exchange(record["pending"]),
            offerer=record["offerer"],
            tag_a=record["tag_a"],
            tags_b=tuple(record["tags_b"]),
            origin_a=OriginState(*record["origin_a"]),
            origin_b=OriginState(*record["origin_b"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, InvalidSdp) as fault:
        raise ValueError(f"negotiation record is damaged: {type(fault).__name__}") from None


def _origin(origin: OriginState) -> list[Any]:
    return [origin.session_id, origin.version, origin.digest]


def _exchange(exchange: Exchange) -> dict[str, Any]:
    return {
        "lines": [_line(line) for line in exchange.lines],
        "a": [[slot.stream, str(slot.media), slot.taken] for slot in exchange.slots_a],
        "b": [[slot.stream, str(slot.media), slot.taken] for slot in exchange.slots_b],
    }


def _read_exchange(record: Mapping[str, Any]) -> Exchange:
    return Exchange(
        tuple(_read_line(line) for line in record["lines"]),
        tuple(_read_slot(slot) for slot in record["a"]),
        tuple(_read_slot(slot) for slot in record["b"]),
    )


def _read_slot(record: list[Any]) -> Slot:
    stream, media, taken = record
    return Slot(stream, MediaLine.parse(media, 1), taken)


def _line(line: StreamLine) -> dict[str, Any]:
    return {
        "kind": line.kind,
        "a": _leg(line.a),
        "b": _leg(line.b),
        "placement": _placement(line.placement),
        **({"kept": _placement(line.kept)} if line.kept else {}),
    }


def _read_line(record: Mapping[str, Any]) -> StreamLine:
    return StreamLine(
        record["kind"],
        _read_leg(record["a"]),
        _read_leg(record["b"]),
        _read_placement(record["placement"]),
        _read_placement(record.get("kept")),
    )


def _leg(leg: LegLine) -> dict[str, Any]:
    return {
        "proto": leg.proto,
        "interface": leg.interface,
        "rtp": _address(leg.rtp),
        "rtcp": _address(leg.rtcp),
        "mux": leg.mux,
        "mux_required": leg.mux_required,
        "direction": leg.direction,
        "proposed": [crypto.emit(line) for line in leg.proposed],
        "local": leg.local.tag if leg.local else None,
        "remote": crypto.emit(leg.remote) if leg.remote else None,
        "spent": sorted(leg.spent),
        "latching": leg.latching,
        "quirks": _quirks(leg.quirks),
        "known": leg.known,
        **_rare(leg),
    }


def _rare(leg: LegLine) -> dict[str, Any]:
    """What few legs have, where it is not the default: a record is written at every change of a call."""
    rare: dict[str, Any] = {"osrtp": True} if leg.osrtp else {}
    if leg.also:
        rare["also"] = [crypto.emit(line) for line in leg.also]
    if leg.sending_mki:
        rare["sending_mki"] = leg.sending_mki.hex()
    for name in ("mid", "tag", "told", "ids", "payload_types", "transcode"):
        if value := getattr(leg, name):
            rare[name] = value
    if leg.transcoding:
        rare["transcoding"] = [leg.transcoding.added, leg.transcoding.accepted]
    if leg.extensions is not None:
        rare["extensions"] = leg.extensions
    if leg.ice is not None:
        rare["ice"] = [media_record.ice_out(leg.ice.session), leg.ice.peer_lite, leg.ice.trickle]
    if leg.dtls is not None:
        rare["dtls"] = _dtls(leg.dtls)
    if leg.bundled:
        rare["bundled"] = True
    if leg.speaks_feedback:
        rare["speaks_feedback"] = True
    if leg.carrier is not None:
        rare["carrier"] = leg.carrier
    if leg.mid_extension:
        rare["mid_extension"] = leg.mid_extension
    if leg.apart is not None:
        rare["apart"] = _leg(leg.apart)
    return rare


def _dtls(line: DtlsLine) -> dict[str, Any]:
    return {
        **{name: getattr(line, name) for name in _DTLS},
        "certificate": media_record.certificate_out(line.certificate),
        "fingerprints": media_record.fingerprints_out(line.fingerprints),
        "suites": list(line.suites),
    }


def _read_dtls(record: Mapping[str, Any]) -> DtlsLine:
    return DtlsLine(
        **{name: record[name] for name in _DTLS},
        certificate=media_record.certificate_in(record["certificate"]),
        fingerprints=media_record.fingerprints_in(record["fingerprints"]),
        suites=tuple(record["suites"]),
    )


def _read_ice(record: list[Any]) -> IceLine:
    session, peer_lite, trickle = record
    return IceLine(media_record.ice_in(session), peer_lite, trickle)


_DTLS = (
    "hash", "tls_id", "association", "setup", "telling", "active", "chosen", "peer_tls_id", "transport", "sha1",
    "legacy",
)  # fmt: skip


def _quirks(quirks: Quirks) -> list[Any]:
    window, most, limit = quirks.window, quirks.max_window, quirks.ssrc_limit
    return [window, most, limit, quirks.srtcp_tag_as_srtp, quirks.legacy_192, quirks.roc]


def _read_quirks(window: int, max_window: int, ssrc_limit: int, tag: bool, legacy_192: bool, roc: str) -> Quirks:
    return Quirks(window, max_window, ssrc_limit, tag, legacy_192, RocPolicy(roc))


def _read_transcoding(added: str = "", accepted: Iterable[str] = ()) -> Transcoding:
    return Transcoding(added, tuple(accepted))


def _pairs(pairs: Iterable[Any]) -> tuple[Any, ...]:
    return tuple((one, other) for one, other in pairs)


def _read_leg(record: Mapping[str, Any]) -> LegLine:
    proposed = tuple(_crypto(text) for text in record["proposed"])
    local = next((line for line in proposed if line.tag == record["local"]), None)
    return LegLine(
        proto=record["proto"],
        interface=record["interface"],
        rtp=_read_address(record["rtp"]),
        rtcp=_read_address(record["rtcp"]),
        mux=record["mux"],
        mux_required=record["mux_required"],
        direction=record["direction"],
        proposed=proposed,
        local=local,
        remote=_crypto(record["remote"]) if record["remote"] else None,
        spent=frozenset(record["spent"]),
        latching=Latching(record["latching"]) if record["latching"] else None,
        quirks=_read_quirks(*record["quirks"]),
        osrtp=record.get("osrtp", False),
        mid=record.get("mid", ""),
        tag=record.get("tag", ""),
        sending_mki=bytes.fromhex(record.get("sending_mki", "")),
        also=tuple(_crypto(text) for text in record.get("also", ())),
        known=_pairs(record["known"]),
        told=_pairs(record.get("told", ())),
        ids=_pairs(record.get("ids", ())),
        payload_types=_pairs(record.get("payload_types", ())),
        transcode=tuple((one, two, law) for one, two, law in record.get("transcode", ())),
        transcoding=_read_transcoding(*record.get("transcoding", ())),
        extensions=_pairs(record["extensions"]) if "extensions" in record else None,
        ice=_read_ice(record["ice"]) if "ice" in record else None,
        dtls=_read_dtls(record["dtls"]) if "dtls" in record else None,
        bundled=record.get("bundled", False),
        speaks_feedback=record.get("speaks_feedback", False),
        carrier=record.get("carrier"),
        mid_extension=record.get("mid_extension", 0),
        apart=_read_leg(record["apart"]) if "apart" in record else None,
    )


def _crypto(text: str) -> Crypto:
    return crypto.parse(text, separate_fec=True)


def _address(address: Address | None) -> list[Any] | None:
    return [address.host, address.port] if address else None


def _read_address(record: list[Any] | None) -> Address | None:
    return Address(record[0], record[1]) if record else None


def _placement(place: StreamPlacement | None) -> dict[str, Any] | None:
    if place is None:
        return None
    return {
        "worker": place.worker,
        "a": [place.a.address, place.a.rtp, place.a.rtcp],
        "b": [place.b.address, place.b.rtp, place.b.rtcp],
    }


def _read_placement(record: Mapping[str, Any] | None) -> StreamPlacement | None:
    if record is None:
        return None
    return StreamPlacement(record["worker"], LocalPorts(*record["a"]), LocalPorts(*record["b"]))
