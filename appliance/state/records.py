"""Values of a call to JSON and back. What comes out contains keys: only `store` (which seals) may have it.

Positions in lists, not names: a record is written with every change of a call. `VERSION` rises when the shape changes;
a record of another version is skipped and reported.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from appliance.calls import media_record
from appliance.calls.media import (
    Address,
    ContextSpec,
    Latching,
    LegMedia,
    LocalPorts,
    MasterKey,
    RocPolicy,
    StreamMedia,
    StreamPlacement,
)
from appliance.placement.mover import Move, Trip
from appliance.placement.placed import PlacedStream
from appliance.placement.reconciler import Placement

VERSION = 2


class BadRecord(ValueError):
    """A record that opened (so it is ours) but cannot be understood: another version's."""


def pack(value: Mapping[str, Any]) -> bytes:
    return encode({"version": VERSION, **value})


def encode(value: Any) -> bytes:
    """A part of a record, or all of it. Octets in it are a part that was encoded before."""
    try:
        return bytes(memoryview(orjson.dumps(value, orjson.Fragment)))  # a copy: there are 8 KiB behind orjson's
    except TypeError:  # names that are octets and no UTF-8: surrogates, which orjson does not take
        return json.dumps(value, separators=(",", ":"), default=json.loads).encode()


def unpack(data: bytes) -> dict[str, Any]:
    """BadRecord."""
    try:
        value = json.loads(data)
    except ValueError:
        raise BadRecord("no JSON") from None
    if not isinstance(value, dict) or value.get("version") != VERSION:
        raise BadRecord("version")
    return value


def placement_out(placement: Placement) -> dict[str, Any]:
    """Without `installed`, which follows from the media."""
    return {
        "worker": placement.worker,
        "streams": [[line, _placed_out(placed)] for line, placed in placement.streams.items()],
        **({"move": _move_out(placement.move)} if placement.move else {}),
    }


def placement_in(value: Mapping[str, Any]) -> Placement:
    worker = int(value["worker"])
    streams = {int(line): _placed_in(worker, placed) for line, placed in value["streams"]}
    return Placement(worker, streams, move=_move_in(value["move"]) if "move" in value else None)


def media_out(streams: Mapping[int, StreamMedia]) -> list[Any]:
    return [
        [
            line,
            media.kind,
            _leg_out(media.a),
            _leg_out(media.b),
            *([] if media.copies_of is None else [media.copies_of]),
        ]
        for line, media in streams.items()
    ]


def media_in(value: list[Any]) -> dict[int, StreamMedia]:
    return {int(line): StreamMedia(kind, _leg_in(a), _leg_in(b), *rest) for line, kind, a, b, *rest in value}


# ---------------------------------------------------------------- parts


def _placed_out(placed: PlacedStream) -> list[Any]:
    a, b = placed.placement.a, placed.placement.b
    return [
        placed.interface_a,
        placed.interface_b,
        [a.address, a.rtp, a.rtcp],
        [b.address, b.rtp, b.rtcp],
        placed.flows,
        placed.cryptos,
    ]


def _placed_in(worker: int, value: list[Any]) -> PlacedStream:
    interface_a, interface_b, a, b, flows, cryptos = value
    placement = StreamPlacement(worker, LocalPorts(*a), LocalPorts(*b))
    return PlacedStream(placement, interface_a, interface_b, dict(flows), dict(cryptos))


def _move_out(move: Move) -> list[Any]:
    return [move.to, [[trip.line, trip.record, trip.move, trip.flows, trip.cryptos] for trip in move.trips]]


def _move_in(value: list[Any]) -> Move:
    """How far it came nobody knows: the last command may have been the other worker's."""
    to, trips = value
    return Move(int(to), [Trip(line, record, move, dict(a), dict(b), int(to)) for line, record, move, a, b in trips])


def _leg_out(leg: LegMedia) -> list[Any]:
    """Contexts that came of DTLS stand in the record of their association (`appliance.calls.keyed`)."""
    return [
        leg.interface,
        address_out(leg.remote_rtp),
        address_out(leg.remote_rtcp),
        leg.mux,
        leg.secure,
        None if leg.dtls else context_out(leg.receive),
        None if leg.dtls else context_out(leg.send),
        leg.may_send,
        leg.may_receive,
        leg.latching,
        _rare_out(leg),
    ]


def _leg_in(value: list[Any]) -> LegMedia:
    interface, rtp, rtcp, mux, secure, receive, send, may_send, may_receive, latching, rare = value
    return LegMedia(
        interface,
        address_in(rtp),
        address_in(rtcp),
        mux,
        secure,
        context_in(receive),
        context_in(send),
        may_send,
        may_receive,
        latching=Latching(latching),
        **_rare_in(rare),
    )


def _rare_out(leg: LegMedia) -> dict[str, Any]:
    """What few legs have, by name, where it is not the default: a call's record is written at every change."""
    rare: dict[str, Any] = {}
    if leg.blocked or leg.echo or leg.opaque:
        rare.update((name, True) for name in ("blocked", "echo", "opaque") if getattr(leg, name))
    if leg.receive_also and not leg.dtls:
        rare["receive_also"] = [context_out(spec) for spec in leg.receive_also]
    if not leg.feedback:
        rare["feedback"] = False
    if leg.payload_types:
        rare["payload_types"] = leg.payload_types
    if leg.transcode:
        rare["transcode"] = leg.transcode
    if leg.extensions is not None:
        rare["extensions"] = leg.extensions
    if leg.tos is not None:
        rare["tos"] = leg.tos
    if leg.ice is not None:
        rare["ice"] = media_record.ice_out(leg.ice)
    if leg.dtls is not None:
        rare["dtls"] = media_record.dtls_out(leg.dtls)
    if leg.bundle is not None:
        rare["bundle"] = media_record.bundle_out(leg.bundle)
    return rare


def _rare_in(value: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments of LegMedia."""
    rare = dict(value)
    if "receive_also" in rare:
        rare["receive_also"] = tuple(context_in(spec) for spec in rare["receive_also"])
    for name in ("payload_types", "extensions"):
        if name in rare:
            rare[name] = tuple((int(one), int(other)) for one, other in rare[name])
    if "transcode" in rare:
        rare["transcode"] = tuple((int(one), int(other), str(law)) for one, other, law in rare["transcode"])
    if "ice" in rare:
        rare["ice"] = media_record.ice_in(rare["ice"])
    if "dtls" in rare:
        rare["dtls"] = media_record.dtls_in(rare["dtls"])
    if "bundle" in rare:
        rare["bundle"] = media_record.bundle_in(rare["bundle"])
    return rare


def address_out(address: Address | None) -> list[Any] | None:
    return None if address is None else [address.host, address.port]


def address_in(value: list[Any] | None) -> Address | None:
    return None if value is None else Address(*value)


def context_out(spec: ContextSpec | None) -> list[Any] | None:
    if spec is None:
        return None
    keys = [
        [media_record.text(key.key), media_record.text(key.salt), key.mki.hex(), key.rtp_lifetime, key.rtcp_lifetime]
        for key in spec.keys
    ]
    return [
        spec.suite,
        keys,
        spec.window,
        spec.kdr_log2,
        spec.encrypt_rtp,
        spec.encrypt_rtcp,
        spec.authenticate_rtp,
        spec.srtcp_tag_as_srtp,
        spec.legacy_192,
        spec.ssrc_limit,
        spec.initial_roc,
        [spec.roc, spec.sending_mki.hex()],
    ]


def context_in(value: list[Any] | None) -> ContextSpec | None:
    if value is None:
        return None
    suite, keys, *rest, (roc, sending_mki) = value
    master = tuple(
        MasterKey(b64decode(key), b64decode(salt), bytes.fromhex(mki), *lives) for key, salt, mki, *lives in keys
    )
    return replace(ContextSpec(suite, master, *rest), roc=RocPolicy(roc), sending_mki=bytes.fromhex(sending_mki))
