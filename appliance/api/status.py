"""Errors as google.rpc.Status: the one place where a GatewayError becomes a gRPC answer (AIP-193)."""

from __future__ import annotations

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from appliance.errors import GatewayError, InvalidRequest

DOMAIN = "srtpgw"
RETRY_AFTER_S = 1


def of_error(error: GatewayError) -> grpc.Status:
    """ErrorInfo always; BadRequest where a field is to blame; RetryInfo where trying again makes sense."""
    details: list[Message] = [_info(error.reason)]
    if isinstance(error, InvalidRequest) and error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.field, description=str(error))
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if error.retry:
        details.append(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=RETRY_AFTER_S)))
    return _status(error.grpc_code, str(error) or error.reason, details)


def denied(method: str) -> grpc.Status:
    return _status("PERMISSION_DENIED", f"{method} is not for this client", [_info("permission-denied")])


def internal() -> grpc.Status:
    """Of an error that nobody foresaw: what it says stays in our log."""
    return _status("INTERNAL", "internal error", [_info(GatewayError.reason)])


def _info(reason: str) -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(reason=reason.upper().replace("-", "_"), domain=DOMAIN)


def _status(code: str, message: str, details: list[Message]) -> grpc.Status:
    status = Status(code=code_pb2.Code.Value(code), message=message)
    for detail in details:
        packed = Any()
        packed.Pack(detail)
        status.details.append(packed)
    return rpc_status.to_status(status)
