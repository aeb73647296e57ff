"""The packet path as Cython writes it: no Python objects, no GIL, no exceptions (STYLE 4.2, 4.3)."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# module -> functions of the path; every nogil function of these files is looked at, these must be among them
PATHS = {
    "srtp/open": {
        "open_", "open_lane", "open_one", "run", "open_alone", "attempt", "accept", "locate", "locate_rtp",
        "locate_rtcp", "failed", "refuse", "elsewhere", "verify", "resync", "begun_again", "stood_at",
    },
    "srtp/seal": {"seal", "seal_lane", "seal_one", "prepare_rtp", "prepare_rtcp", "run", "spoilt"},
    "srtp/pool": {"set_derive", "stream_add", "evict_silent"},
    "srtp/kdf": {"derive", "derive_label"},
    "srtp/engine": {"engine_open", "engine_seal"},
    "srtp/transfer": {"crypto_export", "crypto_import", "import_keys", "import_state", "export_keys", "export_streams"},
    "srtp/status": {"crypto_status", "keys_status", "streams_status"},
    "cipher/openssl": {"seal", "open_", "seal_one", "open_one", "crypt", "f8", "gcm_seal", "gcm_open"},
    "cipher/vaes": {"seal", "open_", "slot_memory"},
    "cipher/ipsec_mb": {
        "seal", "open_", "window", "admit", "crypt", "cipher_burst", "f8", "authenticate", "settle", "gcm_seal",
        "gcm_open", "slot_memory",
    },
}  # fmt: skip
LANE = (
    "fetch_begin", "fetch_next", "fetch_first", "fetch_second", "lane_find", "lane_fill",
    "lane_record", "credit_take", "credit_return",
)  # fmt: skip
NOT_IN_THE_PATH = {"srtp/status": ("view", "ssrc_view", "key_view")}
PYTHON = re.compile(r"\bPy[A-Z_]\w*|__Pyx_\w*(?:Err|GIL|Raise|WriteUnraisable|AddTraceback)\w*")
HARMLESS = {"PyObject", "Py_ssize_t", "PY_SSIZE_T_MAX"}


def functions(source: str) -> dict[str, str]:
    """Body of every static function of the generated C."""
    found = {}
    for match in re.finditer(r"^static (?:CYTHON_INLINE )?[^\n;=]*?\b__pyx_f_7kernels_\w+\(", source, re.M):
        opening = source.find("{", match.end())
        semicolon = source.find(";", match.end())
        if 0 <= semicolon < opening:
            continue
        name = re.search(r"(__pyx_f_\w+)\($", source[match.start() : match.end()])
        closing = source.index("\n}", opening)
        assert name is not None
        found[name.group(1)] = source[opening:closing]
    return found


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    folder = tmp_path_factory.mktemp("c")
    out = {}
    for module in PATHS:
        target = folder / (module.replace("/", "_") + ".c")
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "cython",
                "-3",
                "-I",
                str(ROOT),
                str(ROOT / "kernels" / f"{module}.pyx"),
                "-o",
                str(target),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        assert "performance hint" not in done.stderr
        out[module] = functions(target.read_text())
    return out


def test_no_python_in_the_packet_path(generated: dict[str, dict[str, str]]) -> None:
    for module, wanted in PATHS.items():
        folder, file = module.split("/")
        prefix = f"__pyx_f_7kernels_{len(folder)}{folder}_{len(file)}{file}_"
        bodies = generated[module]
        assert {prefix + function for function in wanted} <= set(bodies), module
        for name, body in bodies.items():
            if name in {prefix + function for function in NOT_IN_THE_PATH.get(module, ())}:
                continue
            code = re.sub(r"/\*.*?\*/", "", body, flags=re.S)
            assert set(PYTHON.findall(code)) <= HARMLESS, name


def test_the_lane_is_in_the_path(generated: dict[str, dict[str, str]]) -> None:
    """Inline functions of headers are compiled into both modules, and looked at above."""
    for module in ("srtp/open", "srtp/seal"):
        assert {f"__pyx_f_7kernels_4srtp_4lane_{function}" for function in LANE} <= set(generated[module])


def test_the_check_would_notice(generated: dict[str, dict[str, str]]) -> None:
    """The same search finds Python where there is some: status.view builds objects."""
    body = next(body for name, body in generated["srtp/status"].items() if name.endswith("_view"))
    assert set(PYTHON.findall(re.sub(r"/\*.*?\*/", "", body, flags=re.S))) - HARMLESS
