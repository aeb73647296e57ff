"""Lists that the gateway gives in pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from appliance.cli.client import TIMEOUT_S

PAGE = 500


def pages(call: Callable[..., Any], request: Any, rows: str, limit: int = 0, size: int = 0) -> Iterator[Any]:
    """Each response of a List method. `request` has page_size and page_token, a response `rows` and next_page_token;
    `limit`: so many rows at most, 0: all; `size` of a page, 0: PAGE."""
    left, size = limit, size or PAGE
    while True:
        request.page_size = min(left, size) if limit else size
        page = call(request, timeout=TIMEOUT_S)
        yield page
        left, request.page_token = left - len(getattr(page, rows)), page.next_page_token
        if not page.next_page_token or (limit and left <= 0):
            return


def listed(call: Callable[..., Any], request: Any, rows: str, limit: int = 0, size: int = 0) -> Iterator[Any]:
    """The rows of all pages."""
    for page in pages(call, request, rows, limit, size):
        yield from getattr(page, rows)
