"""Several followers of calls as one: each hears of a change behind the one before it."""

from __future__ import annotations

from appliance.calls.ledger import Followers
from appliance.calls.registry import Branch, Call


class Following:
    """In this order; they leave in the opposite one."""

    def __init__(self, *followers: Followers) -> None:
        self._followers = followers

    def follow(self, call: Call, branch: Branch) -> None:
        for follower in self._followers:
            follower.follow(call, branch)

    def leave(self, branch: Branch) -> None:
        for follower in reversed(self._followers):
            follower.leave(branch)
