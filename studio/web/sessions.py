"""Routes for one's own logins: where one is logged in, and out of all others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict

from studio.application import Studio
from studio.library.users import Users
from studio.web.login import session_token

__all__ = ["add_sessions"]


class SessionSaid(BaseModel):
    """A login that lasts: since and until when, when it last asked, from where it came in, and whether it is that of
    this request.
    """

    model_config = ConfigDict(frozen=True, from_attributes=True)

    since: datetime
    until: datetime
    seen: datetime
    address: str
    is_this: bool


class SessionsEnded(BaseModel):
    """How many were ended."""

    ended: int


def add_sessions(api: APIRouter, studio: Studio, owner_of: Callable[[Request], str]) -> None:
    """`owner_of` says whose request it is."""
    users = Users(studio.records)

    @api.get("/sessions")
    def sessions(request: Request) -> list[SessionSaid]:
        """Return one's own logins, the newest first; none where nobody has to log in."""
        found = users.sessions(owner_of(request), session_token(request.scope))
        return [SessionSaid.model_validate(one) for one in found]

    @api.delete("/sessions")
    def end(request: Request) -> SessionsEnded:
        """Log out everywhere else."""
        return SessionsEnded(ended=users.log_out_everywhere(owner_of(request), session_token(request.scope)))
