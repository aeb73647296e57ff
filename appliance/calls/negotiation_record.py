"""CallState to a JSON-compatible record and back. Keys are in it as SDP text: whoever stores it wraps it first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, replace
from typing import Any

from appliance.calls.media import Address, Latching, LocalPorts, RocPolicy, StreamPlacement
from appliance.calls.negotiation_state import CallState, LegLine, OriginState, Quirks, StreamLine
from appliance.protocols.sdes import crypto
from appliance.protocols.sdes.crypto import Crypto

FORM = 1  # raised when a record of an older form can no longer be read


def to_record(state: CallState) -> dict[str, Any]:
    return {
        "form": FORM,
        "lines": [_line(line) for line in state.lines],
        "pending": [_line(line) for line in state.pending],
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
            lines=tuple(_read_line(line) for line in record["lines"]),
            pending=tuple(_read_line(line) for line in record["pending"]),
            offerer=record["offerer"],
            tag_a=record["tag_a"],
            tags_b=tuple(record["tags_b"]),
            origin_a=OriginState(*record["origin_a"]),
            origin_b=OriginState(*record["origin_b"]),
        )
    except (KeyError, TypeError, AttributeError) as fault:
        raise ValueError(f"negotiation record is damaged: {type(fault).__name__}") from None


def _origin(origin: OriginState) -> list[Any]:
    return [origin.session_id, origin.version, origin.digest]


def _line(line: StreamLine) -> dict[str, Any]:
    return {
        "kind": line.kind,
        "offered": line.offered,
        "a": _leg(line.a),
        "b": _leg(line.b),
        "placement": _placement(line.placement),
    }


def _read_line(record: Mapping[str, Any]) -> StreamLine:
    return StreamLine(
        record["kind"],
        record["offered"],
        _read_leg(record["a"]),
        _read_leg(record["b"]),
        _read_placement(record["placement"]),
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
        "sending_mki": leg.sending_mki.hex(),
        "remote": crypto.emit(leg.remote) if leg.remote else None,
        "spent": sorted(leg.spent),
        "latching": leg.latching.value if leg.latching else None,
        "quirks": list(astuple(leg.quirks)),
    }


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
        sending_mki=bytes.fromhex(record["sending_mki"]),
        remote=_crypto(record["remote"]) if record["remote"] else None,
        spent=frozenset(record["spent"]),
        latching=Latching(record["latching"]) if record["latching"] else None,
        quirks=_read_quirks(*record["quirks"]),
    )


def _read_quirks(*values: Any) -> Quirks:
    *plain, roc = values
    return replace(Quirks(*plain), roc=RocPolicy(roc))


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
