"""Differences of two configurations (row P12)."""

from __future__ import annotations

import pytest

from appliance.config.changes import Change, changes, merged
from appliance.config.rows import Effect
from appliance.config.schema import Settings

pytestmark = pytest.mark.row("P12")

OLD = Settings(
    media={"calls": 10}, interfaces=[{"name": "a", "address": "127.0.0.1"}, {"name": "b", "address": "127.0.0.2"}],
    trunks=[{"name": "x", "match": ["192.0.2.1/32"]}, {"name": "y"}],
)  # fmt: skip


def other(**tables: object) -> Settings:
    return Settings(**{**OLD.model_dump(exclude_unset=True), **tables})


def test_nothing() -> None:
    assert changes(OLD, other()) == ()


def test_rows_in_the_order_of_the_reference() -> None:
    new = other(log={"level": "debug"}, media={"calls": 11, "admit_below": 0.5})
    assert changes(OLD, new) == (
        Change("media.calls", Effect.RESTART), Change("media.admit_below", Effect.NEXT_CALL),
        Change("log.level", Effect.AT_ONCE),
    )  # fmt: skip


def test_rows_of_lists_and_lists() -> None:
    """Each row once, whichever entry it is of; a list whose entries are others is one change."""
    entries = [{"name": "a", "address": "127.0.0.1", "advertised": "192.0.2.9"},
               {"name": "b", "address": "127.0.0.2", "advertised": "192.0.2.8"}]  # fmt: skip
    assert changes(OLD, other(interfaces=entries)) == (Change("interfaces.advertised", Effect.NEXT_CALL),)
    assert changes(OLD, other(interfaces=entries[:1])) == (Change("interfaces", Effect.RESTART),)
    assert changes(OLD, other(trunks=[{"name": "y"}, {"name": "x"}])) == (Change("trunks", Effect.NEXT_CALL),)


def test_some_of_them() -> None:
    new = other(media={"calls": 11, "admit_below": 0.5}, trunks=[{"name": "x", "destination": "sip:h"}, {"name": "y"}])
    found = merged(OLD, new, {"media.admit_below", "trunks.destination"})
    assert (found.media.calls, found.media.admit_below) == (10, 0.5)
    assert (found.trunks[0].destination, found.trunks[0].match) == ("sip:h", OLD.trunks[0].match)
    assert merged(OLD, new, {one.key for one in changes(OLD, new)}) == new
    gone = other(trunks=[])
    assert merged(OLD, gone, {"trunks.match"}).trunks == OLD.trunks
    assert merged(OLD, gone, {"trunks"}).trunks == ()
