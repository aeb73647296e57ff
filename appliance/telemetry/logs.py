"""Structured log lines: text on a terminal, JSON elsewhere, one call id through all lines of a call, keys masked.

log = structlog.get_logger("srtpgw.calls")
with call_bound("a84b4c76e66710"):
    log.info("offer", legs=2)
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import structlog
from structlog.typing import Processor

from appliance.telemetry.mask import mask_secrets

_LEVELS = logging.getLevelNamesMapping()


def configure(level: str = "info", form: str = "auto", stream: TextIO | None = None) -> None:
    """Set up logging of this process. `level` and `form` are settings log.level and log.format.

    Lines of the standard library's loggers (grpc, asyncio) take the same way, masked like ours.
    """
    stream = stream or sys.stderr
    text = form == "text" or (form == "auto" and stream.isatty())
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Tracebacks become text before the mask looks: a message may quote what it was given.
    after: list[Processor] = [structlog.processors.format_exc_info, mask_secrets]
    last: Processor = _console(stream) if text else structlog.processors.JSONRenderer(sort_keys=False, default=str)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*before, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *after, last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level.upper()])
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *before,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # loggers are made at import, before the settings are read
    )


def set_level(level: str) -> None:
    """Change the level of the running process."""
    logging.getLogger().setLevel(_LEVELS[level.upper()])


@contextmanager
def call_bound(call_id: str, **more: Any) -> Iterator[None]:
    """Every line written inside, also by what is awaited there, carries `call`."""
    with structlog.contextvars.bound_contextvars(call=call_id, **more):
        yield


def _console(stream: TextIO) -> Processor:
    return structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)
