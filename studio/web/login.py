"""Coming in and going out: a form of our own, a cookie that only the server reads, and whose request it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from html import escape
from urllib.parse import parse_qs

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.types import Scope

from pipelines.errors import StudioError
from studio.library.users import BROWSER_S, SESSION_COOKIE, SESSION_S, Users
from studio.texts.texts import LANGUAGES, Texts
from studio.ui.parts.html import PAGES
from studio.ui.theme import CSS

__all__ = ["OWNER", "Logins", "add_login", "owner_of_request", "session_token"]

OWNER = "studio_owner"  # in a request's scope: who asks, set by the authentication and by nothing that a browser sends
_BROWSER = "studio_browser"
_AT_ONCE = 64  # more than `studio.library.attempts` lets wait: it answers the rest at once
_NEXT = re.compile(rf"/({'|'.join(LANGUAGES)})/({'|'.join(PAGES)})")
_MAX_FORM = 4096  # bytes


class Logins:
    """Finds whose request it is: `alone`'s where nobody has to log in and only this machine can ask."""

    def __init__(self, users: Users, alone: str, local: bool = True) -> None:
        self.users, self._alone, self._local = users, alone, local

    def owner_of(self, scope: Scope) -> str | None:
        if (token := session_token(scope)) and (owner := self.users.owner_of(token)):
            return owner
        return self._alone if self.is_alone() else None

    def is_alone(self) -> bool:
        """Whether nobody has to log in."""
        return self._local and not self.users.exist()


def owner_of_request(request: Request) -> str | None:
    """Return the owner that the authentication found, None for nobody."""
    owner = request.scope.get(OWNER)
    return None if owner is None else str(owner)


def add_login(app: FastAPI, logins: Logins, texts: Callable[[Request], Texts]) -> None:
    """The form at /login, and /logout. The origin check has refused posts of other sites already."""
    own_threads = CapacityLimiter(_AT_ONCE)  # a flood of passwords leaves the other threads to the pages

    @app.get("/login")
    def form(request: Request, next: str = "/") -> Response:
        if owner_of_request(request) is not None:
            return RedirectResponse("/", 303)
        return _page(texts(request), next)

    @app.post("/login")
    async def enter(request: Request) -> Response:
        t, fields = texts(request), await _fields(request)
        where, address = fields.get("next", "/"), request.client.host if request.client else ""
        name, browser = fields.get("name", ""), request.cookies.get(_BROWSER, "")
        check = partial(logins.users.log_in, name, fields.get("password", ""), address, browser)
        try:
            token = await to_thread.run_sync(check, limiter=own_threads)
        except StudioError as error:
            # too many tries of one's own are forgotten after a quarter of an hour, too many people at once in seconds
            return _page(t, where, t.error(error), 429, "5" if error.code == "login_busy" else "900")
        if token is None:
            return _page(t, where, t("login.wrong"), 401)
        answer = RedirectResponse(where if _NEXT.fullmatch(where) else "/", 303)
        known = logins.users.know(str(logins.users.owner_of(token)), browser)
        for cookie, value, seconds in ((SESSION_COOKIE, token, SESSION_S), (_BROWSER, known, BROWSER_S)):
            secure = request.url.scheme == "https"
            answer.set_cookie(cookie, value, max_age=seconds, httponly=True, samesite="lax", secure=secure)
        return answer

    @app.post("/logout")
    def leave(request: Request) -> Response:
        logins.users.log_out(session_token(request.scope))
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(SESSION_COOKIE, httponly=True, samesite="lax")
        return answer


def session_token(scope: Scope) -> str:
    """Return the session's token that the browser sent, "" for none."""
    return Request(scope).cookies.get(SESSION_COOKIE, "")


async def _fields(request: Request) -> dict[str, str]:
    """Return the fields of a small form; nothing of a large one."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MAX_FORM:
            return {}
    try:
        fields = parse_qs(body.decode(errors="replace"), keep_blank_values=True, max_num_fields=8)
    except ValueError:
        return {}
    return {name: values[-1] for name, values in fields.items()}


def _page(t: Texts, where: str, wrong: str = "", status: int = 200, retry_s: str = "") -> HTMLResponse:
    said = f'<p class="st-panel failed" role="alert">{escape(wrong)}</p>' if wrong else ""
    other = "zh" if t.language == "en" else "en"
    html = f"""<!doctype html><html lang="{"zh-CN" if t.language == "zh" else "en"}" translate="no"><head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(t("login.title"))} · Persona Studio</title><style>{CSS}</style></head><body class="st-login"><main>
<nav class="st-nav" aria-label="{escape(t("nav"))}"><strong>Persona Studio</strong>
<a class="st-lang" href="/language/{other}?page=login" lang="{other}">{"中文" if other == "zh" else "English"}</a></nav>
<div class="st-head"><h1>{escape(t("login.title"))}</h1><p>{escape(t("login.intro"))}</p></div>{said}
<form method="post" action="/login"><input type="hidden" name="next" value="{escape(where)}">
<label>{escape(t("login.name"))}<input name="name" autocomplete="username" required autofocus></label>
<label>{escape(t("login.password"))}
<input name="password" type="password" autocomplete="current-password" required></label>
<button class="st-btn big">{escape(t("login.go"))}</button></form></main></body></html>"""
    rules = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    headers = {"Content-Security-Policy": rules, "Cache-Control": "no-store"}
    if retry_s:
        headers["Retry-After"] = retry_s
    return HTMLResponse(html, status, headers)
