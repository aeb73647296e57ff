// The telephone of the tests: one account, one call at a time. Everything here is called by tests/system/webrtc/chromium.py.
"use strict";

const events = [];       // what happened, in order: [name, detail]
const heard = [];        // what the other side said: blocks of Float32 samples at RATE
let recorder = null;     // AudioContext that keeps what is heard
const RATE = 8000;       // samples a second that `heard` is kept at
const MICROPHONE = {echoCancellation: false, noiseSuppression: false, autoGainControl: false};
let agent = null;
let session = null;
let forged = "";         // whose fingerprint is tampered with on its way: "local", "remote"
let hidden = false;      // our addresses are names that nobody can look up, as those of a page without a permission are

function note(name, detail = "") {
    events.push([name, String(detail)]);
}

function connect({url, uri, password, user_agent}) {
    agent = new JsSIP.UA({
        sockets: [new JsSIP.WebSocketInterface(url)], uri, password, user_agent, session_timers: false,
        connection_recovery_min_interval: 30,
    });
    agent.on("connected", () => note("connected"));
    agent.on("disconnected", (e) => note("disconnected", e.code));
    agent.on("registered", () => note("registered"));
    agent.on("registrationFailed", (e) => note("registration_failed", e.cause));
    agent.on("newRTCSession", (e) => take(e.session, e.originator));
    agent.start();
}

function take(started, originator) {
    session = started;
    note("session", originator);
    if (session.connection) { // our own call: JsSIP makes it before it tells about the session
        watch(session.connection);
    } else {
        session.on("peerconnection", (e) => watch(e.peerconnection));
    }
    session.on("accepted", () => note("accepted"));
    session.on("confirmed", () => note("confirmed"));
    session.on("failed", (e) => note("failed", e.cause));
    session.on("ended", (e) => note("ended", `${e.originator} ${e.cause}`));
    session.on("sdp", (e) => {
        if (e.originator === forged) {
            e.sdp = e.sdp.replace(/^(a=fingerprint:sha-256 )(..)/gm, (_, name, octet) =>
                name + (parseInt(octet, 16) ^ 1).toString(16).toUpperCase().padStart(2, "0"));
        }
        if (hidden && e.originator === "local") {
            e.sdp = e.sdp.replace(/^(a=candidate:.*?) [\d.]+ (\d+) typ host/gm, "$1 9b36eaac-bb2e-49bb-bb78.local $2 typ host")
                .replace(/^m=audio \d+/m, "m=audio 9").replace(/^c=IN IP4 .*$/m, "c=IN IP4 0.0.0.0");
        }
        note(`sdp_${e.originator}_${e.type}`, e.sdp);
    });
    if (originator === "remote") {
        session.answer({mediaConstraints: {audio: MICROPHONE, video: false}});
    }
}

function watch(connection) {
    connection.addEventListener("connectionstatechange", () => note("media", connection.connectionState));
    connection.addEventListener("iceconnectionstatechange", () => note("ice", connection.iceConnectionState));
    connection.addEventListener("track", (e) => listen(new MediaStream([e.track])));
}

function call(target) {
    agent.call(target, {mediaConstraints: {audio: MICROPHONE, video: false}});
}

// A re-INVITE of ours: "hold", "unhold", or with new ICE credentials ("restart"). True when it was accepted.
function again(how) {
    return new Promise((done) => {
        if (how === "restart") {
            session.renegotiate({rtcOfferConstraints: {iceRestart: true}}, () => done(true)) || done(false);
        } else {
            session[how]({}, () => done(true)) || done(false);
        }
    });
}

// Chromium decodes a remote track only for an element that plays it.
async function listen(stream) {
    const element = new Audio();
    element.srcObject = stream;
    await element.play();
    await recorder?.close();
    recorder = new AudioContext({sampleRate: RATE});
    await recorder.audioWorklet.addModule("recorder.js");
    const ear = new AudioWorkletNode(recorder, "recorder");
    ear.port.onmessage = (e) => heard.push(e.data);
    recorder.createMediaStreamSource(stream).connect(ear);
    await recorder.resume();
    heard.length = 0;
    note("listening", recorder.state);
}

// What was heard since the last time, as base64 of 16-bit samples (little endian).
function recorded() {
    const samples = Int16Array.from(heard.splice(0).flatMap((block) => Array.from(block)),
                                    (value) => Math.max(-1, Math.min(1, value)) * 32767);
    const octets = new Uint8Array(samples.buffer);
    let text = "";
    for (let at = 0; at < octets.length; at += 8192) {
        text += String.fromCharCode(...octets.subarray(at, at + 8192));
    }
    return btoa(text);
}

// RTCStatsReport entries by type; of several, the last one.
async function statistics() {
    const found = {};
    for (const report of (await session.connection.getStats()).values()) {
        found[report.type] = report;
    }
    return found;
}
