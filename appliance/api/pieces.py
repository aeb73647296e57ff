"""A file that a client sends in pieces, because no message of ours is longer than some hundred KiB."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from appliance.errors import InvalidRequest

MOST_OCTETS = 16 * 1024 * 1024  # of a file


async def pieces(requests: AsyncIterator[Any]) -> tuple[Any, str]:
    """The first piece, and the content of all. InvalidRequest."""
    first, content = None, bytearray()
    async for piece in requests:
        if not hasattr(piece, "content"):
            raise InvalidRequest("the request is not a message of this method")
        first = first if first is not None else piece
        content += piece.content
        if len(content) > MOST_OCTETS:
            raise InvalidRequest(f"longer than {MOST_OCTETS} octets", "content")
    if first is None:
        raise InvalidRequest("nothing was sent", "content")
    try:
        return first, content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"not UTF-8: octet {error.start}", "content") from None
