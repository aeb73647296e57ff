"""What stands before every method: may this client call it, and what becomes of its errors.

One interceptor for all services, so that a servicer cannot forget either.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import grpc
import structlog
from google.protobuf.message import DecodeError

from appliance.api import roles, status
from appliance.errors import GatewayError, InvalidRequest

if TYPE_CHECKING:
    Interceptor = grpc.aio.ServerInterceptor[Any, Any]
else:
    Interceptor = grpc.aio.ServerInterceptor

Observe = Callable[[str, str, float], None]  # method, gRPC code, seconds

log = structlog.get_logger("srtpgw.api")


class Guard(Interceptor):
    """Role check, error translation, and one observation per request."""

    def __init__(self, observe: Observe | None = None) -> None:
        self._observe = observe or _nobody
        self._wrapped: dict[str, Any] = {}  # methods are fixed once the server runs

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        method = details.method
        wrapped = self._wrapped.get(method)
        if wrapped is not None:
            return wrapped
        handler = await continuation(details)
        if handler is None:
            return None  # gRPC answers UNIMPLEMENTED
        wrapped = self._wrapped[method] = self._wrap(method, handler)
        return wrapped

    def _wrap(self, method: str, handler: Any) -> Any:
        if handler.response_streaming:
            make = grpc.stream_stream_rpc_method_handler if handler.request_streaming else _unary_stream
            inner = handler.stream_stream or handler.unary_stream
            behaviour: Any = self._stream(method, inner)
        else:
            make = grpc.stream_unary_rpc_method_handler if handler.request_streaming else _unary_unary
            behaviour = self._unary(method, handler.stream_unary or handler.unary_unary)
        read = handler.request_deserializer
        if not handler.request_streaming:
            read = _reader(read)
        return make(behaviour, read, handler.response_serializer)

    def _unary(self, method: str, inner: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(request: Any, context: Any) -> Any:
            started = time.monotonic()
            code = "OK"
            try:
                self._admit(method, request, context)
                return await inner(request, context)
            except _KNOWN as error:
                code = _code(error, context)
                raise
            except Exception as error:
                code = _refuse(method, error, context)
            finally:
                self._observe(method, code, time.monotonic() - started)

        return call

    def _stream(self, method: str, inner: Callable[..., Any]) -> Callable[..., AsyncIterator[Any]]:
        async def call(request: Any, context: Any) -> AsyncIterator[Any]:
            started = time.monotonic()
            code = "OK"
            try:
                self._admit(method, request, context)
                replies = inner(request, context)
                if hasattr(replies, "__aiter__"):
                    async for reply in replies:
                        yield reply
                else:  # a handler that writes to the context itself (health)
                    await replies
            except _KNOWN as error:
                code = _code(error, context)
                raise
            except Exception as error:
                code = _refuse(method, error, context)
            finally:
                self._observe(method, code, time.monotonic() - started)

        return call

    @staticmethod
    def _admit(method: str, request: Any, context: Any) -> None:
        if not roles.allowed(roles.caller(context.peer(), context.auth_context()), method):
            raise _Denied(method)
        if request is _UNREADABLE:
            raise InvalidRequest("the request is not a message of this method")


class _Denied(Exception):
    """The client's role does not reach."""


_UNREADABLE = object()


def _reader(read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """A deserialiser that does not raise: gRPC would answer UNKNOWN, log a traceback and show the exception."""

    def safely(data: bytes) -> Any:
        try:
            return read(data)
        except DecodeError:
            return _UNREADABLE

    return safely


_KNOWN = (grpc.aio.AbortError, asyncio.CancelledError, GeneratorExit)
_unary_unary = grpc.unary_unary_rpc_method_handler
_unary_stream = grpc.unary_stream_rpc_method_handler


def _refuse(method: str, error: Exception, context: Any) -> str:
    """Give the request the error's own verdict; the code's name. Once the code is not OK, gRPC sends no message."""
    if isinstance(error, GatewayError):
        answer = status.of_error(error)
    elif isinstance(error, _Denied):
        log.warning("request denied", method=method, peer=context.peer())
        answer = status.denied(method)
    else:
        log.exception("request failed", method=method)
        answer = status.internal()
    context.set_trailing_metadata(answer.trailing_metadata)
    context.set_code(answer.code)
    context.set_details(answer.details)
    return str(answer.code.name)


def _code(error: BaseException, context: Any) -> str:
    if isinstance(error, grpc.aio.AbortError):
        code = context.code()
        return str(getattr(code, "name", code))
    return "CANCELLED"


def _nobody(method: str, code: str, seconds: float) -> None:
    pass
