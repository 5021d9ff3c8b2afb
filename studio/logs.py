"""The log on standard error: lines for people, or with PERSONA_STUDIO_LOG=json an object a line for programs.

An object has time (UTC), level, logger, message, process (pages, worker, keeper), pid and host; job, where a job was at
it; error, the traceback, where there is one. Secrets of the settings and of addresses are left out of either.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType

from pydantic import SecretStr

from studio.settings import Settings

__all__ = ["about_job", "set_up_logs"]

_JOB: ContextVar[str] = ContextVar("studio_job", default="")
_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_IN_ADDRESS = re.compile(r"://[^/\s@]*@")
_LEAST_SECRET = 6  # characters: a shorter one is a word of any sentence
_OTHERS = ("dbos",)  # whose loggers have handlers of their own
_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


@contextmanager
def about_job(job: str) -> Iterator[None]:
    """Say of all that is logged inside of the block, in this context, that it is about this job."""
    token = _JOB.set(job)
    try:
        yield
    finally:
        _JOB.reset(token)


def set_up_logs(settings: Settings, process: str) -> None:
    """Let this process log as the settings say; `process` is what it is called. Twice is as once."""
    given = [getattr(settings, name) for name in type(settings).model_fields]
    secrets = [one.get_secret_value() for one in given if isinstance(one, SecretStr)]
    secrets += [os.environ.get(name, "") for name in _VARIABLES]
    handler = logging.StreamHandler()
    handler.name = "studio"
    if settings.log == "text":
        handler.setFormatter(_Plain(secrets))
        _replace(logging.getLogger("studio"), handler)
    else:
        handler.setFormatter(_Objects(secrets, process))
        _replace(logging.getLogger(), handler)
        for name in _OTHERS:
            log = logging.getLogger(name)
            for one in log.handlers or [logging.StreamHandler()]:
                one.setFormatter(handler.formatter)
                log.addHandler(one)
            log.propagate = False
        logging.captureWarnings(True)
        sys.excepthook = _log_end
    logging.getLogger("studio").setLevel(logging.INFO)


def _replace(log: logging.Logger, handler: logging.Handler) -> None:
    for one in [one for one in log.handlers if one.name == handler.name]:
        log.removeHandler(one)
    log.addHandler(handler)


def _log_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What ends the process is an object, too; Ctrl-C is no error."""
    if not issubclass(kind, KeyboardInterrupt):
        logging.getLogger("studio").critical("The process ends.", exc_info=(kind, error, trace))


class _Plain(logging.Formatter):
    """A line, without secrets."""

    def __init__(self, secrets: list[str]) -> None:
        super().__init__(_TEXT)
        self._secrets = sorted((one for one in secrets if len(one) >= _LEAST_SECRET), key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        return self._leave_out(super().format(record))

    def _leave_out(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return _IN_ADDRESS.sub("://…@", text)


class _Objects(_Plain):
    """A JSON object, in one line whatever is in it."""

    def __init__(self, secrets: list[str], process: str) -> None:
        super().__init__(secrets)
        self._facts = {"process": process, "pid": os.getpid(), "host": socket.gethostname()}

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": self._leave_out(record.getMessage()),
            **self._facts,
        }
        if job := _JOB.get() or getattr(record, "operationUUID", ""):  # the engine's own lines have it so
            told["job"] = str(job)
        if record.exc_info:
            told["error"] = self._leave_out(self.formatException(record.exc_info))
        return json.dumps(told, ensure_ascii=False)
