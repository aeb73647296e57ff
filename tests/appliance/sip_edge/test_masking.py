"""The mask of topoh, and a key that is changed (row K05), against what Kamailio 5.6.3 wrote on the wire."""

from __future__ import annotations

import pytest

from appliance.sip_edge.ksr.rules import masking
from appliance.sip_edge.ksr.rules.masking import Mask

pytestmark = pytest.mark.row("K05")

KAMAILIO = Mask("secretsecret")  # mask_key of the Kamailio that wrote these
SEEN = {
    "bW9ZVe**": "new1",
    "Lh4PXWUAViAIVGfPkFC*": "sip:a@10.0.0.1",
    "7n4ek0KIVGz9BUAmViKZkFAIVGfpXFV-3QA-XTBKc.B6HFjqLWUIahmz2F4DB0BqvZmp":
        "SIP/2.0/UDP 127.0.0.1:32402;TH=div;branch=z9hG4bKx1",
}  # fmt: skip
OLD, NEW = Mask("a key of 24 octets, old."), Mask("another key, in use now")


def message(route: Mask, call_id: str = "plain@10.0.0.1") -> str:
    uri = f"sip:127.0.0.8;line={route.uri}{route.encode('sip:a@10.0.0.1:5060')}"
    return (
        f"BYE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK1\r\n"
        f"Via: SIP/2.0/UDP 127.0.0.8;branch={route.via}{route.encode('SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK2')}\r\n"
        f"Route: <sip:10.0.0.1;lr>, <{uri}>\r\nCall-ID: {call_id}\r\nReplaces: {call_id};to-tag=1\r\n\r\n{uri}"
    )


@pytest.mark.parametrize("masked", SEEN)
def test_it_is_kamailios_mask(masked: str) -> None:
    assert KAMAILIO.decode(masked) == SEEN[masked]
    assert KAMAILIO.encode(SEEN[masked]) == masked


@pytest.mark.parametrize("plain", ["", "a", "ab", "abc", "abcd", "\x00\xff\n"])
def test_every_length_comes_back(plain: str) -> None:
    assert OLD.decode(OLD.encode(plain)) == plain


@pytest.mark.parametrize("wrong", ["abc", "ab***", "****", "ab!*", "a***"])
def test_what_is_no_mask_is_told(wrong: str) -> None:
    assert not OLD.decode(wrong)


def test_arriving_everything_old_is_put_under_the_new_key() -> None:
    """Request-URI, Via, Route, Call-ID, Replaces; the body is somebody else's."""
    given = message(OLD, f"{OLD.call_id}{OLD.encode('plain@10.0.0.1')}")
    wanted = message(NEW, f"{NEW.call_id}{NEW.encode('plain@10.0.0.1')}")
    head, body = masking.inwards(given, OLD, NEW).split("\r\n\r\n")
    assert head == wanted.split("\r\n\r\n")[0]
    assert body == given.split("\r\n\r\n")[1]
    assert masking.marked(given, OLD)
    assert not masking.marked(wanted, OLD)


def test_what_is_new_or_nobodys_stays() -> None:
    given = message(NEW)
    assert masking.inwards(given, OLD, NEW) == given
    broken = given.replace(f"line={NEW.uri}{NEW.encode('sip:a@10.0.0.1:5060')}", f"line={OLD.uri}abc")
    assert masking.inwards(broken, OLD, NEW) == broken


def test_leaving_only_old_dialogs_get_their_old_call_id() -> None:
    given = message(NEW, f"{NEW.call_id}{NEW.encode('old')}")
    assert masking.outwards(given, OLD, NEW, lambda call_id: False) == given
    changed = masking.outwards(given, OLD, NEW, {"old"}.__contains__)
    assert changed == message(NEW, f"{OLD.call_id}{OLD.encode('old')}")


@pytest.mark.parametrize("header", ["Call-ID: ", "i:", "call-id : "])
def test_the_call_id_of_a_message_as_its_maker_knows_it(header: str) -> None:
    assert masking.call_id(f"BYE x SIP/2.0\r\n{header}x@y\r\n", (OLD, NEW)) == "x@y"
    masked = f"{OLD.call_id}{OLD.encode('x@y')}"
    assert masking.call_id(f"BYE x SIP/2.0\r\n{header}{masked}\r\n", (OLD, NEW)) == "x@y"


def test_a_key_shows_in_no_repr_and_its_tag_says_nothing() -> None:
    assert OLD.key not in repr(OLD)
    assert len({OLD.tag, NEW.tag, KAMAILIO.tag}) == 3
