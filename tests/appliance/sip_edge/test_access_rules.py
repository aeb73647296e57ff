"""What the script decides without Kamailio: groups, routes, contacts (rows J07, N06, N13, P11)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.sip_edge.ksr.rules.access import STEP, AccessRules, Group
from appliance.sip_edge.ksr.rules.contacts import Contact, read, usual_host
from appliance.sip_edge.ksr.rules.routes import Route, first, plain, spellings

ROUTES = (
    Route("emergency", pattern="1(10|12)", destination="set:9"),
    Route("pstn", from_trunk="phones", prefix="00", group="pstn", strip=2, prepend="+", destination="trunk:carrier"),
    Route("sms", method="MESSAGE", destination="sip:192.0.2.9"),
    Route("barred", prefix="0900", deny=True),
    Route("rest", from_trunk="phones", destination="registrar"),
)


@pytest.mark.row("P11")
@pytest.mark.parametrize(
    ("trunk", "method", "user", "name"),
    [
        ("phones", "INVITE", "112", "emergency"),
        ("phones", "INVITE", "1123", "rest"),  # all of the user part must match a pattern
        ("phones", "INVITE", "0049", "pstn"),
        ("carrier", "INVITE", "0049", None),
        ("carrier", "INVITE", "0900123", "barred"),
        ("carrier", "MESSAGE", "0900123", "sms"),  # the first one decides
        ("phones", "INVITE", "", "rest"),
    ],
)
def test_first_route_whose_conditions_hold(trunk: str, method: str, user: str, name: str | None) -> None:
    found = first(ROUTES, trunk, method, user)
    assert (found.name if found else None) == name


@pytest.mark.row("P11")
def test_user_part_is_rewritten() -> None:
    assert ROUTES[1].rewritten("004930") == "+4930"
    assert Route("x").rewritten("abc") == "abc"
    assert Route("x", strip=9).rewritten("abc") == ""


@pytest.mark.row("P11")
@pytest.mark.parametrize("user", ["0900", "%30%39%30%30", "09%300;phone-context=x", "0-900", "(09).00-1", "0900;a=b"])
def test_no_spelling_gets_round_a_route(user: str) -> None:
    found = first(ROUTES, "carrier", "INVITE", user)
    assert found is not None
    assert found.name == "barred"


@pytest.mark.row("P11")
@pytest.mark.parametrize(
    ("user", "written"),
    [("00-49.30", "+4930"), ("%30049", "+49"), ("0049;phone-context=x", "+49;phone-context=x"), ("alice", "+ice")],
)
def test_what_goes_on_is_the_spelling_that_the_route_holds_for(user: str, written: str) -> None:
    assert ROUTES[1].rewritten(user) == written


def test_needless_escapes_only() -> None:
    assert plain("%61lice%40home%2B%3b") == "alice%40home+%3b"
    assert plain("100%") == "100%"


def test_names_keep_their_marks() -> None:
    assert spellings("mary-ann.x") == ("mary-ann.x",)
    assert spellings("100-1") == ("100-1", "1001")


@pytest.mark.row("N13")
def test_longest_prefix_numbers_hold_the_group() -> None:
    carriers = Group(2, "carriers")
    rules = AccessRules(longest=True, groups=(carriers,))
    assert rules.group(16 * STEP + 2) == carriers
    assert rules.group(2) == carriers
    assert rules.group(-1) is None
    assert AccessRules(groups=(carriers,)).group(2) == carriers


def test_a_group_without_a_meaning_is_trusted_and_no_more() -> None:
    found = AccessRules().group(7)
    assert found is not None
    assert (found.number, found.trunk, found.trusted, found.gateway, found.deny) == (7, "", True, False, False)


@pytest.mark.row("N06")
@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("<sip:bob@10.0.0.1:5070;transport=tcp>;expires=60", [Contact("bob", "10.0.0.1", 5070)]),
        ("sip:bob@10.0.0.1;expires=60", [Contact("bob", "10.0.0.1")]),
        ('"Bob, <b>" <sip:bob@a.example>, <sips:[2001:DB8::1]:5061>', [Contact("bob", "a.example"),
                                                                       Contact("", "2001:db8::1", 5061)]),
        ("*", []),
        ('"quo\\"te, <" <sip:x@1.2.3.4>', [Contact("x", "1.2.3.4")]),
    ],
)  # fmt: skip
def test_contacts(field: str, found: list[Contact]) -> None:
    assert list(read((field,))) == found


@pytest.mark.row("N06")
@pytest.mark.parametrize("spelling", ["1.2.3.4", "01.002.0003.4", "[::ffff:1.2.3.4]", "::FFFF:102:304"])
def test_one_gateway_one_spelling(spelling: str) -> None:
    """register.deny's own comment: zeros in the address get past an expression."""
    assert usual_host(spelling) == "1.2.3.4"


def test_a_contact_that_is_no_sip_uri_is_refused() -> None:
    with pytest.raises(ValueError, match="no SIP URI"):
        list(read(("<tel:+49>",)))


def test_contact_with_port() -> None:
    assert Contact("bob", "2001:db8::1", 5061).with_port == "sip:bob@[2001:db8::1]:5061"
    assert Contact("", "h").with_port == "sip:h"


@given(st.text(max_size=80))
def test_no_contact_field_breaks_it(text: str) -> None:
    try:
        found = list(read((text,)))
    except ValueError:
        return
    assert all(contact.host for contact in found)
