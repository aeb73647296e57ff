# cython: language_level=3
"""Commands (frozen dataclasses) into ring records."""
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy, memset

from kernels.cipher.hmac cimport hmac_key
from kernels.clib.openssl cimport SHA1_Final, SHA1_Init, SHA1_Update, SHA_CTX
from kernels.control.records cimport (
    COMMAND_ADD_KEY, COMMAND_DISCARD, COMMAND_EXPORT, COMMAND_IMPORT, COMMAND_INSTALL_CRYPTO, COMMAND_INSTALL_FLOW,
    COMMAND_INSTALL_ICE, COMMAND_INSTALL_ROUTES, COMMAND_REMOVE_CRYPTO, COMMAND_REMOVE_FLOW, COMMAND_REMOVE_KEY,
    COMMAND_SELECT_KEY, FLOW_BLOCKED, FLOW_DTLS, FLOW_EXTENSIONS, FLOW_ICE, FLOW_MAY_RECEIVE, FLOW_MAY_SEND,
    FLOW_MEMBER, FLOW_NO_FEEDBACK, FLOW_OPAQUE, FLOW_RTCP, FLOW_RTP, FLOW_SECURE, FLOW_TAP, FLOW_TAPPED, FLOW_TYPES,
    ICE_LITE, ICE_PEER_KNOWN, ICE_RESPONSES, ICE_UFRAG, LATCH_AUTHENTICATED, LATCH_HOST, LATCH_OFF, LATCH_ONCE,
    MOVE_CRYPTOS, MOVE_SLOTS, REWRITE_EXTENSIONS, REWRITE_TO_ALAW, REWRITE_TO_ULAW,
    REWRITE_TYPES, Command, FlowParameters, FlowRewrite, IceCredential,
    IceParameters, MoveCommand,
)
from kernels.flow.routes_table cimport ROUTE_MID, ROUTES, RoutesParameters
from kernels.port.address cimport peer_parse
from kernels.srtp.context cimport (
    AUTH_HMAC_SHA1, AUTH_NONE, CIPHER_AES_CM, CIPHER_AES_F8, CIPHER_AES_GCM, CIPHER_NULL, CRYPTO_LEGACY_192,
    CRYPTO_PLAIN_RTCP, CRYPTO_PLAIN_RTP, CRYPTO_ROC_KEEP, CRYPTO_ROC_RESET, CRYPTO_SEND, CRYPTO_UNAUTHENTICATED_RTP,
    MAX_KEY, MAX_MKI, MAX_SALT, CryptoParameters, MasterKey,
)
from kernels.wire.packet cimport NO_SLOT

from kernels.control.commands import (
    AddKey, DiscardTransfer, ExportStream, ImportStream, InstallCrypto, InstallFlow, InstallIce, InstallRoutes,
    RemoveCrypto, RemoveFlow, RemoveKey, SelectKey,
)

CIPHERS = {"NULL": CIPHER_NULL, "AES_CM": CIPHER_AES_CM, "AES_F8": CIPHER_AES_F8, "AES_GCM": CIPHER_AES_GCM}
AUTHS = {"NONE": AUTH_NONE, "HMAC_SHA1": AUTH_HMAC_SHA1}
LATCHINGS = {"off": LATCH_OFF, "host": LATCH_HOST, "once": LATCH_ONCE, "authenticated": LATCH_AUTHENTICATED}
ROCS = {"auto": 0, "reset": CRYPTO_ROC_RESET, "keep": CRYPTO_ROC_KEEP}
LAWS = frozenset({"", "pcma", "pcmu"})
NO_RATE = 255
SHORTEST_PASSWORD = 22

cdef dict KINDS = {InstallCrypto: COMMAND_INSTALL_CRYPTO, AddKey: COMMAND_ADD_KEY, SelectKey: COMMAND_SELECT_KEY,
                   RemoveKey: COMMAND_REMOVE_KEY, RemoveCrypto: COMMAND_REMOVE_CRYPTO,
                   InstallFlow: COMMAND_INSTALL_FLOW, InstallIce: COMMAND_INSTALL_ICE,
                   InstallRoutes: COMMAND_INSTALL_ROUTES, RemoveFlow: COMMAND_REMOVE_FLOW,
                   ExportStream: COMMAND_EXPORT, ImportStream: COMMAND_IMPORT, DiscardTransfer: COMMAND_DISCARD}


cdef int pack(Command *record, object command, object socket) except -1:
    cdef uint32_t kind = KINDS[type(command)]
    memset(record, 0, sizeof(Command))
    record.kind = kind
    if kind in (COMMAND_EXPORT, COMMAND_IMPORT, COMMAND_DISCARD):
        record.slot = command.record
        return pack_move(&record.body.move, kind, command)
    record.slot = command.slot
    if kind == COMMAND_INSTALL_CRYPTO:
        pack_parameters(&record.body.crypto.parameters, command)
        pack_key(&record.body.crypto.key, command.key)
    elif kind == COMMAND_ADD_KEY:
        pack_key(&record.body.crypto.key, command.key)
    elif kind in (COMMAND_SELECT_KEY, COMMAND_REMOVE_KEY):
        pack_octets(record.body.crypto.key.mki, MAX_MKI, command.mki, "mki")
    elif kind == COMMAND_INSTALL_FLOW:
        pack_flow(&record.body.flow.want, command, socket)
        pack_rewrite(&record.body.flow.rewrite, command)
    elif kind == COMMAND_INSTALL_ICE:
        pack_ice(&record.body.ice, command)
    elif kind == COMMAND_INSTALL_ROUTES:
        pack_routes(&record.body.routes, command)
    return 0


cdef int pack_octets(uint8_t *out, Py_ssize_t room, bytes octets, str name) except -1:
    if len(octets) > room:
        raise ValueError(f"{name}: {len(octets)} octets, at most {room}")
    memcpy(out, <const char *>octets, len(octets))
    return 0


cdef int pack_key(MasterKey *out, object key) except -1:
    pack_octets(out.key, MAX_KEY, key.key, "key")
    pack_octets(out.salt, MAX_SALT, key.salt, "salt")
    pack_octets(out.mki, MAX_MKI, key.mki, "mki")
    out.rtp_lifetime = key.rtp_lifetime
    out.rtcp_lifetime = key.rtcp_lifetime
    return 0


cdef int pack_parameters(CryptoParameters *out, object command) except -1:
    transform = command.transform
    if len(command.key.key) != transform.key_octets or len(command.key.salt) != transform.salt_octets:
        raise ValueError("key or salt is not as long as the transform says")
    out.cipher = CIPHERS[transform.cipher]
    out.auth = AUTHS[transform.auth]
    out.key_octets = transform.key_octets
    out.salt_octets = transform.salt_octets
    out.rtp_tag = transform.rtp_tag
    out.rtcp_tag = transform.rtcp_tag
    out.mki_octets = len(command.key.mki)
    out.kdr_log2 = NO_RATE if command.kdr_log2 is None else command.kdr_log2
    out.window = command.window
    out.flags = ((CRYPTO_SEND if command.send else 0)
                 | (0 if command.encrypt_rtp else CRYPTO_PLAIN_RTP)
                 | (0 if command.encrypt_rtcp else CRYPTO_PLAIN_RTCP)
                 | (0 if command.authenticate_rtp else CRYPTO_UNAUTHENTICATED_RTP)
                 | (CRYPTO_LEGACY_192 if command.legacy_192 else 0) | ROCS[command.roc])
    out.ssrc_limit = command.ssrc_limit
    out.initial_roc = command.initial_roc
    out.also = 0 if command.also is None else command.also + 1
    return 0


cdef int pack_move(MoveCommand *out, uint32_t kind, object command) except -1:
    cdef Py_ssize_t i
    out.id = command.move
    if kind == COMMAND_DISCARD:
        return 0
    out.to = command.to if kind == COMMAND_EXPORT else 0
    for i in range(MOVE_SLOTS):
        out.flows[i] = slot_of(command.flows[i])
    for i in range(MOVE_CRYPTOS):
        out.cryptos[i] = slot_of(command.cryptos[i]) if i < len(command.cryptos) else NO_SLOT
    return 0


cdef inline uint32_t slot_of(object slot) except? 0xFFFFFFFF:
    return <uint32_t>NO_SLOT if slot is None else <uint32_t>slot


cdef int pack_flow(FlowParameters *out, object command, object socket) except -1:
    out.socket = socket
    out.rtp_partner = slot_of(command.rtp_partner)
    out.rtcp_partner = slot_of(command.rtcp_partner)
    out.receive = slot_of(command.receive)
    out.send = slot_of(command.send)
    out.flags = ((FLOW_RTP if command.rtp else 0) | (FLOW_RTCP if command.rtcp else 0)
                 | (FLOW_SECURE if command.secure else 0) | (FLOW_MAY_SEND if command.may_send else 0)
                 | (FLOW_MAY_RECEIVE if command.may_receive else 0) | (FLOW_BLOCKED if command.blocked else 0)
                 | (0 if command.feedback else FLOW_NO_FEEDBACK) | (FLOW_TAP if command.tap else 0)
                 | (FLOW_TYPES if command.payload_types or command.transcode else 0)
                 | (FLOW_OPAQUE if command.opaque else 0)
                 | (0 if command.extensions is None else FLOW_EXTENSIONS)
                 | (FLOW_ICE if command.ice else 0) | (FLOW_DTLS if command.dtls else 0)
                 | (FLOW_MEMBER if command.member else 0)
                 | (0 if command.rtp_tap is None and command.rtcp_tap is None else FLOW_TAPPED))
    out.rtp_tap, out.rtcp_tap = slot_of(command.rtp_tap), slot_of(command.rtcp_tap)
    out.tos = command.tos
    out.latching = LATCHINGS[command.latching]
    if command.remote is not None:
        out.remote = peer_parse(command.remote[0], command.remote[1])
    return 0


cdef int pack_rewrite(FlowRewrite *out, object command) except -1:
    """ValueError: more pairs than there is room for, or numbers that no packet can carry."""
    cdef Py_ssize_t i
    extensions = command.extensions or ()
    types = [*command.transcode, *((before, now, "") for before, now in command.payload_types)]
    if len(types) > REWRITE_TYPES or len(extensions) > REWRITE_EXTENSIONS:
        raise ValueError(f"at most {REWRITE_TYPES} payload types and {REWRITE_EXTENSIONS} extensions")
    for i, (before, now, law) in enumerate(types):
        if not (0 <= before < 128 and 0 <= now < 128) or 64 <= now < 96:
            raise ValueError("no payload type of RTP (RFC 5761 section 4)")
        if law not in LAWS:
            raise ValueError(f"{law} is not a law of G.711")
        out.type_from[i] = before | (REWRITE_TO_ULAW if law == "pcmu" else 0)
        out.type_to[i] = now | (REWRITE_TO_ALAW if law == "pcma" else 0)
    for i, (before, now) in enumerate(extensions):
        if not (0 < before < 256 and 0 < now < 256):
            raise ValueError("no id of a header extension (RFC 8285)")
        out.extension_from[i], out.extension_to[i] = before, now
    out.types, out.extensions = len(types), len(extensions)
    return 0


cdef int pack_ice(IceParameters *out, object command) except -1:
    """ValueError: a user fragment of ours that is empty or too long, a password that is shorter than 128 bits."""
    cdef SHA_CTX context
    cdef bytes peer = command.remote_ufrag.encode()
    cdef bytes password = command.remote_pwd.encode()
    pack_credential(&out.local, command.local_ufrag, command.local_pwd)
    if command.earlier_ufrag:
        pack_credential(&out.earlier, command.earlier_ufrag, command.earlier_pwd)
    out.flags = ((ICE_LITE if command.lite else 0) | (ICE_PEER_KNOWN if peer else 0)
                 | (ICE_RESPONSES if password and not command.lite else 0))
    if peer:
        SHA1_Init(&context)
        SHA1_Update(&context, <const char *>peer, len(peer))
        SHA1_Final(out.peer, &context)
    if password:
        hmac_key(&out.responses, <const uint8_t *><const char *>password, <uint32_t>len(password))
    return 0


cdef int pack_credential(IceCredential *out, str ufrag, str pwd) except -1:
    cdef bytes fragment = ufrag.encode(), secret = pwd.encode()
    if not 4 <= len(fragment) <= ICE_UFRAG or b":" in fragment:
        raise ValueError(f"a user fragment of ours has 4 to {ICE_UFRAG} octets and no colon (RFC 8839 section 5.4)")
    if len(secret) < SHORTEST_PASSWORD:
        raise ValueError("an ICE password has at least 22 octets (RFC 8839 section 5.4)")
    memcpy(out.ufrag, <const char *>fragment, len(fragment))
    out.octets = <uint8_t>len(fragment)
    hmac_key(&out.key, <const uint8_t *><const char *>secret, <uint32_t>len(secret))
    return 0


cdef int pack_routes(RoutesParameters *out, object command) except -1:
    """ValueError: too many streams, a long MID, numbers that no packet can carry."""
    cdef Py_ssize_t i, kind
    cdef bytes mid
    if len(command.routes) > ROUTES:
        raise ValueError(f"at most {ROUTES} streams on a port")
    if command.mid_extension is not None and not 0 < command.mid_extension < 256:
        raise ValueError("no id of a header extension (RFC 8285)")
    out.count = <uint8_t>len(command.routes)
    out.mid_id = command.mid_extension or 0
    several = set()
    for i, route in enumerate(command.routes):
        mid = route.mid.encode()
        pack_octets(out.route[i].mid, ROUTE_MID, mid, "mid")
        out.route[i].mid_octets = <uint8_t>len(mid)
        out.route[i].flow = route.flow
        for number in set(route.payload_types):
            kind = number
            if not 0 <= kind < 128 or 64 <= kind < 96:
                raise ValueError("no payload type of RTP (RFC 5761 section 4)")
            if out.types[kind]:
                several.add(number)
            out.types[kind] = 0 if number in several else <uint8_t>(i + 1)
    return 0
