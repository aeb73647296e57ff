"""Who shows the wrong certificate is told so, every time: its alert leaves before the port does. Ports 46000-46999."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from OpenSSL import SSL

from tests.system.dtls_calls import House, house, our_port
from tests.system.dtls_phone import certificate

pytestmark = [pytest.mark.system, pytest.mark.timeout(60), pytest.mark.row("D03", "DTLS-4", "D1")]
CALLS = 200


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("alerts"), 46000, (46020, 46999)) as built:
        yield built


def test_every_wrong_certificate_is_told(gateway: House) -> None:
    """200 calls one after the other; each peer hears `unknown_ca`, each call ends by it."""
    right, wrong = certificate(), certificate()[2]
    told, names = [], []
    for _ in range(CALLS):
        phone, plain = gateway.phone(identity=right), gateway.plain()
        name, offered = gateway.offer(plain.sdp())
        gateway.answer(name, phone.sdp(fingerprint=wrong))
        names.append(name)
        try:
            phone.handshake(our_port(offered))
            while phone.step(None, wait=0.5):  # a client learns of it by an alert after its Finished
                pass
        except SSL.Error as error:
            told.append(str(error))
        gateway.close_phones()
    assert len(told) == CALLS and all("alert unknown ca" in words for words in told), (len(told), told[:1])
    for name in names:
        gateway.wait(lambda name=name: gateway.events.of(name)[-1:] == ["FAILED"])
        assert "FINGERPRINT_MISMATCH" in gateway.events.of(name)
