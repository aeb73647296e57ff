"""What can go wrong between the control process and the media plane."""

from __future__ import annotations

import errno


class LayoutMismatch(Exception):
    """The arena was made by another build. The text names what differs."""


class RingFull(Exception):
    """The worker does not keep up with commands or injected datagrams; try again later."""


class PlaneBusy(OSError):
    """Another control process is attached."""

    def __init__(self, message: str = "another control process is attached") -> None:
        super().__init__(errno.EBUSY, message)
