"""OpenSSL's errors and the peer's alerts in our words."""

from __future__ import annotations

from OpenSSL import SSL

from appliance.protocols.dtls.outputs import Failed, Reason

_REASONS: dict[str, Reason] = {
    "peer did not return a certificate": Reason.NO_CERTIFICATE,
    "unsupported protocol": Reason.VERSION,
    "wrong ssl version": Reason.VERSION,
    "wrong version number": Reason.VERSION,
    "unknown ssl version": Reason.VERSION,
    "no protocols available": Reason.VERSION,
    "version too low": Reason.VERSION,
    "no shared cipher": Reason.CIPHER,
    "no suitable signature algorithm": Reason.CIPHER,
    "no suitable groups": Reason.CIPHER,
    "no suitable key share": Reason.CIPHER,
    "no shared signature algorithms": Reason.CIPHER,
    "wrong cipher returned": Reason.CIPHER,
    "dh key too small": Reason.CIPHER,
    "wrong signature type": Reason.CIPHER,
}  # fmt: skip

ALERTS: dict[int, str] = {
    0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow", 40: "handshake_failure",
    42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired",
    46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error",
    51: "decrypt_error", 70: "protocol_version", 71: "insufficient_security", 80: "internal_error",
    86: "inappropriate_fallback", 90: "user_canceled", 100: "no_renegotiation", 109: "missing_extension",
    110: "unsupported_extension", 116: "certificate_required", 120: "no_application_protocol",
}  # fmt: skip


def from_openssl(error: SSL.Error) -> Failed:
    """Of an exception of `do_handshake`."""
    words = [str(entry[-1]) for entry in _queue(error)]
    known = next((_REASONS[word] for word in words if word in _REASONS), None)
    told = any("alert" in word for word in words)  # "ssl/tls alert bad certificate": the peer's, under its keys
    return Failed(known or (Reason.ALERT if told else Reason.MALFORMED), "; ".join(words) or type(error).__name__)


def from_alert(description: int) -> Failed:
    """Of a plaintext alert after which nothing more came."""
    return Failed(Reason.ALERT, ALERTS.get(description, f"alert {description}"))


def _queue(error: SSL.Error) -> list[tuple[object, ...]]:
    """OpenSSL's error queue, oldest first; empty when the exception carries none."""
    found = error.args[0] if error.args else ()
    return [entry for entry in found if isinstance(entry, tuple) and entry] if isinstance(found, list) else []
