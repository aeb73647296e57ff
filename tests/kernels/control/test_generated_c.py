"""The worker's loop as Cython writes it: no Python objects, no GIL, no exceptions (STYLE 4.2, 4.3)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernels.srtp.test_generated import HARMLESS, PYTHON, functions

ROOT = Path(__file__).parents[3]
PATHS = {
    "control/worker": {
        "worker_loop", "worker_wanted", "worker_turn", "burst", "take_over", "adopt_handoffs",
        "housekeeping", "take_orders", "command_due", "take_command", "take_injection",
        "follow_homes", "send_injection", "publish", "tell_control", "worker_attach", "adopt_flows", "adopt_counters",
    },
    "control/execute": {
        "command_execute", "install_crypto", "remove_crypto", "install_flow", "remove_flow", "forget",
        "valid",
    },
    "control/move": {
        "move_export", "move_import", "move_discard", "fill", "send_off", "wipe_source", "importable", "import_cryptos",
        "import_flows", "import_ice", "renumbered", "empty", "wipe",
    },
    "flow/pipeline": {
        "pipeline_run", "pipeline_settle", "admit", "hand_over", "screen", "divert", "accept", "heed", "tally",
        "distribute", "depart.depart",
        "copies.copies_make", "copies.copy_to", "copies.copies_send", "rewrite.rewrite_rtp", "rewrite.rewrite_type",
        "rewrite.rewrite_id", "rewrite.rewrite_one_byte", "rewrite.rewrite_two_byte", "rewrite.feedback_cut",
        "ice.ice_admits", "ice.ice_consents", "routes.carrier_of",
    },
    "flow/ice": {
        "ice_receive", "ice_follow", "ice_adopt", "ice_wipe", "ice_install", "ice_tell_expiry", "ice_may_inject",
        "ignore", "request", "response", "refuse", "credential", "of_peer", "validate", "consent", "mark", "place",
        "source_put", "selectable", "select", "tell", "ice_find", "ice_judges", "stun.stun_parse", "stun.stun_place",
        "stun.stun_note", "stun.stun_fingerprint_ok", "stun.stun_signed", "stun.stun_success", "stun.stun_refuse",
        "stun.stun_attribute", "stun.stun_finish", "stun.stun_names",
    },
    "flow/routes": {
        "routes_rtp", "routes_rtcp", "part", "bit", "routes_flow", "routes_sent", "table", "route_of_ssrc",
        "route_of_type", "route_of_mid", "remember", "extension", "routes_install", "routes_import", "own",
        "routes_place", "routes_wipe",
    },
    "flow/punts": {"punt", "punt_news", "budget_take", "quarter"},
    "flow/handoff": {
        "handoff_give", "handoff_wake", "handoff_doze", "handoff_rise", "handoff_take", "handoff_prepare", "coming",
        "must_wait", "enter_lobby", "leave_lobby", "unwrap",
    },
    "port/udp": {
        "udp_receive", "udp_read", "kept_begin", "udp.udp_reach", "udp_transmit", "udp_release",
        "udp_serve",
        "udp_sockets.sockets_read", "udp_sockets.sockets_read_one", "udp_sockets.sockets_read_deep",
        "udp_sockets.sockets_control", "udp_sockets.sockets_overflowed", "udp_sockets.sockets_send",
        "udp_sockets.sockets_send_one", "udp_sockets.sockets_send_chain",
        "udp_sockets.sockets_send_marked", "udp_sockets.sockets_mark", "udp_sockets.sockets_send_segments",
        "wildcard.wildcard_read", "wildcard.wildcard_control", "wildcard.wildcard_serve", "wildcard.wildcard_send",
        "wildcard.wildcard_send_by", "wildcard.wildcard_wrap", "wildcard.wildcard_ipv4", "wildcard.wildcard_ipv6",
        "wildcard.wildcard_udp", "wildcard.wildcard_send_long", "wildcard.wildcard_spare",
    },
    "port/xdp": {
        "xdp_receive", "wait", "tend", "count_lost", "read_rings", "describe", "number_of", "xdp_transmit", "kick",
        "send_by_ring", "refuse", "ring_for", "own", "give", "xdp_release", "xdp_serve",
    },
    "port/rings": {"rings_recover", "mark_unread"},
    "port/memory": {"memory_receive", "memory_transmit", "memory_release"},
}  # fmt: skip


def code_of(module: str, folder: Path) -> dict[str, str]:
    """Functions of the generated C without comments; performance hints fail at once."""
    target = folder / "out.c"
    command = [sys.executable, "-m", "cython", "-3", "-I", str(ROOT), str(ROOT / "kernels" / f"{module}.pyx")]
    done = subprocess.run([*command, "-o", str(target)], capture_output=True, text=True, timeout=120, check=True)
    assert "performance hint" not in done.stderr
    return {name: re.sub(r"/\*.*?\*/", "", body, flags=re.S) for name, body in functions(target.read_text()).items()}


@pytest.mark.parametrize("module", PATHS)
def test_no_python_in_the_loop(module: str, tmp_path: Path) -> None:
    bodies = code_of(module, tmp_path)
    for function in PATHS[module]:
        owner, _, plain = function.rpartition(".")  # an inline function has the name of its .pxd
        (name,) = [n for n in bodies if re.search(rf"_\d+{owner or module.split('/')[1]}_{plain}$", n)]
        assert set(PYTHON.findall(bodies[name])) <= HARMLESS, name


def test_inline_helpers_have_no_python(tmp_path: Path) -> None:
    """Rings, sequence numbers, the source rule and reception are inline in headers; they are compiled into the loop."""
    bodies = code_of("control/worker", tmp_path) | code_of("flow/pipeline", tmp_path)
    helpers = ["ring_reserve", "ring_submit", "ring_peek", "ring_release", "sequence_begin", "sequence_end"]
    helpers += ["source_accepts", "source_learn", "source_take", "reception_count", "flow_at", "peer_equal"]
    for helper in helpers:
        found = [body for name, body in bodies.items() if name.endswith(helper)]
        assert found, helper
        assert all(set(PYTHON.findall(body)) <= HARMLESS for body in found), helper


def test_inline_helpers_of_the_rings_have_no_python(tmp_path: Path) -> None:
    bodies = code_of("port/xdp", tmp_path)
    helpers = ["frame_read", "frame_write", "checksum_right", "read_udp", "read_ipv4", "read_ipv6", "next_hop_find"]
    helpers += ["next_hop_hash", "wanted_note", "fill_up", "reap", "frame_of", "address_of", "frame_free", "unsent"]
    for helper in helpers:
        found = [body for name, body in bodies.items() if name.endswith(helper)]
        assert found, helper
        assert all(set(PYTHON.findall(body)) <= HARMLESS for body in found), helper
