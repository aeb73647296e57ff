# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Export, import and discard of a stream; see move.pxd for the order and why it is this."""
from libc.errno cimport EADDRINUSE, EBUSY, EINVAL, ENOENT, ENOSPC
from libc.stdint cimport int32_t, uint32_t
from libc.string cimport memcpy, memset

from kernels.clib.linux cimport explicit_bzero
from kernels.control.layout cimport (
    HOME_MOVING, TRANSFER_EMPTY, TRANSFER_FILLING, TRANSFER_FULL, TRANSFER_RECORDS, TRANSFER_ROOM, TRANSFER_TAKEN,
    Transfer,
)
from kernels.control.records cimport FLOW_MEMBER, MOVE_CRYPTOS, MOVE_SLOTS, FlowParameters, MoveCommand
from kernels.control.sequence cimport sequence_begin, sequence_end
from kernels.control.slots cimport crypto_marks, flow_vacate
from kernels.flow.handoff cimport home_owner, home_set
from kernels.flow.ice_table cimport IceAgent
from kernels.flow.pipeline cimport MARK_INSTALLED, Path
from kernels.flow.routes cimport routes_import, routes_place
from kernels.flow.table cimport Flow, flow_at
from kernels.srtp.engine cimport engine_link, engine_remove
from kernels.srtp.transfer cimport crypto_export, crypto_import
from kernels.wire.atomics cimport load_acquire_u32, store_release_u32
from kernels.wire.packet cimport NO_SLOT


cdef int move_export(Path *path, const MoveCommand *command, uint32_t record) noexcept nogil:
    cdef Transfer *transfer = transfer_at(path, record)
    cdef uint32_t state
    cdef int error
    if transfer == NULL or command.to >= path.handoffs.workers:
        return EINVAL
    state = load_acquire_u32(&transfer.state)
    if (state == TRANSFER_FULL or state == TRANSFER_TAKEN) and transfer.id != command.id:
        return EBUSY
    if state != TRANSFER_FULL and state != TRANSFER_TAKEN:
        error = fill(path, command, transfer)
        if error != 0:
            empty(transfer)
            return error
    if load_acquire_u32(&transfer.state) == TRANSFER_FULL:
        send_off(path, command, transfer)
    wipe_source(path, command)
    return 0


cdef Transfer *transfer_at(Path *path, uint32_t record) noexcept nogil:
    return &path.transfers[record] if path.transfers != NULL and record < TRANSFER_RECORDS else NULL


cdef int fill(Path *path, const MoveCommand *command, Transfer *transfer) noexcept nogil:
    """Everything of the stream into the record; nothing of ours is changed."""
    cdef uint32_t i, used = 0
    cdef int32_t octets
    cdef Flow *flow
    empty(transfer)
    transfer.id = command.id
    store_release_u32(&transfer.state, TRANSFER_FILLING)
    memcpy(transfer.flow_slots, command.flows, sizeof(command.flows))
    memcpy(transfer.crypto_slots, command.cryptos, sizeof(command.cryptos))
    for i in range(MOVE_SLOTS):
        if command.flows[i] != NO_SLOT:
            flow = flow_at(path.flows, path.flow_count, command.flows[i])
            if flow == NULL:
                return ENOENT
            transfer.flows[i] = flow[0]
            transfer.ices[i] = path.ices[command.flows[i]]
            if flow.routes:
                transfer.routes[i] = path.routes[flow.routes - 1]
    for i in range(MOVE_CRYPTOS):
        if command.cryptos[i] != NO_SLOT:
            octets = crypto_export(path.engine, command.cryptos[i], transfer.data + used, TRANSFER_ROOM - used)
            if octets < 0:
                return -octets
            transfer.octets[i] = <uint32_t>octets
            transfer.also[i] = path.engine.cryptos[command.cryptos[i]].parameters.also
            used += <uint32_t>octets
    store_release_u32(&transfer.state, TRANSFER_FULL)
    return 0


cdef void send_off(Path *path, const MoveCommand *command, const Transfer *transfer) noexcept nogil:
    """From here on nobody serves the sockets until the import."""
    cdef uint32_t i
    for i in range(MOVE_SLOTS):
        if transfer.flow_slots[i] != NO_SLOT and not transfer.flows[i].want.flags & FLOW_MEMBER:
            home_set(&path.handoffs, transfer.flows[i].want.socket, command.to | HOME_MOVING)


cdef void wipe_source(Path *path, const MoveCommand *command) noexcept nogil:
    cdef uint32_t i
    cdef Flow *flow
    for i in range(MOVE_SLOTS):
        flow = flow_at(path.flows, path.flow_count, command.flows[i])
        if flow != NULL:
            flow_vacate(path, flow)
    for i in range(MOVE_CRYPTOS):
        if command.cryptos[i] < path.crypto_count:
            engine_remove(path.engine, command.cryptos[i])
            path.marks[command.cryptos[i]] = 0


cdef int move_import(Path *path, const MoveCommand *command, uint32_t record) noexcept nogil:
    cdef Transfer *transfer = transfer_at(path, record)
    cdef uint32_t state
    cdef int error
    if transfer == NULL:
        return EINVAL
    state = load_acquire_u32(&transfer.state)
    if transfer.id != command.id or (state != TRANSFER_FULL and state != TRANSFER_TAKEN):
        return ENOENT
    if state == TRANSFER_FULL:
        error = importable(path, command, transfer)
        if error == 0:
            error = import_cryptos(path, command, transfer)
        if error != 0:
            return error
        import_flows(path, command, transfer)
        store_release_u32(&transfer.state, TRANSFER_TAKEN)
    wipe(transfer)
    return 0


cdef int importable(Path *path, const MoveCommand *command, const Transfer *transfer) noexcept nogil:
    """Slots of ours for what the record holds, and none of them another flow's."""
    cdef uint32_t i
    cdef const Flow *flow
    for i in range(MOVE_SLOTS):
        if transfer.flow_slots[i] != NO_SLOT:
            if command.flows[i] >= path.flow_count:
                return EINVAL
            flow = &path.flows[command.flows[i]]
            if flow.used and flow.want.socket != transfer.flows[i].want.socket:
                return EADDRINUSE
            if transfer.routes[i].owner and routes_place(path, command.flows[i]) == NO_SLOT:
                return ENOSPC
    for i in range(MOVE_CRYPTOS):
        if transfer.crypto_slots[i] != NO_SLOT and command.cryptos[i] >= path.crypto_count:
            return EINVAL
    return 0


cdef int import_cryptos(Path *path, const MoveCommand *command, const Transfer *transfer) noexcept nogil:
    """All or none. Each begins with an empty slot: doing it again gives the same."""
    cdef uint32_t i, j, used = 0
    cdef int error
    for i in range(MOVE_CRYPTOS):
        if transfer.crypto_slots[i] == NO_SLOT:
            continue
        path.marks[command.cryptos[i]] = MARK_INSTALLED
        error = -crypto_import(path.engine, command.cryptos[i], transfer.data + used, transfer.octets[i])
        if error != 0:
            for j in range(i + 1):
                if transfer.crypto_slots[j] != NO_SLOT:
                    engine_remove(path.engine, command.cryptos[j])
                    path.marks[command.cryptos[j]] = 0
            return error
        path.marks[command.cryptos[i]] = crypto_marks(&path.engine.cryptos[command.cryptos[i]].parameters)
        used += transfer.octets[i]
    for i in range(MOVE_CRYPTOS):
        if transfer.crypto_slots[i] != NO_SLOT and transfer.also[i]:
            engine_link(path.engine, command.cryptos[i],
                        renumbered(transfer.also[i] - 1, transfer.crypto_slots, command.cryptos, MOVE_CRYPTOS))
    return 0


cdef void import_flows(Path *path, const MoveCommand *command, const Transfer *transfer) noexcept nogil:
    """With counters, learnt address and reception as they were; slot numbers are this worker's."""
    cdef uint32_t i, sequence, routes
    cdef Flow *flow
    cdef FlowParameters *want
    for i in range(MOVE_SLOTS):
        if transfer.flow_slots[i] == NO_SLOT:
            continue
        flow = &path.flows[command.flows[i]]
        sequence_begin(&flow.sequence)
        sequence = flow.sequence
        routes = flow.routes
        flow[0] = transfer.flows[i]
        flow.sequence = sequence
        flow.routes = routes                            # of a command that was cut off: the place it took
        want = &flow.want
        want.rtp_partner = renumbered(want.rtp_partner, transfer.flow_slots, command.flows, MOVE_SLOTS)
        want.rtcp_partner = renumbered(want.rtcp_partner, transfer.flow_slots, command.flows, MOVE_SLOTS)
        want.rtp_tap = renumbered(want.rtp_tap, transfer.flow_slots, command.flows, MOVE_SLOTS)
        want.rtcp_tap = renumbered(want.rtcp_tap, transfer.flow_slots, command.flows, MOVE_SLOTS)
        want.receive = renumbered(want.receive, transfer.crypto_slots, command.cryptos, MOVE_CRYPTOS)
        want.send = renumbered(want.send, transfer.crypto_slots, command.cryptos, MOVE_CRYPTOS)
        sequence_end(&flow.sequence)
        import_ice(&path.ices[command.flows[i]], &transfer.ices[i])
        if transfer.routes[i].owner:
            routes_import(path, command.flows[i], &transfer.routes[i])
        if want.flags & FLOW_MEMBER:
            continue                                    # its carrier's stream moves the port
        path.sockets[want.socket] = command.flows[i]
        home_set(&path.handoffs, want.socket, path.handoffs.me)


cdef void import_ice(IceAgent *agent, const IceAgent *moved) noexcept nogil:
    """With its validated sources, the selected pair and when that last gave consent."""
    cdef uint32_t sequence
    sequence_begin(&agent.sequence)
    sequence = agent.sequence
    agent[0] = moved[0]
    agent.sequence = sequence
    sequence_end(&agent.sequence)


cdef inline uint32_t renumbered(uint32_t slot, const uint32_t *before, const uint32_t *now,
                                uint32_t places) noexcept nogil:
    cdef uint32_t i
    if slot != NO_SLOT:
        for i in range(places):
            if before[i] == slot:
                return now[i]
    return NO_SLOT


cdef int move_discard(Path *path, const MoveCommand *command, uint32_t record) noexcept nogil:
    """Of another id, or empty: nothing to do."""
    cdef Transfer *transfer = transfer_at(path, record)
    cdef uint32_t i, socket
    if transfer == NULL:
        return EINVAL
    if transfer.id != command.id:
        return 0
    if load_acquire_u32(&transfer.state) == TRANSFER_FULL:
        for i in range(MOVE_SLOTS):
            socket = transfer.flows[i].want.socket
            if (transfer.flow_slots[i] != NO_SLOT and not transfer.flows[i].want.flags & FLOW_MEMBER
                    and path.handoffs.homes[socket] & HOME_MOVING):
                home_set(&path.handoffs, socket, home_owner(&path.handoffs, socket))
    empty(transfer)
    return 0


cdef void empty(Transfer *transfer) noexcept nogil:
    """It stops being full before its keys go: half wiped it must not be taken."""
    store_release_u32(&transfer.state, TRANSFER_EMPTY)
    transfer.id = 0
    wipe(transfer)


cdef void wipe(Transfer *transfer) noexcept nogil:
    explicit_bzero(transfer.data, TRANSFER_ROOM)
    explicit_bzero(transfer.ices, sizeof(transfer.ices))
    memset(transfer.routes, 0, sizeof(transfer.routes))
    memset(transfer.flows, 0, sizeof(transfer.flows))
    memset(transfer.flow_slots, 0xFF, sizeof(transfer.flow_slots))
    memset(transfer.crypto_slots, 0xFF, sizeof(transfer.crypto_slots))
    memset(transfer.also, 0, sizeof(transfer.also))
