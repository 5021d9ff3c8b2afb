"""Where one is logged in: listed on the page and the command line, and ended everywhere else."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

import gradio as gr
import pytest

from studio.application import Studio
from studio.cli import main
from studio.jobs.queue import Queue
from studio.library.records import SessionRecord
from studio.library.users import SESSION_COOKIE, Users
from studio.settings import Settings
from studio.texts.texts import Texts
from studio.ui.context import Ui, session_of
from studio.ui.parts.session_list import _show

SECRET = "correct horse battery"


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path))


def test_when_a_session_was_last_seen_is_kept_once_a_minute_and_nobody_waits_for_it(studio: Studio) -> None:
    now = [1_000_000.0]
    users = Users(studio.records, lambda: now[0])
    users.add("mei", SECRET)
    token = str(users.log_in("mei", SECRET, "10.0.0.7"))

    def seen() -> float:
        (row,) = studio.records.find(SessionRecord, "mei")
        return row.seen

    assert seen() == now[0]
    for later, kept in ((30.0, 30.0), (80.0, 30.0), (95.0, 95.0)):
        now[0] = 1_000_000.0 + later
        assert users.owner_of(token) == "mei"
        assert seen() == 1_000_000.0 + kept
    (said,) = users.sessions("mei", token)
    assert (said.address, said.is_this) == ("10.0.0.7", True)
    now[0] += 300
    with closing(sqlite3.connect(studio.settings.data / "studio.sqlite", timeout=0)) as other:
        other.execute("begin immediate")  # another process writes, and for long
        began = time.monotonic()
        with ThreadPoolExecutor(4) as threads:
            tries = [threads.submit(users.owner_of, token) for _ in range(4)]
            done, _ = wait(tries, 5)
            assert len(done) >= 3  # one tries to write
            assert time.monotonic() - began < 9
            other.rollback()
            assert [one.result() for one in tries] == ["mei"] * 4


def test_the_page_lists_ones_sessions_and_ends_all_others(studio: Studio) -> None:
    users = Users(studio.records)
    users.add("mei", SECRET)
    tokens = [str(users.log_in("mei", SECRET, address)) for address in ("10.0.0.7", "<b>")]

    def asker(token: str) -> gr.Request:
        cookie = f"studio_language=zh; {SESSION_COOKIE}={token}; other=1"
        return gr.Request(username="mei", headers={"cookie": cookie}, query_params={})

    ui = Ui(studio, Queue(studio), Texts("en"))
    html = _show(ui, asker(tokens[0]))
    assert (html.count("This one"), html.count("Another one"), html.count("end-sessions")) == (1, 1, 2)
    assert "10.0.0.7" in html
    assert "<b>" not in html
    assert users.log_out_everywhere("mei", session_of(asker(tokens[0]))) == 1
    assert [users.owner_of(token) for token in tokens] == ["mei", None]
    html = _show(ui, asker(tokens[0]))
    assert (html.count("This one"), "end-sessions" in html) == (1, False)
    assert session_of(gr.Request(username="mei", headers={"cookie": "a=b=;;=\x00"}, query_params={})) == ""


def test_the_command_lists_and_ends_a_users_sessions(
    studio: Studio, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    users = Users(studio.records)
    users.add("mei", SECRET)
    token = str(users.log_in("mei", SECRET, "10.0.0.7"))
    data = ["--data", str(studio.settings.data)]

    def said(*command: str) -> str:
        monkeypatch.setattr(sys, "argv", ["persona-studio", "users", *command, *data])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return out if ended.value.code in (0, None) else err

    assert "from 10.0.0.7" in said("sessions", "MEI")
    assert json.loads(said("sessions", "mei", "--json"))["sessions"][0]["address"] == "10.0.0.7"
    assert "(1)" in said("log-out", "mei")
    assert users.owner_of(token) is None
    assert "nowhere" in said("sessions", "mei")
    assert "nobody" in said("sessions", "nobody")
