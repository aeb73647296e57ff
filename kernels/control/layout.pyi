from enum import IntEnum

class WorkerState(IntEnum):
    STATE_BOOT = 0
    STATE_RUN = 1
    STATE_DRAIN = 2
    STATE_HALT = 3
    STATE_FAIL = 4
