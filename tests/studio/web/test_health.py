"""What /health says of the workers, by their heartbeats."""

from __future__ import annotations

import os
import time
from pathlib import Path

from studio.application import Studio
from studio.jobs.engine import Engine
from studio.jobs.workers import ALIVE_S, list_workers
from studio.library.records import WorkerRecord
from studio.settings import Settings
from studio.web.app import make_site
from tests.site import TestClient


def test_health_is_what_heartbeats_say(tmp_path: Path) -> None:
    studio = Studio(Settings(data=tmp_path))
    site = TestClient(make_site(studio))
    assert site.get("/health").json() == {"worker": False, "workers": 0}
    with Engine(studio, None):
        deadline = time.monotonic() + 30
        while not list_workers(studio.records):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert site.get("/health").json() == {"worker": True, "workers": 1}
        (worker,) = list_workers(studio.records)
        assert (worker.facts["pid"], worker.job) == (str(os.getpid()), "")
        assert worker.silent_s < ALIVE_S
    assert site.get("/health").json() == {"worker": False, "workers": 0}  # it ended as it should
    studio.records.keep(WorkerRecord(id="w", owner="", beat=time.time() - ALIVE_S - 5, facts={}))  # it did not
    assert site.get("/health").json() == {"worker": False, "workers": 0}
