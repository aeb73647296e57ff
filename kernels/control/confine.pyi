from collections.abc import Iterable

def die_with_parent() -> None:
    """SIGKILL when the parent ends: a worker without holder has nobody to replace or stop it. OSError."""

def name_process(name: str) -> None:
    """The name that `ps` shows, at most 15 octets."""

def keep_capabilities() -> None:
    """The next change of user leaves the permitted set as it is. OSError."""

def limit_capabilities(wanted: Iterable[int]) -> None:
    """Of what this process may, keep these (numbers of linux/capability.h), for it and its children. OSError."""
