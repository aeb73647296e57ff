"""Steering on made-up NICs, its octets against the C header, and a real driver that cannot."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_iface import flowspec, steering
from firmware_iface.rules import Rule, Share
from firmware_iface.simulated import FlowRules
from firmware_iface.steering import Outcome, RuleBook, steer
from tests.firmware_iface.wires import NEAR, Wires, run_inside

SHARES = [Share(range(30000, 32048), 0), Share(range(32048, 34096), 1)]
STRANGER = Rule(4, 53, 0xFFFF, 5)


@pytest.fixture
def book(tmp_path: Path) -> RuleBook:
    return RuleBook(tmp_path / "steering.json")


def test_masks(book: RuleBook) -> None:
    table = FlowRules(room=64)
    table.table = {0: STRANGER, 1: None}
    outcome = steer("enp1s0", table, SHARES, book)
    assert (outcome.how, outcome.steered, outcome.why) == ("masks", True, "")
    assert outcome.rules == outcome.added == len(table.table) - 2
    for port in (30000, 31000, 32047, 32048, 34095):
        found = [rule for rule in table.table.values() if rule and rule.family == 6 and rule.covers(port)]
        assert [rule.queue for rule in found] == [0 if port < 32048 else 1]
    before = dict(table.table)
    assert steer("enp1s0", table, SHARES, book) == Outcome("enp1s0", "masks", outcome.rules)  # idempotent
    assert table.table == before
    steer("enp1s0", table, SHARES[:1], book)
    assert all(rule is None or rule is STRANGER or rule.queue == 0 for rule in table.table.values())
    outcome = steer("enp1s0", table, [], book)
    assert outcome.how == "none" and table.table == {0: STRANGER, 1: None}


def test_rules_that_outlive_the_book_are_taken_over(book: RuleBook, tmp_path: Path) -> None:
    table = FlowRules()
    steer("enp1s0", table, SHARES, book)
    for damage in ("", "{", "[]", '{"enp1s0": {"x": 1}}', '{"enp1s0": {"1": {"family": 4}}}'):
        (tmp_path / "steering.json").write_text(damage)
        assert steer("enp1s0", table, SHARES, book).added == 0
    steer("enp1s0", table, [], book)
    assert not table.table


def test_book_does_not_follow_links(book: RuleBook, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("keep")
    (tmp_path / "steering.json").symlink_to(tmp_path / "precious")
    steer("enp1s0", FlowRules(), SHARES, book)
    assert (tmp_path / "precious").read_text() == "keep" and not (tmp_path / "steering.json").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["precious", "steering.json"]


def test_two_nics_share_a_book(book: RuleBook) -> None:
    one, other = FlowRules(), FlowRules()
    steer("one", one, SHARES, book)
    steer("other", other, SHARES, book)
    steer("one", one, [], book)
    assert not one.table and steer("other", other, SHARES, book).added == 0


def test_a_driver_that_takes_whole_ports_only(book: RuleBook) -> None:
    table, shares = FlowRules(room=4096, masks=False), [Share(range(30000, 30100), 2)]
    table.table = {0: STRANGER}
    outcome = steer("enp1s0", table, shares, book)
    assert (outcome.how, outcome.rules) == ("ports", 200) and outcome.steered
    assert steer("enp1s0", table, shares, book) == Outcome("enp1s0", "ports", 200)
    steer("enp1s0", table, [], book)
    assert table.table == {0: STRANGER}


def test_too_many_ports_for_single_rules(book: RuleBook) -> None:
    table = FlowRules(room=8192, masks=False)
    outcome = steer("enp1s0", table, SHARES, book)
    assert (outcome.how, outcome.steered) == ("rss", False) and "8192 rules" in outcome.why
    assert not table.table and set(table.indirection) == {0, 1}


def test_no_room(book: RuleBook) -> None:
    table = FlowRules(room=4)
    outcome = steer("enp1s0", table, SHARES, book)
    assert outcome.how == "rss" and not table.table and "too many" in outcome.why
    table = FlowRules(room=8, chooses=True)
    outcome = steer("enp1s0", table, SHARES, book)  # found out half-way: all or nothing
    assert outcome.how == "rss" and not table.table and "No space" in outcome.why


def test_a_driver_that_chooses_places(book: RuleBook) -> None:
    table = FlowRules(chooses=True)
    outcome = steer("enp1s0", table, SHARES, book)
    assert outcome.how == "masks" and 0 in table.table
    steer("enp1s0", table, [], book)
    assert not table.table


def test_a_nic_that_cannot(book: RuleBook) -> None:
    outcome = steer("eth0", FlowRules(room=0, entries=0), SHARES, book)
    assert outcome == Outcome("eth0", "none", why="no flow rules: Operation not supported")
    table = FlowRules(room=0)
    assert steer("eth0", table, SHARES, book).how == "rss" and table.indirection[:4] == (0, 1, 0, 1)


@pytest.mark.system
def test_real_drivers_that_cannot(wires: Wires, book: RuleBook) -> None:
    async def work() -> Outcome:
        return steering.apply("wire", SHARES, book)

    outcome = run_inside(NEAR, work)
    assert (outcome.how, outcome.steered) == ("none", False) and "flow rules" in outcome.why
    assert "No such device" in steering.apply("gwhw-no-such", SHARES, book).why
    assert steering.apply("a-name-longer-than-interfaces-have", SHARES, book).how == "none"


addresses = {4: st.ip_addresses(v=4).map(str), 6: st.ip_addresses(v=6).map(str)}


@given(st.data())
def test_octets_there_and_back(data: st.DataObject) -> None:
    family = data.draw(st.sampled_from([4, 6]))
    mask = data.draw(st.integers(1, 0xFFFF))
    port = data.draw(st.integers(0, 0xFFFF)) & mask
    address = data.draw(st.just("") | addresses[family])
    rule = Rule(family, port, mask, data.draw(st.integers(0, 1023)), address)
    octets = flowspec.encode(0x32, rule, 99)
    assert len(octets) == flowspec.OCTETS and flowspec.decode(octets) == rule
    assert struct.unpack_from("I", octets, flowspec.RULE + flowspec.LOCATION) == (99,)


@pytest.mark.parametrize(
    "offset",
    [
        flowspec.MASKS + 0,  # source address
        flowspec.MASKS + 8,  # source port
        flowspec.MASKS + 12,  # TOS
        flowspec.MASKS + 4,  # a part of the destination
        flowspec.COOKIE + 4,  # a virtual function
        0,  # another flow type
    ],
)
def test_rules_of_another_kind_are_not_taken_for_ours(offset: int) -> None:
    octets = bytearray(flowspec.encode(0x32, Rule(4, 8, 0xFFF8, 0), 1))
    octets[flowspec.RULE + offset] ^= 0x0F
    assert flowspec.decode(bytes(octets)) is None


@given(st.binary(min_size=flowspec.OCTETS, max_size=flowspec.OCTETS))
def test_any_octets_are_read_without_raising(octets: bytes) -> None:
    found = flowspec.decode(octets)
    assert found is None or flowspec.decode(flowspec.encode(0x32, found, 0)) == found


def test_octets_as_the_compiler_lays_them_out(tmp_path: Path) -> None:
    compiler = shutil.which("gcc") or shutil.which("clang")
    assert compiler, "the build needs one"
    source = tmp_path / "rule.c"
    source.write_text(
        """#include <linux/ethtool.h>
        #include <arpa/inet.h>
        #include <stdio.h>
        #include <string.h>
        int main(void) {
            struct ethtool_rxnfc four, six;
            memset(&four, 0, sizeof four);
            four.cmd = ETHTOOL_SRXCLSRLINS;
            four.fs.flow_type = UDP_V4_FLOW;
            four.fs.h_u.udp_ip4_spec.pdst = htons(30000);
            four.fs.m_u.udp_ip4_spec.pdst = htons(0xfff0);
            four.fs.ring_cookie = 3;
            four.fs.location = 77;
            fwrite(&four, sizeof four, 1, stdout);
            memset(&six, 0, sizeof six);
            six.cmd = ETHTOOL_SRXCLSRLINS;
            six.fs.flow_type = UDP_V6_FLOW;
            inet_pton(AF_INET6, "2001:db8::1", six.fs.h_u.udp_ip6_spec.ip6dst);
            memset(six.fs.m_u.udp_ip6_spec.ip6dst, 0xff, 16);
            six.fs.h_u.udp_ip6_spec.pdst = htons(30000);
            six.fs.m_u.udp_ip6_spec.pdst = htons(0xffff);
            six.fs.ring_cookie = 9;
            six.fs.location = 78;
            fwrite(&six, sizeof six, 1, stdout);
            return 0;
        }"""
    )
    subprocess.run([compiler, "-o", tmp_path / "rule", source], check=True, timeout=60)
    octets = subprocess.run([tmp_path / "rule"], check=True, timeout=10, capture_output=True).stdout
    ours = flowspec.encode(0x32, Rule(4, 30000, 0xFFF0, 3), 77) + flowspec.encode(
        0x32, Rule(6, 30000, 0xFFFF, 9, "2001:db8::1"), 78
    )
    assert octets == ours
