"""Hardware events: differences by table; links, XDP programs and hot-plug on a real kernel."""

from __future__ import annotations

import shutil
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from firmware_iface import hotplug, links
from firmware_iface.events import Kind, differences
from firmware_iface.links import Link
from firmware_iface.watch import Watch
from tests.firmware_iface.machines import tree
from tests.firmware_iface.wires import FAR, NEAR, Wires, run_inside, until

WIRE = Link(2, "wire", mac="02:00:00:00:00:02", up=True, carrier=True)


@pytest.mark.parametrize(
    ("before", "after", "kinds", "words"),
    [
        (WIRE, WIRE, [], ""),
        (None, WIRE, [Kind.NIC_ADDED], "appeared"),
        (WIRE, None, [Kind.NIC_REMOVED], "gone"),
        (None, None, [], ""),
        (WIRE, replace(WIRE, carrier=False), [Kind.LINK_DOWN], "lost its link"),
        (WIRE, replace(WIRE, up=False, carrier=False), [Kind.LINK_DOWN], "taken down"),
        (replace(WIRE, carrier=False), WIRE, [Kind.LINK_UP], "has a link"),
        (WIRE, replace(WIRE, name="lan0"), [Kind.RENAMED], "lan0"),
        (WIRE, replace(WIRE, mac="02:00:00:00:00:03"), [Kind.MAC_CHANGED], "00:03"),
        (WIRE, replace(WIRE, mtu=9000), [Kind.MTU_CHANGED], "9000"),
        (WIRE, replace(WIRE, xdp="native", xdp_program=7), [Kind.XDP_ATTACHED], "native"),
        (replace(WIRE, xdp_program=7), replace(WIRE, xdp_program=8), [Kind.XDP_REPLACED], "replaced by 8"),
        (replace(WIRE, xdp_program=7), WIRE, [Kind.XDP_REMOVED], "taken off"),
        (WIRE, replace(WIRE, mtu=9000, carrier=False), [Kind.LINK_DOWN, Kind.MTU_CHANGED], ""),
    ],
)
def test_differences(before: Link | None, after: Link | None, kinds: list[Kind], words: str) -> None:
    found = differences(before, after)
    assert [event.kind for event in found] == kinds
    assert all(words in event.text for event in found)


def test_devices_that_come_and_go(tmp_path: Path) -> None:
    tree(tmp_path, {"qat/vendor": "0x8086", "qat/device": "0x37c8", "nvme/vendor": "0x1", "nvme/class": "0x010802"})
    event = hotplug.of_device("add", "pci", "0000:3d:00.0", tmp_path / "qat", "")
    assert event is not None and event.kind is Kind.DEVICE_ADDED and "QuickAssist" in event.text
    assert hotplug.of_device("add", "pci", "0000:01:00.0", tmp_path / "nvme", "") is None
    event = hotplug.of_device("remove", "pci", "0000:3d:00.0", tmp_path / "gone", "")
    assert event is not None and event.kind is Kind.DEVICE_REMOVED
    event = hotplug.of_device("add", "net", "enp1s0", tmp_path, "i40e")
    assert event is not None and event.text == "enp1s0 appeared (driver i40e)"
    assert hotplug.of_device("change", "net", "enp1s0", tmp_path, "i40e") is None


@pytest.mark.system
def test_links_and_hot_plug(wires: Wires) -> None:
    async def work() -> None:
        before = threading.active_count()
        seen: list[tuple[Kind, str]] = []
        watch = Watch(lambda event: seen.append((event.kind, event.device)), source="kernel")
        watch.start()
        assert not watch.why
        try:
            wires.ip(FAR, "link", "set", "wire", "down")
            await until(lambda: (Kind.LINK_DOWN, "wire") in seen, lambda: seen)
            wires.ip(FAR, "link", "set", "wire", "up")
            await until(lambda: (Kind.LINK_UP, "wire") in seen, lambda: seen)
            wires.ip(NEAR, "link", "add", "plug", "type", "veth", "peer", "name", "plug-peer")
            await until(lambda: (Kind.NIC_ADDED, "plug") in seen, lambda: seen)
            wires.ip(NEAR, "link", "delete", "plug")
            await until(lambda: (Kind.NIC_REMOVED, "plug") in seen, lambda: seen)
            wires.ip(NEAR, "link", "set", "wire", "mtu", "1400")
            await until(lambda: (Kind.MTU_CHANGED, "wire") in seen, lambda: seen)
        finally:
            watch.stop()
        assert seen.count((Kind.NIC_ADDED, "plug")) == 1  # netlink and udev both know; it is told once
        assert [event.device for event in watch.recent] == [device for _, device in seen]
        assert all(event.at > 1.5e9 for event in watch.recent)
        assert threading.active_count() == before

    run_inside(NEAR, work)


XDP_PASS = '__attribute__((section("xdp"), used)) int {name}(void *context) {{ return 2; }}\n'


@pytest.mark.system
def test_xdp_programs_of_others(wires: Wires, tmp_path: Path) -> None:
    """A program that somebody attaches, replaces, takes off: seen with its mode and id."""
    if not shutil.which("clang"):
        pytest.skip("no clang: no XDP program to attach")
    for name in ("one", "other"):
        (tmp_path / f"{name}.c").write_text(XDP_PASS.format(name=name))
        command = ["clang", "-O2", "-target", "bpf", "-c", f"{name}.c", "-o", f"{name}.o"]
        subprocess.run(command, cwd=tmp_path, check=True, timeout=60)

    async def work() -> None:
        watch = Watch(source="kernel")
        watch.start()

        def kinds() -> list[Kind]:
            return [event.kind for event in watch.recent]

        try:
            attach = ("link", "set", "dev", "wire", "xdpgeneric", "obj")
            wires.ip(NEAR, *attach, str(tmp_path / "one.o"), "sec", "xdp")
            await until(lambda: Kind.XDP_ATTACHED in kinds(), kinds)
            assert "generic" in watch.recent[-1].text
            wires.ip(NEAR, "-force", *attach, str(tmp_path / "other.o"), "sec", "xdp")
            await until(lambda: Kind.XDP_REPLACED in kinds(), kinds)
            (wire,) = [link for link in links.read() if link.name == "wire"]
            assert wire.xdp == "generic" and str(wire.xdp_program) in watch.recent[-1].text
            wires.ip(NEAR, "link", "set", "dev", "wire", "xdpgeneric", "off")
            await until(lambda: Kind.XDP_REMOVED in kinds(), kinds)
        finally:
            watch.stop()

    run_inside(NEAR, work)


@pytest.mark.system
def test_without_udev_netlink_tells_of_nics(wires: Wires, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ImportError("No library named udev")

    monkeypatch.setattr("firmware_iface.watch.HotPlug", refuse)

    async def work() -> None:
        watch = Watch()
        watch.start()
        assert "no udev library" in watch.why
        wires.ip(NEAR, "link", "add", "plug", "type", "veth", "peer", "name", "plug-peer")
        await until(lambda: Kind.NIC_ADDED in {event.kind for event in watch.recent}, lambda: watch.recent)
        watch.stop()

    run_inside(NEAR, work)
