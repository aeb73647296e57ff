"""Requests for a whole picture by INFO (RFC 5168): their names."""

from __future__ import annotations

CONTENT_TYPE = "application/media_control+xml"
TO_GATEWAY = "media_control"  # native route block: rtpengine_info


def asks(content_type: str, body: str) -> bool:
    """Whether an INFO asks its receiver's encoder for one."""
    return content_type.partition(";")[0].strip().lower() == CONTENT_TYPE and "picture_fast_update" in body[:4096]
