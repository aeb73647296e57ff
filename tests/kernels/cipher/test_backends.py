"""Every back end of this build against the published vectors (B1x rows of mission.md section B)."""

from collections.abc import Iterator
from typing import Any

import pytest

from kernels.cipher import probe, select
from kernels.wire.packet import Drop
from tests.kernels.srtp.suites import vectors

BACKENDS = select.names()
GENERATIONS = ("sse", "avx", "avx2", "avx512")  # of CPUs that ipsec-mb has code for
HERE: tuple[str, ...] = ()
if "ipsec-mb" in BACKENDS:
    from kernels.cipher import ipsec_mb

    HERE = GENERATIONS[: GENERATIONS.index(ipsec_mb.generation()) + 1]


@pytest.fixture(params=[*BACKENDS, *(f"ipsec-mb {generation}" for generation in HERE)])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every back end; ipsec-mb also with the code for each older CPU, which this one can run as well."""
    name, _, generation = request.param.partition(" ")
    if generation:
        assert ipsec_mb.use(generation)
        assert ipsec_mb.generation() == generation
    yield name
    if generation:
        ipsec_mb.use("auto")


def test_self_test_passes(backend: str) -> None:
    assert select.passes(backend)


@pytest.mark.parametrize(
    ("file", "entry"),
    [
        ("rfc3711_appendix_b.json", "aes_cm_128"),
        ("rfc6188_section7.json", "aes_192_cm"),
        ("rfc6188_section7.json", "aes_256_cm"),
    ],
)
def test_counter_mode_keystream(backend: str, file: str, entry: str) -> None:
    """B01, B05, B07: RFC 3711 B.2, RFC 6188 7.1 and 7.3, up to block 65281."""
    row = vectors(file)[entry]
    last = max(int(block) for block in row["keystream_blocks"])
    sealed, _ = probe.seal(
        backend,
        "AES_CM",
        bytes.fromhex(row["session_key"]),
        bytes.fromhex(row["session_salt"]) + b"\0\0",
        b"",
        bytes(16 * (last + 1)),
    )
    assert isinstance(sealed, bytes)
    for block, wanted in row["keystream_blocks"].items():
        assert sealed[16 * int(block) : 16 * int(block) + 16].hex() == wanted


def test_f8(backend: str) -> None:
    """B03: RFC 3711 B.1."""
    row = {key: value for key, value in vectors("rfc3711_appendix_b.json")["aes_f8"].items() if key != "note"}
    parts = {key: bytes.fromhex(value) for key, value in row.items()}
    sealed, _ = probe.seal(backend, "AES_F8", parts["key"], parts["iv"], b"", parts["payload"], salt=parts["salt"])
    assert sealed == parts["ciphertext"]
    assert (
        probe.open(backend, "AES_F8", parts["key"], parts["iv"], b"", sealed, b"", salt=parts["salt"])
        == parts["payload"]
    )


GCM_ROWS = vectors("rfc7714_gcm.json")["vectors"]


@pytest.mark.parametrize("row", GCM_ROWS, ids=[row["section"] for row in GCM_ROWS])
def test_gcm(backend: str, row: dict[str, Any]) -> None:
    """B15, B16: RFC 7714 sections 16.1 to 17.4, both directions; a turned bit is refused and changes nothing."""
    key, iv, aad = (bytes.fromhex(row[name]) for name in ("key", "iv", "aad"))
    text = bytes.fromhex(row.get("cipher_with_tag") or row["ct"])
    body, tag = text[:-16], text[-16:]
    opened = probe.open(backend, "AES_GCM", key, iv, aad, body, tag)
    assert isinstance(opened, bytes)
    if "pt" in row:
        assert opened.hex() == row["pt"]
    assert probe.seal(backend, "AES_GCM", key, iv, aad, opened, tag_octets=16) == (body, tag)
    assert probe.seal(backend, "AES_GCM", key, iv, aad[:-4], opened, extra=aad[-4:], tag_octets=8) == (body, tag[:8])
    wrong = bytes([tag[0] ^ 1]) + tag[1:]
    assert probe.open(backend, "AES_GCM", key, iv, aad, body, wrong) == (Drop.DROP_AUTH_FAIL, aad + body)


@pytest.mark.parametrize(
    ("key", "data", "digest"),
    [
        (b"\x0b" * 20, b"Hi There", "b617318655057264e28bc0b6fb378c8ef146be00"),
        (b"Jefe", b"what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        (b"\xaa" * 20, b"\xdd" * 50, "125d7342b9ac11cd91a39af48aa17b4f63f175d3"),
    ],
)
def test_hmac_sha1(backend: str, key: bytes, data: bytes, digest: str) -> None:
    """RFC 2202 section 3, cases 1 to 3, the data split at every place between packet and extra octets."""
    for tag_octets in (4, 10, 20):
        sealed = probe.seal(
            backend, "NULL", bytes(16), b"", data[:-4], b"", extra=data[-4:], auth_key=key, tag_octets=tag_octets
        )
        assert sealed == (b"", bytes.fromhex(digest)[:tag_octets])


def test_open_leaves_a_forged_packet_alone(backend: str) -> None:
    """Vtable contract: a job that does not verify may be tried again."""
    got = probe.open(backend, "AES_CM", bytes(16), bytes(16), b"head", b"body", b"\0" * 10, auth_key=b"k" * 20)
    assert got == (Drop.DROP_AUTH_FAIL, b"headbody")
