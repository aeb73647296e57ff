"""`python -m kernels.load` as tests in network namespaces use it."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest

from kernels.load.__main__ import serve
from kernels.load.plan import KeyBytes, StreamConfig, report_from_json, stream_from_json, stream_to_json, totals
from tests.kernels.load.test_endpoints import AES_CM, pair


def test_conversation() -> None:
    plan = {"streams": [stream_to_json(config) for config in pair()]}
    runs = [{"seconds": 5, "packets": 20, "settle_ms": 50}] * 2
    lines = "\n".join(json.dumps(document) for document in [plan, *runs])
    done = subprocess.run(
        [sys.executable, "-m", "kernels.load"], input=lines, capture_output=True, text=True, timeout=60, check=True
    )
    ports, *reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert ports["ports"][0][0] == plan["streams"][0]["local"][1]
    assert len(reports) == 2
    for report in reports:
        summary, streams = report_from_json(report)
        assert totals(streams).received == 40 and totals(streams).flawless and summary.seconds > 0


@pytest.mark.parametrize(
    "line", ["", "{}", "[", '{"streams": [{"local": ["::1", 27990], "colour": 1}]}', '{"streams": [{"local": 5}]}']
)
def test_mistakes_are_answered(line: str) -> None:
    out = io.StringIO()
    assert serve(io.StringIO(line + "\n"), out) == 2
    assert "error" in json.loads(out.getvalue())


def test_configs_survive_json_and_keys_are_not_printed() -> None:
    key = KeyBytes(b"k" * 16, b"s" * 14, b"\1")
    config = StreamConfig(("::1", 5000), ("::1", 5002), transform=AES_CM, send_key=key, receive_key=key, expects=3)
    assert stream_from_json(json.loads(json.dumps(stream_to_json(config)))) == config
    assert "kkkk" not in repr(config) and "ssss" not in repr(config)
