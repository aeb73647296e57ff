"""docs/ng.md: what becomes of every NG command, key and word, made of the tables that read them.
`python -m appliance.protocols.ng.reference > docs/ng.md`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from appliance.protocols.ng.flags import ALIASES, KEYS, PREFIXES, WORDS
from appliance.protocols.ng.sdes_words import SDES_LISTS, SDES_WORDS
from appliance.protocols.ng.wishes import Key, Word

TRANSPORTS = (
    (
        "`ng.listen`",
        "UDP",
    ),
    (
        "`ng.listen_tcp`",
        "TCP (`tcp-ng`): no delimiter but the end of the bencode or JSON value, white space between messages "
        "is skipped",
    ),
    (
        "`ng.listen_http`",
        "HTTP: `POST /ng`, content type `application/x-rtpengine-ng`; `GET /ping`. WebSocket on `/` and "
        "`/ng`, sub-protocol `ng.rtpengine.com`: a message a frame, text answered by text",
    ),
    (
        "`ng.listen_https`",
        "the same over TLS 1.2 and newer (`ng.certificate`, `ng.key`)",
    ),
)
COMMANDS = (
    (
        "`ping`",
        "`pong`",
    ),
    (
        "`offer`, `answer`",
        "SDP is rewritten by the keys and words below. What was not understood or is not to be had stands in "
        "`warning` (rtpengine logs it)",
    ),
    (
        "`delete`",
        "final statistics as in `query`; an unknown call is `ok` with a `warning`, or an error with the flag "
        "`fatal`. `delete-delay` seconds later, at once without it or with the flag `fast` (rtpengine: 30 s); "
        "an offer of the same call cancels it. Pending deletes do not outlive the control process: media "
        "silence ends such calls",
    ),
    (
        "`query`",
        "rtpengine's keys. `SSRC` is empty (we make no RTCP reports of our own); with rtcp-mux one stream is "
        "listed, not two",
    ),
    (
        "`list`",
        "`limit`, 32 without it",
    ),
    (
        "`statistics`",
        "rtpengine's keys; MOS and the kernel's shares are zero",
    ),
    (
        "`block media`, `unblock media`",
        "what a party sends goes no further; by `from-tag`, `address`, `label`, or everybody",
    ),
    (
        "`subscribe request`, `subscribe answer`, `unsubscribe`",
        "copies of what parties send, to a recorder or monitor, with keys of its own",
    ),
    (
        "`block DTMF`, `unblock DTMF`",
        "an error: payloads are not looked into",
    ),
    (
        "any other",
        "`Unrecognized command`, as an older rtpengine says",
    ),
)

INTRODUCTION = """\
# NG: rtpengine's control protocol

Kamailio, OpenSIPS, drachtio and jambonz drive this gateway as they drive rtpengine. Made from the code
(`python -m appliance.protocols.ng.reference > docs/ng.md`); a test holds it to that.

## Transports

One message is `cookie SP body`, the body bencode or JSON, the reply in the same coding with the same cookie. A request
that comes again (same host, cookie and body, within 30 s) is not carried out again; it gets the stored answer.

| Setting | Transport |
|---|---|
TRANSPORTS

NG has no authentication: `ng.allow` holds for all of them. Messages have at most 131,072 octets; `ng.connections` and
`ng.idle_s` bound the number and the patience of TCP and web clients.

## Commands

| Command | Here |
|---|---|
COMMANDS

A refusal is `result: error` with rtpengine's `error-reason` where it has one, and a sentence of ours in `warning`. A
refusal for load is `result: load limit` with `message` for clients that say `supports: ["load limit"]`.

Spaces, hyphens and underscores, upper and lower case are the same in keys and words. `PREFIX-rest` in `flags` is the
key `PREFIX` with the value `rest`, for: PREFIXES.
"""


def markdown() -> str:
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    text = INTRODUCTION.replace("PREFIXES", ", ".join(f"`{prefix}`" for prefix in PREFIXES))
    for name, rows in (("TRANSPORTS", TRANSPORTS), ("COMMANDS", COMMANDS)):
        text = text.replace(name, "\n".join(f"| {left} | {right} |" for left, right in rows))
    yield text
    yield "## Keys\n"
    yield from _table({key: row for key, row in KEYS.items() if key not in ALIASES})
    yield "\nOther names: " + ", ".join(f"`{alias}` for `{name}`" for alias, name in sorted(ALIASES.items())) + ".\n"
    yield "## Words in `flags`\n"
    yield from _table(WORDS)
    yield "\n## Words in `SDES`\n"
    yield "With names of suites: " + ", ".join(f"`{name.replace('_', '-')}SUITE`" for name in SDES_LISTS) + ".\n"
    yield ", ".join(f"`{word}`" for word in SDES_WORDS if not word[-1].isdigit()) + "; with a number `lifetime-N`"
    yield "(2^N packets), `lifetime-floor-N`, `mki-N` (keys in a line)."


def _table(rows: Mapping[str, Key | Word]) -> Iterator[str]:
    yield "| Name | Done | Meaning |"
    yield "|---|---|---|"
    for name, row in rows.items():
        yield f"| `{name}` | {row.done} | {row.help} |"


if __name__ == "__main__":
    print(markdown(), end="")
