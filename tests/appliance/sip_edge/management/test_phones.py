"""Phones and blocks where there is no registrar to ask (rows L07, P13): the answer names the setting."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from appliance.errors import NotFound
from appliance.sip_edge.management.edge import Edge
from appliance.sip_edge.management.phones import Phones
from appliance.sip_edge.rpc import RpcRefused


async def refuses(method: str, *words: Any) -> Any:
    """A Kamailio that has not loaded the module."""
    raise RpcRefused(-32000, "No such htable")


@pytest.mark.row("L07", "P13")
async def test_the_registrar_is_off() -> None:
    phones = Phones(cast(Edge, SimpleNamespace(rpc=SimpleNamespace(dump=refuses))), 900)
    for asked in (phones.contacts, phones.blocks):
        with pytest.raises(NotFound, match=r"registrar is off \(sip_registrar\.enabled\)"):
            await asked()
