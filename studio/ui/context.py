"""Context of every page: the studio, the queue, the words, and whose page it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, wraps
from html import escape
from http.cookies import CookieError, SimpleCookie
from threading import Lock
from typing import Any, TypeVar

import gradio as gr

from personas.donors import Donor
from personas.novelty import early_ceiling
from pipelines.errors import StudioError
from studio.application import Studio
from studio.domain.persona import Persona
from studio.domain.report import say_stage
from studio.domain.scene import Scene
from studio.domain.values import Result
from studio.jobs.line import say_job
from studio.jobs.queue import MOST_RESULTS, Queue
from studio.library.drawn_as import as_chosen
from studio.library.marks import mark_thing, marks_of
from studio.library.records import JobRecord, MarkRecord
from studio.library.results import job_of
from studio.library.scenes import scenes_of
from studio.library.users import SESSION_COOKIE, Users
from studio.texts.errors import say_failure
from studio.texts.texts import Texts
from studio.ui.parts.estimates import say_left
from studio.ui.parts.html import ACTIONS, button, curve, panel, picture, samples

__all__ = [
    "EACH", "HIDDEN", "LATEST", "Facts", "Pressed", "Said", "Ui", "actions", "guarded", "in_turn", "owner_of",
    "pressed", "session_of", "toast",
]  # fmt: skip

R = TypeVar("R", bound=Result)
Options = dict[str, Any]
Facts = Mapping[str, Any]
"""A mark, as JSON: favourite, tags and the like that a person gave a thing."""
Pressed = Mapping[str, str]
"""The data-* of the button that was pressed."""
Said = dict[Any, Any]
"""The values of components, by component."""
HIDDEN: Options = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
# Gradio drops what is typed while an earlier answer is on its way, unless told to ask once more for the last of it.
LATEST: Options = HIDDEN | {"trigger_mode": "always_last"}
# Buttons that are pressed faster than they are answered: each press counts.
EACH: Options = HIDDEN | {"trigger_mode": "multiple"}
_TURN = Lock()  # who reads marks and writes them back takes it, in either language: clicks overlap


@dataclass
class Ui:
    """Made once per language. Nothing of a person's session is kept in it."""

    studio: Studio
    queue: Queue
    t: Texts
    turn: Lock = _TURN

    def donors(self, category: str = "") -> tuple[Donor, ...]:
        """Return the donors that can be mixed for this backbone."""
        return self.studio.fitting_donors(category or None)

    @cached_property
    def users(self) -> Users:
        return Users(self.studio.records)

    @property
    def ceiling(self) -> float:
        return self.studio.calibration.novelty_ceiling

    @property
    def early_ceiling(self) -> float:
        """Return what a mix's face must stay under on eight pictures: the line of every gauge."""
        return early_ceiling(self.studio.calibration)

    @property
    def least_identity(self) -> float:
        return self.studio.least_identity

    def url(self, page: str) -> str:
        return f"/{self.t.language}/{page}"

    def marks(self, owner: str) -> Mapping[str, Facts]:
        """Return what a person said of things, by "kind:id"."""
        return {row.id: dict(row.facts) for row in self.studio.records.find(MarkRecord, owner)}

    def said(self, owner: str, thing: str) -> Facts:
        """Return what a person said of one thing."""
        return marks_of(self.studio.records, owner, thing)

    def mark(self, owner: str, thing: str, **facts: Any) -> None:
        mark_thing(self.studio.records, owner, thing, **facts)

    def results(self, owner: str, kind: type[R], limit: int | None = MOST_RESULTS) -> list[R]:
        """Finished and not in the trash, newest first; None is all of them."""
        marks = self.marks(owner)
        return [
            r for r in self.queue.results(kind, owner, limit) if not marks.get(f"{kind.kind}:{r.id}", {}).get("trashed")
        ]

    def find(self, owner: str, kind: type[R], key: str | None) -> R | None:
        """Return the owner's result of this id, however old; None where there is none, or it is in the trash."""
        if not key or self.said(owner, f"{kind.kind}:{key}").get("trashed"):
            return None
        row = job_of(self.studio.records, owner, kind, key)
        return None if row is None else self.queue.result(row, kind)

    def people(self, owner: str) -> list[Persona]:
        """Return the last personas as their owner chose to draw them, newest first."""
        return [as_chosen(self.studio.records, owner, persona) for persona in self.results(owner, Persona)]

    def person(self, owner: str, key: str | None) -> Persona | None:
        """Return the persona of this id as its owner chose to draw it; None as `find`."""
        found = self.find(owner, Persona, key)
        return None if found is None else as_chosen(self.studio.records, owner, found)

    def scenes(self, owner: str) -> list[Scene]:
        """Not in the trash, newest first."""
        marks = self.marks(owner)
        return [s for s in scenes_of(self.studio.library, owner) if not marks.get(f"scene:{s.id}", {}).get("trashed")]

    def newest(self, owner: str, kind: str) -> JobRecord | None:
        return next(iter(self.queue.jobs(owner, 1, kind=kind)), None)

    def job_panel(self, owner: str, job: JobRecord | None, then: str = "", *, strip: bool = True) -> str:
        """How far a job is, with its buttons; `then` is HTML that a finished one shows, `strip` its latest pictures."""
        if job is None:
            return ""
        t, name = self.t, escape(say_job(self.t, job))
        if job.state == "done":
            return panel(f"<strong>✓ {name}</strong> {then}", "done")
        if job.state in ("failed", "cancelled"):
            why = escape(self.why(job))
            again = button(t("job.resume" if job.state == "cancelled" else "job.retry"), "retry", job=job.id)
            state = escape(t(f"job.{job.state}"))
            return panel(f"<strong>{name}: {state}</strong> <p>{why}</p>{again}", job.state)
        return panel(self._running(owner, job, name, strip))

    def why(self, job: JobRecord) -> str:
        """Return why a job failed and what to do, "" for one that did not."""
        return say_failure(self.t, job.error or "", job.facts) if job.state == "failed" else ""

    def _running(self, owner: str, job: JobRecord, name: str, with_strip: bool) -> str:
        t, report = self.t, self.queue.report(job.id, owner)
        stop = button(t("job.stop"), "stop", job=job.id)
        now = report.current
        if job.state == "queued" or now is None:
            words = t("job.queued" if job.state == "queued" else "job.starting")
            return f'<strong>{name}</strong> — {escape(words)}<div class="st-bar"><i style="width:3%"></i></div>{stop}'
        eta = say_left(self, job, now.seconds_left)
        strip = "".join(picture(key, t("picture"), 160) for key in report.pictures[-12:]) if with_strip else ""
        return (
            f"<strong>{name}</strong> — {escape(say_stage(t, now))} {escape(eta)}"
            f'<div class="st-bar"><i style="width:{100 * now.share:.0f}%"></i></div>'
            f"{curve(report.losses, t('loss'), t('step'), t('loss'))}"
            f"{samples(t, report.samples)}"
            + (f'<div class="st-strip" tabindex="0">{strip}</div>' if strip else "")
            + stop
        )

    def act(self, owner: str, data: Pressed) -> bool:
        """A job's own buttons; whether it was one."""
        if data.get("do") == "stop":
            self.queue.stop(data["job"], owner)
        elif data.get("do") == "retry":
            self.queue.retry(data["job"], owner)
        else:
            return False
        return True


def owner_of(request: gr.Request) -> str:
    """Return the owner of this session: what the server's own check found, never anything a page sent."""
    return str(request.username)


def session_of(request: gr.Request) -> str:
    """Return the token of this browser's login, "" for none."""
    cookies = SimpleCookie()
    with suppress(CookieError):
        cookies.load(str(dict(request.headers).get("cookie", "")))
    return cookies[SESSION_COOKIE].value if SESSION_COOKIE in cookies else ""


def pressed(event: gr.EventData) -> Pressed:
    """Return what the button that was pressed says."""
    return {str(name): str(value) for name, value in (event._data or {}).items()}


def in_turn(state: str) -> Options:
    """For all events that read or write one gr.State: one after the other, in their order, or presses would be lost.

    Everybody's wait in one line, so their handlers must be quick.
    """
    return {"concurrency_id": state, "concurrency_limit": 1}


def guarded(ui: Ui, handler: Callable[..., Any]) -> Callable[..., Any]:
    """Return the handler with errors said in the page's language; the page stays as it was.

    A toast shows its message as HTML, and a message may quote a file's or a person's name: it is escaped here, where it
    becomes one, and nowhere before (`toast` does the same for what is no error).
    """

    @wraps(handler)
    def wrapper(*args: Any, **named: Any) -> Any:
        try:
            return handler(*args, **named)
        except StudioError as error:
            said = escape(ui.t.error(error))
            raise gr.Error(said, duration=12, print_exception=False) from None
        except gr.Error:
            raise
        except Exception as error:  # ours to mend: the log gets all of it, the page a sentence
            raise gr.Error(escape(ui.t("error.unexpected")), duration=12) from error

    return wrapper


def toast(text: str) -> None:
    """Say something in the page's corner."""
    gr.Info(escape(text))


def actions(value: str = "", name: str = "") -> gr.HTML:
    """HTML whose data-do parts tell its click handler what was pressed."""
    return gr.HTML(value, js_on_load=ACTIONS, elem_id=name or None, padding=False, apply_default_css=False)
