"""Load on the SIP edge, with SIPp and forged floods: `python -m tests.load storm|flood|overload` (`make load`).

Not part of `make test`: it takes the machine for itself, and its figures are for a person to judge. Loopback only.
"""
