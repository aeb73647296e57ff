"""SIPp scenarios for one call, made from what each side says about media: the INVITE's SDP, the answer, a refusal.

Media is given as m-sections; `[field0]` is the side's RTP port, and in an answer `[$tag]` is the tag of the crypto line
that was picked out of the offer.
"""

from __future__ import annotations

from collections.abc import Sequence

PCMU = "a=rtpmap:0 PCMU/8000"
_HEAD = '<?xml version="1.0" encoding="ISO-8859-1" ?>\n<!DOCTYPE scenario SYSTEM "sipp.dtd">\n<scenario name="{}">\n'
_SESSION = """v=0
o=peer 53655765 2353687637 IN IP[local_ip_type] [media_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
"""
_CALLERS = """From: <sip:caller@[remote_ip]:[remote_port]>;tag=[pid]c[call_number]
"""
_VIA = "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport\nMax-Forwards: 70\n"
_REPLY = """[last_Via:]
[last_From:]
[last_To:]{tag}
[last_Call-ID:]
[last_CSeq:]
"""
_CONTACT = "[last_Record-Route:]\nContact: <sip:callee@[local_ip]:[local_port];transport=[transport]>\n"


def plain(*more: str, port: str = "[field0]") -> str:
    return "\n".join((f"m=audio {port} RTP/AVP 0", PCMU, *more)) + "\n"


def secure(*crypto: str, port: str = "[field0]", more: Sequence[str] = ()) -> str:
    """`crypto`: what follows `a=crypto:`."""
    return "\n".join((f"m=audio {port} RTP/SAVP 0", PCMU, *(f"a=crypto:{line}" for line in crypto), *more)) + "\n"


def calls(media: str) -> str:
    """The caller: offers `media`, is answered, hangs up after -d."""
    return _whole("caller", _invite(media), _ANSWERED, "<pause/>", _request("BYE", 2, "retrans"), _receive(200))


def is_refused(media: str, status: int) -> str:
    """The caller: its offer is answered with `status` (SIPp sends the ACK's transaction by this scenario)."""
    return _whole("caller, refused", _invite(media), *_PROVISIONAL, _receive(status), _ack_of_refusal())


def offers_again(media: str, again: str, status: int) -> str:
    """The caller: in mid-call it offers something else, which is answered with `status`."""
    more = f"Content-Type: application/sdp\nContent-Length: [len]\n\n{_SESSION}{again}"
    contact = "Contact: <sip:caller@[local_ip]:[local_port];transport=[transport]>\n"
    reinvite = _request("INVITE", 2, "retrans").replace("Content-Length: 0\n", contact + more)
    ack = _request("ACK", 2)  # of a refusal: in the INVITE's transaction
    ack = ack if status == 200 else ack.replace(_VIA, "[last_Via:]\nMax-Forwards: 70\n")
    answered = (*_PROVISIONAL[:1], _receive(status), ack)
    pause = '<pause milliseconds="1500"/>'
    return _whole("caller, offers again", _invite(media), _ANSWERED, pause, reinvite, *answered, "<pause/>",
                  _request("BYE", 3, "retrans"), _receive(200))  # fmt: skip


def is_hung_up(media: str) -> str:
    """The caller: is answered, and then the gateway ends the call."""
    return _whole("caller, ended", _invite(media), _ANSWERED, _await("BYE"), _reply("200 OK"))


def cancels(media: str, status: int = 487) -> str:
    """The caller: hangs up while it rings."""
    cancel = f"""CANCEL sip:callee@[remote_ip]:[remote_port] SIP/2.0
Via: [last_Via]
Max-Forwards: 70
{_CALLERS}To: <sip:callee@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: 1 CANCEL
Content-Length: 0
"""
    cancel = cancel.replace("Via: [last_Via]", "[last_Via:]")
    ringing = ('<recv response="100" optional="true"/>', '<recv response="180"/>', '<pause milliseconds="200"/>')
    return _whole("caller, hangs up", _invite(media), *ringing, _send(cancel), _receive(200), _receive(status),
                  _ack_of_refusal())  # fmt: skip


def answers(media: str, suite: str = "", refuses_first: int = 0, early: str = "", invites: int = 1) -> str:
    """The callee: answers with `media` after it has found `suite` in the offer.

    `refuses_first`: a status for the first INVITE, the second one is answered; `early`: media that it has spoken of in
    a 183 before that, with a key for `suite`. `invites`: how often it is asked, counting re-INVITEs."""
    progress = _reply("183 Session Progress", ";tag=[pid]r[call_number]", _CONTACT, early) if early else ""
    first = [
        _await("INVITE", _pick(suite) if early else ""),
        progress,
        _reply(f"{refuses_first} Not Like This", ";tag=[pid]r[call_number]"),
        _await("ACK"),
    ]
    ok = _reply("200 OK", ";tag=[pid]s[call_number]", _CONTACT + "Server: a callee's software\n", media)
    found = _await("INVITE", _pick(suite) if suite and not early else "")
    again = [_await("INVITE"), ok, _await("ACK")] * (invites - 1)
    return _whole("callee", *(first if refuses_first else ()), found, _ringing(), ok, _await("ACK"), *again,
                  _await("BYE"), _reply("200 OK"))  # fmt: skip


def refuses(status: int, times: int = 1) -> str:
    """The callee: refuses the call, `times` INVITEs in turn."""
    once = [_await("INVITE"), _reply(f"{status} Not Like This", ";tag=[pid]r[call_number]"), _await("ACK")]
    return _whole("callee, refuses", *once * times)


def refuses_after_cancel(status: int) -> str:
    """The callee: rings; when it is cancelled, its own refusal is already on the way."""
    kept = "".join(
        f'<ereg regexp=".*" search_in="hdr" header="Via:" occurrence="{place}" check_it="true" assign_to="{name}"/>'
        for place, name in ((1, "ours"), (2, "theirs"))
    )
    late = f"""SIP/2.0 {status} Not Like This
Via: [$ours]
Via: [$theirs]
[last_From:]
[last_To:];tag=[pid]s[call_number]
[last_Call-ID:]
CSeq: 1 INVITE
Content-Length: 0
"""
    return _whole("callee, cancelled", _await("INVITE", kept), _ringing(), _await("CANCEL"), _reply("200 OK"),
                  _send(late), _await("ACK"))  # fmt: skip


def _whole(name: str, *steps: str) -> str:
    return _HEAD.format(name) + "\n".join(steps) + "\n</scenario>\n"


def _send(message: str, words: str = "") -> str:
    return f"<send{words}>\n<![CDATA[\n\n{message}\n]]>\n</send>"


def _invite(media: str) -> str:
    retrans = ' retrans="500"'
    return _send(
        f"""INVITE sip:callee@[remote_ip]:[remote_port] SIP/2.0
{_VIA}Contact: <sip:caller@[local_ip]:[local_port];transport=[transport]>
To: <sip:callee@[remote_ip]:[remote_port]>
{_CALLERS}Call-ID: [call_id]
CSeq: 1 INVITE
Content-Type: application/sdp
Content-Length: [len]

{_SESSION}{media}""",
        retrans,
    )


def _request(method: str, number: int, retrans: str = "") -> str:
    words = ' retrans="500"' if retrans else ""
    text = f"""{method} [next_url] SIP/2.0
{_VIA}[routes]
{_CALLERS}[last_To:]
Call-ID: [call_id]
CSeq: {number} {method}
Content-Length: 0
"""
    return _send(text, words)


def _ack_of_refusal() -> str:
    """RFC 3261 section 17.1.1.3: in the INVITE's transaction."""
    return _send(f"""ACK sip:callee@[remote_ip]:[remote_port] SIP/2.0
[last_Via:]
Max-Forwards: 70
{_CALLERS}[last_To:]
Call-ID: [call_id]
CSeq: 1 ACK
Content-Length: 0
""")


def _reply(status: str, tag: str = "", more: str = "", media: str = "") -> str:
    head = f"SIP/2.0 {status}\n{_REPLY.format(tag=tag)}{more}"
    if not media:
        return _send(f"{head}Content-Length: 0\n")
    body = f"Content-Type: application/sdp\nContent-Length: [len]\n\n{_SESSION}{media}"
    return _send(head + body, ' retrans="500"' if status.startswith("2") else "")  # RFC 3261 section 13.3.1


def _ringing() -> str:
    return _reply("180 Ringing", ";tag=[pid]s[call_number]", _CONTACT)


def _pick(suite: str) -> str:
    return f'<ereg regexp="a=crypto:([0-9]+) ({suite}) " search_in="msg" check_it="true" assign_to="line,tag,suite"/>'


def _await(method: str, action: str = "") -> str:
    inside = f'<action>{action}</action></recv>\n<Reference variables="{_names(action)}"/>' if action else "</recv>"
    return f'<recv request="{method}" rrs="true">{inside}'


def _names(action: str) -> str:
    return "line,suite" if "a=crypto" in action else "ours,theirs"


def _receive(status: int) -> str:
    return f'<recv response="{status}" rrs="true"/>'


_PROVISIONAL = tuple(f'<recv response="{status}" optional="true"/>' for status in (100, 180, 183))
_ANSWERED = "\n".join((*_PROVISIONAL, _receive(200), _request("ACK", 1)))
