def die_with_parent() -> None:
    """SIGKILL when the parent ends: a worker without holder has nobody to replace or stop it. OSError."""

def name_process(name: str) -> None:
    """The name that `ps` shows, at most 15 octets."""
