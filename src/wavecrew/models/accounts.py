"""Accounts of agents that are used up for a while: how long, and how often in a row.

What it does: holds a closure as a value, and says what another one, or a success, makes of it.
What it does not know: who closes an account, and what waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from wavecrew.models.events import AccountClosed, AccountReopened


@dataclass(frozen=True, slots=True)
class Closure:
    """An account that is used up `until` then (seconds since 1970), and the words in which it was told."""

    until: float
    detail: str = ""
    times: int = 1
    """How often in a row it was found so again after it should have been open; a success ends the row."""


def closed(accounts: Mapping[str, Closure], event: AccountClosed) -> dict[str, Closure]:
    """The accounts after one of them was found to be used up. What several agents find at the same time is one closure,
    which lasts until the latest moment that any of them was told."""
    before = accounts.get(event.account, Closure(event.at, times=0))
    still = before.until > event.at
    until = max(event.until, before.until) if still else event.until
    times = max(1, before.times) if still else before.times + 1
    return {**accounts, event.account: Closure(until, event.detail, times)}


def turned_account(accounts: Mapping[str, Closure], event: AccountClosed | AccountReopened) -> dict[str, Closure]:
    """The accounts after one of them was closed, or somebody has opened it: should that be found used up again, it is
    the first time."""
    if isinstance(event, AccountClosed):
        return closed(accounts, event)
    found = accounts.get(event.account)
    if found is None:
        return dict(accounts)
    return {**accounts, event.account: replace(found, until=min(found.until, event.at), times=0)}


def worked(accounts: Mapping[str, Closure], account: str) -> dict[str, Closure]:
    """The accounts after an agent on one of them has succeeded; one that is closed stays so until its time."""
    found = accounts.get(account)
    return dict(accounts) if found is None else {**accounts, account: replace(found, times=0)}
