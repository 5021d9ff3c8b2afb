"""A kind of job whose workflow is a function of a test: one row more in the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import pytest

from studio.domain.job_title import JobTitle
from studio.domain.values import FileKey, Request, Result
from studio.jobs.kinds import KINDS, Kind

__all__ = ["Work", "WorkRequest", "add_kind", "work_kind"]

Function = Callable[..., Result]


class WorkRequest(Request):
    """Anything that a test wants done."""

    seed: int = 1
    word: str = ""
    files: tuple[FileKey, ...] = ()


class Work(Result):
    """What was stored."""

    kind: ClassVar[str] = "work"

    keys: tuple[FileKey, ...] = ()
    word: str = ""


@dataclass(frozen=True)
class _LocalKind(Kind):
    function: Function | None = None
    on_load: Callable[[], None] = lambda: None

    def load(self) -> Any:
        self.on_load()
        return self.function


def title_work(request: WorkRequest) -> JobTitle:
    return JobTitle(who=request.word)


def work_kind(function: Function, on_load: Callable[[], None] = lambda: None) -> Kind:
    words = {"en": "Work", "zh": "工作"}
    return _LocalKind(
        "work", WorkRequest, Work, "", "", words, title_work, function=function, on_load=on_load, draws=False
    )


def add_kind(monkeypatch: pytest.MonkeyPatch, function: Function, name: str = "work") -> None:
    """Add the kind "work", or let the function do another kind's jobs."""
    row = work_kind(function)
    if name != "work":
        known = KINDS[name]
        row = _LocalKind(**{f.name: getattr(known, f.name) for f in fields(Kind)}, function=function)
    monkeypatch.setitem(KINDS, name, row)
