"""Errors that carry their verdict: edges translate by attribute, never by a switch (STYLE guide 15).

One table of reasons for every face: the NG protocol's `error-reason`, gRPC's `ErrorInfo.reason` and the
label of the error counter come from here.
"""

from __future__ import annotations

from typing import ClassVar


class GatewayError(Exception):
    """Base of everything that a request may be refused with. `str(error)` is a sentence for a person."""

    sip_status: ClassVar[int] = 500
    grpc_code: ClassVar[str] = "INTERNAL"
    reason: ClassVar[str] = "internal"
    retry: ClassVar[bool] = False


class InvalidRequest(GatewayError):
    """The request itself is wrong (missing or malformed field); names the field where there is one."""

    sip_status, grpc_code, reason = 400, "INVALID_ARGUMENT", "invalid-request"

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class InvalidSdp(InvalidRequest):
    sip_status, reason = 488, "invalid-sdp"


class IncompleteSdp(InvalidSdp):
    """Well formed, and says nowhere where media goes."""


class NotAcceptable(GatewayError):
    """Negotiation found nothing that both sides and the policy allow."""

    sip_status, grpc_code, reason = 488, "FAILED_PRECONDITION", "not-acceptable"


class CryptoRequired(NotAcceptable):
    reason = "crypto-required"


class TranscodingUnavailable(NotAcceptable):
    """A codec is asked for that would have to be made of another, and cannot be."""

    reason = "transcoding-unavailable"


class UnknownCall(GatewayError):
    sip_status, grpc_code, reason = 481, "NOT_FOUND", "unknown-call"


class CallExists(GatewayError):
    sip_status, grpc_code, reason = 482, "ALREADY_EXISTS", "call-exists"


class NoCapacity(GatewayError):
    sip_status, grpc_code, reason, retry = 503, "RESOURCE_EXHAUSTED", "no-capacity", True


class Overloaded(NoCapacity):
    """Measured load: one more call would cost those that are up."""

    reason = "overloaded"


class MediaUnavailable(GatewayError):
    """The media holder or the worker does not answer."""

    sip_status, grpc_code, reason, retry = 503, "UNAVAILABLE", "media-unavailable", True


class Draining(GatewayError):
    sip_status, grpc_code, reason, retry = 503, "UNAVAILABLE", "draining", True


class NotFound(GatewayError):
    """What is to be shown, changed or removed is not there."""

    sip_status, grpc_code, reason = 404, "NOT_FOUND", "not-found"


class AlreadyExists(GatewayError):
    """What is to be made is there already."""

    sip_status, grpc_code, reason = 409, "ALREADY_EXISTS", "already-exists"


class DatabaseUnavailable(GatewayError):
    """The SIP edge's database does not answer, or refuses us. The sentence holds no password."""

    sip_status, grpc_code, reason, retry = 503, "UNAVAILABLE", "database-unavailable", True


class EdgeUnavailable(GatewayError):
    """The SIP edge (Kamailio) is not up or does not answer."""

    sip_status, grpc_code, reason, retry = 503, "UNAVAILABLE", "edge-unavailable", True


class EdgeRefused(GatewayError):
    """The SIP edge answered, with no."""

    sip_status, grpc_code, reason = 500, "FAILED_PRECONDITION", "edge-refused"


class AuditUnavailable(GatewayError):
    """A change cannot be written down, so it is not made."""

    sip_status, grpc_code, reason, retry = 503, "UNAVAILABLE", "audit-unavailable", True
