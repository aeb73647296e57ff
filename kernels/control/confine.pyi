def die_with_parent() -> None:
    """SIGKILL when the parent ends: a worker without holder has nobody to replace or stop it. OSError."""

def name_process(name: str) -> None:
    """The name that `ps` shows, at most 15 octets."""

def keep_through_change() -> None:
    """Capabilities survive the next change of user (`limit_capabilities` has to follow). OSError."""

def limit_capabilities(*numbers: int) -> None:
    """Of the capabilities we have, keep these (CAP_* numbers) in effect and lose all others for good. OSError."""
