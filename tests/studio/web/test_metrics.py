"""/metrics: true of all workers, read by whoever may, and the same names every time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select

from pipelines.errors import BadInput
from studio.application import Studio
from studio.domain.choice import BackboneChoice
from studio.domain.times import JobSize
from studio.jobs.metrics import note_drawn, note_failure
from studio.library.database import seconds_now
from studio.library.records import JobRecord, WorkerRecord
from studio.library.users import SESSION_COOKIE, Users
from studio.settings import Settings, read_settings
from studio.web.app import make_site
from tests.site import TestClient

TOKEN = "a token of more than sixteen"


def read(studio: Studio, **headers: str) -> dict[tuple[str, str], float]:
    """Return the samples by name and labels."""
    answer = TestClient(make_site(studio)).get("/metrics", headers=headers)
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/plain")
    return {
        (
            sample.name.removeprefix("persona_studio_"),
            " ".join(sample.labels[name] for name in sorted(sample.labels)),
        ): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_figures_are_of_all_workers_together(tmp_path: Path) -> None:
    pages, first, second = (Studio(Settings(data=tmp_path)) for _ in range(3))
    choice = BackboneChoice(backbone="miniature", base=None, precision="auto")
    note_drawn(first.records, "posts-a", "posts", choice, JobSize(units=4), 6.0, is_whole=True)
    note_drawn(second.records, "posts-b", "posts", choice, JobSize(units=2), 50.0, is_whole=True)
    note_drawn(second.records, "posts-c", "posts", choice, JobSize(units=9), 1.0, is_whole=False)
    note_drawn(second.records, "export-a", "export", choice, JobSize(), 1.0, is_whole=True)
    note_failure(first.records, "posts", "no_face")
    note_failure(second.records, "posts", "no_face")
    now = second.records.engine
    with second.records.transaction() as session:
        moment = session.scalar(select(seconds_now(now)))
    facts = {"host": "gpu1", "job": "posts-d", "memory": 3e9, "disk_free": 7e9}
    second.records.keep(
        WorkerRecord(id="w1", owner="", beat=moment, facts=facts),
        WorkerRecord(id="w2", owner="", beat=time.time() - 3600, facts={"host": "gone", "memory": 1}),
        JobRecord(id="posts-d", owner="mei", kind="posts", state="running", error=None, facts={}),
        JobRecord(id="posts-e", owner="wang", kind="posts", state="queued", error=None, facts={}),
        JobRecord(id="posts-f", owner="wang", kind="posts", state="queued", error=None, facts={}),
    )
    found = read(pages)
    assert found["pictures_total", "posts"] == 15
    assert ("pictures_total", "export") not in found
    assert found["failures_total", "no_face posts"] == 2
    assert [found["jobs", state] for state in ("queued", "running", "done")] == [2, 1, 0]
    assert found["picture_seconds_count", "posts"] == 6  # of the interrupted one nobody knows
    assert found["picture_seconds_sum", "posts"] == 56
    buckets = [found["picture_seconds_bucket", f"posts {most}"] for most in ("1", "2", "20", "30", "+Inf")]
    assert buckets == [0, 4, 4, 6, 6]
    assert (found["workers", ""], found["workers_busy", ""]) == (1, 1)
    assert found["worker_memory_bytes", "gpu1 w1"] == 3e9
    assert found["worker_disk_free_bytes", "gpu1 w1"] == 7e9
    assert not any("gone" in labels for _, labels in found)
    assert found["disk_free_bytes", ""] > 0
    assert found["pages_memory_bytes", ""] > 1e7
    text = TestClient(make_site(pages)).get("/metrics").text
    assert not any(word in text for word in ("mei", "wang", "posts-d"))


def test_only_the_administrator_and_the_token_read_them(tmp_path: Path) -> None:
    studio = Studio(Settings(data=tmp_path, metrics_token=TOKEN))  # type: ignore[arg-type]
    assert read(studio)  # nobody has to log in, and only this machine asks
    users = Users(studio.records)
    site = make_site(studio, local=True)
    for name in ("mei", "wang"):
        users.add(name, "a long password of hers")

    def ask(cookie: str = "", **headers: str) -> int:
        browser = TestClient(site, cookies={SESSION_COOKIE: cookie} if cookie else {})
        return browser.get("/metrics", headers=headers).status_code

    sessions = {name: str(users.log_in(name, "a long password of hers", "here")) for name in ("mei", "wang")}
    assert ask() == 401
    assert ask(sessions["mei"]) == 200  # added first
    assert ask(sessions["wang"]) == 403
    assert ask(authorization=f"Bearer {TOKEN}") == 200
    for wrong in (f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", "Bearer ", TOKEN):
        assert ask(authorization=wrong) == 401, wrong
    unset = make_site(Studio(Settings(data=tmp_path)))
    assert TestClient(unset).get("/metrics", headers={"authorization": "Bearer "}).status_code == 401


def test_a_short_token_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONA_STUDIO_METRICS_TOKEN", "short")
    with pytest.raises(BadInput) as refused:
        read_settings()
    assert refused.value.code == "setting_invalid"
    assert "short" not in str(refused.value.fields["value"])
