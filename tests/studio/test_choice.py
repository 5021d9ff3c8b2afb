"""The chosen backbone: saved in the data folder, seen by every process at once, taken by the next job and no other."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import BadInput, ModelMissing, NotEnoughMemory, StudioError
from pipelines.models.hardware import Hardware
from studio.application import Studio
from studio.domain.choice import BackboneChoice, SavedSettings, Speed, estimate_seconds
from studio.domain.installed import list_installed, list_published
from studio.jobs.engine import Engine
from studio.jobs.queue import Queue
from studio.library.records import JobRecord
from studio.library.saved_settings import note_speed, read_speeds
from studio.library.users import Users
from studio.settings import Settings, settings_environment
from studio.texts.texts import Texts
from studio.web.app import make_site
from studio.workflows.choosing import ask_apart, check_loadable, choose_backbone, plan_memory
from tests.folders import write_backbone_folder
from tests.site import TestClient
from tests.studio.jobs.local_kind import Work, WorkRequest, add_kind


def choose(studio: Studio, backbone: Path | str) -> None:
    choose_backbone(studio, BackboneChoice(backbone=str(backbone)), lambda settings: None)


def test_it_outlives_the_process_and_is_seen_by_others_at_once(tmp_path: Path) -> None:
    mine, others = (Studio(Settings(data=tmp_path)) for _ in range(2))
    assert mine.settings.backbone == "miniature"
    choose(others, "/models/a")
    choose(others, "/models/b")
    assert mine.settings.backbone == "/models/b"
    assert Studio(Settings(data=tmp_path)).choice == BackboneChoice(backbone="/models/b")
    assert [place.backbone for place in mine.saved.read().places] == ["/models/b", "/models/a"]
    choose(mine, "miniature")
    assert others.settings.backbone == "miniature"
    assert [place.backbone for place in others.saved.read().places] == ["/models/b", "/models/a"]


def test_the_environment_wins_and_nothing_is_chosen_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(Studio(Settings(data=tmp_path)), "/models/a")
    monkeypatch.setenv("PERSONA_STUDIO_BACKBONE", "/models/env")
    studio = Studio(Settings(data=tmp_path))
    assert studio.settings.backbone == "/models/env"
    assert studio.backbone_is_given
    with pytest.raises(BadInput, match="backbone_is_given"):
        choose(studio, "miniature")
    monkeypatch.delenv("PERSONA_STUDIO_BACKBONE")
    monkeypatch.setenv("PERSONA_STUDIO_PRECISION", "fp32")
    assert (Studio(Settings(data=tmp_path)).settings.backbone) == "/models/a"
    assert (Studio(Settings(data=tmp_path)).settings.precision) == "fp32"


def test_a_process_is_given_only_what_somebody_gave() -> None:
    given = settings_environment(Settings(data=Path("here"), base=None, threads=2))
    assert given == {"PERSONA_STUDIO_DATA": "here", "PERSONA_STUDIO_THREADS": "2"}


def test_damaged_settings_are_said_and_replaced(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text("{", encoding="utf-8")
    studio = Studio(Settings(data=tmp_path))
    with pytest.raises(BadInput, match="saved_settings_damaged"):
        _ = studio.settings
    studio.saved.choose(BackboneChoice(backbone="/models/a"))
    assert studio.settings.backbone == "/models/a"
    (tmp_path / "settings.json").write_text(SavedSettings().model_dump_json().replace("1", "2"), encoding="utf-8")
    with pytest.raises(BadInput, match="saved_settings_damaged"):
        _ = Studio(Settings(data=tmp_path)).settings


def test_the_next_job_takes_it_and_those_before_keep_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    studio = Studio(Settings(data=tmp_path))
    drawn: list[tuple[str, str]] = []

    def draw(running: Studio, request: WorkRequest, run: Any, progress: Any) -> Work:
        drawn.append((request.word, running.settings.backbone))
        return Work(id=request.word)

    add_kind(monkeypatch, draw)
    page = Studio(Settings(data=tmp_path))
    with Engine(studio, None):
        queue = Queue(page)
        queue.pause("me", True)  # so that it waits while another backbone is chosen
        first = queue.put(WorkRequest(word="first"))
        choose(page, "/models/a")
        again, second = queue.put(WorkRequest(word="first")), queue.put(WorkRequest(word="second"))
        assert again != first  # another backbone draws another picture
        assert second == queue.put(WorkRequest(word="second"))
        queue.pause("me", False)
        deadline = time.monotonic() + 30
        while not all(job.state == "done" for job in queue.jobs("me")):
            assert time.monotonic() < deadline, [(job.state, job.error) for job in queue.jobs("me")]
            time.sleep(0.1)
    assert sorted(drawn) == [("first", "/models/a"), ("first", "miniature"), ("second", "/models/a")]
    row = page.records.get(JobRecord, first, "me")
    assert row is not None
    assert row.facts["backbone"]["backbone"] == "miniature"


def test_what_was_loaded_of_another_is_let_go(tiny_flux: Path, tmp_path: Path) -> None:
    other = shutil.copytree(tiny_flux, tmp_path / "other")
    studio = Studio(Settings(data=tmp_path / "data"))
    first, second = (BackboneChoice(backbone=str(folder)) for folder in (tiny_flux, other))
    with studio.drawing_with(first):
        loaded = studio.backbone
        assert loaded.spec.folder == tiny_flux
    with studio.drawing_with(second):
        assert studio.backbone.spec.folder == other
    studio.saved.choose(second)
    with studio.drawing_with(second):
        kept = studio.backbone
    assert studio.backbone is kept  # between jobs it stays, as long as it is the chosen one
    with studio.drawing_with(first):
        assert studio.backbone is not loaded


def test_what_cannot_be_loaded_is_not_chosen(tiny_flux: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    studio = Studio(Settings(data=tmp_path / "data"))
    with pytest.raises(ModelMissing, match="model_unknown"):
        choose_backbone(studio, BackboneChoice(backbone="nothing.here"))
    empty = write_backbone_folder(tmp_path / "empty", in_channels=64)
    with pytest.raises(StudioError):
        choose_backbone(studio, BackboneChoice(backbone=str(empty)))
    monkeypatch.setattr("pipelines.models.hardware.read_machine", lambda device: Hardware("cpu", 1e6, 1e6))
    with pytest.raises(NotEnoughMemory):
        choose_backbone(studio, BackboneChoice(backbone=str(tiny_flux)))
    assert studio.choice == BackboneChoice()
    monkeypatch.undo()
    choose_backbone(studio, BackboneChoice(backbone=str(tiny_flux)))
    assert studio.settings.backbone == str(tiny_flux)


def test_memory_is_planned_by_precision_in_a_process_of_its_own(tiny_flux: Path, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, models=tmp_path)
    choices = [BackboneChoice(backbone=str(tiny_flux)), BackboneChoice(backbone="nothing.here")]
    found = ask_apart(plan_memory, settings, choices)
    assert list(found) == [str(tiny_flux)]
    memory = found[str(tiny_flux)]
    plans = {plan.precision: plan for plan in memory.plans}
    assert memory.automatic in plans
    assert all(plan.fits for plan in plans.values())
    assert plans["fp8"].ram_bytes > 0
    with pytest.raises(ModelMissing, match="model_unknown"):
        ask_apart(check_loadable, settings.model_copy(update={"backbone": "nothing.here"}))


def test_where_there_are_users_one_of_them_chooses(tmp_path: Path, tiny_flux: Path) -> None:
    studio = Studio(Settings(data=tmp_path))
    users = Users(studio.records)
    assert users.administrator("me") is None
    for name in ("mei", "an"):
        users.add(name, "long enough to be one")
    assert users.administrator("me") == "mei"  # the first
    assert users.administrator("AN") == "an"
    site = TestClient(make_site(studio))
    for name, status in (("an", 422), ("mei", 200)):
        site.cookies.clear()
        site.post("/login", data={"name": name, "password": "long enough to be one"})
        told = site.put("/api/backbones/chosen", json={"backbone": str(tiny_flux)}, headers={"accept-language": "zh"})
        assert told.status_code == status, told.text
        assert told.json().get("code") == (None if status == 200 else "backbone_not_yours_to_choose")
    assert studio.settings.backbone == str(tiny_flux)


def test_the_api_lists_what_is_here_and_what_could_be(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_backbone_folder(models / "mine", "qwen-research", guidance_embeds=True)
    fetched = write_backbone_folder(models / "black-forest-labs" / "FLUX.1-schnell", "apache-2.0")
    (fetched / "fetched.json").write_text("{}", encoding="utf-8")
    write_backbone_folder(models / "redux", pipeline="FluxPriorReduxPipeline")
    write_backbone_folder(models / "my-z", "apache-2.0", pipeline="ZImagePipeline")
    write_backbone_folder(models / "strange", pipeline="NobodysPipeline")
    studio = Studio(Settings(data=tmp_path / "data", models=models))
    told = TestClient(make_site(studio)).get("/api/backbones").json()
    rows = {row["name"]: row for row in told["installed"]}
    assert set(rows) == {"miniature", "mine", "my-z", "FLUX.1-schnell", "strange"}
    assert [row["name"] for row in told["installed"] if row["chosen"]] == ["miniature"]
    assert (rows["mine"]["licence"]["running"], rows["mine"]["licence"]["read_on"]) == ("no", "2026-11-22")
    assert rows["mine"]["can"]["distilled_guidance"] is True
    assert rows["FLUX.1-schnell"]["choice"]["backbone"] == "FLUX.1-schnell"
    assert "NobodysPipeline" in rows["strange"]["error"]
    published = {row["name"]: row for row in told["published"]}
    assert "FLUX.1-schnell" not in published
    assert published["FLUX.1-dev"]["fetch"] == "persona-studio backbones fetch FLUX.1-dev"
    assert published["FLUX.1-dev"]["licence"]["running"] == "paid"
    assert not told["given"]


def test_one_that_was_chosen_before_can_be_chosen_again(tmp_path: Path) -> None:
    place = write_backbone_folder(tmp_path / "elsewhere", "mit")
    studio = Studio(Settings(data=tmp_path / "data", models=tmp_path / "models"))
    choose(studio, place)
    choose(studio, "miniature")
    rows = list_installed(studio.settings, studio.choice, studio.saved.read().places)
    assert [(row.name, row.chosen) for row in rows] == [("miniature", True), ("elsewhere", False)]
    assert "FLUX.1-dev" in [model.id for model in list_published(studio.settings)]


def test_what_cannot_be_loaded_is_called_by_its_folder_or_file(tmp_path: Path) -> None:
    models = tmp_path / "models"
    (models / "FLUX.1-dev").mkdir(parents=True)
    (models / "FLUX.1-dev" / "model_index.json").write_text("{}")
    (models / "mix.v2.safetensors").write_bytes(b"none")
    rows = list_installed(Settings(data=tmp_path / "data", models=models), BackboneChoice())
    assert [(row.name, row.error is None) for row in rows] == [
        ("miniature", True), ("FLUX.1-dev", False), ("mix.v2", False),
    ]  # fmt: skip


def test_a_speed_is_measured_or_estimated_from_the_same_transformer(tmp_path: Path) -> None:
    assert read_speeds(tmp_path).of == {}
    dev = Speed(family="flux1", width=3072, steps=28, passes=1, pixels=1024 * 768, recent=(20.0,))
    for seconds in (20.0, 22.0, 90.0):
        note_speed(tmp_path, "FLUX.1-dev", dev.model_copy(update={"recent": (seconds,)}))
    known = read_speeds(tmp_path).of
    assert known["FLUX.1-dev"].seconds == 22.0
    schnell = 4 * 1024 * 768
    assert estimate_seconds(list(known.values()), "flux1", 3072, schnell) == pytest.approx(22 / 7)
    assert estimate_seconds(list(known.values()), "flux2", 3072, schnell) is None
    note_speed(tmp_path, "FLUX.1-dev", dev.model_copy(update={"steps": 14, "recent": (11.0,)}))
    assert read_speeds(tmp_path).of["FLUX.1-dev"].seconds == 11.0  # drawn otherwise: counted anew
    (tmp_path / "speeds.json").write_text("[]", encoding="utf-8")
    assert read_speeds(tmp_path).of == {}


def test_the_command_line_chooses(
    tiny_flux: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from studio.cli import main

    def run(*words: str) -> int:
        monkeypatch.setattr("sys.argv", ["persona-studio", *words, "--data", str(tmp_path)])
        with pytest.raises(SystemExit) as done:
            main()
        return int(done.value.code or 0)

    assert run("backbones", "use", str(tiny_flux), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["backbone"], told["family"]) == (str(tiny_flux), "flux1")
    assert Studio(Settings(data=tmp_path)).settings.backbone == str(tiny_flux)
    assert run("backbones", "use", "nothing.here") == 1
    assert "nothing.here" in capsys.readouterr().err
    monkeypatch.setenv("PERSONA_STUDIO_BACKBONE", "miniature")
    assert run("backbones", "use", "miniature") == 1
    assert Texts("en").error(BadInput("backbone_is_given", backbone="miniature"))[:40] in capsys.readouterr().err


def test_drawing_notes_how_long_a_picture_took(tiny_flux: Path, tmp_path: Path) -> None:
    from pipelines.progress import SILENT, Stage
    from pipelines.sampling.request import request_from
    from studio.domain.capabilities import read_backbone
    from studio.domain.report import StudioStage
    from studio.workflows import run_directly
    from studio.workflows.drawing import draw_all

    studio = Studio(Settings(data=tmp_path, backbone=str(tiny_flux)))
    requests = [request_from(studio.backbone.spec, "a photo", seed) for seed in (1, 2)]
    draw_all(studio, run_directly, Stage(StudioStage.POSTS), requests, SILENT)
    speed = read_speeds(tmp_path).of[str(tiny_flux)]
    facts = read_backbone(studio.settings)
    assert (speed.family, speed.width) == (facts.family, facts.width)
    assert (speed.steps, speed.passes, speed.pixels) == (3, 2, 96 * 64)
    assert 0 < speed.seconds < 60
