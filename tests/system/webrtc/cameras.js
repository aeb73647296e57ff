// RTCPeerConnections of the BUNDLE tests, without SIP: a microphone and some cameras. Called by tests/system/webrtc/cameras.py.
"use strict";

var pc = null;
var states = [];
var own = null;

async function opened(policy, cameras) {
    pc = new RTCPeerConnection({bundlePolicy: policy});
    states = [];
    pc.addEventListener("connectionstatechange", () => states.push(pc.connectionState));
    pc.addEventListener("track", (e) => shown(e.track));
    own = await navigator.mediaDevices.getUserMedia({audio: true, video: {width: 320, height: 240}});
    pc.addTrack(own.getAudioTracks()[0], own);
    for (let n = 0; n < cameras; n++) {
        another();
    }
    return true;
}

function another() {
    const track = own.getVideoTracks()[0].clone();
    pc.addTrack(track, new MediaStream([track]));
}

// Chromium decodes a remote track only for an element that plays it.
async function shown(track) {
    const element = document.createElement(track.kind);
    element.srcObject = new MediaStream([track]);
    element.muted = true;
    await element.play();
}

async function described(kind) {
    await pc.setLocalDescription(await (kind === "offer" ? pc.createOffer() : pc.createAnswer()));
    if (pc.iceGatheringState !== "complete") {
        await new Promise((done) => pc.addEventListener("icegatheringstatechange",
            () => pc.iceGatheringState === "complete" && done()));
    }
    return pc.localDescription.sdp;
}

async function told(type, sdp) {
    await pc.setRemoteDescription({type, sdp});
    return true;
}

// inbound-rtp and outbound-rtp by mid
async function counted() {
    const found = {inbound: {}, outbound: {}, remote: {}, transports: 0};
    for (const report of (await pc.getStats()).values()) {
        if (report.type === "inbound-rtp") {
            found.inbound[report.mid] = report;
        } else if (report.type === "outbound-rtp") {
            found.outbound[report.mid] = report;
        } else if (report.type === "remote-inbound-rtp") {
            found.remote[report.ssrc] = report;
        } else if (report.type === "transport") {
            found.transports += 1;
        }
    }
    return found;
}
