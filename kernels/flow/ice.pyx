# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Checks of an ICE agent, lite or beside a full one; see ice.pxd.

    1. read       structure, fingerprint
    2. verify     user fragments, integrity: nothing before this changes more than a count
    3. validate   the source is one that media may come from; it consents to be sent to
    4. select     lite: USE-CANDIDATE makes it the selected pair (RFC 8445 section 8.1.1)
    5. answer     over the request; it leaves by the ordinary transmit

Peers of RFC 5245 (PJSIP, baresip, Linphone) do not know consent: once connected they send indications, and those only
where no media goes (section 10). For a lite agent's own rule of 30 s these and media count as long as the peer has
never asked for consent; of one that does, its checks alone.
"""
from libc.errno cimport EINVAL, ENOENT
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from kernels.cipher.hmac cimport HmacKey
from kernels.clib.linux cimport explicit_bzero
from kernels.clib.openssl cimport SHA1_Final, SHA1_Init, SHA1_Update, SHA_CTX
from kernels.control.records cimport (
    FLOW_ICE, FLOW_ROUTES, ICE_PEER_KNOWN, ICE_UFRAG, NEWS_EXPIRED, NEWS_NOMINATED, NEWS_VALID, IceCredential,
)
from kernels.control.sequence cimport sequence_begin, sequence_end
from kernels.flow.ice_table cimport (
    ICE_ASKS, ICE_ASKS_NS, ICE_CONFLICTS, ICE_EXPIRY_TOLD, ICE_FORSAKEN_NS, ICE_NOMINATION_TOLD, ICE_TOGETHER_NS,
    REFUSAL_ATTRIBUTE, REFUSAL_INTEGRITY, REFUSAL_MALFORMED, REFUSAL_UNANSWERED, REFUSAL_UNEXPECTED, REFUSAL_USER,
    IceRefusal, IceSource,
)
from kernels.flow.pipeline cimport MARK_ANSWERED, MARK_PUNTED, MARK_REFUSED
from kernels.flow.punts cimport BUDGET_ERRORS, budget_take, punt, punt_news
from kernels.flow.routes cimport routes_flow
from kernels.flow.routes_table cimport ROUTES
from kernels.flow.table cimport LEARN_FIXED, Flow, flow_at
from kernels.wire.atomics cimport store_release_u8, store_release_u64
from kernels.wire.octets cimport load_be32
from kernels.wire.packet cimport DROP_NONE, DROP_STUN, DROP_TOO_LONG, NO_SLOT
from kernels.wire.stun cimport (
    STUN_REQUEST, STUN_SUCCESS, STUN_INDICATION, StunMessage, stun_fingerprint_ok, stun_names, stun_parse, stun_refuse,
    stun_signed, stun_success,
)


cdef Drop ice_receive(Path *path, Packet *packet) noexcept nogil:
    cdef IceAgent *agent = &path.ices[packet.flow]
    cdef StunMessage message
    if not agent.used:
        return DROP_STUN                                # InstallIce is on its way: whoever checks asks again
    if not stun_parse(packet.data, packet.length, &message):
        return ignore(agent, REFUSAL_MALFORMED)
    if message.fingerprint and not stun_fingerprint_ok(packet.data, &message):
        return ignore(agent, REFUSAL_MALFORMED)
    if message.type == STUN_REQUEST:
        return request(path, agent, packet, &message)
    if message.type == STUN_INDICATION:
        return keepalive(path, agent, packet, &message)
    if agent.want.flags & ICE_LITE:
        return ignore(agent, REFUSAL_UNEXPECTED)
    return response(path, agent, packet, &message)


cdef inline Drop ignore(IceAgent *agent, IceRefusal reason) noexcept nogil:
    agent.refused[<uint32_t>reason] += 1
    return DROP_STUN


cdef Drop request(Path *path, IceAgent *agent, Packet *packet, const StunMessage *message) noexcept nogil:
    """A check (RFC 8445 section 7.3), spec ICE-3."""
    cdef const IceCredential *ours
    cdef uint32_t octets, source
    if not message.integrity or not message.username_octets:
        return refuse(path, agent, packet, message, REFUSAL_MALFORMED, 400, NULL)
    ours = credential(agent, packet.data, message)
    if ours == NULL:
        return refuse(path, agent, packet, message, REFUSAL_USER, 401, NULL)
    if not stun_signed(packet.data, message, &ours.key):
        return refuse(path, agent, packet, message, REFUSAL_INTEGRITY, 401, NULL)
    if message.unknown_count:
        return refuse(path, agent, packet, message, REFUSAL_ATTRIBUTE, 420, &ours.key)
    if message.controlled and conflicts(agent):
        return refuse(path, agent, packet, message, REFUSAL_ATTRIBUTE, 487, &ours.key)
    source = validate(path, agent, packet, ours, False)
    if agent.want.flags & ICE_LITE:
        if selectable(agent, ours):
            nominate(path, packet, message, source, mark(ours))
    else:
        punt(path, packet, True)                        # the full agent: triggered checks, role conflicts, nomination
    tell(path, packet.flow, source)
    octets = stun_success(packet.data, packet.capacity, &packet.peer, &ours.key)
    if octets == 0:
        return DROP_TOO_LONG
    packet.length = octets
    packet.marks |= MARK_ANSWERED
    agent.answered += 1
    return DROP_NONE


cdef inline bint conflicts(const IceAgent *agent) noexcept nogil:
    """A lite agent never controls. The RFC has it keep quiet (section 7.3.1.1 is for full ones); but full peers that
    overlook our ice-lite would wait for a nomination for ever: they take control when they are told of a conflict. One
    that does not is taken as it is."""
    return agent.want.flags & ICE_LITE and agent.refused[<uint32_t>REFUSAL_ATTRIBUTE] < ICE_CONFLICTS


cdef Drop keepalive(Path *path, IceAgent *agent, const Packet *packet, const StunMessage *message) noexcept nogil:
    """An indication (RFC 5245 section 10, RFC 8445 section 11) is not signed: all that it may do is to show that a
    peer which never asks for consent is still where it was."""
    if not message.fingerprint or ice_find(agent, &packet.peer) == ICE_NONE:
        return ignore(agent, REFUSAL_UNEXPECTED)
    if (agent.want.flags & ICE_LITE and not agent.flags & ICE_ASKS
            and peer_equal(&packet.peer, &path.flows[packet.flow].current)):
        consent(agent, path.now)
    return DROP_STUN


cdef Drop response(Path *path, IceAgent *agent, Packet *packet, const StunMessage *message) noexcept nogil:
    """To a check of the full agent, which knows its transactions. Signed: it proves the source and gives consent."""
    cdef bint proven = (agent.want.flags & ICE_RESPONSES and message.type == STUN_SUCCESS
                        and stun_signed(packet.data, message, &agent.want.responses))
    cdef Drop verdict
    if proven:
        validate(path, agent, packet, &agent.want.local, True)
    verdict = punt(path, packet, proven or ice_find(agent, &packet.peer) != ICE_NONE)
    if verdict == DROP_NONE:
        packet.marks |= MARK_PUNTED
    return verdict


cdef Drop refuse(Path *path, IceAgent *agent, Packet *packet, const StunMessage *message, IceRefusal reason,
                 uint32_t code, const HmacKey *key) noexcept nogil:
    """An error response; none to what shows no sign of ICE (a fingerprint), and no more of them than the budget has:
    nobody is made to send at whom a forger names."""
    cdef uint32_t octets = 0
    agent.refused[<uint32_t>reason] += 1
    if message.fingerprint and budget_take(path, packet.flow, BUDGET_ERRORS):
        octets = stun_refuse(packet.data, packet.capacity, code, message, key)
    if octets == 0:
        return ignore(agent, REFUSAL_UNANSWERED)
    packet.length = octets
    packet.marks |= MARK_ANSWERED | MARK_REFUSED
    return DROP_NONE


# -- verify ------------------------------------------------------------------------------------------------------

cdef const IceCredential *credential(const IceAgent *agent, const uint8_t *data,
                                     const StunMessage *message) noexcept nogil:
    """Which of our credentials USERNAME names, NULL: none. Those before a restart are taken from any peer's."""
    cdef const IceCredential *local = &agent.want.local
    if stun_names(data, message, local.ufrag, local.octets):
        return local if of_peer(agent, data, message, local.octets + 1) else NULL
    if stun_names(data, message, agent.want.earlier.ufrag, agent.want.earlier.octets):
        return &agent.want.earlier
    return NULL


cdef bint of_peer(const IceAgent *agent, const uint8_t *data, const StunMessage *message,
                  uint32_t before) noexcept nogil:
    """Whether the rest of USERNAME is the peer's fragment, where that is known. It may be long: its hash is kept."""
    cdef SHA_CTX context
    cdef uint8_t digest[20]
    if not agent.want.flags & ICE_PEER_KNOWN:
        return True
    SHA1_Init(&context)
    SHA1_Update(&context, data + message.username + before, message.username_octets - before)
    SHA1_Final(digest, &context)
    return memcmp(digest, agent.want.peer, 20) == 0


# -- validate and select -----------------------------------------------------------------------------------------

cdef uint32_t validate(Path *path, IceAgent *agent, const Packet *packet, const IceCredential *ours,
                       bint response) noexcept nogil:
    """The sender of a signed message is a validated source. Its index."""
    cdef uint32_t i = ice_find(agent, &packet.peer)
    if i == ICE_NONE:
        i = place(agent)
        source_put(agent, i, &packet.peer)
    if agent.sources[i].under != mark(ours):
        agent.sources[i].under = mark(ours)
        agent.told &= ~<uint8_t>(1 << i)                # under other credentials it is news
    store_release_u64(&agent.sources[i].heard_ns, path.now)
    # a full agent's consent comes of responses to its own checks alone (RFC 7675 section 5.1)
    if (response or agent.want.flags & ICE_LITE) and peer_equal(&packet.peer, &path.flows[packet.flow].current):
        if path.now >= agent.selected_ns + ICE_ASKS_NS:
            agent.flags |= ICE_ASKS
        consent(agent, path.now)
    return i


cdef inline void consent(IceAgent *agent, uint64_t now) noexcept nogil:
    store_release_u64(&agent.consent_ns, now)
    agent.flags &= ~<uint8_t>ICE_EXPIRY_TOLD


cdef inline uint32_t mark(const IceCredential *ours) noexcept nogil:
    """Tells credentials apart. Part of what the key becomes: other key, other mark."""
    return ours.key.inner[0] | 1


cdef uint32_t place(const IceAgent *agent) noexcept nogil:
    """For a new source: an empty one, or that of the longest silent; never the selected one."""
    cdef uint32_t i, best = ICE_NONE
    for i in range(ICE_SOURCES):
        if i == agent.selected:
            continue
        if agent.sources[i].peer.family == 0:
            return i
        if best == ICE_NONE or agent.sources[i].heard_ns < agent.sources[best].heard_ns:
            best = i
    return best


cdef void source_put(IceAgent *agent, uint32_t i, const Peer *peer) noexcept nogil:
    """The family last: whoever dies in here leaves an empty place."""
    cdef IceSource *source = &agent.sources[i]
    sequence_begin(&agent.sequence)
    source.peer.family = 0
    agent.told &= ~<uint8_t>(1 << i)
    store_release_u64(&source.heard_ns, 0)              # released: none of what follows before it
    source.under = 0
    memcpy(source.peer.ip, peer.ip, sizeof(source.peer.ip))
    source.peer.port = peer.port
    store_release_u8(&source.peer.family, peer.family)
    sequence_end(&agent.sequence)


cdef inline bint selectable(const IceAgent *agent, const IceCredential *ours) noexcept nogil:
    """A check under earlier credentials moves the pair only until one is selected under the present ones (RFC 8445
    section 9)."""
    return ours == &agent.want.local or agent.selected == ICE_NONE or agent.under != mark(&agent.want.local)


cdef void nominate(Path *path, const Packet *packet, const StunMessage *message, uint32_t source,
                   uint32_t under) noexcept nogil:
    """A check under `under`: whether it makes the pair of its source the selected one."""
    cdef IceAgent *agent = &path.ices[packet.flow]
    cdef uint32_t priority = load_be32(packet.data + message.priority) if message.priority else 0
    if message.use_candidate or (message.controlled and (agent.selected == ICE_NONE or agent.under != under)):
        if agent.selected == source and agent.under == under:
            agent.nominated_ns = path.now               # again: consent checks may carry it too
        elif agent.selected == ICE_NONE or agent.under != under or meant(agent, priority, path.now):
            select(path, packet.flow, source, under, priority)
    elif agent.selected != source and agent.under == under and forsaken(agent, path.now):
        select(path, packet.flow, source, under, priority)


cdef inline bint meant(const IceAgent *agent, uint32_t priority, uint64_t now) noexcept nogil:
    """A later nomination counts. Of several at once, as peers of RFC 5245 make them (aggressive nomination), it is the
    one of the highest priority (section 8.1.1.2 there), whatever the order they arrive in."""
    return priority > agent.priority or now >= agent.nominated_ns + ICE_TOGETHER_NS


cdef inline bint forsaken(const IceAgent *agent, uint64_t now) noexcept nogil:
    """A peer behind a NAT that has bound its port anew does not know: it goes on asking for consent on the pair that it
    selected, and nominates nothing. Its checks come from elsewhere, and none from where they came from."""
    return (agent.selected != ICE_NONE and agent.flags & ICE_ASKS
            and now >= agent.sources[agent.selected].heard_ns + ICE_FORSAKEN_NS)


cdef void select(Path *path, uint32_t flow, uint32_t source, uint32_t under, uint32_t priority) noexcept nogil:
    """Media goes there from now on."""
    cdef IceAgent *agent = &path.ices[flow]
    sequence_begin(&agent.sequence)
    agent.selected, agent.under, agent.priority = <uint8_t>source, under, priority
    agent.selected_ns = agent.nominated_ns = path.now
    agent.nominations += 1
    agent.flags &= ~<uint8_t>(ICE_NOMINATION_TOLD | ICE_ASKS)
    sequence_end(&agent.sequence)
    ice_follow(path, flow)


cdef void ice_follow(Path *path, uint32_t flow_slot) noexcept nogil:
    cdef Peer before = path.flows[flow_slot].current
    ice_adopt(path, flow_slot)
    if not peer_equal(&path.flows[flow_slot].current, &before):
        consent(&path.ices[flow_slot], path.now)


cdef void ice_adopt(Path *path, uint32_t flow_slot) noexcept nogil:
    cdef Flow *flow = &path.flows[flow_slot]
    cdef const IceAgent *agent = &path.ices[flow_slot]
    cdef Peer target
    memset(&target, 0, sizeof(Peer))
    if agent.used and not agent.want.flags & ICE_LITE:
        target = flow.want.remote
    elif agent.used and agent.selected < ICE_SOURCES:
        target = agent.sources[agent.selected].peer
    sequence_begin(&flow.sequence)
    flow.current = target
    flow.learning = LEARN_FIXED
    flow.learnt = target.family != 0 and not peer_equal(&target, &flow.want.remote)
    sequence_end(&flow.sequence)


cdef void tell(Path *path, uint32_t flow, uint32_t source) noexcept nogil:
    """News that the control process does not have yet; a full ring: with the next check."""
    cdef IceAgent *agent = &path.ices[flow]
    if not agent.told & (1 << source) and punt_news(path, flow, &agent.sources[source].peer, NEWS_VALID):
        agent.told |= <uint8_t>(1 << source)
    if source == agent.selected and agent.want.flags & ICE_LITE and not agent.flags & ICE_NOMINATION_TOLD:
        if punt_news(path, flow, &agent.sources[source].peer, NEWS_NOMINATED):
            agent.flags |= ICE_NOMINATION_TOLD


cdef void ice_tell_expiry(Path *path, uint32_t flow) noexcept nogil:
    cdef IceAgent *agent = &path.ices[flow]
    if not agent.flags & ICE_EXPIRY_TOLD and punt_news(path, flow, &path.flows[flow].current, NEWS_EXPIRED):
        agent.flags |= ICE_EXPIRY_TOLD


cdef bint ice_hears(Path *path, uint32_t flow) noexcept nogil:
    cdef IceAgent *agent = &path.ices[flow]
    cdef uint64_t heard = ice_media_ns(path, flow)
    if not agent.want.flags & ICE_LITE or agent.flags & ICE_ASKS or path.now >= heard + ICE_CONSENT_NS:
        return False
    consent(agent, heard)
    return True


cdef uint64_t ice_media_ns(const Path *path, uint32_t flow) noexcept nogil:
    """When media was last accepted at the port (CLOCK_MONOTONIC), for whichever of its streams."""
    cdef uint64_t heard = path.flows[flow].last_in_ns
    cdef uint32_t route, member
    if path.flows[flow].want.flags & FLOW_ROUTES:
        for route in range(ROUTES):
            member = routes_flow(path, flow, route)
            if member != NO_SLOT:
                heard = max(heard, path.flows[member].last_in_ns)
    return heard


cdef bint ice_may_inject(Path *path, uint32_t flow, const Peer *to, int first_octet) noexcept nogil:
    cdef const IceAgent *agent = &path.ices[flow]
    cdef uint32_t i
    if first_octet <= 3:
        return True
    if peer_equal(to, &path.flows[flow].current) and ice_consents(path, flow):
        return True
    i = ice_find(agent, to)
    return i != ICE_NONE and path.now < agent.sources[i].heard_ns + ICE_CONSENT_NS


# -- commands ----------------------------------------------------------------------------------------------------

cdef int ice_install(Path *path, uint32_t flow_slot, const IceParameters *want) noexcept nogil:
    """Sources and the selected pair stay, whatever the credentials: `under` says what they are worth."""
    cdef const Flow *flow = flow_at(path.flows, path.flow_count, flow_slot)
    cdef IceAgent *agent
    if flow == NULL or not flow.want.flags & FLOW_ICE:
        return ENOENT
    if not 0 < want.local.octets <= ICE_UFRAG or want.earlier.octets > ICE_UFRAG:
        return EINVAL
    agent = &path.ices[flow_slot]
    sequence_begin(&agent.sequence)
    if not agent.used:
        agent.selected = ICE_NONE
    agent.want = want[0]
    agent.used = 1
    sequence_end(&agent.sequence)
    ice_follow(path, flow_slot)
    return 0


cdef void ice_wipe(Path *path, uint32_t flow) noexcept nogil:
    cdef IceAgent *agent = &path.ices[flow]
    if not agent.used and not agent.sequence & 1:
        return
    sequence_begin(&agent.sequence)
    agent.used = 0
    explicit_bzero(<uint8_t *>agent + sizeof(uint32_t), sizeof(IceAgent) - sizeof(uint32_t))
    sequence_end(&agent.sequence)
