"""Flow rules as SIOCETHTOOL's octets: struct ethtool_rxnfc and ethtool_rx_flow_spec of linux/ethtool.h, 64-bit layout.

    offset 0 cmd, 4 flow type, 8 data, 16 rule { 0 flow type, 4 values, 56 extension, 76 masks, 128 its masks,
    152 ring cookie, 160 location }, 184 rule count, 188 locations
A UDP value over IPv4 is source, destination (4 each), source port, destination port, TOS; over IPv6 addresses take 16.
"""

from __future__ import annotations

import ipaddress
import struct

from firmware_iface.rules import EXACT, Rule

RULE, VALUES, EXTENSION, MASKS, COOKIE, LOCATION = 16, 4, 56, 76, 152, 160
COUNT, LOCATIONS, OCTETS = 184, 188, 192
UNION = 52
FLOW_TYPE = {4: 0x02, 6: 0x06}  # UDP_V4_FLOW, UDP_V6_FLOW
ADDRESS = {4: 4, 6: 16}


def encode(command: int, rule: Rule, location: int) -> bytes:
    data = bytearray(OCTETS)
    struct.pack_into("I", data, 0, command)
    struct.pack_into("I", data, RULE, FLOW_TYPE[rule.family])
    _match(data, RULE + VALUES, rule, rule.address, rule.port)
    _match(data, RULE + MASKS, rule, _all_ones(rule.family) if rule.address else "", rule.mask)
    struct.pack_into("Q", data, RULE + COOKIE, rule.queue)
    struct.pack_into("I", data, RULE + LOCATION, location)
    return bytes(data)


def decode(data: bytes) -> Rule | None:
    """None: it is no rule of the kind we make (another protocol, sources, VLANs, RSS contexts, dropping)."""
    flow_type = struct.unpack_from("I", data, RULE)[0]
    family = next((number for number, kind in FLOW_TYPE.items() if kind == flow_type), None)
    if family is None:
        return None
    width = ADDRESS[family]
    values, masks = data[RULE + VALUES :][:UNION], data[RULE + MASKS :][:UNION]
    address_mask, port_mask = masks[width : 2 * width], struct.unpack_from(">H", masks, 2 * width + 2)[0]
    others = masks[:width] + masks[2 * width : 2 * width + 2] + masks[2 * width + 4 :]
    cookie = struct.unpack_from("Q", data, RULE + COOKIE)[0]
    if any(others) or port_mask == 0 or cookie > EXACT:
        return None
    if any(address_mask) and any(octet != 0xFF for octet in address_mask):
        return None
    address = str(ipaddress.ip_address(values[width : 2 * width])) if any(address_mask) else ""
    port = struct.unpack_from(">H", values, 2 * width + 2)[0]
    return Rule(family, port & port_mask, port_mask, cookie, address)


def _match(data: bytearray, start: int, rule: Rule, address: str, port: int) -> None:
    width = ADDRESS[rule.family]
    if address:
        data[start + width : start + 2 * width] = ipaddress.ip_address(address).packed
    struct.pack_into(">H", data, start + 2 * width + 2, port)


def _all_ones(family: int) -> str:
    return str(ipaddress.ip_address(b"\xff" * ADDRESS[family]))
