"""A call as a record of the store, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from appliance.calls import keyed, subscribing
from appliance.calls.negotiation import Negotiation
from appliance.calls.negotiation_dtls import Certificates
from appliance.calls.registry import Branch, Call, Treatment
from appliance.state import records


def to_record(call: Call) -> bytes:
    """Contains keys."""
    return records.pack(
        {
            "created": call.created,
            "changed": call.changed,
            "label": call.label,
            "low_level": call.low_level,
            "revision": call.revision,
            "branches": [_branch_out(branch) for branch in call.branches],
        }
    )


def from_record(
    call_id: str, record: bytes, random: Callable[[int], bytes], certificates: Certificates | None = None
) -> Call:
    """BadRecord when it cannot be understood."""
    value = records.unpack(record)
    try:
        return Call(
            call_id=call_id,
            created=float(value["created"]),
            changed=float(value["changed"]),
            label=str(value["label"]),
            low_level=bool(value["low_level"]),
            revision=int(value["revision"]),
            adopted=True,
            branches=[_branch_in(branch, random, certificates) for branch in value["branches"]],
        )
    except records.BadRecord:
        raise
    except Exception as error:  # whatever a record of a sister version makes stumble; its text may quote a key
        raise records.BadRecord(type(error).__name__) from None


def _branch_out(branch: Branch) -> dict[str, Any]:
    return {
        **_rare_out(branch),
        "from": branch.from_tag,
        "to": branch.to_tag,
        "via": branch.via_branch,
        "answered": branch.answered,
        "offerer": branch.offerer_tag,
        "codecs": branch.codecs,
        "negotiation": branch.saved,
        "placement": records.placement_out(branch.placement) if branch.placement else None,
        "media": records.media_out(branch.media),
    }


def _branch_in(value: dict[str, Any], random: Callable[[int], bytes], certificates: Certificates | None) -> Branch:
    negotiation, placement = value["negotiation"], value["placement"]
    keys, pairs = keyed.keys_in(value.get("keyed", [])), keyed.pairs_in(value.get("pairs", []))
    return Branch(
        from_tag=str(value["from"]),
        to_tag=str(value["to"]),
        via_branch=str(value["via"]),
        answered=bool(value["answered"]),
        offerer_tag=str(value["offerer"]),
        saved=None if negotiation is None else records.encode(negotiation),
        negotiation=None if negotiation is None else Negotiation.from_record(negotiation, random, certificates),
        placement=None if placement is None else records.placement_in(placement),
        media=keyed.overlaid(records.media_in(value["media"]), keys, pairs),
        keyed=keys,
        pairs=pairs,
        codecs={side: tuple((port, text) for port, text in told) for side, told in value.get("codecs", {}).items()},
        subscriptions={one.to_tag: one for one in map(subscribing.from_record, value.get("subscriptions", []))},
        treatments={side: _treatment_in(value.get("treated", {}).get(side, [])) for side in ("a", "b")},
    )


def _rare_out(branch: Branch) -> dict[str, Any]:
    """What few branches have: a record is written with every change of a call."""
    treated = {
        side: [int(treatment.blocked), int(treatment.echo)]
        for side, treatment in branch.treatments.items()
        if treatment
    }
    rare: dict[str, Any] = {"treated": treated} if treated else {}
    if branch.keyed:
        rare["keyed"] = keyed.keys_out(branch.keyed)
    if branch.pairs:
        rare["pairs"] = keyed.pairs_out(branch.pairs)
    if branch.subscriptions:
        rare["subscriptions"] = [subscribing.to_record(one) for one in branch.subscriptions.values()]
    return rare


def _treatment_in(value: list[Any]) -> Treatment:
    return Treatment(*map(bool, value))
