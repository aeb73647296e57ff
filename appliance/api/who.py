"""Who asked, for the audit log."""

from __future__ import annotations

import re
from typing import Any

USER_KEY = "srtpgw-user"  # metadata: the account that the command line runs under
_NAME = re.compile(r"^[A-Za-z0-9._@-]{1,64}$")


def who(context: Any) -> str:
    """`local:alice` over the Unix socket, `cert:NAME` over TCP.

    gRPC tells nothing about the peer of a Unix socket. Whoever may open it is admin; the account after `local:` is what
    the client says of itself, a convenience among admins. The name of a certificate is proved by TLS.
    """
    if str(context.peer()).startswith("unix:"):
        said = dict(context.invocation_metadata() or ()).get(USER_KEY, "")
        return f"local:{said}" if isinstance(said, str) and _NAME.match(said) else "local"
    proved = context.auth_context()
    for key in ("x509_common_name", "x509_subject_alternative_name"):
        for name in proved.get(key, ()):
            if words := name.decode("utf-8", "replace").strip():
                return f"cert:{words[:200]}"
    return "unknown"
