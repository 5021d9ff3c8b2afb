"""What licences say of a job: by API, command line and texts alike; said once, and nothing is stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.models.licences import LICENCES, USES
from studio.application import Studio
from studio.cli.options import open_engine, warn_of_licence
from studio.domain.capabilities import backbone_facts
from studio.domain.design import Design, DesignRequest, UsedDonor
from studio.domain.licences import LicensedModel, find_warnings, models_beside
from studio.domain.persona import ConsolidateRequest
from studio.jobs.engine import Engine
from studio.jobs.licences import warnings_before
from studio.settings import Settings
from studio.texts.licences import say_answers, say_licence, say_warning
from studio.texts.texts import LANGUAGES, Language, Texts
from studio.web.app import make_site
from tests.folders import write_backbone_folder
from tests.site import TestClient
from tests.studio.domain.values import make_design
from tests.studio.jobs.local_kind import Work, add_kind

DEV = "flux-1-dev-non-commercial-license"


def studio_with(tmp_path: Path, licence: str) -> Studio:
    folder = write_backbone_folder(tmp_path / "my-flux", licence, guidance_embeds=True)
    return Studio(Settings(data=tmp_path / "data", backbone=str(folder)))


def test_a_warning_is_said_once_for_each_model_the_sternest_first() -> None:
    models = [LicensedModel("a", DEV), LicensedModel("a", DEV), LicensedModel("b", "qwen-research")]
    found = find_warnings([*models, LicensedModel("c", "MIT"), LicensedModel("d", "nobody's")], ("running", "outputs"))
    assert [(w.model, w.permission, w.uses) for w in found] == [
        ("b", "no", ("running", "outputs")), ("a", "paid", ("running",)), ("d", "unknown", ("running", "outputs")),
    ]  # fmt: skip
    assert [w.forbids for w in found] == [True, False, False]
    assert find_warnings([LicensedModel("d", "unknown", is_lora=True)], USES) == ()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_licence_has_its_sentence_and_every_warning_its_words(language: Language) -> None:
    t = Texts(language)
    sentences = {say_licence(t, licence) for licence in LICENCES}
    assert all(sentences)
    for licence in LICENCES:
        assert say_answers(t, licence).count(":" if language == "en" else "：") == 3
        for warning in find_warnings([LicensedModel("Model", licence)], USES):
            assert "Model" in say_warning(t, warning)
    assert say_licence(t, "nobody's") == say_answers(t, "unknown") == t("licence.not_known")


def test_training_says_more_than_drawing_and_donors_licences_count(tmp_path: Path) -> None:
    studio = studio_with(tmp_path, DEV)
    (drawing,) = warnings_before(studio, DesignRequest(category="sweet"))
    assert (drawing.model, drawing.uses) == ("my-flux", ("running",))
    donor = UsedDonor(id="d", name="Mei", licence="CC-BY-NC-4.0", consent="Mei")
    design: Design = make_design().model_copy(update={"donors": (donor,)})
    hers, ours = warnings_before(studio, ConsolidateRequest(design=design, name="Lin"))
    assert (hers.model, hers.permission, hers.uses) == ("Mei", "no", ("running", "fine_tuning"))
    assert (ours.permission, ours.uses) == ("paid", ("running", "fine_tuning"))
    assert warnings_before(Studio(Settings(data=tmp_path / "other")), DesignRequest(category="sweet")) == ()


def test_the_api_says_it_with_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    studio = studio_with(tmp_path, "qwen-research")
    add_kind(monkeypatch, lambda *_: Work(id="w"), "design")
    with Engine(studio, None):
        site = TestClient(make_site(studio), headers={"accept-language": "zh"})
        said = site.post("/api/jobs", json={"kind": "design", "category": "sweet"})
    assert said.status_code == 202
    (warning,) = said.json()["warnings"]
    assert (warning["model"], warning["permission"], warning["uses"]) == ("my-flux", "no", ["running"])
    assert warning["message"].startswith("my-flux（qwen-research）不得用于商业")


def test_the_command_line_says_it_once_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    studio = studio_with(tmp_path, DEV)
    add_kind(monkeypatch, lambda *_: make_design(), "design")
    with open_engine(studio, True) as engine:
        for seed in (1, 2):
            assert engine.run(DesignRequest(category="sweet", seed=seed), Design).id == make_design().id
    said = capsys.readouterr().err
    assert said.count("needs a paid licence for running it for a business") == 1
    warn_of_licence(studio, "fine_tuning")
    assert capsys.readouterr().err.startswith(
        "! my-flux (flux-1-dev-non-commercial-license) needs a paid licence for fine"
    )


def test_the_companion_that_reads_references_is_named_by_its_own_model(tiny_family: Path, tmp_path: Path) -> None:
    facts = backbone_facts(Settings(data=tmp_path, backbone=str(tiny_family)))
    assert facts is not None
    found = {model.name: model.licence for model in models_beside(facts, ("references", "inpaint"))}
    assert found == {"flux": "apache-2.0", "FLUX.1-Kontext-dev": DEV}
