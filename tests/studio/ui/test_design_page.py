"""The design page's desk: kept over reloads and tabs, whatever becomes of the donors."""

from __future__ import annotations

import datetime
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from personas.donors import Donor
from personas.recipes import Recipe
from pipelines.errors import BadInput, NotEnough
from studio.application import Studio
from studio.domain.design import Preview, PreviewedRecipe, PreviewRequest
from studio.domain.mix import Mix, less_of, recipe_of_mix, roll
from studio.jobs.queue import Queue
from studio.library.records import JobRecord
from studio.settings import Settings
from studio.texts.texts import LANGUAGES, Language, Texts
from studio.ui.context import Ui
from studio.ui.pages import design
from studio.ui.parts.mixer import DesignState, first_mix, show_bar, show_mixer, show_previews
from tests.folders import write_backbone_folder
from tests.library import keep_result, picture

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def ui(tmp_path: Path) -> Ui:
    studio = Studio(Settings(data=tmp_path))
    return Ui(studio, Queue(studio), Texts("en"))


def first(ui: Ui) -> DesignState:
    return DesignState(mix(ui, 1))


def mix(ui: Ui, seed: int) -> Mix:
    return roll(ui.donors("sweet"), "sweet", seed, ui.ceiling)


def only(ui: Ui, donors: list[Donor], monkeypatch: pytest.MonkeyPatch) -> None:
    """These are all donors that there are."""
    monkeypatch.setattr(Ui, "donors", lambda self, look="": tuple(d for d in donors if look in ("", d.category)))


def test_what_two_tabs_keep_is_all_there(ui: Ui) -> None:
    one = design._act(ui, DesignState(mix(ui, 2)), {"do": "favourite"}, "me")
    two = design._act(ui, DesignState(mix(ui, 3)), {"do": "favourite"}, "me")  # knows nothing of the other tab's
    design._keep_mix(ui, "me", mix(ui, 4))
    kept = design._kept_state(ui, "me", first(ui))
    assert kept.mix == mix(ui, 4)
    assert kept.favourites == (*one.favourites, mix(ui, 3)) == two.favourites
    assert design._kept_state(ui, "somebody else", first(ui)) == first(ui)
    locked = replace(kept, mix=replace(mix(ui, 2), locked=frozenset(mix(ui, 2).donors[:1])))
    assert design._act(ui, locked, {"do": "favourite"}, "me").favourites == (mix(ui, 3),)  # the same mix, locked or not


def test_a_donor_that_is_gone_takes_only_its_own_mixes_along(ui: Ui, monkeypatch: pytest.MonkeyPatch) -> None:
    lies = mix(ui, 2)
    gone = lies.donors[0]
    donors = list(ui.donors())
    others = [roll([d for d in ui.donors("sweet") if d.id != gone], "sweet", seed, ui.ceiling) for seed in (5, 6)]
    for other in (*others, lies):
        design._act(ui, DesignState(other), {"do": "favourite"}, "me")
    design._keep_mix(ui, "me", lies)
    only(ui, [d for d in donors if d.id != gone], monkeypatch)
    kept = design._kept_state(ui, "me", DesignState(others[0]))
    assert (kept.mix, kept.favourites) == (others[0], tuple(others))
    with pytest.raises(BadInput, match="donor_gone"):
        recipe_of_mix(lies, ui.donors())


def test_previews_are_of_favourites_that_may_be_drawn(ui: Ui, monkeypatch: pytest.MonkeyPatch) -> None:
    now = DesignState(mix(ui, 1))
    for seed in range(2, 8):
        now = replace(
            now, favourites=design._act(ui, replace(now, mix=mix(ui, seed)), {"do": "favourite"}, "me").favourites
        )
    barred = next(d for m in now.favourites for d in m.donors if d not in now.mix.donors)
    expired = datetime.date.today() - datetime.timedelta(days=1)
    donors = [
        replace(d, consent=d.consent.model_copy(update={"expires": expired})) if d.id == barred else d
        for d in ui.donors()
    ]  # fmt: skip
    only(ui, donors, monkeypatch)
    asked: list[Recipe] = []

    def put(queue: Queue, request: PreviewRequest) -> str:
        asked.extend(request.recipes)
        return "preview"

    monkeypatch.setattr(Queue, "put", put)
    assert design._act(ui, now, {"do": "preview"}, "me").preview == "preview"
    drawn = [tuple(zip(r.donors, r.mix_weights, strict=True)) for r in asked]
    want = [m.drawn for m in now.favourites if barred not in m.donors]
    assert 0 < len(want) < len(now.favourites)
    assert drawn[: len(want) + 1] == [now.mix.drawn, *want]
    assert len(drawn) >= 4


@pytest.mark.parametrize("count", [0, 2])
def test_without_enough_donors_the_desk_says_what_to_do(ui: Ui, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    every = list(ui.donors())
    sweet = [donor for donor in every if donor.category == "sweet"]
    others = [donor for donor in every if donor.category != "sweet"]
    only(ui, [*sweet[:count], *others], monkeypatch)
    empty = DesignState(Mix("sweet", (), (), 1))
    assert design._kept_state(ui, "me", empty) == empty
    said = show_mixer(ui, empty, {})
    assert f"There are {count} source faces of the look" in said
    assert 'href="/en/library"' in said
    assert said.count('data-do="add"') == count
    assert show_bar(ui, empty) == ""  # nothing that there are no faces for
    other = DesignState(first_mix(ui, others[0].category))
    assert [design._able(now).interactive for now in (empty, other)] == [False, True]
    chinese = Ui(ui.studio, ui.queue, Texts("zh"))
    assert f"甜美系有 {count} 张素材脸" in show_mixer(chinese, empty, {})
    assert len(first_mix(ui, others[0].category).donors) >= 3
    design._keep_mix(ui, "me", empty.mix)
    only(ui, every, monkeypatch)  # somebody added donors
    assert len(design._kept_state(ui, "me", empty).mix.donors) >= 3
    assert "There are" not in show_mixer(ui, empty, {})


def test_faces_of_another_model_are_told_from_no_faces(tmp_path: Path) -> None:
    """They are shown greyed, each with its reason, and the desk says once what to do."""
    folder = write_backbone_folder(tmp_path / "my-klein", pipeline="Flux2KleinPipeline", num_attention_heads=24)
    studio = Studio(Settings(data=tmp_path / "data", backbone=str(folder)))
    count = len(studio.donors("sweet"))
    words = {"en": f"The {count} source faces of this look were made for another", "zh": "不能用"}
    for language in LANGUAGES:
        said = show_mixer(Ui(studio, Queue(studio), Texts(language)), DesignState(Mix("sweet", (), (), 1)), {})
        assert words[language] in said
        assert said.count("my-klein") >= 1 + count
        assert 'data-do="add"' not in said


def test_the_studio_starts_without_donors(tmp_path: Path) -> None:
    script = """if True:
        import sys; from pathlib import Path
        from studio.settings import Settings
        from studio.web.app import make_app
        make_app(Settings(data=Path(sys.argv[1]), bundled_donors=Path(sys.argv[1]) / "none"))
    """
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, check=True, timeout=120)


def test_a_source_face_that_comes_along_says_so_in_the_pages_language(tmp_path: Path) -> None:
    studio = Studio(Settings(data=tmp_path))
    ui = Ui(studio, Queue(studio), Texts("zh"))
    said = re.sub(r"<[^>]*>", " ", show_mixer(ui, DesignState(first_mix(ui, "sweet")), {}))
    assert said.count("自带，虚构人物 · 出售图片：可以") == 10
    assert "Apache" not in said
    assert "consent" not in said


def keep_refused(ui: Ui, mix: Mix) -> str:
    """A design of this mix that failed because its first source face is too near."""
    named = {donor.id: donor.name for donor in ui.donors()}
    donor = mix.donors[0]
    error = NotEnough(
        "not_novel", similarity=0.9, donor=named[donor], donor_id=donor, ceiling=ui.early_ceiling,
        donors=list(mix.donors), weights=list(mix.weights),
    )  # fmt: skip
    facts = {"code": error.code, "raised": error.as_json()}
    row = JobRecord(id="design-1", owner="me", kind="design", state="failed", error=str(error), facts=facts)
    ui.studio.records.keep(row)
    return row.id


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_refused_design_is_mended_by_one_press(ui: Ui, language: Language) -> None:
    ui = Ui(ui.studio, ui.queue, Texts(language))
    refused = Mix("sweet", tuple(donor.id for donor in ui.donors("sweet")[:4]), (0.7, 0.1, 0.1, 0.1), 0)
    job = keep_refused(ui, refused)
    now = first(ui)
    said = design._progress(ui, "me", now)
    name = next(donor.name for donor in ui.donors() if donor.id == refused.donors[0])
    assert said.count("<button") == 1  # it is mended, not repeated
    assert ui.t("design.mend", name=name) in said
    assert f'data-job="{job}"' in said
    mended = design._act(ui, now, {"do": "mend", "job": job}, "me")
    assert mended.mix == less_of(refused, refused.donors[0], 0.9, ui.early_ceiling)
    assert mended.by_hand  # so that this very mix is what is asked for
    asked = design._request(ui, mended, "quick", "me")
    assert asked.recipe is not None
    assert asked.recipe.mix_weights == pytest.approx(mended.mix.weights)
    assert design._act(ui, now, {"do": "mend", "job": job}, "somebody else") == now


def test_a_preview_that_comes_too_near_is_lessened_and_drawn_again(ui: Ui, monkeypatch: pytest.MonkeyPatch) -> None:
    near = Mix("sweet", tuple(donor.id for donor in ui.donors("sweet")[:3]), (0.8, 0.1, 0.1), 0)
    recipe = recipe_of_mix(near, ui.donors())
    shown = ui.studio.store.put_picture(picture(1))
    similarity = dict(zip(near.donors, (0.9, 0.2, None), strict=True))
    row = PreviewedRecipe(recipe=recipe, pictures=(shown,), similarity=similarity)
    preview = Preview(id="p", ceiling=ui.early_ceiling, pictures=8, recipes=(row,))
    keep_result(ui.studio, "me", preview)
    now = replace(first(ui), mix=near)
    assert design._near(ui, "me", now) == similarity  # the desk says what was measured of its own mix
    said = show_previews(ui, now, [row])
    name = next(donor.name for donor in ui.donors() if donor.id == near.donors[0])
    assert ui.t("design.too_near", name=name) in said
    assert 'data-do="less"' in said
    asked: list[PreviewRequest] = []

    def put(queue: Queue, request: PreviewRequest) -> str:
        asked.append(request)
        return "preview-2"

    monkeypatch.setattr(Queue, "put", put)
    after = design._act(ui, now, {"do": "less", "recipe": recipe.id}, "me")
    assert (after.mix, after.preview) == (less_of(near, near.donors[0], 0.9, ui.early_ceiling), "preview-2")
    assert asked[0].recipes[0].mix_weights == pytest.approx(after.mix.weights)
    assert "less" not in show_previews(ui, now, [row.model_copy(update={"similarity": {}})])  # not measured yet
    older = preview.model_copy(update={"id": "q", "pictures": 1})
    keep_result(ui.studio, "me", older)
    assert design._rows(ui, "me", replace(now, preview="preview-q")) == ()  # it measured something else
