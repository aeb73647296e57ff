"""Requests of the command line say which account runs it: the audit log of changes keeps that (api/who.py)."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING, Any

import grpc

from appliance.api.who import USER_KEY

if TYPE_CHECKING:
    _Unary = grpc.UnaryUnaryClientInterceptor[Any, Any]
    _Stream = grpc.UnaryStreamClientInterceptor[Any, Any]
    _Pieces = grpc.StreamUnaryClientInterceptor[Any, Any]
else:
    _Unary, _Stream = grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor
    _Pieces = grpc.StreamUnaryClientInterceptor


def account() -> str:
    """Who runs this; behind sudo: who asked for it."""
    behind = os.environ.get("SUDO_USER", "")
    if os.getuid() == 0 and behind:
        return behind
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def interceptors() -> tuple[Any, ...]:
    return (_Named(account()),)


class _Named(_Unary, _Stream, _Pieces):
    def __init__(self, name: str) -> None:
        self._metadata = (USER_KEY, name.encode("ascii", "replace").decode())

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(self._with(details), request)

    def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(self._with(details), request)

    def intercept_stream_unary(self, continuation: Any, details: Any, requests: Any) -> Any:
        return continuation(self._with(details), requests)

    def _with(self, details: Any) -> Any:
        return details._replace(metadata=(*(details.metadata or ()), self._metadata))
