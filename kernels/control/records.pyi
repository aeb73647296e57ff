from enum import IntEnum

class CommandKind(IntEnum):
    COMMAND_INSTALL_CRYPTO = 1
    COMMAND_ADD_KEY = 2
    COMMAND_SELECT_KEY = 3
    COMMAND_REMOVE_CRYPTO = 4
    COMMAND_INSTALL_FLOW = 5
    COMMAND_REMOVE_FLOW = 6

class Latching(IntEnum):
    LATCH_OFF = 0
    LATCH_HOST = 1
    LATCH_ONCE = 2
    LATCH_AUTHENTICATED = 3
