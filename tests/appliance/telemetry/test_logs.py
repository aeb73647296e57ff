"""Log lines: form, level, call id, and the mask on every way in."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from appliance.telemetry import logs

KEY = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def _lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_lines_when_nobody_looks() -> None:
    stream = io.StringIO()
    logs.configure("info", "auto", stream)
    structlog.get_logger("srtpgw.test").info("offer", legs=2)
    (line,) = _lines(stream)
    assert (line["event"], line["legs"], line["level"], line["logger"]) == ("offer", 2, "info", "srtpgw.test")
    assert str(line["timestamp"]).endswith("Z")


def test_text_on_a_terminal_and_json_when_asked() -> None:
    terminal = Terminal()
    logs.configure("info", "auto", terminal)
    structlog.get_logger("srtpgw.test").info("offer", legs=2)
    assert "offer" in terminal.getvalue() and not terminal.getvalue().startswith("{")
    terminal = Terminal()
    logs.configure("info", "json", terminal)
    structlog.get_logger("srtpgw.test").info("offer")
    assert _lines(terminal)[0]["event"] == "offer"


def test_level_is_kept_and_can_change() -> None:
    stream = io.StringIO()
    log = structlog.get_logger("srtpgw.test")
    logs.configure("warning", "json", stream)
    log.info("quiet")
    log.warning("loud")
    logs.set_level("debug")
    log.debug("everything")
    assert [line["event"] for line in _lines(stream)] == ["loud", "everything"]


async def test_call_id_goes_through_what_is_awaited() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)

    async def deeper() -> None:
        await asyncio.sleep(0)
        structlog.get_logger("srtpgw.deep").info("inside")

    with logs.call_bound("c1", leg="a"):
        await deeper()
    structlog.get_logger("srtpgw.test").info("outside")
    inside, outside = _lines(stream)
    assert (inside["call"], inside["leg"]) == ("c1", "a")
    assert "call" not in outside


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_key_by_any_way(form: str) -> None:
    stream = io.StringIO()
    logs.configure("debug", form, stream)
    log = structlog.get_logger("srtpgw.test")
    crypto = f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20"
    log.info("field", sdp=f"v=0\r\n{crypto}\r\n", master_key=KEY)
    log.info(f"event text {crypto}")
    log.info("arguments %s", crypto)
    logging.getLogger("grpc").warning("foreign %s", crypto)
    logging.getLogger("asyncio").warning("extra", extra={"key": KEY})
    try:
        raise ValueError(f"cannot parse {crypto}")
    except ValueError:
        log.exception("traceback")
        logging.getLogger("foreign").exception("foreign traceback")
    text = stream.getvalue()
    assert KEY not in text
    assert text.count("cannot parse") >= 2 and "***" in text
