CIPHERS: dict[str, int]
AUTHS: dict[str, int]
LATCHINGS: dict[str, int]
NO_RATE: int
