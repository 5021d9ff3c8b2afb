"""Commands in the README and in docs/ are commands that there are, with their options; links lead somewhere."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from typer.main import get_command

from studio.cli import app
from studio.jobs.bodies import body_of

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "README.zh-CN.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = [
    (page.name, line.split("persona-studio ", 1)[1])
    for page in PAGES
    for line in page.read_text(encoding="utf-8").splitlines()
    if re.match(r"( {4}|)(\S*/)?persona-studio ", line)
] + [
    (page.name, command)
    for page in PAGES[:2]
    for command in re.findall(r"`(?:\S*/)?persona-studio ([^`]+)`", page.read_text(encoding="utf-8"))
]


def test_they_are_found() -> None:
    assert {page for page, _ in COMMANDS} >= {
        "README.md",
        "README.zh-CN.md",
        "command-line.md",
        "command-line.zh-CN.md",
    }
    assert len(COMMANDS) > 20


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_it_is_understood(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)
    command: Any = get_command(app)
    context = click.Context(command)
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    assert not isinstance(command, click.Group) or command.invoke_without_command or words == [], line
    command.make_context(line, words, parent=context)


@pytest.mark.parametrize(
    "page", [*PAGES, *sorted((ROOT / "docs" / "decisions").glob("*.md"))], ids=lambda page: page.name
)
def test_its_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_the_readmes_name_the_same_commands() -> None:
    english, chinese = (
        re.findall(r"^ {4}(\S.*?)(?:\s+#|$)", (ROOT / name).read_text(encoding="utf-8"), re.M)
        for name in ("README.md", "README.zh-CN.md")
    )
    assert english
    assert english == chinese


def test_requests_in_the_docs_are_requests() -> None:
    text = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    vary, posts = re.findall(r"```json\n(.*?)```", text, re.S)
    assert body_of("vary").model_validate_json(json.dumps(json.loads(vary) | {"kind": "vary"}))
    assert body_of("posts").model_validate_json(json.dumps(json.loads(posts) | {"kind": "posts"}))
