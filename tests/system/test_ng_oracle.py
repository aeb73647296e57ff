"""Debian's rtpengine-daemon as the oracle of the NG face: one dialogue put to it and to us, the replies compared key by
key and type by type, refusals word by word (peers 1.1). What differs on purpose stands in the
tables below, with the reason."""

from __future__ import annotations

import re
import socket
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.appliance.processes import machine
from tests.system.ng import NgClient, NgError
from tests.system.rtpengine import PROGRAM, rtpengine

pytestmark = [pytest.mark.system, pytest.mark.skipif(PROGRAM is None, reason="rtpengine-daemon is not installed")]

RTPENGINE, OURS_AT = 42400, 42401
TAG, NUMBER = "<tag>", re.compile(r"^-?\d+(\.\d+)?$")

ONLY_OURS = {
    "tags.<tag>.in dialogue with": "before rtpengine 10 this named the partner; scripts for it still read it",
    "warning": "a sentence about a refusal or about words that are not to be had; rtpengine logs it",
}
BEFORE_THE_ANSWER = {
    "tags.<tag>.medias[].streams[].crypto suite": "rtpengine names the first suite it offered; nothing is agreed yet",
}
IGNORED_FLAGS = {
    "ICE controlling": "rtpengine notes an ICE role where no ICE is spoken",
    "DTLS-SRTP": "comes with DTLS",
    "DTLS role active": "comes with DTLS",
    "DTLS role passive": "comes with DTLS",
    "fallback RTCP": "with rtcp-mux rtpengine keeps the RTCP port open and lists it, we list one stream",
}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NgClient, NgClient]]:
    """rtpengine, and a whole gateway."""
    folder = tmp_path_factory.mktemp("ng-oracle")
    with rtpengine(RTPENGINE, (42410, 42449), log=folder / "rtpengine.log") as (theirs, _):
        (folder / "gateway").mkdir()
        with machine(folder / "gateway", OURS_AT, (42450, 42489), calls=10):
            ours = NgClient(("127.0.0.1", OURS_AT))
            yield theirs, ours
            ours.close()


def sdp(port: int, profile: str = "RTP/AVP", *lines: str) -> str:
    head = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"]
    return "\r\n".join([*head, f"m=audio {port} {profile} 0", "a=rtpmap:0 PCMU/8000", *lines, ""])


def shape(value: Any, path: str = "") -> set[tuple[str, str]]:
    """(path of keys, type) of everything in a reply; tags and proxies are one key, lists are their items."""
    if isinstance(value, dict):
        found = {(path, "dict")} if path else set()
        for key, item in value.items():
            name = TAG if path == "tags" else key
            found |= shape(item, f"{path}.{name}" if path else name)
        return found
    if isinstance(value, list):
        return {(path, "list")}.union(*(shape(item, f"{path}[]") for item in value))
    if isinstance(value, str):
        return {(path, "number in a string" if NUMBER.match(value) else "string")}
    return {(path, type(value).__name__)}


def compare(theirs: dict[str, Any], ours: dict[str, Any], only_theirs: Collection[str] = ()) -> None:
    """Same keys, same types; a part that only one of the two could fill (no crypto on a plain leg) is in both or
    nowhere, because both were asked the same."""
    a, b = shape(theirs), shape(ours)
    surplus = {entry for entry in b - a if not any(entry[0].startswith(name) for name in ONLY_OURS)}
    missing = {entry for entry in a - b if not any(entry[0].startswith(name) for name in only_theirs)}
    assert not surplus and not missing, f"ours alone: {sorted(surplus)}; rtpengine's alone: {sorted(missing)}"


def ask(both: tuple[NgClient, NgClient], command: str, **arguments: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    theirs, ours = (client.request(command, **arguments) for client in both)
    compare(theirs, ours)
    return theirs, ours


def flags(reply: dict[str, Any]) -> dict[str, list[Any]]:
    """Per tag: flags of each m-line and of each of its streams, without what we leave out on purpose."""
    shown: dict[str, list[Any]] = {}
    for tag, body in reply["tags"].items():
        for media in body["medias"]:
            streams = [stream["flags"] for stream in media["streams"] if "fallback RTCP" not in stream["flags"]]
            kept = [word for word in media["flags"] if word not in IGNORED_FLAGS]
            shown.setdefault(tag, []).append((media["index"], media["type"], media["protocol"], kept, streams))
    return shown


def suites(reply: dict[str, Any]) -> set[str]:
    return {
        stream.get("crypto suite", "")
        for body in reply["tags"].values()
        for media in body["medias"]
        for stream in media["streams"]
    }


def m_lines(text: str) -> list[str]:
    """Kind, profile and formats of the m-lines, and the names of the attributes that matter to the far end."""
    attributes = {line.partition(":")[0] for line in text.splitlines() if line.startswith("a=")}
    known = sorted(attributes & {"a=rtcp-mux", "a=crypto", "a=rtpmap", "a=sendonly"})
    return [re.sub(r"audio \d+", "audio PORT", line) for line in text.splitlines() if line.startswith("m=")] + known


CM80 = "AES_CM_128_HMAC_SHA1_80"
COMMON: dict[str, Any] = {"ICE": "remove", "DTLS": "off", "flags": ["trust-address"], "replace": ["origin"]}
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "sdes": {"transport_protocol": "RTP/SAVP", "SDES": [f"only-{CM80}"]},
    "mux": {"rtcp_mux": ["offer"]},
    "sdes-mux": {"transport_protocol": "RTP/SAVP", "SDES": [f"only-{CM80}"], "rtcp_mux": ["offer"]},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_dialogue(both: tuple[NgClient, NgClient], kind: str) -> None:
    """Offer, query, answer, query, list, re-offer by the other side, delete: plain, SDES, rtcp-mux."""
    wishes, call_id = KINDS[kind], f"dialogue-{kind}"
    mux = ["a=rtcp-mux"] if "mux" in kind else []
    offers = ask(both, "offer", call_id=call_id, from_tag="a", label="caller", sdp=sdp(42490), **COMMON, **wishes)
    assert m_lines(offers[0]["sdp"]) == m_lines(offers[1]["sdp"])
    compare(*(client.request("query", call_id=call_id) for client in both), only_theirs=BEFORE_THE_ANSWER)

    answers = []
    for client, offer in zip(both, offers, strict=True):
        crypto = re.search(rf"a=crypto:\d+ {CM80} inline:\S+", offer["sdp"])
        lines = [crypto[0]] if crypto else []
        if crypto:  # keys of its own: ours refuses a peer that sends our key back
            lines = [re.sub(r"inline:\S+", "inline:" + "A" * 39 + "B", crypto[0])]
        profile = "RTP/SAVP" if crypto else "RTP/AVP"
        answers.append(
            client.request(
                "answer", call_id=call_id, from_tag="a", to_tag="b", sdp=sdp(42492, profile, *lines, *mux), **COMMON
            )
        )  # fmt: skip
    compare(*answers)
    assert m_lines(answers[0]["sdp"]) == m_lines(answers[1]["sdp"])

    queries = ask(both, "query", call_id=call_id)
    assert flags(queries[0]) == flags(queries[1])
    assert suites(queries[0]) == suites(queries[1]) == ({"", CM80} if "sdes" in kind else {""})
    ask(both, "query", call_id=call_id, from_tag="b")
    assert all(call_id in reply["calls"] for reply in ask(both, "list"))
    for command in ("block media", "unblock media"):
        ask(both, command, call_id=call_id, from_tag="a")
    held = sdp(42490, "RTP/AVP", "a=sendonly", *mux)
    ask(both, "offer", call_id=call_id, from_tag="a", to_tag="b", sdp=held, **COMMON, **wishes)
    ask(both, "delete", call_id=call_id, from_tag="a", to_tag="b", delete_delay=0)
    assert not any(call_id in client.request("list")["calls"] for client in both)


def test_statistics(both: tuple[NgClient, NgClient]) -> None:
    """Every key of `list jsonstats`, with its form."""
    ask(both, "ping")
    ask(both, "statistics")


def test_subscription(both: tuple[NgClient, NgClient]) -> None:
    """What a SIPREC client sees: request, answer, unsubscribe."""
    for client in both:
        client.request("offer", call_id="s", from_tag="a", sdp=sdp(42490), **COMMON)
        client.request("answer", call_id="s", from_tag="a", to_tag="b", sdp=sdp(42492), **COMMON)
    one = ask(both, "subscribe request", call_id="s", from_tag="a")
    assert m_lines(one[0]["sdp"]) == m_lines(one[1]["sdp"])
    replies = ask(both, "subscribe request", call_id="s", flags=["all"])
    assert [reply["from-tags"] for reply in replies] == [["a", "b"], ["a", "b"]]
    assert m_lines(replies[0]["sdp"]) == m_lines(replies[1]["sdp"])
    answer = sdp(42494, "RTP/AVP", "a=recvonly") + "m=audio 42496 RTP/AVP 0\r\na=recvonly\r\n"
    for client, reply in zip(both, replies, strict=True):
        tag = reply["to-tag"]
        assert client.request("subscribe answer", call_id="s", to_tag=tag, sdp=answer) == {"result": "ok"}
        assert client.request("unsubscribe", call_id="s", to_tag=tag) == {"result": "ok"}
    ask(both, "delete", call_id="s", from_tag="a", delete_delay=0)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("nonsense", {}),
        ("pause recording", {"call_id": "no"}),
        ("offer", {}),
        ("offer", {"call_id": "no", "sdp": "x"}),
        ("offer", {"call_id": "no", "from_tag": "a"}),
        ("offer", {"call_id": "no", "from_tag": "a", "sdp": "garbage"}),
        ("offer", {"call_id": "no", "from_tag": "a", "sdp": sdp(42490).replace("c=IN IP4 127.0.0.1\r\n", "")}),
        ("answer", {"call_id": "no", "from_tag": "a", "sdp": "x"}),
        ("answer", {"call_id": "no", "from_tag": "a", "to_tag": "b"}),
        ("answer", {"call_id": "no", "from_tag": "a", "to_tag": "b", "sdp": sdp(42490)}),
        ("query", {}),
        ("query", {"call_id": "no"}),
        ("delete", {}),
        ("delete", {"call_id": "no", "from_tag": "a", "flags": ["fatal"]}),
        ("list", {"limit": "-1"}),
        *((command, arguments) for command in ("block media", "unblock media", "block DTMF", "subscribe request")
          for arguments in ({}, {"call_id": "no"})),
        *((command, {"call_id": "up", **arguments}) for command in ("block media", "unblock DTMF", "subscribe request")
          for arguments in ({"from_tag": "z"}, {"address": "192.0.2.99"}, {"label": "nobody"})),
        ("subscribe request", {"call_id": "up"}),
        ("subscribe answer", {}),
        ("subscribe answer", {"call_id": "no"}),
        ("subscribe answer", {"call_id": "up"}),
        ("subscribe answer", {"call_id": "up", "to_tag": "z"}),
        ("subscribe answer", {"call_id": "up", "to_tag": "z", "sdp": sdp(42490)}),
        ("unsubscribe", {}),
        ("unsubscribe", {"call_id": "no"}),
        ("unsubscribe", {"call_id": "up"}),
    ],
)  # fmt: skip
def test_refusals(both: tuple[NgClient, NgClient], command: str, arguments: dict[str, Any]) -> None:
    """The same words."""
    if arguments.get("call_id") == "up":
        for client in both:
            client.request("offer", call_id="up", from_tag="a", label="caller", sdp=sdp(42490), **COMMON)
    reasons = []
    for client in both:
        with pytest.raises(NgError) as refused:
            client.request(command, **arguments)
        reasons.append(str(refused.value))
    assert reasons[0] == reasons[1]


def test_a_delete_of_nobody(both: tuple[NgClient, NgClient]) -> None:
    """`ok` with a warning, in the same words."""
    theirs, ours = (client.request("delete", call_id="no", from_tag="a") for client in both)
    assert theirs == ours


def test_load_limit(both: tuple[NgClient, NgClient], tmp_path: Path) -> None:
    """A gateway that is full (10 calls) beside an rtpengine that is (1)."""
    offer = {"from_tag": "a", "sdp": sdp(42490), **COMMON}
    for number in range(10):
        try:
            both[1].request("offer", call_id=f"full-{number}", **offer)
        except NgError:
            break
    ours = both[1].request("offer", call_id="one-more", supports=["load limit"], **offer)
    with pytest.raises(NgError, match="Parallel session limit reached"):
        both[1].request("offer", call_id="one-more", **offer)
    with rtpengine(42403, (42404, 42409), log=tmp_path / "log", extra=["--max-sessions=1"]) as (theirs, _):
        theirs.request("offer", call_id="one", **offer)
        reply = theirs.request("offer", call_id="one-more", supports=["load limit"], **offer)
        with pytest.raises(NgError, match="Parallel session limit reached"):
            theirs.request("offer", call_id="one-more", **offer)
    assert {key: ours[key] for key in reply} == reply
    for number in range(10):
        both[1].request("delete", call_id=f"full-{number}")


def test_tcp_framing(tmp_path: Path) -> None:
    """rtpengine's tcp-ng ends a message where its bencode value ends: what `protocols.ng.framing` is made to."""
    with (
        rtpengine(42403, (42404, 42409), log=tmp_path / "log", extra=["--listen-tcp-ng=127.0.0.1:42403"]),
        socket.create_connection(("127.0.0.1", 42403), timeout=3) as wire,
    ):
        wire.sendall(b"1 d7:command4:pinge2 d7:comm")
        wire.sendall(b"and4:pinge")
        got = b""
        while got.count(b"ponge") < 2:
            got += wire.recv(100)
        assert got == b"1 d6:result4:ponge2 d6:result4:ponge"
