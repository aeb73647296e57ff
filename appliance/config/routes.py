"""`[[routes]]`: where calls go that do not simply follow their trunk's destination."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator

from appliance.config.rows import Effect, Table, row
from appliance.config.trunks import DESTINATION_SET, NAME, SIP_URI


def _destination(value: str) -> str:
    if value in ("", "registrar") or DESTINATION_SET.match(value) or SIP_URI.match(value):
        return value
    if value.startswith("trunk:") and re.match(NAME, value.removeprefix("trunk:")):
        return value
    raise ValueError(f"{value!r} is none of: a SIP URI, set:NAME, registrar, trunk:NAME")


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"bad regular expression: {error}") from error
    return value


RouteDestination = Annotated[str, AfterValidator(_destination)]
Pattern = Annotated[str, AfterValidator(_pattern)]


class Route(Table):
    """One route. The first one whose conditions all hold decides; no route: the trunk's own destination."""

    name: str = row(help="Name in logs and events.", effect=Effect.NEXT_CALL, pattern=NAME)
    from_trunk: str = row("", help="Calls that come from this trunk; empty: from any.", effect=Effect.NEXT_CALL)
    method: Literal["", "INVITE", "MESSAGE", "SUBSCRIBE", "REFER", "OPTIONS"] = row(
        "", help="Requests of this method; empty: of any.", effect=Effect.NEXT_CALL
    )
    prefix: str = row(
        "", help="The user part of the Request-URI begins with it.", effect=Effect.NEXT_CALL,
        pattern=r"^[A-Za-z0-9+*#._~!$&'()=-]{0,64}$",
    )  # fmt: skip
    pattern: Pattern = row(
        "", help="All of the user part matches this regular expression (Python's).", effect=Effect.NEXT_CALL,
        max_length=256,
    )  # fmt: skip
    group: str = row(
        "", help="The caller must be in this group of the table `grp`; who is not is refused with 403.",
        effect=Effect.NEXT_CALL, max_length=64,
    )  # fmt: skip
    strip: int = row(
        0, help="Characters taken off the front of the user part.", unit="characters", effect=Effect.NEXT_CALL,
        ge=0, le=64,
    )  # fmt: skip
    prepend: str = row(
        "", help="Put in front of what is left of the user part.", effect=Effect.NEXT_CALL,
        pattern=r"^[A-Za-z0-9+*#._~!$&'()=-]{0,64}$",
    )  # fmt: skip
    action: Literal["route", "deny"] = row(
        "route", help="deny: such calls are refused with 403.", effect=Effect.NEXT_CALL
    )
    destination: RouteDestination = row(
        "", help="A SIP URI, set:NAME (destinations), registrar, or trunk:NAME (its uri); empty: where the caller's "
        "trunk sends its calls.", effect=Effect.NEXT_CALL,
    )  # fmt: skip
