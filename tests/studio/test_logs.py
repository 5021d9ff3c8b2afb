"""The log of real processes: lines for people, or an object a line, with the job it is about and no secrets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "t0ken-of-the-metrics"

_PROGRAM = f"""
import logging, sys, warnings
from threading import Thread
from studio.logs import about_job, set_up_logs
from studio.settings import read_settings
import dbos

settings = read_settings()
set_up_logs(settings, "worker")
set_up_logs(settings, "worker")
log = logging.getLogger("studio.jobs.engine")
log.info("before any job")
with about_job("posts-1"):
    log.warning("postgresql://me:pa55word@server/studio refuses %s\\nand more", "{TOKEN}")
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("it failed with {TOKEN}")
    logging.getLogger("dbos").error("the engine's own")
    thread = Thread(target=lambda: log.info("elsewhere")); thread.start(); thread.join()
log.info("after 工作")
logging.getLogger("uvicorn.error").error("of the server")
raise RuntimeError("the end")
"""


def run(how: str) -> str:
    environment = os.environ | {
        "PERSONA_STUDIO_LOG": how,
        "PERSONA_STUDIO_METRICS_TOKEN": TOKEN,
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    return done.stderr


def test_json_is_an_object_a_line() -> None:
    told = run("json")
    lines: list[dict[str, Any]] = [json.loads(line) for line in told.splitlines()]
    said = {str(line["message"]).split("\n")[0]: line for line in lines}
    assert len(said) == len(lines) == 8
    assert all({"time", "level", "logger", "process", "pid", "host"} <= line.keys() for line in lines)
    jobs = {message: line.get("job") for message, line in said.items()}
    assert jobs == {
        "before any job": None, "postgresql://…@server/studio refuses …": "posts-1", "it failed with …": "posts-1",
        "the engine's own": "posts-1", "elsewhere": None, "after 工作": None, "of the server": None,
        "The process ends.": None,
    }  # fmt: skip
    assert "ZeroDivisionError" in str(said["it failed with …"]["error"])
    assert "RuntimeError: the end" in str(said["The process ends."]["error"])
    assert (said["after 工作"]["level"], said["after 工作"]["process"]) == ("INFO", "worker")
    assert "pa55word" not in told
    assert TOKEN not in told


def test_text_is_for_people_and_has_no_secrets_either() -> None:
    told = run("text")
    assert told.count("INFO studio.jobs.engine: before any job") == 1
    assert "ZeroDivisionError" in told
    assert "pa55word" not in told
    assert TOKEN not in told


@pytest.mark.parametrize("how", ["json"])
def test_the_studio_itself_logs_so(how: str, tmp_path: Path) -> None:
    """From its first line to its last: a worker that finds another one's place taken."""
    (tmp_path / "data").mkdir()
    program = (
        "import fcntl, runpy; lock = open('data/worker.lock', 'a'); fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB);"
        "runpy.run_module('studio.jobs.worker', run_name='__main__')"
    )
    environment = os.environ | {"PERSONA_STUDIO_LOG": how, "PERSONA_STUDIO_DATA": "data", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120,
        check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert lines, done
    assert "Another studio is working in" in lines[-1]["message"]
