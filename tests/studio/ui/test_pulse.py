"""One clock a page, which asks little: nothing is made anew where nothing has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from gradio.state_holder import SessionState
from sqlalchemy import event

from studio.application import Studio
from studio.jobs.queue import Queue
from studio.library.records import JobRecord, MarkRecord
from studio.settings import Settings
from studio.texts.texts import Texts
from studio.ui.context import Said, Ui
from studio.ui.parts.html import PAGES
from studio.ui.parts.pulse import IDLE_S, MOVING_S, Pulse
from studio.web.app import _pages

Tick = Callable[[], Awaitable[list[Any]]]


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path))


def ticks_of(blocks: gr.Blocks) -> list[int]:
    return [number for number, one in blocks.fns.items() if any(event == "tick" for _, event in one.targets)]


def opened(blocks: gr.Blocks, number: int) -> Tick:
    """An open page's clock: what is told at each tick, None for what stays as it is."""
    state, asker = SessionState(blocks), gr.Request(username="mei", headers={}, query_params={})

    async def tick() -> list[Any]:
        sent = [getattr(part, "value", None) for part in blocks.fns[number].inputs]
        done = await blocks.process_api(number, sent, state, asker)
        return [None if isinstance(one, dict) and "value" not in one else one for one in done["data"]]

    return tick


def test_every_page_has_one_clock_and_no_timer(studio: Studio) -> None:
    async def look() -> None:
        blocks = _pages(Ui(studio, Queue(studio), Texts("zh")))
        assert not [part for part in blocks.blocks.values() if isinstance(part, gr.Timer)]
        assert len(ticks_of(blocks)) == len(PAGES)

    asyncio.run(look())


def test_an_idle_page_asks_one_question_and_is_told_nothing(studio: Studio) -> None:
    async def look() -> None:
        blocks = _pages(Ui(studio, Queue(studio), Texts("en")))
        for number in ticks_of(blocks):
            tick = opened(blocks, number)
            await tick()
            said: list[str] = []
            hear = lambda *given: said.append(given[2])  # noqa: B023, E731
            event.listen(studio.records.engine, "before_cursor_execute", hear)
            told = await tick()
            event.remove(studio.records.engine, "before_cursor_execute", hear)
            assert len(said) == 1, said
            assert set(map(str, told)) <= {"None", ""}, told  # a state is told as nothing

    asyncio.run(look())


def test_a_change_is_told_once_and_a_job_that_runs_is_asked_for_each_second(studio: Studio) -> None:
    asked, arrived = list[str](), dict[Any, str]()

    async def look() -> None:
        ui = Ui(studio, Queue(studio), Texts("en"))
        with gr.Blocks() as blocks:
            pulse, part, box = Pulse(ui), gr.HTML(""), gr.Textbox("")

            def show(said: Said, request: gr.Request) -> Said:
                asked.append("show")
                return {part: f"{len(studio.records.find(MarkRecord, 'mei'))} marks"}

            pulse.shows(show, [part])
            pulse.hears(lambda said, request: dict(arrived), [], [box])
            pulse.connect()
        (number,) = ticks_of(blocks)
        clock, html, text = ([part._id for part in blocks.fns[number].outputs].index(p._id) for p in (
            pulse._clock, part, box))  # fmt: skip
        tick = opened(blocks, number)
        first = await tick()
        assert (first[html], str(IDLE_S)[0] in str(first[clock]), first[text]) == ("0 marks", True, None)
        await tick()
        assert asked == ["show"]
        studio.records.keep(MarkRecord(id="scene:a", owner="wang", facts={}))
        await tick()
        assert asked == ["show"]
        studio.records.keep(MarkRecord(id="scene:a", owner="mei", facts={}))
        told = await tick()
        assert (told[html], told[clock]) == ("1 marks", None)
        job = JobRecord(id="design-a", owner="mei", kind="design", state="running", error=None, facts={})
        studio.records.keep(job)
        arrived[box] = "again"
        told = await tick()
        assert (told[html], told[text]) == (None, "again")
        assert f'data-every="{MOVING_S:g}"' in str(told[clock])
        told = await tick()  # time moves, too: it is asked for again, and told where it is other
        assert (told[html], told[text], told[clock]) == (None, "again", None)
        job.state = "done"
        studio.records.keep(job)
        assert f'data-every="{IDLE_S:g}"' in str((await tick())[clock])

    asyncio.run(look())
    assert asked == ["show"] * 5


def test_a_page_that_is_opened_shows_what_its_head_says(studio: Studio) -> None:
    async def look() -> None:
        ui = Ui(studio, Queue(studio), Texts("en"))
        with gr.Blocks() as blocks:
            pulse, part, later = Pulse(ui), gr.HTML(""), gr.HTML("")
            pulse.shows(lambda said, request: {part: "at once"}, [part], at_load=True)
            pulse.shows(lambda said, request: {later: "later"}, [later])
            pulse.connect()
        (opening,) = (n for n, one in blocks.fns.items() if any(event == "load" for _, event in one.targets))
        told = await opened(blocks, opening)()
        assert "at once" in told
        assert "later" not in told
        told = await opened(blocks, ticks_of(blocks)[0])()
        assert "later" in told

    asyncio.run(look())
