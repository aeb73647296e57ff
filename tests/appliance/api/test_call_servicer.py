"""CallService through a real channel."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from appliance import errors
from appliance.api import show
from appliance.calls.media import Latching, RocPolicy
from appliance.calls.views import CallEvent, CallState, CallView, EventKind, OfferRequest, Party, SubscribeRequest
from appliance.diagnosis.causes import ADVICE, Cause
from appliance.policy.options import DtlsOptions, Ice, Vbr
from appliance.policy.secure_media import Mode
from srtpgw.v1 import calls_pb2, calls_pb2_grpc, types_pb2
from tests.appliance.api.fake_calls import FakeCalls
from tests.appliance.api.faults import refusal, refused

OFFER = {"call_id": "c1", "from_tag": "f", "sdp": "v=0\r\n"}


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> calls_pb2_grpc.CallServiceStub:
    return calls_pb2_grpc.CallServiceStub(channel)


async def test_offer_answer_get_delete(stub: calls_pb2_grpc.CallServiceStub, calls: FakeCalls) -> None:
    reply = await stub.Offer(calls_pb2.OfferRequest(**OFFER))
    assert (reply.sdp, reply.call_id, list(reply.warnings)) == ("v=0\r\n", "c1", ["a word not understood"])
    await stub.Answer(calls_pb2.AnswerRequest(call_id="c1", from_tag="f", to_tag="t", sdp="v=0\r\n"))
    call = await stub.Get(calls_pb2.GetCallRequest(call_id="c1"))
    assert (call.state, call.from_tag, call.to_tag, call.revision) == (calls_pb2.Call.ANSWERED, "f", "t", 2)
    assert call.create_time.seconds == 1_000_000_000
    ended = await stub.Delete(calls_pb2.DeleteCallRequest(call_id="c1", from_tag="f", to_tag="t"))
    assert ended.state == calls_pb2.Call.ENDED
    assert calls.requests[-1] == ("c1", "f", "t", "")


async def test_why(stub: calls_pb2_grpc.CallServiceStub) -> None:
    """Every finding with cause, place, evidence and advice; a call that is not there is NOT_FOUND."""
    await stub.Offer(calls_pb2.OfferRequest(**OFFER))
    reply = await stub.Why(calls_pb2.WhyRequest(call_id="c1"))
    first, whole = reply.findings
    assert (first.cause, first.confidence) == (calls_pb2.Finding.ROC_OFF, calls_pb2.Finding.CERTAIN)
    assert (first.stream, first.leg, first.via_branch, first.fault) == (0, "b", "z9hG4bK", True)
    assert {item.name: item.value for item in first.evidence} == {"roc": "3", "roc-here": "0"}
    assert first.sentence == "its rollover counter is 3, ours is 0" and first.advice == ADVICE[Cause.ROC_OFF]
    assert not whole.HasField("stream") and whole.leg == ""
    missing = await refused(stub.Why(calls_pb2.WhyRequest(call_id="none")))
    assert (missing.code, missing.reason) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_CALL")


def test_every_cause_has_its_number() -> None:
    """The enum of the API and the table of causes are one list."""
    names = [name for name, _ in calls_pb2.Finding.Cause.items() if name != "CAUSE_UNSPECIFIED"]
    assert names == [cause.name for cause in Cause]


async def test_options_reach_the_call_service(stub: calls_pb2_grpc.CallServiceStub, calls: FakeCalls) -> None:
    options = calls_pb2.MediaOptions(
        transport_protocol="RTP/SAVP",
        secure_media_inbound="forbidden",
        secure_media_outbound="mandatory:AES_CM_256_HMAC_SHA1_80",
        suites=["AES_CM_256_HMAC_SHA1_80", "AEAD_AES_256_GCM"],
        interface_a="a",
        interface_b="b",
        media_address="192.0.2.1",
        rtcp_mux=["demux"],
        replace=["origin"],
        latching=types_pb2.LATCHING_OFF,
        sdes=["nopad", "mki-2"],
        sdes_from=["legacy-192", "roc-reset"],
        vbr="allow",
        transcode=["PCMA", "PCMU"],
    )
    await stub.Offer(calls_pb2.OfferRequest(options=options, **OFFER))
    request = calls.requests[0]
    assert isinstance(request, OfferRequest)
    found = request.options
    assert found.transport_protocol == "RTP/SAVP"
    assert found.sdes.suites == ("AES_256_CM_HMAC_SHA1_80", "AEAD_AES_256_GCM")  # either spelling, row A
    assert found.inbound is not None and found.inbound.mode is Mode.FORBIDDEN
    assert found.outbound is not None and found.outbound.suites == ("AES_256_CM_HMAC_SHA1_80",)
    assert (found.interface_a, found.interface_b, found.media_address) == ("a", "b", "192.0.2.1")
    assert (found.rtcp_mux, found.replace, found.latching) == ({"demux"}, {"origin"}, Latching.OFF)
    assert (found.sdes.pad, found.sdes.mki_keys, found.vbr) == (False, 2, Vbr.ALLOW)
    assert found.sdes_from is not None and (found.sdes_from.legacy_192, found.sdes_from.roc) == (True, RocPolicy.RESET)
    assert found.codecs.transcode == ("PCMA", "PCMU")
    assert found.sdes_requires_tls  # the safe side unless the caller says that signalling is secure


async def test_a_browser_on_the_other_side(stub: calls_pb2_grpc.CallServiceStub, calls: FakeCalls) -> None:
    """D06, G20, peers 1.2: what `webrtc` asks for, as over NG; what else is said holds over it."""
    options = calls_pb2.MediaOptions(
        webrtc=True, dtls=["passive", "certificate:web"], dtls_from=["sha1"], ice=["lite-forward"]
    )
    await stub.Offer(calls_pb2.OfferRequest(options=options, **OFFER))
    plain = calls_pb2.MediaOptions(
        transport_protocol="UDP/TLS/RTP/SAVP", ice=["remove"], reject_ice=True, bundle=["reject"], rtcp_mux=["offer"]
    )
    await stub.Offer(calls_pb2.OfferRequest(options=plain, **OFFER))
    browser, other = [request.options for request in calls.requests if isinstance(request, OfferRequest)]
    assert (browser.transport_protocol, browser.ice, browser.ice_lite) == ("UDP/TLS/RTP/SAVPF", Ice.FORCE, "forward")
    assert browser.rtcp_mux == {"offer", "require"} and not browser.sdes.enabled and "generate-mid" in browser.flags
    assert browser.dtls == DtlsOptions(role="passive", certificate="web")
    assert browser.dtls_from == DtlsOptions(sha1=True)
    assert (other.transport_protocol, other.ice, other.ice_rejected) == ("UDP/TLS/RTP/SAVP", Ice.REMOVE, True)
    assert (other.bundle, other.rtcp_mux, other.dtls) == ({"reject"}, {"offer"}, DtlsOptions())


async def test_block_and_echo_name_the_party(stub: calls_pb2_grpc.CallServiceStub, calls: FakeCalls) -> None:
    await stub.Offer(calls_pb2.OfferRequest(**OFFER))
    for method, party, expected in (
        (stub.Block, {"tag": "f"}, (Party(tag="f"), "block")),
        (stub.Unblock, {"address": "192.0.2.1"}, (Party(address="192.0.2.1"), "unblock")),
        (stub.StartEcho, {"label": "x"}, (Party(label="x"), "echo")),
        (stub.StopEcho, {}, (Party(), "no echo")),
    ):
        call = await method(calls_pb2.PartyRequest(call_id="c1", **party))
        assert call.call_id == "c1"
        assert calls.requests[-1] == ("c1", *expected)


async def test_subscribe_answer_unsubscribe(stub: calls_pb2_grpc.CallServiceStub, calls: FakeCalls) -> None:
    await stub.Offer(calls_pb2.OfferRequest(**OFFER))
    options = calls_pb2.MediaOptions(transport_protocol="RTP/SAVP")
    reply = await stub.Subscribe(calls_pb2.SubscribeRequest(call_id="c1", from_tags=["f"], options=options))
    assert (reply.sdp, reply.to_tag, reply.warnings) == ("v=0\r\n", "made", ["a word not understood"])
    assert [(line.from_tag, line.stream) for line in reply.lines] == [("f", 0), ("t", 0)]
    request = calls.requests[-1]
    assert isinstance(request, SubscribeRequest)
    assert (request.from_tags, request.options.transport_protocol) == (("f",), "RTP/SAVP")
    await stub.AnswerSubscription(calls_pb2.AnswerSubscriptionRequest(call_id="c1", to_tag="made", sdp="v=0\r\n"))
    assert isinstance(calls.requests[-1], tuple)
    assert calls.requests[-1][:3] == ("c1", "made", b"v=0\r\n")
    await stub.Unsubscribe(calls_pb2.UnsubscribeRequest(call_id="c1", to_tag="made"))
    assert calls.requests[-1] == ("c1", "made")


@pytest.mark.parametrize(
    ("method", "request_", "field"),
    [
        ("Block", calls_pb2.PartyRequest(), "call_id"),
        ("Block", calls_pb2.PartyRequest(call_id="c1", address="host.example"), "address"),
        ("Subscribe", calls_pb2.SubscribeRequest(call_id="c1", from_tags=["f", ""]), "from_tags[1]"),
        ("AnswerSubscription", calls_pb2.AnswerSubscriptionRequest(call_id="c1", to_tag="x"), "sdp"),
        ("Unsubscribe", calls_pb2.UnsubscribeRequest(call_id="c1"), "to_tag"),
    ],
)
async def test_malformed_control_names_the_field(
    stub: calls_pb2_grpc.CallServiceStub, method: str, request_: object, field: str
) -> None:
    found = await refused(getattr(stub, method)(request_))
    assert (found.code, found.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"call_id": ""}, "call_id"),
        ({"call_id": "x" * 1025}, "call_id"),
        ({"call_id": "a\nb"}, "call_id"),
        ({"from_tag": ""}, "from_tag"),
        ({"sdp": ""}, "sdp"),
        ({"options": calls_pb2.MediaOptions(transport_protocol="RTP/XYZ")}, "options.transport_protocol"),
        ({"options": calls_pb2.MediaOptions(suites=["AES_CM_128_HMAC_SHA1_80", "NO"])}, "options.suites[1]"),
        ({"options": calls_pb2.MediaOptions(secure_media_outbound="maybe")}, "options.secure_media_outbound"),
        ({"options": calls_pb2.MediaOptions(media_address="host.example")}, "options.media_address"),
        ({"options": calls_pb2.MediaOptions(sdes=["nopad", "mki-9"])}, "options.sdes"),
        ({"options": calls_pb2.MediaOptions(sdes_from=["legacy"])}, "options.sdes_from"),
        ({"options": calls_pb2.MediaOptions(vbr="pad")}, "options.vbr"),
        ({"options": calls_pb2.MediaOptions(dtls=["passive", "never"])}, "options.dtls"),
        ({"options": calls_pb2.MediaOptions(dtls_from=["fingerprint:md5"])}, "options.dtls_from"),
        ({"options": calls_pb2.MediaOptions(ice=["force-relay"])}, "options.ice"),
        ({"options": calls_pb2.MediaOptions(webrtc=True, bundle=["some"])}, "options.bundle"),
        ({"options": calls_pb2.MediaOptions(rtcp_mux=["sometimes"])}, "options.rtcp_mux"),
    ],
)
async def test_malformed_offer_names_the_field(
    stub: calls_pb2_grpc.CallServiceStub, calls: FakeCalls, change: dict[str, object], field: str
) -> None:
    found = await refused(stub.Offer(calls_pb2.OfferRequest(**{**OFFER, **change})))
    assert (found.code, found.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)
    assert (found.reason, found.domain) == ("INVALID_REQUEST", "srtpgw")
    assert field in found.message
    assert calls.requests == []


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidSdp("m-line 2 has no port", "sdp"),
        errors.NotAcceptable("no common suite"),
        errors.CryptoRequired("crypto required"),
        errors.UnknownCall("unknown"),
        errors.CallExists("exists"),
        errors.NoCapacity("full"),
        errors.MediaUnavailable("worker 0 does not answer"),
        errors.Draining("draining"),
        errors.GatewayError("something"),
    ],
)
async def test_every_error_keeps_its_verdict(
    stub: calls_pb2_grpc.CallServiceStub, calls: FakeCalls, observed: list[tuple[str, str]], error: errors.GatewayError
) -> None:
    """AIP-193: code, ErrorInfo on every error, RetryInfo where trying again makes sense."""
    calls.fail = error
    found = await refused(stub.Offer(calls_pb2.OfferRequest(**OFFER)))
    assert found.code.name == error.grpc_code
    assert found.message == str(error)
    assert (found.reason, found.domain) == (error.reason.upper().replace("-", "_"), "srtpgw")
    assert (found.retry_s is not None) is error.retry
    assert observed[-1] == ("/srtpgw.v1.CallService/Offer", error.grpc_code)


async def test_unforeseen_error_tells_nothing(
    stub: calls_pb2_grpc.CallServiceStub, calls: FakeCalls, capsys: pytest.CaptureFixture[str]
) -> None:
    calls.fail = RuntimeError("the password is swordfish")
    found = await refused(stub.Offer(calls_pb2.OfferRequest(**OFFER)))
    assert (found.code, found.message, found.reason) == (grpc.StatusCode.INTERNAL, "internal error", "INTERNAL")
    await stub.Offer(calls_pb2.OfferRequest(**OFFER))  # and nothing else is disturbed


async def test_list_goes_through_pages(stub: calls_pb2_grpc.CallServiceStub, calls: FakeCalls) -> None:
    for number in range(7):
        call_id = f"call-{number}@ä"
        calls.calls[call_id] = CallView(call_id, CallState.OFFERED, 0, 0, 1, 0)
    pages, token = [], ""
    while True:
        reply = await stub.List(calls_pb2.ListCallsRequest(page_size=3, page_token=token))
        pages.append([call.call_id for call in reply.calls])
        calls.calls.pop("call-2@ä", None)  # the one the cursor stands on goes away
        token = reply.next_page_token
        if not token:
            break
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [call_id for page in pages for call_id in page] == [f"call-{number}@ä" for number in range(7)]


async def test_list_exact_page_has_no_next(stub: calls_pb2_grpc.CallServiceStub, calls: FakeCalls) -> None:
    for number in range(3):
        calls.calls[str(number)] = CallView(str(number), CallState.OFFERED, 0, 0, 1, 0)
    assert not (await stub.List(calls_pb2.ListCallsRequest(page_size=3))).next_page_token


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (calls_pb2.ListCallsRequest(page_size=-1), "page_size"),
        (calls_pb2.ListCallsRequest(page_token="!!"), "page_token"),
        (calls_pb2.ListCallsRequest(page_token="YWJj"), "page_token"),
    ],
)
async def test_list_refuses_what_is_no_page(
    stub: calls_pb2_grpc.CallServiceStub, request_: calls_pb2.ListCallsRequest, field: str
) -> None:
    found = await refused(stub.List(request_))
    assert (found.code, found.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)


async def test_watch_snapshot_sync_changes(stub: calls_pb2_grpc.CallServiceStub, calls: FakeCalls) -> None:
    await stub.Offer(calls_pb2.OfferRequest(**OFFER))
    watch = stub.Watch(calls_pb2.WatchRequest())
    kinds = calls_pb2.WatchEvent
    first = await asyncio.wait_for(watch.read(), 5)
    assert (first.kind, first.call.call_id) == (kinds.SNAPSHOT, "c1")
    assert (await asyncio.wait_for(watch.read(), 5)).kind == kinds.SYNCED
    await stub.Delete(calls_pb2.DeleteCallRequest(call_id="c1"))
    ended = await asyncio.wait_for(watch.read(), 5)
    assert (ended.kind, ended.call.state) == (kinds.ENDED, calls_pb2.Call.ENDED)
    assert not ended.HasField("worker")
    watch.cancel()


def test_a_call_that_nothing_is_placed_of() -> None:
    """Its first offer was refused: it is shown, and its events are, without a worker."""
    view = CallView("c1", CallState.ENDED, 1.0, 2.0, 1, worker=-1)
    shown = show.event(CallEvent(EventKind.FAILED, 2.0, "c1", view, "nothing in this offer is acceptable"))
    assert (shown.call.call_id, shown.call.worker, shown.HasField("worker")) == ("c1", 0, False)


async def test_watch_ends_with_its_client(stub: calls_pb2_grpc.CallServiceStub, calls: FakeCalls) -> None:
    watch = stub.Watch(calls_pb2.WatchRequest())
    await asyncio.wait_for(watch.read(), 5)
    assert calls.watchers == 1
    watch.cancel()
    for _ in range(100):
        if not calls.watchers:
            break
        await asyncio.sleep(0.02)
    assert calls.watchers == 0


async def test_slow_watcher_is_told_to_come_again(stub: calls_pb2_grpc.CallServiceStub, calls: FakeCalls) -> None:
    watch = stub.Watch(calls_pb2.WatchRequest())
    await asyncio.wait_for(watch.read(), 5)
    calls.overflow = True
    await stub.Offer(calls_pb2.OfferRequest(**OFFER))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(watch.read(), 5)
        await asyncio.wait_for(watch.read(), 5)
    found = refusal(caught.value)
    assert (found.code, found.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "NO_CAPACITY")
    assert found.retry_s
