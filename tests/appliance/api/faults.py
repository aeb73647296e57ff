"""Reading the details of a refused request."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status


@dataclass
class Refusal:
    code: grpc.StatusCode
    message: str
    reason: str = ""
    domain: str = ""
    field: str = ""
    retry_s: float | None = None


async def refused(call: Awaitable[Any]) -> Refusal:
    """The refusal that the call must end in."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return refusal(caught.value)


def refusal(error: Any) -> Refusal:
    found = Refusal(error.code(), error.details())
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        info = error_details_pb2.ErrorInfo()
        bad = error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            found.reason, found.domain = info.reason, info.domain
        elif detail.Unpack(bad):
            found.field = bad.field_violations[0].field
        elif detail.Unpack(retry):
            found.retry_s = retry.retry_delay.seconds
    return found
