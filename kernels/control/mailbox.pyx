# cython: language_level=3
"""The control process's side of one worker: its rings, and snapshots of its tables."""
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy
from libc.errno cimport EAGAIN

from kernels.clib.linux cimport CLOCK_MONOTONIC, clock_ns, explicit_bzero
from kernels.control.arena cimport Arena
from kernels.control.layout cimport WorkerBlock, engine_sizes
from kernels.control.packing cimport pack
from kernels.control.records cimport (
    FLOW_DTLS, FLOW_MAY_RECEIVE, FLOW_MAY_SEND, FLOW_MEMBER, FLOW_RTCP, FLOW_RTP, FLOW_SECURE, HANDOFF_OCTETS,
    HANDOFF_SLOTS, ICE_LITE, ICE_RESPONSES, Command, Inject, Punt, ReplyRecord,
)
from kernels.control.ring cimport Ring, ring_footprint, ring_peek, ring_release, ring_reserve, ring_submit
from kernels.control.sequence cimport sequence_changed, sequence_read
from kernels.flow.counters cimport COUNTER_BUSY_NS, COUNTER_COUNT, COUNTERS
from kernels.flow.ice_table cimport ICE_ASKS, ICE_CONSENT_NS, ICE_SOURCES, REFUSALS, IceAgent
from kernels.flow.pipeline cimport MARK_INSTALLED
from kernels.flow.reception cimport reception_lost
from kernels.flow.samples cimport SAMPLE_OCTETS, SAMPLES, Sample, Samples
from kernels.flow.reports_table cimport VOIP_OCTETS, Reports, reports_ms
from kernels.flow.table cimport Flow
from kernels.port.address cimport peer_address, peer_parse
from kernels.srtp.context cimport CRYPTO_SEND, EngineSizes
from kernels.srtp.status cimport CryptoStatus as CryptoNumbers
from kernels.srtp.status cimport STATUS_STREAMS, crypto_status
from kernels.srtp.tables cimport CRYPTO_READY
from kernels.wire.packet cimport DATAGRAM, DROP_COUNT, DROP_CRYPTO_COUNT, NO_SLOT

import errno

from kernels.control import commands as said
from kernels.control import status as seen
from kernels.control.errors import RingFull
from kernels.control.layout import WorkerState
from kernels.control.packing import AUTHS, CIPHERS, LATCHINGS
from kernels.flow.counters import Counter
from kernels.wire.packet import Drop, Kind

cdef enum:
    PATIENCE = 1000             # readings of a table that its worker is just changing

STATES = [state.name.removeprefix("STATE_").lower() for state in WorkerState]
DROPS = [drop.name.removeprefix("DROP_").lower() for drop in Drop][:DROP_COUNT]
COUNTER_NAMES = [counter.name.removeprefix("COUNTER_").lower() for counter in Counter][:COUNTER_COUNT]
KINDS = {int(kind): kind.name.removeprefix("KIND_").lower() for kind in Kind}
CIPHER_NAMES = {number: name for name, number in CIPHERS.items()}
AUTH_NAMES = {number: name for name, number in AUTHS.items()}
REFUSAL_NAMES = ("malformed", "user", "integrity", "attribute", "unexpected", "unanswered")
NEWS = (b"", b"valid", b"nominated", b"expired")
LATCHING_NAMES = {number: name for name, number in LATCHINGS.items()}


cdef object slot_or_none(uint32_t slot):
    return None if slot == <uint32_t>NO_SLOT else slot


cdef class Mailbox:
    """Worker `index` of an arena, as the one control process sees it."""
    cdef Arena arena
    cdef readonly int index
    cdef WorkerBlock *block
    cdef set pending                                    # tickets of ours that are not answered

    def __cinit__(self, Arena arena, int index):
        self.arena, self.index = arena, index
        self.block = arena.block(index)
        self.pending = set()

    cdef void *at(self, uint64_t offset) noexcept:
        return self.arena.base + offset

    # -- down ----------------------------------------------------------------------------------------

    def submit(self, command, socket=None):
        """Pack a command into the ring; its ticket. RingFull, ValueError, OverflowError. Ring the doorbell after it."""
        cdef Ring *ring = <Ring *>self.at(self.block.commands)
        cdef Command *record = <Command *>ring_reserve(ring)
        if record == NULL:
            raise RingFull(f"worker {self.index}: commands")
        try:
            pack(record, command, socket)
        except BaseException:
            explicit_bzero(record, sizeof(Command))
            raise
        self.block.next_ticket = self.block.next_ticket + 1 or 1
        record.ticket = self.block.next_ticket
        record.after = (<Ring *>self.at(self.block.injects)).head
        self.pending.add(record.ticket)
        ticket = record.ticket                          # the record is the worker's after this
        ring_submit(ring)
        return ticket

    def inject(self, uint32_t flow, bytes data, str host, int port):
        """A datagram to send from a flow's socket. RingFull, ValueError."""
        cdef Ring *ring = <Ring *>self.at(self.block.injects)
        cdef Inject *record = <Inject *>ring_reserve(ring)
        if record == NULL:
            raise RingFull(f"worker {self.index}: injected datagrams")
        if len(data) > DATAGRAM:
            raise ValueError(f"{len(data)} octets, at most {DATAGRAM}")
        record.flow = flow
        record.length = len(data)
        record.to = peer_parse(host, port)
        memcpy(record.data, <const char *>data, len(data))
        ring_submit(ring)

    # -- up ------------------------------------------------------------------------------------------

    def take(self, list out):
        """Append all waiting replies and punted datagrams. Replies to a control process before us are passed over."""
        cdef Ring *replies = <Ring *>self.at(self.block.replies)
        cdef Ring *punts = <Ring *>self.at(self.block.punts)
        cdef ReplyRecord *reply = <ReplyRecord *>ring_peek(replies)
        cdef Punt *punt
        while reply != NULL:
            if reply.ticket in self.pending:
                self.pending.discard(reply.ticket)
                out.append(said.Reply(self.index, reply.ticket, errno.errorcode.get(reply.error, f"E{reply.error}")
                                      if reply.error else 0))
            ring_release(replies)
            reply = <ReplyRecord *>ring_peek(replies)
        punt = <Punt *>ring_peek(punts)
        while punt != NULL:
            if punt.news:
                out.append(said.Punt(self.index, punt.flow, "ice", peer_address(&punt.source), NEWS[punt.news],
                                     punt.received_ns))
            else:
                out.append(said.Punt(self.index, punt.flow, KINDS[punt.kind], peer_address(&punt.source),
                                     (<char *>punt.data)[:min(punt.length, DATAGRAM)], punt.received_ns))
            ring_release(punts)
            punt = <Punt *>ring_peek(punts)

    def regions(self):
        """Where the worker's tables lie: name -> first octet in the arena, in order (for tests and diagnosis)."""
        return {"commands": self.block.commands, "replies": self.block.replies, "punts": self.block.punts,
                "injects": self.block.injects, "flows": self.block.flows, "sockets": self.block.sockets,
                "marks": self.block.marks, "ices": self.block.ices, "routes": self.block.routes,
                "engine": self.block.engine,
                "asleep": <uint8_t *>&self.block.asleep - self.arena.base} | self.handoffs()

    def handoffs(self):
        """Where the reader's positions of the hand-off rings towards this worker lie: taken_<worker> -> octet."""
        cdef uint32_t workers = self.arena.header().workers
        cdef uint64_t octets = ring_footprint(HANDOFF_SLOTS, HANDOFF_OCTETS)
        cdef uint64_t first = self.arena.header().handoffs
        if workers < 2:
            return {}
        return {f"taken_{i}": first + (i * workers + self.index) * octets
                + (<uint8_t *>&(<Ring *>self.arena.base).tail - self.arena.base) for i in range(workers)}

    # -- snapshots -----------------------------------------------------------------------------------

    def flows(self):
        """Flow slots in use."""
        cdef Flow *flows = <Flow *>self.at(self.block.flows)
        cdef uint32_t i
        return [i for i in range(self.arena.header().capacities.flows) if flows[i].used]

    def cryptos(self):
        """Crypto slots in use."""
        cdef uint8_t *marks = <uint8_t *>self.at(self.block.marks)
        cdef uint32_t i
        return [i for i in range(self.arena.header().capacities.cryptos) if marks[i] & MARK_INSTALLED]

    def flow(self, uint32_t slot, locate):
        """FlowStatus of a slot; `locate(socket)` names (interface, port). KeyError: not in use."""
        cdef Flow copy
        cdef IceAgent agent
        if slot >= self.arena.header().capacities.flows:
            raise KeyError(slot)
        self.copy_flow(<Flow *>self.at(self.block.flows) + slot, &copy)
        if not copy.used:
            raise KeyError(slot)
        self.copy_agent(<IceAgent *>self.at(self.block.ices) + slot, &agent)
        interface, port = locate(copy.want.socket)
        return seen.FlowStatus(
            slot, interface, port, bool(copy.want.flags & FLOW_RTP), bool(copy.want.flags & FLOW_RTCP),
            peer_address(&copy.want.remote), slot_or_none(copy.want.rtp_partner), slot_or_none(copy.want.rtcp_partner),
            slot_or_none(copy.want.receive), slot_or_none(copy.want.send), bool(copy.want.flags & FLOW_SECURE),
            bool(copy.want.flags & FLOW_MAY_SEND), bool(copy.want.flags & FLOW_MAY_RECEIVE),
            LATCHING_NAMES[copy.want.latching], peer_address(&copy.current), bool(copy.learnt),
            copy.packets_in, copy.octets_in, copy.packets_out, copy.octets_out, copy.last_in_ns,
            copy.ssrc_in if copy.heard else None, copy.ssrc_changes, reception_lost(&copy),
            {DROPS[i]: copy.drops[i] for i in range(1, <uint32_t>DROP_COUNT) if copy.drops[i]},
            bool(copy.want.flags & FLOW_DTLS), ice_seen(&agent, &copy) if agent.used else None,
            bool(copy.want.flags & FLOW_MEMBER), report_seen(&copy.reports) if copy.reports.heard_ms else None,
            (<char *>copy.reports.voip)[:VOIP_OCTETS] if copy.reports.voip_ms else b"")

    def samples(self, slots):
        """What is kept of datagrams that failed on these flows, oldest first."""
        cdef Samples *samples = <Samples *>self.at(self.arena.header().samples) + self.index
        cdef Sample copy
        cdef uint32_t i, before
        found = []
        for i in range(<uint32_t>SAMPLES):
            before = sequence_read(&samples.rows[i].sequence)
            memcpy(&copy, &samples.rows[i], sizeof(Sample))
            if sequence_changed(&samples.rows[i].sequence, before) or not copy.owner or copy.owner - 1 not in slots:
                continue                                # being overwritten: the next reading has it
            found.append(seen.KeptDatagram(copy.owner - 1, DROPS[copy.drop], KINDS[copy.kind], copy.received_ns,
                                           peer_address(&copy.source), copy.length,
                                           (<char *>copy.data)[:min(copy.kept, SAMPLE_OCTETS)]))
        return sorted(found, key=lambda sample: sample.received_ns)

    cdef int copy_flow(self, const Flow *flow, Flow *copy) except -1:
        return copy_settled(&flow.sequence, flow, copy, sizeof(Flow), "flow")

    cdef int copy_agent(self, const IceAgent *agent, IceAgent *copy) except -1:
        return copy_settled(&agent.sequence, agent, copy, sizeof(IceAgent), "ICE agent")

    def crypto(self, uint32_t slot):
        """CryptoStatus of a slot. KeyError: not in use; BlockingIOError: being changed now."""
        cdef EngineSizes sizes
        cdef CryptoNumbers n
        cdef int error = 0
        cdef int _attempt
        engine_sizes(&self.arena.header().capacities, &sizes)
        for _attempt in range(PATIENCE):
            error = crypto_status(self.at(self.block.engine), &sizes, slot, &n)
            if error != -EAGAIN:
                break
        if error == -EAGAIN:
            raise BlockingIOError(EAGAIN, "the worker is changing this crypto")
        if error != 0:
            raise KeyError(slot)
        return crypto_seen(slot, &n)

    def counters(self):
        """By name, drops by Drop name in lower case; as of the worker's last publication (10 ms, or when idle)."""
        cdef uint64_t copy[COUNTERS]
        cdef uint32_t before
        cdef int _attempt
        for _attempt in range(PATIENCE):
            before = sequence_read(&self.block.sequence)
            memcpy(copy, self.block.published, sizeof(copy))
            if not sequence_changed(&self.block.sequence, before):
                break
        named = {COUNTER_NAMES[i]: copy[i] for i in range(<uint32_t>COUNTER_COUNT)}
        named.update({DROPS[i]: copy[<uint32_t>COUNTER_COUNT + i] for i in range(1, <uint32_t>DROP_COUNT)})
        return named

    def worker(self):
        """WorkerStatus."""
        return seen.WorkerStatus(STATES[self.block.state], self.block.pid, self.block.cpu, self.block.heartbeat_ns,
                                 self.block.published[<uint32_t>COUNTER_BUSY_NS], self.block.restarts)


cdef int copy_settled(const uint32_t *sequence, const void *row, void *copy, size_t octets, str what) except -1:
    """A row of the worker's as it is between two changes. BlockingIOError: it is being changed all the while."""
    cdef uint32_t before
    cdef int _attempt
    for _attempt in range(PATIENCE):
        before = sequence_read(sequence)
        memcpy(copy, row, octets)
        if not sequence_changed(sequence, before):
            return 0
    raise BlockingIOError(EAGAIN, f"the worker is changing this {what}")


cdef object report_seen(const Reports *reports):
    cdef uint32_t age_ms = reports_ms(clock_ns(CLOCK_MONOTONIC)) - reports.heard_ms
    cdef int32_t lost = <int32_t>(reports.lost << 8) >> 8
    return seen.Report(age_ms / 1000, (reports.lost >> 24) / 256, lost, reports.jitter,
                       reports.round_trip_us / 1000 if reports.round_trip_us else None)


cdef object ice_seen(const IceAgent *agent, const Flow *flow):
    cdef bint judged = agent.want.flags & (ICE_LITE | ICE_RESPONSES) != 0
    cdef bint consent = flow.current.family != 0
    cdef uint64_t heard = agent.consent_ns
    if consent and agent.want.flags & ICE_LITE and not agent.flags & ICE_ASKS:
        heard = max(heard, flow.last_in_ns)             # as ice_hears judges
    if judged and clock_ns(CLOCK_MONOTONIC) >= heard + ICE_CONSENT_NS:
        consent = False
    return seen.IceStatus(
        bool(agent.want.flags & ICE_LITE), peer_address(&flow.current),
        not agent.want.flags & ICE_LITE or agent.under == agent.want.local.key.inner[0] | 1, heard, consent,
        tuple((peer_address(&agent.sources[i].peer), agent.sources[i].heard_ns) for i in range(<uint32_t>ICE_SOURCES)
              if agent.sources[i].peer.family),
        agent.answered, agent.nominations,
        {REFUSAL_NAMES[i]: agent.refused[i] for i in range(<uint32_t>REFUSALS) if agent.refused[i]})


cdef object crypto_seen(uint32_t slot, const CryptoNumbers *n):
    streams = tuple(
        seen.StreamStatus(n.stream[i].ssrc, n.stream[i].roc,
                          n.stream[i].rtp_newest if n.stream[i].rtp_started else None,
                          n.stream[i].rtcp_newest if n.stream[i].rtcp_started else None, n.stream[i].packets,
                          n.stream[i].last_ns)
        for i in range(min(n.streams, STATUS_STREAMS)))
    return seen.CryptoStatus(
        slot, "ready" if n.state == CRYPTO_READY else "suspended", bool(n.parameters.flags & CRYPTO_SEND),
        CIPHER_NAMES[n.parameters.cipher], AUTH_NAMES[n.parameters.auth], n.parameters.key_octets,
        n.parameters.rtp_tag, n.parameters.rtcp_tag, n.keys, (<char *>n.mki)[:n.parameters.mki_octets],
        n.packets, n.octets, n.rtp_packets, n.rtcp_packets, n.rtp_lifetime, n.rtcp_lifetime, n.resyncs, n.streams,
        streams, {DROPS[i]: n.drops[i] for i in range(1, <uint32_t>DROP_CRYPTO_COUNT) if n.drops[i]},
        tuple(seen.KeyStatus((<char *>n.key[i].mki)[:n.parameters.mki_octets], bool(n.key[i].in_use),
                             n.key[i].rtp_packets, n.key[i].rtcp_packets, n.key[i].rtp_lifetime,
                             n.key[i].rtcp_lifetime) for i in range(n.keys)))
