"""Topology hiding: Kamailio's topoh under a key, or topos with a storage that edges share (rows K04 to K06).

Facts of 5.6.3: topoh knows one key. What has another prefix passes it by (uri_prefix_checks), so each key has prefixes
of its own, and the script puts the one under the other (`ksr/topology.py`) as long as the earlier one is taken. topos
does not mask Call-IDs. corex comes before both in load order: it sees first what arrives, and last what leaves.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

from appliance.config.schema import Settings
from appliance.config.sip_topology import REDIS
from appliance.sip_edge import mask_keys
from appliance.sip_edge.areas import websocket
from appliance.sip_edge.areas.area import Area, Places, Value
from appliance.sip_edge.ksr.rules.masking import Mask
from appliance.sip_edge.ksr.rules.topology import OLD, TopologyRules

HOUR_S = 3600
SHARD = "topos"  # Redis, by Kamailio's name for it


def area(settings: Settings, places: Places) -> Area:
    """FileNotFoundError: Redis is wanted, its module is not installed."""
    chosen = settings.sip_topology
    aliases = tuple(map(websocket.core_socket, chosen.aliases))
    if chosen.mode == "strip":
        return _strip(settings, places, aliases)
    return mask(rules(settings), chosen.mask_ip, aliases=aliases, callid=chosen.mask_callid)


def rules(settings: Settings, account: str = "") -> TopologyRules:
    """What the script has to know. OSError, ValueError: a key cannot be read or made."""
    chosen = settings.sip_topology
    bare = TopologyRules(
        addresses=chosen.hide_addresses, user_agent=chosen.hide_user_agent, stand_in=chosen.mask_ip,
        ours=tuple(sorted({socket.at.host for socket in settings.sip.listen})), call_ids=chosen.mask_callid,
    )  # fmt: skip
    if chosen.mode == "strip":
        return bare
    found, before = mask_keys.current(settings, account), mask_keys.earlier(settings)
    if before is None or before[0] == found:
        return replace(bare, mask=found)
    return replace(bare, mask=found, earlier=before[0], until=before[1])


def mask(found: TopologyRules, ip: str = "127.0.0.8", *, aliases: tuple[str, ...] = (), callid: bool = True) -> Area:
    """topoh under the key of `found`."""
    assert found.mask is not None
    key = found.mask
    parameters: list[tuple[str, str, Value]] = [
        ("topoh", "mask_key", key.key),
        ("topoh", "mask_ip", ip),
        ("topoh", "mask_callid", int(callid)),
        ("topoh", "uparam_prefix", key.uri),
        ("topoh", "vparam_prefix", key.via),
        ("topoh", "callid_prefix", key.call_id),
        ("topoh", "uri_prefix_checks", 1),
        ("uac", "restore_dlg", 1),  # From and To as they were: in the dialog; in Record-Route where there is none
        ("uac", "restore_passwd", hashlib.sha256(f"uac {key.key}".encode()).hexdigest()[:32]),
        # topoh with a masked Call-ID needs it to address the callee
        ("dialog", "lreq_callee_headers", "TH: dlh\\r\\n"),
    ]
    if found.earlier is None:
        return Area(("topoh",), tuple(parameters), aliases=aliases)
    parameters += [
        ("corex", "nio_intercept", 1),
        ("corex", "nio_msg_avp", "$avp(network)"),
        ("htable", "htable", f"{OLD}=>size=10;"),
    ]
    return Area(("topoh",), tuple(parameters), aliases=aliases, blocks=(_overlap(found.earlier, key),))


def _overlap(earlier: Mask, key: Mask) -> str:
    """Few messages need Python: those with something in them that was masked under the earlier key, and those whose
    Call-ID was just masked under the new one."""
    arriving = "|".join(re.escape(one) for one in (earlier.uri, earlier.via, earlier.call_id))
    return f"""event_route[network:msg] {{
    $(avp(network)[*]) = $mb;
    if (is_incoming()) {{
        if ($mb =~ "{arriving}") {{ python_exec("ksr_network", "in"); }}
    }} else if ($mb =~ "{re.escape(key.call_id)}") {{ python_exec("ksr_network", "out"); }}
}}"""


def _strip(settings: Settings, places: Places, aliases: tuple[str, ...]) -> Area:
    chosen = settings.sip_topology
    parameters: list[tuple[str, str, Value]] = [
        ("topos", "storage", chosen.storage),
        ("topos", "branch_expire", chosen.branch_expire),
        ("topos", "dialog_expire", chosen.dialog_expire or settings.sip.dialog_timeout_s + HOUR_S),
        ("topos", "contact_mode", chosen.contact_mode),
    ]
    if chosen.storage == "db":
        parameters.append(("topos", "db_url", places.database))
        return Area(("topos",), tuple(parameters), aliases=aliases, tables=("topos",))
    if not (places.modules / "topos_redis.so").exists():
        raise FileNotFoundError(0, f"Kamailio has no topos_redis in {places.modules}: apt-get install {DEBIAN}")
    parameters += [("ndb_redis", "server", _server(chosen.redis_url.get_secret_value())),
                   ("topos_redis", "serverid", SHARD)]  # fmt: skip
    return Area(("ndb_redis", "topos", "topos_redis"), tuple(parameters), aliases=aliases)


DEBIAN = "kamailio-redis-modules"


def _server(url: str) -> str:
    found = REDIS.match(url)
    assert found is not None
    word = f";pass={found['word']}" if found["word"] else ""
    return f"name={SHARD};addr={found['host'].strip('[]')};port={found['port']};db={found['db'] or 0}{word}"
