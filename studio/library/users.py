"""People who may come in: names with argon2 hashes, and sessions that are known by the hash of a random token."""

from __future__ import annotations

import hashlib
import secrets
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cached_property
from threading import Lock

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, select

from pipelines.errors import BadInput, StudioError
from studio.library.records import Records, SessionRecord, UserRecord

__all__ = ["SESSION_S", "TooManyAttempts", "Users", "check_administrator", "check_open"]

SESSION_S = 14 * 24 * 3600
_LOCAL = ("127.0.0.1", "localhost", "::1")
_MAX_NAME = 40
_PASSWORD = (10, 200)  # characters; the upper one keeps a login's work small
_WINDOW_S = 15 * 60
_PER_PAIR, _PER_ADDRESS, _PER_NAME = 5, 20, 100  # failures in a window
_REMEMBERED = 10_000


class TooManyAttempts(StudioError):
    """Too many wrong passwords; nothing is checked until the window is over."""


class Users:
    """The users of one data folder. Attempts are counted in this process: there is one that serves pages."""

    def __init__(self, records: Records, clock: Callable[[], float] = time.time) -> None:
        self._records, self._clock = records, clock
        self._hasher = PasswordHasher()  # argon2id, 64 MiB
        self._failures: OrderedDict[tuple[str, ...], list[float]] = OrderedDict()
        self._turn = Lock()

    @cached_property
    def _nobody(self) -> str:
        """Return the hash that an unknown user's password is held against, so that its answer takes as long."""
        return self._hasher.hash(secrets.token_hex())

    def exist(self) -> bool:
        """Whether anybody has to log in."""
        with self._records.transaction() as session:
            return session.scalar(select(UserRecord.id).limit(1)) is not None

    def names(self) -> list[str]:
        with self._records.transaction() as session:
            return list(session.scalars(select(UserRecord.id).order_by(UserRecord.id)))

    def administrator(self, owner: str) -> str | None:
        """Return who changes what all share: the user of the studio's `owner`'s name, else the one that was added
        first; None where nobody has to log in.
        """
        with self._records.transaction() as session:
            names = list(session.scalars(select(UserRecord.id).order_by(UserRecord.created, UserRecord.id)))
        return _fold(owner) if _fold(owner) in names else next(iter(names), None)

    def add(self, name: str, password: str) -> str:
        """A new user; the name as it is kept (small letters). Raises BadInput."""
        known = _fold(name)
        if not 1 <= len(known) <= _MAX_NAME or not all(c.isalnum() or c in "-_." for c in known):
            raise BadInput("user_name_invalid", name=name[:_MAX_NAME], most=_MAX_NAME)
        if self._records.get(UserRecord, known, known) is not None:
            raise BadInput("user_exists", name=known)
        self._keep(known, password)
        return known

    def change(self, name: str, password: str) -> None:
        """Another password; whoever is logged in by the old one is logged out. Raises BadInput."""
        self._keep(self._known(name), password)

    def remove(self, name: str) -> None:
        """Nobody comes in by this name any more. What it owns stays. Raises BadInput."""
        known = self._known(name)
        with self._records.transaction() as session:
            session.execute(delete(SessionRecord).where(SessionRecord.owner == known))
            session.execute(delete(UserRecord).where(UserRecord.id == known))

    def log_in(self, name: str, password: str, address: str) -> str | None:
        """A new session's token; None where name and password do not fit, after as long for an unknown name.

        Raises TooManyAttempts. `address` is the network address that asks.
        """
        known = _fold(name)[: _MAX_NAME + 1]
        pair = ("pair", known, address)
        keys = ((pair, _PER_PAIR), (("address", address), _PER_ADDRESS), (("name", known), _PER_NAME))
        with self._turn:  # one at a time: 64 MiB each, and parallel guesses are counted like others
            now = self._clock()
            if any(len(self._recent(key, now)) >= most for key, most in keys):
                raise TooManyAttempts("too_many_attempts")
            nobody, row = self._nobody, self._records.get(UserRecord, known, known)
            if not self._fits(nobody if row is None else row.password, password) or row is None:
                for key, _ in keys:
                    self._failures[key] = [*self._recent(key, now), now]
                while len(self._failures) > _REMEMBERED:
                    self._failures.popitem(last=False)
                return None
            self._failures.pop(pair, None)
        token = secrets.token_urlsafe(32)
        with self._records.transaction() as session:
            session.execute(delete(SessionRecord).where(SessionRecord.expires <= now))
            if session.scalar(select(UserRecord.password).where(UserRecord.id == known)) != row.password:
                return None  # changed meanwhile
            session.add(SessionRecord(id=_key(token), owner=known, expires=now + SESSION_S))
        return token

    def owner_of(self, token: str) -> str | None:
        """Return the owner of this session; None for an unknown or expired one, and where the user was removed."""
        with self._records.transaction() as session:
            query = select(SessionRecord.owner).join(UserRecord, UserRecord.id == SessionRecord.owner)
            return session.scalar(query.where(SessionRecord.id == _key(token), SessionRecord.expires > self._clock()))

    def log_out(self, token: str) -> None:
        with self._records.transaction() as session:
            session.execute(delete(SessionRecord).where(SessionRecord.id == _key(token)))

    def _keep(self, name: str, password: str) -> None:
        shortest, longest = _PASSWORD
        if not shortest <= len(password) <= longest:
            raise BadInput("password_length", shortest=shortest, longest=longest)
        row = UserRecord(id=name, owner=name, password=self._hasher.hash(password))
        with self._records.transaction() as session:
            session.execute(delete(SessionRecord).where(SessionRecord.owner == name))
            session.merge(row)

    def _known(self, name: str) -> str:
        known = _fold(name)
        if self._records.get(UserRecord, known, known) is None:
            raise BadInput("user_unknown", name=known[:_MAX_NAME])
        return known

    def _fits(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password[: _PASSWORD[1] + 1])
        except (VerificationError, InvalidHashError):
            return False

    def _recent(self, key: tuple[str, ...], now: float) -> list[float]:
        return [moment for moment in self._failures.get(key, ()) if moment > now - _WINDOW_S]


def check_administrator(users: Users, owner: str, asker: str) -> None:
    """Raise BadInput where another user than `asker` chooses what the studio, which is the `owner`'s, draws with."""
    who = users.administrator(owner)
    if who is not None and who != asker:
        raise BadInput("backbone_not_yours_to_choose", who=who)


def check_open(users: Users, host: str, names: Sequence[str]) -> bool:
    """Whether only this machine can reach the pages. Raises BadInput where others can, and nobody would be asked."""
    local = host in _LOCAL and not names
    if not local and not users.exist():
        raise BadInput("users_needed")
    return local


def _fold(name: str) -> str:
    """One spelling of a name, however it was typed."""
    return unicodedata.normalize("NFKC", name.strip()).casefold()


def _key(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
