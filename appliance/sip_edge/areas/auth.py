"""Digest authentication: where the script finds users' hashes, and the secret that its nonces are signed with."""

from __future__ import annotations

from pathlib import Path

from appliance.config.schema import Settings
from appliance.sip_edge.areas.area import Area, Places
from appliance.sip_edge.ksr.rules.auth import NONCES, AuthRules
from appliance.sip_edge.secret_file import own_secret, secret_of

SECRET_FILE = "nonce.key"


def area(settings: Settings, places: Places) -> Area:
    """Nothing without a database."""
    if not places.database:
        return Area()
    return Area(
        modules=("sqlops", "htable"),
        parameters=(
            ("sqlops", "sqlcon", f"auth=>{places.database}"),
            ("htable", "htable", f"{NONCES}=>size=12;autoexpire={settings.sip_auth.nonce_expire_s};"),
        ),
        tables=("auth_db",),
    )


def rules(settings: Settings, run: Path, *, database: bool) -> AuthRules:
    """OSError: the secret cannot be read or made; ValueError: it is too short."""
    ours = settings.sip_auth
    secret = secret_of(ours.secret_file) if ours.secret_file else own_secret(run / SECRET_FILE)
    return AuthRules(database, ours.realm, ours.algorithms, secret, ours.nonce_expire_s, ours.check_from)

