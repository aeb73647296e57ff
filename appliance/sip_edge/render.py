"""Kamailio's configuration as text: tables of modules, globals and parameters, filled from an `EdgeConfig`.

Kamailio does SIP; everything that decides is in `ksr/` (KEMI), everything that is decided beforehand is in the routing
table beside it. This file says which modules every edge has and how they are set; `areas/` the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from appliance.sip_edge import rpc_fifo
from appliance.sip_edge.areas.area import Value
from appliance.sip_edge.edge_config import EdgeConfig

MODULES = (  # dmq: before those whose tables it shares
    "tls",  # first: OpenSSL takes Kamailio's shared memory only before anybody else initialises it
    "tm", "tmx", "sl", "rr", "pv", "maxfwd", "textops", "textopsx", "siputils", "xlog", "sanity", "ctl", "kex", "corex",
    "counters", "jsonrpcs", "db_sqlite", "dialog", "dmq", "htable", "nathelper", "rtpengine", "uac",
)  # fmt: skip

ON_DEMAND = ("tls", "dmq")  # of these: where an area asks for it

FRAME = 16  # octets around a WebSocket message, at most (RFC 6455 section 5.2)
PARTING = "parting"  # htable of ksr/dialog.py
GIVEN_VARIABLE = "$var(given_sdp)"  # the SDP that the gateway is given
SDP_VARIABLE = "$var(sdp)"  # where the gateway's SDP waits for the script to put it into a message

SCRIPT = "app_python3"  # last: the script finds every other module loaded


def kamailio_cfg(edge: EdgeConfig) -> str:
    """The whole of kamailio.cfg."""
    parts = [
        "#!KAMAILIO",
        "# Rendered by srtpgw from its settings; changes here are lost.",
        *(f"{name}={_quoted(value)}" for name, value in (*_globals(edge), *_of_areas(edge, "globals"))),
        *(f"listen={socket}" for socket in edge.listen),
        *(f"alias={socket}" for socket in _of_areas(edge, "aliases")),
        "",
        f'mpath="{edge.modules}"',
        *(f'loadmodule "{name}.so"' for name in _modules(edge)),
        "",
        *(f'modparam("{module}", "{name}", {_quoted(value)})'
          for module, name, value in (*_parameters(edge), *_of_areas(edge, "parameters")) if _wanted(module, edge)),
        "",
        'cfgengine "python"',
        'kemi.received_route_callback="ksr_received"',
        *_of_areas(edge, "blocks"),
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


def _modules(edge: EdgeConfig) -> Iterable[str]:
    """Every module once, in load order."""
    names = (*(name for name in MODULES if _wanted(name, edge)), *_of_areas(edge, "modules"), SCRIPT)
    return dict.fromkeys(names)


def _of_areas(edge: EdgeConfig, field: str) -> Iterable[Any]:
    return [item for area in edge.areas for item in getattr(area, field)]


def _wanted(module: str, edge: EdgeConfig) -> bool:
    if module in ON_DEMAND:
        return module in _of_areas(edge, "modules")
    return module != "db_sqlite" or edge.database != ""


def _globals(edge: EdgeConfig) -> Iterable[tuple[str, Value]]:
    return (
        ("debug", edge.log_level),
        ("log_stderror", "yes"),
        ("fork", "yes"),
        ("children", edge.workers),
        *((("tcp_children", edge.workers), ("tcp_rd_buf_size", edge.longest + FRAME)) if _streams(edge) else
          (("disable_tcp", "yes"),)),
        ("auto_aliases", "no"),
        ("mhomed", 1),  # leave by the socket that the route to the next hop uses
        ("server_signature", "no"),  # no Server or User-Agent of Kamailio's own
        ("user_agent_header", f"User-Agent: {edge.user_agent}"),
        ("server_header", f"Server: {edge.user_agent}"),
        ("pv_buffer_size", edge.longest),  # the gateway is given each SDP in one
        ("pv_buffer_slots", 20),
        ("disable_core_dump", "yes"),  # bodies hold SDES keys
        ("received_route_mode", "yes"),  # bans and sizes before anything is parsed: ksr_received
        *((("udp_mtu", edge.udp_mtu), ("udp_mtu_try_proto", "TCP")) if edge.udp_mtu else ()),
        ("corelog", 3),  # malformed messages of strangers do not fill the log
        ("sip_parser_log", 3),  # and are not printed: they may hold keys
    )


def _streams(edge: EdgeConfig) -> bool:
    """Without a TCP socket of its own, Kamailio 5.6's TCP process spins on an empty set of events."""
    return any(not socket.startswith("udp:") for socket in edge.listen)


def _parameters(edge: EdgeConfig) -> Iterable[tuple[str, str, Value]]:
    return (
        ("tm", "failure_reply_mode", 3),
        ("tm", "fr_timer", edge.answer_timeout_ms),
        ("tm", "fr_inv_timer", edge.ring_timeout_ms),
        ("tm", "auto_inv_100", 0),  # the script answers 100 before it asks the gateway (row I03)
        ("rr", "enable_full_lr", 1),
        ("rr", "append_fromtag", 1),
        ("rr", "enable_double_rr", 1),
        ("sanity", "autodrop", 0),
        ("xlog", "methods_filter", -1),
        ("ctl", "binrpc", f"unix:{edge.run}/kamailio_ctl"),
        ("jsonrpcs", "transport", 6),  # datagram socket, and a pipe for long answers (rpc_fifo.py)
        ("jsonrpcs", "pretty_format", 0),
        ("jsonrpcs", "fifo_name", f"{edge.run}/{rpc_fifo.FIFO}"),
        ("jsonrpcs", "fifo_mode", 0o660),
        ("jsonrpcs", "fifo_reply_dir", f"{edge.run}/{rpc_fifo.REPLIES}/"),
        ("jsonrpcs", "dgram_socket", f"{edge.run}/kamailio_rpc.sock"),
        ("jsonrpcs", "dgram_mode", 0o660),
        ("db_sqlite", "db_set_journal_mode", f"{edge.database};WAL"),
        ("dialog", "db_url", f"sqlite:///{edge.database}"),
        ("dialog", "db_mode", 2 if edge.database else 0),  # one writer: SQLite turns a second one away
        ("dialog", "db_update_period", 1),  # a killed Kamailio knows the dialogs of up to a second ago
        ("dialog", "enable_stats", 1),
        ("dialog", "dlg_match_mode", 1),
        ("dialog", "default_timeout", edge.dialog_timeout_s),
        ("dialog", "send_bye", 1),  # to both sides of a call that lasts too long
        ("dialog", "event_callback", "ksr_dialog_event"),
        ("rtpengine", "rtpengine_sock", " ".join(f"udp:{address}" for address in edge.ng)),
        ("rtpengine", "write_sdp_pv", SDP_VARIABLE),
        ("rtpengine", "read_sdp_pv", GIVEN_VARIABLE),
        ("rtpengine", "extra_id_pv", "$avp(kind)"),
        ("rtpengine", "rtpengine_disable_tout", 1),  # a restarted gateway serves the next call
        ("rtpengine", "rtpengine_tout_ms", 1000),
        ("rtpengine", "rtpengine_retr", 3),
        ("tm", "event_callback", "ksr_tm_event"),
        ("htable", "htable", f"{PARTING}=>size=8;autoexpire=5;"),
        ("htable", "htable", "rules=>size=8;initval=0;"),  # refusals and drops by rule: ksr/say.py counts
        ("app_python3", "load", f"{edge.script}"),
    )


def _quoted(value: Value) -> str:
    """A Kamailio literal: integers and yes/no bare, anything else a quoted string."""
    if isinstance(value, int) or value in ("yes", "no", "TCP"):
        return str(value)
    if '"' in value or "\n" in value:
        raise ValueError(f"not possible in Kamailio's configuration: {value!r}")
    return f'"{value}"'
