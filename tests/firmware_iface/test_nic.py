"""NICs on real links in a namespace; XDP abilities; VLAN and bond as netlink messages (not every kernel makes them)."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from firmware_iface import links, nic, xdp
from firmware_iface.links import Link
from tests.firmware_iface.wires import NEAR, Wires

WIRE = Link(2, "wire", mac="02:00:00:00:00:02", up=True, carrier=True)


@pytest.mark.system
def test_real_links(wires: Wires) -> None:
    wires.ip(NEAR, "link", "add", "bridge78", "type", "bridge")
    wires.ip(NEAR, "link", "add", "port", "type", "veth", "peer", "name", "port-peer")
    wires.ip(NEAR, "link", "set", "port", "master", "bridge78")
    machine = json.loads(wires.python(NEAR, "-m", "firmware_iface"))
    found = {one["link"]["name"]: one for one in machine["nics"]}
    wire = found["wire"]
    assert wire["driver"]["name"] == "veth" and wire["channels"]["rx"] == 4 and not wire["unsuitable"]
    assert wire["link"]["mac"] == wires.mac(NEAR) and wire["link"]["up"] and wire["link"]["carrier"]
    assert wire["xdp"]["native"] and not wire["xdp"]["zero_copy"]
    assert "tx-checksum-ip-generic" in wire["offloads"] and "rx-gro-hw" not in wire["offloads"]
    assert not wire["steering"]["ntuple"] and "flow rules" in wire["steering"]["why"]
    assert wire["speed_mbps"] > 0  # of the namespace's own /sys
    assert "bridge" in found["bridge78"]["unsuitable"] and "member of a bridge" in found["port"]["unsuitable"]
    assert found["lo"]["link"]["loopback"] and not found["lo"]["xdp"]["native"]


def decoded(**attributes: object) -> Link:
    """A link message, encoded and decoded by pyroute2 as from the kernel."""
    message = ifinfmsg()
    message["index"], message["ifi_type"], message["flags"] = 5, 1, 0x11043
    message["attrs"] = list(attributes.items())
    message.encode()
    again = ifinfmsg(message.data)
    again.decode()
    return links.decode(again)


def test_vlan_message() -> None:
    data = {"attrs": [("IFLA_VLAN_ID", 7), ("IFLA_VLAN_PROTOCOL", 0x8100)]}
    info = {"attrs": [("IFLA_INFO_KIND", "vlan"), ("IFLA_INFO_DATA", data)]}
    found = decoded(IFLA_IFNAME="wire.7", IFLA_LINK=2, IFLA_MTU=1496, IFLA_LINKINFO=info)
    assert (found.kind, found.vlan, found.vlan_protocol, found.parent) == ("vlan", 7, 0x8100, 2)
    assert found.up and found.carrier and found.ethernet
    assert decoded(IFLA_IFNAME="wire.7", IFLA_LINK=2, IFLA_LINK_NETNSID=0, IFLA_LINKINFO=info).parent == 0


def test_xdp_message() -> None:
    found = decoded(IFLA_IFNAME="w", IFLA_XDP={"attrs": [("IFLA_XDP_ATTACHED", 2), ("IFLA_XDP_PROG_ID", 41)]})
    assert (found.xdp, found.xdp_program) == ("generic", 41)
    assert decoded(IFLA_IFNAME="w", IFLA_XDP={"attrs": [("IFLA_XDP_ATTACHED", 0)]}).xdp == ""


@pytest.mark.parametrize(
    ("link", "others", "words"),
    [
        (WIRE, (), ""),
        (replace(WIRE, kind="veth"), (), ""),
        (replace(WIRE, kind="bond"), (), "bond"),
        (replace(WIRE, master=9, master_kind="bond"), (), "member of a bond"),
        (replace(WIRE, master=9, master_kind="vrf"), (), ""),
        (replace(WIRE, index=5, kind="vlan", vlan=7, parent=2), (WIRE,), ""),
        (replace(WIRE, index=5, kind="vlan", vlan=7, parent=2), (replace(WIRE, kind="bond"),), "bond"),
        (replace(WIRE, index=5, kind="vlan", vlan=7, parent=9), (WIRE,), "another network namespace"),
    ],
)
def test_suitability(link: Link, others: tuple[Link, ...], words: str) -> None:
    found = nic.unsuitable(link, (*others, link))
    assert (words in found) if words else not found


@pytest.mark.parametrize(
    ("flags", "native", "zero_copy"), [(0, False, False), (0x7, True, False), (0x2F, True, True), (0x43, True, False)]
)
def test_xdp_of_kernel_flags(flags: int, native: bool, zero_copy: bool) -> None:
    found = xdp.of_flags(flags)
    assert (found.native, found.zero_copy, found.known_by) == (native, zero_copy, "kernel")


@pytest.mark.parametrize(
    ("driver", "native", "zero_copy"),
    [("i40e", True, True), ("ice", True, True), ("mlx5_core", True, True), ("virtio_net", True, False),
     ("veth", True, False), ("e1000e", False, False), ("", False, False)],
)  # fmt: skip
def test_xdp_of_drivers(driver: str, native: bool, zero_copy: bool) -> None:
    found = xdp.of_driver(driver)
    assert (found.native, found.zero_copy, found.known_by) == (native, zero_copy, "driver")


def test_kernel_without_the_family(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xdp, "FAMILY", "no-such")
    assert xdp.kernel_says() == {}
