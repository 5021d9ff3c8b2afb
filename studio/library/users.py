"""People who may come in: names with argon2 hashes, and sessions that are known by the hash of a random token."""

from __future__ import annotations

import hashlib
import logging
import secrets
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from threading import BoundedSemaphore, Lock

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, select, update
from sqlalchemy.exc import OperationalError

from pipelines.errors import BadInput
from studio.library.attempts import Attempts, TooManyAttempts
from studio.library.records import Records, SessionRecord, UserRecord

__all__ = [
    "BROWSER_S", "SESSION_COOKIE", "SESSION_S", "SessionSaid", "TooManyAttempts", "Users", "check_administrator",
    "check_open",
]  # fmt: skip

SESSION_COOKIE = "studio_session"
SESSION_S = 14 * 24 * 3600
_SEEN_S = 60.0  # how exactly it is known when a login last asked
_MOST_SEEN = 1_000
_BELIEVED_S = 2.0  # an open page asks several things at once; the same process forgets at once whom it logs out
BROWSER_S = 180 * 24 * 3600
_LOCAL = ("127.0.0.1", "localhost", "::1")
_MAX_NAME = 40
_MOST_ADDRESS = 64  # characters
_PASSWORD = (10, 200)  # characters; the upper one keeps a login's work small
_BROWSER = "browser:"  # how ids of known browsers begin, and no session's
_LOG = logging.getLogger("studio.login")


@dataclass(frozen=True)
class SessionSaid:
    """A login that lasts: since and until when, when it last asked, from which address it came in, and whether it is
    that of who asks.
    """

    since: datetime
    until: datetime
    seen: datetime
    address: str
    is_this: bool


class Users:
    """The users of one data folder. Attempts are counted in this process: there is one that serves pages."""

    def __init__(self, records: Records, clock: Callable[[], float] = time.time) -> None:
        self._records, self._clock = records, clock
        self._hasher = PasswordHasher()  # argon2id, 64 MiB
        self._attempts = Attempts(clock)
        # 64 MiB and a core each: a flood of passwords leaves the rest to the pages, and known browsers their own turn
        self._seen: OrderedDict[str, float] = OrderedDict()
        self._seen_lock = Lock()
        self._believed: dict[str, tuple[str, float]] = {}  # whose a session is, and until when that needs no look
        self._changes = 0
        self._for_strangers, self._for_known = BoundedSemaphore(2), BoundedSemaphore(1)

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
        if not _is_name(known):
            raise BadInput("user_name_invalid", name=name[:_MAX_NAME], most=_MAX_NAME)
        if self._records.get(UserRecord, known, known) is not None:
            raise BadInput("user_exists", name=known)
        self._keep(known, password)
        return known

    def change(self, name: str, password: str) -> None:
        """Another password; whoever is logged in by the old one is logged out. Raises BadInput."""
        self._keep(self.known(name), password)

    def remove(self, name: str) -> None:
        """Nobody comes in by this name any more. What it owns stays. Raises BadInput."""
        known = self.known(name)
        with self._records.transaction() as session:
            session.execute(delete(SessionRecord).where(SessionRecord.owner == known))
            session.execute(delete(UserRecord).where(UserRecord.id == known))
        self._forget()

    def log_in(self, name: str, password: str, address: str, browser: str = "") -> str | None:
        """A new session's token; None where name and password do not fit, after as long for an unknown name.

        Raises TooManyAttempts. `address` is the network address that asks, `browser` the token that `know` gave it.
        """
        name = _fold(name)[: _MAX_NAME + 1]
        row = self._records.get(UserRecord, name, name) if _is_name(name) else None
        known = browser if browser and self._is_known(browser, name) else ""
        try:
            with self._attempts.one(name, address, known) as right:
                with self._for_known if known else self._for_strangers:
                    fits = self._fits(self._nobody if row is None else row.password, password)
                if not fits or row is None:
                    # a password may be typed where the name belongs: what is no user's name is not written down
                    _LOG.warning("Login failed: %s, from %s", "unknown name" if row is None else name, address)
                    return None
                right()
        except TooManyAttempts as error:
            _LOG.warning("Login refused (%s): %s, from %s", error.code, name if row else "unknown name", address)
            raise
        token = secrets.token_urlsafe(32)
        with self._records.transaction() as session:
            now = self._clock()
            session.execute(delete(SessionRecord).where(SessionRecord.expires <= now))
            if session.scalar(select(UserRecord.password).where(UserRecord.id == name)) != row.password:
                return None  # changed meanwhile
            told = {"expires": now + SESSION_S, "seen": now, "address": address[:_MOST_ADDRESS]}
            session.add(SessionRecord(id=_key(token), owner=name, **told))
        _LOG.info("Login: %s, from %s", name, address)
        return token

    def know(self, owner: str, browser: str = "") -> str:
        """Return the token by which this browser is known as one where the owner came in: its own, or a new one.

        Others' wrong passwords do not shut out a known browser. It lasts for half a year, or until the next password.
        """
        if browser and self._is_known(browser, owner):
            return browser
        token = secrets.token_urlsafe(32)
        with self._records.transaction() as session:
            session.add(SessionRecord(id=_browser_key(token), owner=owner, expires=self._clock() + BROWSER_S))
        return token

    def _is_known(self, browser: str, owner: str) -> bool:
        row = self._records.get(SessionRecord, _browser_key(browser), owner)
        return row is not None and row.expires > self._clock()

    def owner_of(self, token: str) -> str | None:
        """Return the owner of this session; None for an unknown or expired one, and where the user was removed.

        What another process changes is known here two seconds later.
        """
        key, now, changes = _key(token), self._clock(), self._changes
        owner, until = self._believed.get(key, (None, now))
        if 0 < until - now <= _BELIEVED_S:
            return owner
        with self._records.transaction() as session:
            query = select(SessionRecord.owner).join(UserRecord, UserRecord.id == SessionRecord.owner)
            owner = session.scalar(query.where(SessionRecord.id == key, SessionRecord.expires > now))
        if owner is not None:
            self._note_seen(key, now)
            with self._seen_lock:
                if changes == self._changes:  # else it may have been logged out since it was looked up
                    if len(self._believed) >= _MOST_SEEN:
                        self._believed.clear()
                    self._believed[key] = owner, now + _BELIEVED_S
        return owner

    def _forget(self) -> None:
        """Look up whose sessions are whose again."""
        with self._seen_lock:
            self._changes += 1
            self._believed.clear()

    def _note_seen(self, key: str, now: float) -> None:
        """Once a minute; of several requests at once one writes, and no other waits for it."""
        with self._seen_lock:
            if abs(now - self._seen.get(key, -_SEEN_S)) < _SEEN_S:
                return
            self._seen[key] = now
            while len(self._seen) > _MOST_SEEN:
                self._seen.popitem(last=False)
        with suppress(OperationalError), self._records.transaction() as session:  # locked, full: it may stay unknown
            session.execute(update(SessionRecord).where(SessionRecord.id == key).values(seen=now))

    def sessions(self, owner: str, token: str = "") -> list[SessionSaid]:
        """Return an owner's sessions, the newest first; `token` is that of the one that asks."""
        rows = self._records.newest(SessionRecord, owner, 1000)
        return [
            SessionSaid(
                row.created,
                datetime.fromtimestamp(row.expires, UTC),
                max(row.created, datetime.fromtimestamp(row.seen, UTC)),
                row.address,
                row.id == _key(token),
            )
            for row in rows
            if row.expires > self._clock() and not row.id.startswith(_BROWSER)
        ]

    def log_out(self, token: str) -> None:
        with self._records.transaction() as session:
            session.execute(delete(SessionRecord).where(SessionRecord.id == _key(token)))
        self._forget()

    def log_out_everywhere(self, owner: str, but: str = "") -> int:
        """End all sessions of an owner, but the one of this token; how many. Known browsers are forgotten, too."""
        with self._records.transaction() as session:
            mine = (SessionRecord.owner == owner, SessionRecord.id != _key(but))
            ended = list(session.scalars(select(SessionRecord.id).where(*mine)))
            session.execute(delete(SessionRecord).where(*mine))
        self._forget()
        _LOG.info("Logged out everywhere: %s", owner)
        return sum(not one.startswith(_BROWSER) for one in ended)

    def _keep(self, name: str, password: str) -> None:
        shortest, longest = _PASSWORD
        if not shortest <= len(password) <= longest:
            raise BadInput("password_length", shortest=shortest, longest=longest)
        row = UserRecord(id=name, owner=name, password=self._hasher.hash(password))
        with self._records.transaction() as session:
            session.execute(delete(SessionRecord).where(SessionRecord.owner == name))
            session.merge(row)
        self._forget()

    def known(self, name: str) -> str:
        """Return a user's name as it is kept. Raises BadInput where there is none."""
        known = _fold(name)
        if self._records.get(UserRecord, known, known) is None:
            raise BadInput("user_unknown", name=known[:_MAX_NAME])
        return known

    def _fits(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password[: _PASSWORD[1] + 1])
        except (VerificationError, InvalidHashError, UnicodeError):
            return False


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


def _is_name(name: str) -> bool:
    return 1 <= len(name) <= _MAX_NAME and all(c.isalnum() or c in "-_." for c in name)


def _key(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def _browser_key(token: str) -> str:
    """As long as an id may be; no session's token makes one that begins so."""
    return f"{_BROWSER}{_key(token)}"[:64]
