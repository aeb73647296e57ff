# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Commands, carried out by the worker between two bursts. One function per row of CommandKind."""
from libc.errno cimport EADDRINUSE, EINVAL, ENOENT
from libc.stdint cimport uint8_t, uint32_t

from kernels.control.move cimport move_discard, move_export, move_import
from kernels.control.records cimport (
    COMMAND_ADD_KEY, COMMAND_DISCARD, COMMAND_EXPORT, COMMAND_IMPORT, COMMAND_INSTALL_CRYPTO, COMMAND_INSTALL_FLOW,
    COMMAND_INSTALL_ICE, COMMAND_INSTALL_ROUTES, COMMAND_REMOVE_CRYPTO, COMMAND_REMOVE_FLOW, COMMAND_REMOVE_KEY,
    COMMAND_SELECT_KEY, FLOW_ICE, FLOW_MEMBER, FLOW_ROUTES, LATCH_AUTHENTICATED, REWRITE_EXTENSIONS, REWRITE_TYPES,
    Command, FlowCommand, FlowParameters,
)
from kernels.control.sequence cimport sequence_begin, sequence_end
from kernels.control.slots cimport crypto_marks, flow_vacate
from kernels.flow.ice cimport ice_follow, ice_install, ice_wipe
from kernels.flow.pipeline cimport MARK_INSTALLED, Path
from kernels.flow.routes cimport routes_install
from kernels.flow.table cimport LEARN_OPEN, Flow, peer_equal
from kernels.srtp.context cimport CryptoParameters
from kernels.srtp.engine cimport (
    engine_add_key, engine_install, engine_remove, engine_remove_key, engine_select_key,
)
from kernels.wire.packet cimport NO_SLOT


cdef int command_execute(Path *path, const Command *command) noexcept nogil:
    if command.kind == COMMAND_INSTALL_CRYPTO:
        return install_crypto(path, command)
    if command.kind == COMMAND_ADD_KEY:
        return -engine_add_key(path.engine, command.slot, &command.body.crypto.key)
    if command.kind == COMMAND_SELECT_KEY:
        return -engine_select_key(path.engine, command.slot, command.body.crypto.key.mki)
    if command.kind == COMMAND_REMOVE_KEY:
        return -engine_remove_key(path.engine, command.slot, command.body.crypto.key.mki)
    if command.kind == COMMAND_REMOVE_CRYPTO:
        return remove_crypto(path, command.slot)
    if command.kind == COMMAND_INSTALL_FLOW:
        return install_flow(path, command.slot, &command.body.flow)
    if command.kind == COMMAND_INSTALL_ICE:
        return ice_install(path, command.slot, &command.body.ice)
    if command.kind == COMMAND_INSTALL_ROUTES:
        return routes_install(path, command.slot, &command.body.routes)
    if command.kind == COMMAND_REMOVE_FLOW:
        return remove_flow(path, command.slot)
    if command.kind == COMMAND_EXPORT:
        return move_export(path, &command.body.move, command.slot)
    if command.kind == COMMAND_IMPORT:
        return move_import(path, &command.body.move, command.slot)
    if command.kind == COMMAND_DISCARD:
        return move_discard(path, &command.body.move, command.slot)
    return EINVAL


cdef int install_crypto(Path *path, const Command *command) noexcept nogil:
    cdef const CryptoParameters *parameters = &command.body.crypto.parameters
    cdef uint8_t before
    cdef int error
    if command.slot >= path.crypto_count:
        return EINVAL
    before = path.marks[command.slot]
    path.marks[command.slot] = MARK_INSTALLED           # listed, and no proof from it, should we die in between
    error = -engine_install(path.engine, command.slot, parameters, &command.body.crypto.key)
    if error != 0 and not before:
        engine_remove(path.engine, command.slot)        # nothing half-made stays
    path.marks[command.slot] = before if error else crypto_marks(parameters)
    return error


cdef int remove_crypto(Path *path, uint32_t slot) noexcept nogil:
    cdef int error
    if slot >= path.crypto_count:
        return EINVAL
    error = -engine_remove(path.engine, slot)
    if error == 0:
        path.marks[slot] = 0
    return error


cdef int install_flow(Path *path, uint32_t slot, const FlowCommand *command) noexcept nogil:
    """New on its port: starts clean. Known on its port: keeps counters, and its address unless `remote` changed; with
    ICE its agent says the address. A member is installed on the port of a flow that is there."""
    cdef const FlowParameters *want = &command.want
    cdef Flow *flow
    if slot >= path.flow_count or not valid(path, want):
        return EINVAL
    if command.rewrite.types > REWRITE_TYPES or command.rewrite.extensions > REWRITE_EXTENSIONS:
        return EINVAL
    if want.flags & FLOW_MEMBER and path.sockets[want.socket] in (NO_SLOT, slot):
        return ENOENT
    if not want.flags & FLOW_MEMBER and path.sockets[want.socket] != NO_SLOT and path.sockets[want.socket] != slot:
        return EADDRINUSE
    if path.handoffs.homes[want.socket] != path.handoffs.me:
        return EADDRINUSE                               # another worker serves it
    flow = &path.flows[slot]
    if flow.used and (flow.want.socket != want.socket or (flow.want.flags ^ want.flags) & FLOW_MEMBER):
        flow_vacate(path, flow)
    sequence_begin(&flow.sequence)
    if not want.flags & FLOW_ICE and (not flow.used or flow.want.flags & FLOW_ICE
                                      or not peer_equal(&flow.want.remote, &want.remote)):
        flow.current = want.remote
        flow.learning = LEARN_OPEN
        flow.learnt = 0
    flow.want = want[0]
    if flow.routes:
        flow.want.flags |= FLOW_ROUTES
    flow.rewrite = command.rewrite
    flow.used = 1
    if want.flags & FLOW_ICE:
        ice_follow(path, slot)
    sequence_end(&flow.sequence)
    if not want.flags & FLOW_ICE:
        ice_wipe(path, slot)
    if not want.flags & FLOW_MEMBER:
        path.sockets[want.socket] = slot
    return 0


cdef bint valid(const Path *path, const FlowParameters *want) noexcept nogil:
    return (want.socket < path.socket_count
            and (want.rtp_partner == NO_SLOT or want.rtp_partner < path.flow_count)
            and (want.rtcp_partner == NO_SLOT or want.rtcp_partner < path.flow_count)
            and (want.rtp_tap == NO_SLOT or want.rtp_tap < path.flow_count)
            and (want.rtcp_tap == NO_SLOT or want.rtcp_tap < path.flow_count)
            and (want.receive == NO_SLOT or want.receive < path.crypto_count)
            and (want.send == NO_SLOT or want.send < path.crypto_count)
            and want.latching <= LATCH_AUTHENTICATED)


cdef int remove_flow(Path *path, uint32_t slot) noexcept nogil:
    """Absent is no error. Partners forget the slot: its next user must not receive their media."""
    cdef Flow *flow
    if slot >= path.flow_count:
        return EINVAL
    flow = &path.flows[slot]
    if not flow.used:
        return 0
    forget(path, flow.want.rtp_partner, slot)
    forget(path, flow.want.rtcp_partner, slot)
    flow_vacate(path, flow)
    return 0


cdef void forget(Path *path, uint32_t partner, uint32_t slot) noexcept nogil:
    cdef Flow *flow
    if partner >= path.flow_count or not path.flows[partner].used:
        return
    flow = &path.flows[partner]
    sequence_begin(&flow.sequence)
    if flow.want.rtp_partner == slot:
        flow.want.rtp_partner = NO_SLOT
    if flow.want.rtcp_partner == slot:
        flow.want.rtcp_partner = NO_SLOT
    sequence_end(&flow.sequence)
