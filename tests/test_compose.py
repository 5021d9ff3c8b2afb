"""The files for containers, as far as they can be read without any: what they name is there."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from studio.cli import app
from studio.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
SERVICE = {
    "build", "command", "depends_on", "entrypoint", "environment", "healthcheck", "image", "ports", "restart",
    "volumes",
}  # fmt: skip
INSTRUCTIONS = {"FROM", "RUN", "WORKDIR", "COPY", "USER", "ENV", "EXPOSE", "CMD"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8")))


def instructions() -> list[tuple[str, str]]:
    """Return the (instruction, rest) pairs of the Dockerfile; lines that end in a backslash go on."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


def test_compose_has_what_the_documentation_says(compose: dict[str, Any]) -> None:
    assert set(compose) == {"x-studio", "services", "volumes"}
    assert set(compose["services"]) == {"database", "store", "pages", "worker"}
    for name, service in compose["services"].items():
        assert set(service) <= SERVICE, name
        assert "image" in service
        assert set(service.get("depends_on", {})) <= set(compose["services"])
        for volume in service.get("volumes", ()):
            assert volume.split(":")[0] in compose["volumes"]
        for key in ("command", "entrypoint"):
            assert isinstance(service.get(key, []), list)  # no shell takes them apart


def test_pages_and_worker_are_one_studio(compose: dict[str, Any]) -> None:
    pages, worker = compose["services"]["pages"], compose["services"]["worker"]
    assert pages["environment"] == worker["environment"]
    told = [name for name in pages["environment"] if name.startswith("PERSONA_STUDIO_")]
    assert {name.removeprefix("PERSONA_STUDIO_").lower() for name in told} <= set(Settings.model_fields)
    settings = Settings(store=pages["environment"]["PERSONA_STUDIO_STORE"])
    assert settings.bucket == "s3://studio/main"
    made = re.search(r"mkdir -p /data/(\S+)", compose["services"]["store"]["entrypoint"][-1])
    assert made is not None
    assert made.group(1) == settings.bucket.split("/")[2]
    assert "volumes" not in worker  # several of them would share one data folder


def test_no_secret_stands_in_it(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|DATABASE$", name):
                assert re.search(r"\$\{\w+_PASSWORD:\?", value), name


def test_commands_are_those_of_the_studio(compose: dict[str, Any]) -> None:
    pages, worker = compose["services"]["pages"]["command"], compose["services"]["worker"]["command"]
    options = set(re.findall(r'"(--[\w-]+)"', (ROOT / "app.py").read_text(encoding="utf-8")))
    assert {word for word in pages if word.startswith("--")} <= options
    assert (ROOT / pages[1]).is_file()
    assert worker[0] == "persona-studio"
    group: Any = get_command(app)
    group.commands[worker[1]].make_context(worker[1], worker[2:])


def test_the_dockerfile_copies_what_is_there_and_what_git_has() -> None:
    found = instructions()
    assert {name for name, _ in found} <= INSTRUCTIONS
    assert found[0][0] == "FROM"
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for name, rest in found:
        for source in shlex.split(rest)[:-1] if name == "COPY" else ():
            assert (ROOT / source).exists(), source
            assert f"!{source}" in ignored, source
    (command,) = (json.loads(rest) for name, rest in found if name == "CMD")
    assert (ROOT / command[1]).is_file()
