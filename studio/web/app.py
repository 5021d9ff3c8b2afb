"""The page's process: FastAPI with the pages mounted at /en and /zh, and every file through an owner-checked route."""

from __future__ import annotations

import io
import os
import re
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Annotated
from urllib.parse import quote

# before gradio is imported: nothing is told to anybody, nothing is fetched
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import gradio as gr
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse
from PIL import Image

from personas.donors import load_donors
from pipelines.errors import StudioError
from pipelines.file_names import file_name
from studio.application import Studio
from studio.jobs.queue import Queue
from studio.jobs.watchdog import watch_workers
from studio.jobs.workers import list_workers
from studio.library.records import FileRecord
from studio.library.scenes import bundled_scenes
from studio.library.uploads import check_room, forget_old_uploads, keep_upload, pages_folder
from studio.library.users import Users
from studio.settings import ASSETS, Settings
from studio.texts.texts import LANGUAGES, LOCALES, Language, Texts, choose_language
from studio.ui.context import Ui
from studio.ui.pages import consolidate, design, lab, library, posts, scenes, select
from studio.ui.pages import dataset as dataset_page
from studio.ui.pages import settings as settings_page
from studio.ui.pages import taste as taste_page
from studio.ui.parts.html import PAGES
from studio.ui.theme import CSS, make_head, make_theme
from studio.web.api import add_api
from studio.web.authentication import Authentication
from studio.web.body_limit import BodyLimit
from studio.web.gradio_events import keep_events
from studio.web.gradio_isolation import GradioIsolation
from studio.web.gradio_sessions import keep_sessions_small, sum_up_no_events
from studio.web.locale import Locale
from studio.web.login import Logins, add_login, owner_of_request
from studio.web.metrics import add_metrics
from studio.web.origin_check import OriginCheck
from studio.web.proxies import Proxies
from studio.web.run_id import RUN, RunId
from studio.web.security_headers import SecurityHeaders

__all__ = ["make_app", "make_site"]

_BUILD: dict[str, Callable[[Ui], None]] = {
    "design": design.build, "select": select.build, "consolidate": consolidate.build, "scenes": scenes.build,
    "posts": posts.build, "library": library.build, "dataset": dataset_page.build, "taste": taste_page.build,
    "lab": lab.build, "settings": settings_page.build,
}  # fmt: skip
_KEY = re.compile(r"[0-9a-f]{64}")
_MAX_UPLOAD = "64mb"
# a key's content never changes; another person at the same browser has another cookie, and asks anew
_CACHED = {"Cache-Control": "private, max-age=31536000, immutable", "Vary": "Cookie"}
_LANGUAGE = "studio_language"
_THUMB_WIDTHS = (64, 96, 160, 240, 320, 480, 640)
_SWEEP_S = 3600.0


def asker(request: Request) -> str:
    """Return whose request it is, for routes behind the authentication."""
    owner = owner_of_request(request)
    if owner is None:
        raise HTTPException(401)
    return owner


def make_app(settings: Settings, names: Sequence[str] = (), local: bool = True) -> FastAPI:
    """The whole site. The worker is started by whoever serves it.

    `names` are those of the machine that pages may be asked by; `local`: nobody but this machine can reach it.
    """
    studio = Studio(settings)
    os.environ["GRADIO_TEMP_DIR"] = str(pages_folder(settings))  # and not where everybody on this machine can read
    queue = Queue(studio)
    Thread(target=queue.load_ahead, daemon=True).start()
    watch_workers(queue)
    Thread(target=_sweep_uploads, args=(settings,), daemon=True).start()
    app = make_site(studio, names, local)
    # Gradio warns of a mode that is turned off; nobody who starts the studio can do anything about it
    warnings.filterwarnings("ignore", message="SSR mode is not supported with multi-page apps")
    sum_up_no_events()
    for language in LANGUAGES:
        ui = Ui(studio, queue, Texts(language))
        blocks = _pages(ui)
        gr.mount_gradio_app(
            app, blocks, f"/{language}", auth_dependency=owner_of_request, footer_links=[],
            run_history=False, show_error=True, max_file_size=_MAX_UPLOAD, ssr_mode=False, theme=make_theme(),
            css=CSS, head=make_head(ui.t, RUN), i18n=gr.I18n(**{LOCALES[language]: ui.t.of_gradio()}),
        )  # fmt: skip
        keep_sessions_small(app, blocks, language)
    return app


def make_site(studio: Studio, names: Sequence[str] = (), local: bool = True) -> FastAPI:
    """Return the site without its pages: middleware (headers of safety, proxies, origin check, authentication, bodies'
    limit, isolation, locale, in this order), the login, the language, files, pictures."""
    app = FastAPI(title="Persona Studio", docs_url=None, redoc_url=None)
    logins = Logins(Users(studio.records), studio.settings.owner, local)
    app.add_middleware(RunId)
    app.add_middleware(Locale)
    app.add_middleware(GradioIsolation, check_room=partial(check_room, studio.settings))
    app.add_middleware(BodyLimit)
    app.add_middleware(Authentication, logins=logins)
    app.add_middleware(OriginCheck, names=names, local=local)
    app.add_middleware(Proxies, trusted=studio.settings.proxies, alone=logins.is_alone)
    app.add_middleware(SecurityHeaders)
    add_login(app, logins, lambda request: Texts(_language(request)))
    _add_files(app, studio)
    add_metrics(app, studio)
    add_api(app, Queue(studio), asker)

    @app.get("/")
    def start(request: Request) -> RedirectResponse:
        return RedirectResponse(f"/{_language(request)}/design")

    @app.get("/language/{language}")
    def switch(language: str, page: str = "design") -> RedirectResponse:
        if language not in LANGUAGES or page not in (*PAGES, "login"):
            raise HTTPException(404)
        answer = RedirectResponse("/login" if page == "login" else f"/{language}/{page}")
        answer.set_cookie(_LANGUAGE, language, max_age=365 * 24 * 3600, httponly=True, samesite="lax")
        return answer

    @app.get("/health")
    def health() -> dict[str, bool | int]:
        alive = sum(worker.is_alive for worker in list_workers(studio.records))
        return {"worker": alive > 0, "workers": alive}

    @app.get("/manifest.json")
    def manifest() -> dict[str, str]:
        return {"name": "Persona Studio", "start_url": "/", "display": "browser"}

    return app


def _sweep_uploads(settings: Settings) -> None:
    """Forget old uploads as long as the pages are open, whoever comes back to theirs."""
    while True:
        with suppress(StudioError):  # a store that cannot be reached now can be in an hour
            forget_old_uploads(settings, time.time())
        time.sleep(_SWEEP_S)


def _pages(ui: Ui) -> gr.Blocks:
    title = "Persona Studio"
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(3600, 86400)) as blocks:
        gr.HTML(f'<meta http-equiv="refresh" content="0;url={ui.url("design")}">', js_on_load=None)
    for page in PAGES:
        with blocks.route(ui.t(f"{page}.title"), f"/{page}", show_in_navbar=False):
            _BUILD[page](ui)
    keep_events(blocks)
    return blocks


def _language(request: Request) -> Language:
    chosen = request.cookies.get(_LANGUAGE, "")
    known: Language | None = next((language for language in LANGUAGES if language == chosen), None)
    return known or choose_language(request.headers.get("accept-language", ""))


def _add_files(app: FastAPI, studio: Studio) -> None:
    def check(key: str, request: Request) -> str:
        """The key, if it is one and the asker's own; the same answer for another's and for none."""
        if not _KEY.fullmatch(key) or studio.records.get(FileRecord, key, asker(request)) is None:
            raise HTTPException(404)
        return key

    @app.get("/files/{key}")
    def file(request: Request, key: str, name: Annotated[str, Query(max_length=300)] = "") -> FileResponse:
        headers = _CACHED | {"X-Content-Type-Options": "nosniff"}
        if not studio.store.has(check(key, request)):
            raise HTTPException(404)
        path = studio.store.open_local(key)
        with path.open("rb") as stream:
            kind = "image/png" if stream.read(4) == b"\x89PNG" else "application/octet-stream"
        if name:
            headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(file_name(name), safe='')}"
        return FileResponse(path, media_type=kind, headers=headers)

    @app.get("/thumbs/{key}")
    def thumb(request: Request, key: str, width: Annotated[int, Query(ge=32, le=640)] = 320) -> Response:
        width = next(one for one in _THUMB_WIDTHS if one >= width)  # few of one picture, whatever is asked for
        path = studio.settings.data / "thumbs" / f"{check(key, request)}-{width}.webp"
        if not path.exists():
            try:
                image = Image.fromarray(studio.store.get_picture(key))
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
                raise HTTPException(415) from error
            image.thumbnail((width, 4 * width))
            out = io.BytesIO()
            image.save(out, "WEBP", quality=82)
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}.{id(out)}")
            part.write_bytes(out.getvalue())
            part.replace(path)
        return FileResponse(path, media_type="image/webp", headers=_CACHED)

    @app.get("/donors/{donor}")
    def donor_picture(donor: str) -> FileResponse:
        known = donors.get(donor)
        if known is None or not known.is_file():
            known = donors[donor] = _thumbnail_of(studio, donor)
        return FileResponse(known, headers={"Cache-Control": "private, max-age=3600"})

    @app.get("/places/{place}")
    def place_picture(place: str) -> FileResponse:
        if place not in bundled_scenes():
            raise HTTPException(404)
        return FileResponse(ASSETS / "scenes" / f"{place}.png", headers={"Cache-Control": "max-age=3600"})

    @app.post("/uploads")
    async def upload(request: Request, name: Annotated[str, Query(max_length=1000)] = "file") -> JSONResponse:
        said = request.headers.get("content-length", "0")
        announced = int(said) if said.isdecimal() else 0
        return JSONResponse({
            "upload": await keep_upload(studio.settings, asker(request), name, request.stream(), announced)
        })  # fmt: skip

    donors: dict[str, Path] = {}


def _thumbnail_of(studio: Studio, donor: str) -> Path:
    for find in (lambda: load_donors(studio.settings.bundled_donors), studio.donors):  # the second may ask a bucket
        for known in find():
            if known.id == donor and known.thumbnail_path.is_file():
                return known.thumbnail_path
    raise HTTPException(404)
