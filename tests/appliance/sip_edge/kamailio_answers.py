"""What a Kamailio 5.6.3 says about itself, for a FakeRpc; tests/system compares with the real one."""

from __future__ import annotations

from tests.appliance.sip_edge.fake_rpc import Answer

ANSWERS: dict[str, Answer] = {
    "core.version": lambda: "kamailio 5.6.3 (x86_64/linux) ",
    "core.uptime": lambda: {"now": "Wed Nov 25 18:08:12 2026", "up_since": "Wed Nov 25 18:08:10 2026", "uptime": 42},
    "core.psx": lambda: [{"IDX": 0, "PID": 3267, "DSC": "main process - attendant"},
                         {"IDX": 1, "PID": 3269, "DSC": "udp receiver"}],
    "core.shmmem": lambda: {"total": 67108864, "free": 64379856, "used": 2488032, "real_used": 2729008,
                            "max_used": 2829008, "fragments": 1},
    "tm.stats": lambda: {"current": 2, "waiting": 1, "total": 100, "total_local": 0, "rpl_received": 0,
                         "rpl_generated": 0, "rpl_sent": 0, "6xx": 0, "5xx": 3, "4xx": 4, "3xx": 0, "2xx": 90,
                         "created": 0, "freed": 0, "delayed_free": 0},
    "dlg.stats_active": lambda: {"starting": 1, "connecting": 2, "answering": 0, "ongoing": 7, "all": 10},
    "stats.fetch": lambda *names: {name.replace(":", "."): str(number) for number, name in enumerate(names, 4)},
    "htable.dump": lambda table: [
        {"entry": 0, "size": 1, "slot": [{"name": "malformed", "value": 3, "type": "int"}]},
        {"entry": 5, "size": 2, "slot": [{"name": "acl_denied", "value": 12, "type": "int"},
                                         {"name": "text", "value": "x", "type": "str"}]},
    ],
}  # fmt: skip
