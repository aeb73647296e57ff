"""The same SIP edge in front of Debian's rtpengine: what the browser's calls look like with the peer in our place."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from appliance.config.schema import Settings
from appliance.sip_edge import kamailio
from appliance.sip_edge.from_settings import edge_config
from tests.system import lab as labs
from tests.system.certificates import Authority
from tests.system.gateway import PORTS
from tests.system.rtpengine import PROGRAM
from tests.system.test_digest import add
from tests.system.webrtc import rig


@contextmanager
def rtpengine_gateway(lab: labs.Lab, authority: Authority) -> Iterator[None]:
    """Kamailio as rendered from the settings of `rig`, rtpengine behind it."""
    assert PROGRAM is not None
    settings = Settings.model_validate(tomllib.loads(rig.text(lab, authority)))
    edge = replace(edge_config(settings, lab.directory / "edge"), user="")
    kamailio.prepare(edge)
    add(lab.directory, rig.USER, rig.DOMAIN, rig.PASSWORD)
    media = [PROGRAM, "--table=-1", "--foreground", "--log-stderr", "--config-file=none", "--listen-ng=127.0.0.1:25500",
             *(f"--interface={side}/{labs.GATEWAY[side]}" for side in ("access", "core")), "--num-threads=1",
             f"--port-min={PORTS[0]}", f"--port-max={PORTS[1]}", "--delete-delay=0"]  # fmt: skip
    processes = [lab.start("gateway", media, "rtpengine.log"),
                 lab.start("gateway", kamailio.command(edge), "kamailio.log")]  # fmt: skip
    try:
        yield
    finally:
        for process in processes:
            labs.end(process)
