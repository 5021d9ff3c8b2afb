"""A person at the pages, as the server sees one: what a browser asks when pages are opened, looked at and clicked."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

__all__ = ["Measured", "Person"]

_CONFIG = re.compile(r"window\.gradio_config = (\{.*?\});</script>", re.DOTALL)
_THUMB = re.compile(r"/thumbs/[0-9a-f]{64}\?width=\d+")
_PAGES = ("design", "select", "consolidate", "scenes", "posts", "library", "taste", "lab")
_PATIENCE_S = 60.0
_MOST_THUMBS = 24  # that a screen shows at once


@dataclass
class Measured:
    """Seconds of each answer by what was asked for, and what went wrong."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: list[str] = field(default_factory=list)
    asked: int = 0

    def note(self, what: str, began: float) -> None:
        self.seconds[what].append(time.perf_counter() - began)


class _Page:
    """An open page of Gradio's: its events, and what its components hold."""

    def __init__(self, language: str, config: dict[str, Any]) -> None:
        self.url = f"/{language}/gradio_api/queue"
        self.session = uuid.uuid4().hex[:11]
        self.values = {one["id"]: one["props"].get("value") for one in config["components"]}
        self.names = {one["props"].get("elem_id"): one["id"] for one in config["components"]}
        self.events = config["dependencies"]

    def find(self, event: str, name: str | None = None) -> list[dict[str, Any]]:
        """Return what happens at an event: of a component by its name, or of the page."""
        wanted = None if name is None else self.names.get(name)
        return [
            one for one in self.events
            if one["backend_fn"] and any(then == event and wanted in (None, part) for part, then in one["targets"])
        ]  # fmt: skip

    def take(self, event: dict[str, Any], data: list[Any]) -> str:
        """Show what an event answered; return all of its HTML."""
        html = []
        for part, told in zip(event["outputs"], data, strict=False):
            if isinstance(told, dict) and told.get("__type__") == "update":
                if "value" not in told:
                    continue
                told = told["value"]
            self.values[part] = told
            html.append(told if isinstance(told, str) else "")
        return "".join(html)

    @property
    def every_s(self) -> float:
        found = re.search(r'data-every="([\d.]+)"', str(self.values.get(self.names.get("clock"), "")))
        return float(found[1]) if found else 3.0


class Person:
    """One user with a browser. Everything that they do is random, by `dice`."""

    def __init__(self, name: str, password: str, url: str, measured: Measured, dice: random.Random) -> None:
        self.name, self._password, self._measured, self._dice = name, password, measured, dice
        self._client = httpx.AsyncClient(
            base_url=url, timeout=_PATIENCE_S, headers={"Origin": url, "Accept-Language": dice.choice(["en", "zh"])}
        )
        self._language = dice.choice(["en", "zh"])
        self._had: set[str] = set()  # what the browser has already

    async def log_in(self) -> None:
        fields = {"name": self.name, "password": self._password}
        await self._ask("login", "POST", "/login", data=fields, right=303)

    async def wish(self, body: dict[str, Any]) -> None:
        """Ask for a job."""
        await self._ask("POST /api/jobs", "POST", "/api/jobs", json=body, right=202)

    async def click_about(self, until: float) -> None:
        """Go from page to page until then (time.monotonic)."""
        while time.monotonic() < until:
            await self._visit(self._dice.choice(_PAGES), until)
        await self._client.aclose()

    async def _visit(self, name: str, until: float) -> None:
        answer = await self._ask(f"page {name}", "GET", f"/{self._language}/{name}", headers={"Accept": "text/html"})
        found = _CONFIG.search(answer.text) if answer is not None else None
        if found is None:
            self._measured.errors.append(f"page {name}: no page")
            await asyncio.sleep(1)
            return
        page = _Page(self._language, json.loads(found[1]))
        await self._look(page, await self._press(page, f"open {name}", page.find("load")))
        leaves = time.monotonic() + self._dice.uniform(4, 20)
        while time.monotonic() < min(leaves, until):
            await asyncio.sleep(page.every_s * self._dice.uniform(0.9, 1.1))
            await self._look(page, await self._press(page, f"tick {name}", page.find("tick")))
            if self._dice.random() < 0.4:
                await self._click(page, name)

    async def _click(self, page: _Page, name: str) -> None:
        if name == "library":
            page.values[page.names["kind"]] = self._dice.choice(["consolidate", "scene", "post", "posts", "jobs"])
            html = await self._press(page, "library kind", page.find("input", "kind"))
            await self._look(page, html)
            page.values[page.names["search"]] = self._dice.choice(["", "cafe", "lin", "咖啡", "zzz"])
            await self._look(page, await self._press(page, "library search", page.find("change", "search")))
        elif name == "design":
            await self._press(page, "roll dice", page.find("click", "bar"), {"do": "dice"})
        elif name == "posts":
            await self._ask("GET /api/queue", "GET", "/api/queue")
        else:
            await self._ask("GET /api/library", "GET", "/api/library?kind=scene&limit=20")

    async def _press(self, page: _Page, what: str, events: Iterable[dict[str, Any]], data: Any = None) -> str:
        """Send events and hear their answers, as the browser does; return all HTML that they show."""
        waiting: dict[str, dict[str, Any]] = {}
        began, html = time.perf_counter(), ""
        for event in events:
            body = {
                "data": [page.values.get(part) for part in event["inputs"]], "fn_index": event["id"],
                "event_data": data, "trigger_id": event["targets"][0][0], "session_hash": page.session,
            }  # fmt: skip
            answer = await self._ask("queue/join", "POST", f"{page.url}/join", json=body)
            if answer is not None:
                waiting[answer.json()["event_id"]] = event
        if not waiting:
            return ""
        self._measured.asked += 1
        with suppress(httpx.HTTPError):
            query = {"session_hash": page.session}
            async with self._client.stream("GET", f"{page.url}/data", params=query) as stream:
                async for line in stream.aiter_lines():
                    said = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                    if said.get("msg") == "process_completed" and said["event_id"] in waiting:
                        event = waiting.pop(said["event_id"])
                        if not said["success"]:
                            self._measured.errors.append(f"{what}: {str(said['output'])[:200]}")
                        else:
                            html += page.take(event, said["output"]["data"])
                    if not waiting:
                        break
        if waiting:
            self._measured.errors.append(f"{what}: not answered")
        self._measured.note(what, began)
        return html

    async def _look(self, page: _Page, html: str) -> None:
        """Fetch the pictures that are shown and that the browser has not got, and sometimes open one."""
        wanted = [url for url in dict.fromkeys(_THUMB.findall(html)) if url not in self._had][:_MOST_THUMBS]
        self._had.update(wanted)
        for start in range(0, len(wanted), 6):  # as many connections as a browser has
            await asyncio.gather(*(self._ask("thumbs", "GET", url) for url in wanted[start : start + 6]))
        if wanted and self._dice.random() < 0.3:
            key = self._dice.choice(wanted)[len("/thumbs/") :][:64]
            await self._ask("files", "GET", f"/files/{key}")

    async def _ask(self, what: str, method: str, url: str, right: int = 200, **given: Any) -> httpx.Response | None:
        """Return the answer; None for one that is wrong, which is noted."""
        began = time.perf_counter()
        self._measured.asked += 1
        try:
            answer = await self._client.request(method, url, **given)
        except httpx.HTTPError as error:
            self._measured.errors.append(f"{what}: {type(error).__name__}")
            return None
        self._measured.note(what, began)
        if answer.status_code != right:
            self._measured.errors.append(f"{what}: {answer.status_code} {answer.text[:200]}")
            return None
        return answer
