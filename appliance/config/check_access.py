"""Contradictions in who may use the SIP edge: groups, routes, certificates, permission files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from appliance.config.faults import Place, Severity
from appliance.config.finding import Finding, warning
from appliance.config.positions import Path as Where
from appliance.config.routes import Route
from appliance.config.schema import Settings
from appliance.policy import permission_file

MISSPELT = ".deby"  # as the reference of this product writes it: hosts.deby
LARGEST_FILE = 4 * 1024 * 1024


def groups(settings: Settings) -> Iterator[Finding]:
    """[[address_groups]]: one meaning for a number, and trunks that are there."""
    trunks = {trunk.name for trunk in settings.trunks}
    seen: dict[object, int] = {}
    for place, group in enumerate(settings.address_groups):
        for key in ("number", "name"):
            if (key, getattr(group, key)) in seen:
                yield Finding(("address_groups", place, key), f"{getattr(group, key)} has a meaning already")
            seen[key, getattr(group, key)] = place
        if group.trunk and group.trunk not in trunks:
            yield _no_trunk(("address_groups", place, "trunk"), group.trunk, trunks)
        if group.action == "deny" and (group.trunk or group.gateway):
            yield warning(("address_groups", place, "action"), "its members are refused: trunk and gateway say nothing")
    if settings.sip_access.trusted_trunk and settings.sip_access.trusted_trunk not in trunks:
        yield _no_trunk(("sip_access", "trusted_trunk"), settings.sip_access.trusted_trunk, trunks)


def routes(settings: Settings) -> Iterator[Finding]:
    """[[routes]]: names once, trunks that are there, and none that an earlier one hides."""
    trunks = {trunk.name: trunk for trunk in settings.trunks}
    for place, route in enumerate(settings.routes):
        if any(other.name == route.name for other in settings.routes[:place]):
            yield Finding(("routes", place, "name"), f"the name {route.name!r} is already taken")
        if route.from_trunk and route.from_trunk not in trunks:
            yield _no_trunk(("routes", place, "from_trunk"), route.from_trunk, set(trunks))
        to = route.destination.removeprefix("trunk:")
        if route.destination.startswith("trunk:") and to not in trunks:
            yield _no_trunk(("routes", place, "destination"), to, set(trunks))
        elif route.destination.startswith("trunk:") and not trunks[to].uri:
            yield Finding(("routes", place, "destination"), f"trunk {to!r} has no uri", "set trunks.uri, its SIP URI")
        if route.destination.startswith("set:"):
            yield from _set(("routes", place, "destination"), route.destination.removeprefix("set:"), settings)
        hidden = next((other for other in settings.routes[:place] if _covers(other, route)), None)
        if hidden is not None:
            yield warning(("routes", place), f"is never reached: {hidden.name!r} above it takes all of its calls")


def certificates(settings: Settings) -> Iterator[Finding]:
    """What a certificate is to prove must be said, and there must be TLS to prove it over."""
    for place, trunk in enumerate(settings.trunks):
        if trunk.authenticate == "certificate":
            if not trunk.peer_names:
                yield Finding(("trunks", place, "peer_names"), "must name what is in its certificate",
                              "any certificate of sip.client_ca would do otherwise")  # fmt: skip
            if settings.sip.client_ca is None:
                yield Finding(("trunks", place, "authenticate"), "needs sip.client_ca: nobody is asked for one")
        elif trunk.peer_names:
            yield warning(("trunks", place, "peer_names"), 'says nothing without authenticate = "certificate"')


def files(settings: Settings) -> Iterator[Finding]:
    """Permission files: each mistake with its line. Kamailio would only log it and skip the line (N01)."""
    if not settings.sip.enabled:
        return
    folder = settings.sip_access.folder or settings.paths.state / "access"
    for key in ("routing", "register_files", "uri"):
        names = getattr(settings.sip_access, key)
        pair = names if len(names) == 2 else [f"{name}{suffix}" for name in names for suffix in (".allow", ".deny")]
        for name in pair:
            yield from _file(("sip_access", key), folder / name)


def _file(where: Where, path: Path) -> Iterator[Finding]:
    misspelt = path.with_suffix(MISSPELT)
    try:
        if path.suffix == ".deny" and not path.exists() and misspelt.exists():
            yield warning(where, f"{misspelt} is not read", f"is it {path.name}?")
        if not path.exists():
            return
        if path.stat().st_size > LARGEST_FILE:
            yield Finding(where, f"{path} is larger than {LARGEST_FILE} octets")
            return
        if path.stat().st_mode & 0o002:
            yield warning(where, f"{path} can be written by everybody", f"chmod o-w {path}")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        yield Finding(where, f"{path}: {error.strerror}")
        return
    except UnicodeDecodeError:
        yield Finding(where, f"{path} is not UTF-8")
        return
    for mistake in permission_file.read(text).mistakes:
        severity = Severity.WARNING if mistake.warning else Severity.ERROR
        yield Finding(where, mistake.message, "", severity, Place(str(path), mistake.line))


def _set(where: Where, word: str, settings: Settings) -> Iterator[Finding]:
    known = {one.name for one in settings.destination_sets} | {str(one.id) for one in settings.destination_sets}
    if not settings.sip_dispatcher.enabled:
        yield Finding(where, "needs sip_dispatcher.enabled = true")
    elif word not in known and not word.isdecimal():  # a number may be in the table alone
        yield Finding(where, f"there is no destination set {word!r}", f"known: {', '.join(sorted(known)) or 'none'}")


def _covers(earlier: Route, later: Route) -> bool:
    """Every request that `later` holds for, `earlier` holds for."""
    return (
        earlier.from_trunk in ("", later.from_trunk)
        and earlier.method in ("", later.method)
        and later.prefix.startswith(earlier.prefix)
        and earlier.pattern in ("", later.pattern)
    )


def _no_trunk(where: Where, name: str, known: set[str]) -> Finding:
    return Finding(where, f"there is no trunk {name!r}", f"known: {', '.join(sorted(known)) or 'none'}")
