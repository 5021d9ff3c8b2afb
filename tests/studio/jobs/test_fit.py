"""What was made on another backbone is refused in the same words by page, API and command line; it stays viewable."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import BadInput
from pipelines.lora import LoraMetadata, write_lora
from studio.application import Studio
from studio.domain.bundle import ExportRequest
from studio.domain.capabilities import read_backbone
from studio.domain.design import Design, DesignRequest, PreviewRequest
from studio.domain.fit import MadeOn, misfit
from studio.domain.persona import ConsolidateRequest, Persona, SwapRequest
from studio.domain.posts import DrawnWith, PostRequest
from studio.domain.takes import VaryRequest
from studio.domain.values import NamedPicture
from studio.jobs.fit import check_fits_backbone
from studio.library.made_on import made_on_persona
from studio.settings import Settings
from studio.texts.texts import Texts
from studio.web.app import make_site
from tests.folders import write_backbone_folder
from tests.library import keep_cafe, keep_persona
from tests.loras import make_layers, tiny_transformer
from tests.site import TestClient
from tests.studio.domain.values import RECIPE, key, make_design, make_persona, make_post_set, make_scene

DRAWN = DrawnWith(
    backbone="my-flux", backbone_sha256="0" * 64, batch_size=8, dtype="float32", precision="fp32", offload="none",
    device="cpu", threads=2, height=256, width=192,
)  # fmt: skip


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """Draws with a FLUX.1 model of width 512."""
    folder = write_backbone_folder(tmp_path / "my-flux", "mit", num_attention_heads=4, attention_head_dim=128)
    return Studio(Settings(data=tmp_path / "data", backbone=str(folder)))


def made_on(family: str, width: int) -> Persona:
    return make_persona().model_copy(update={"recipe": replace(RECIPE, family=family, width=width)})


def test_the_reason_names_what_it_was_made_on_and_what_draws_now(studio: Studio) -> None:
    facts = read_backbone(studio.settings)
    assert misfit(facts, "Lin", MadeOn("flux1", 512)) is None
    assert misfit(facts, "Lin", MadeOn("flux1")) is None  # its width is not known: the layers will tell
    assert misfit(None, "Lin", MadeOn("flux2", 512)) is None
    other, wide = (misfit(facts, "Lin", MadeOn(*made)) for made in (("z-image", 512), ("flux1", 3072)))
    assert other is not None
    assert wide is not None
    assert Texts("en").error(other).startswith("Lin was made on Z-Image; the studio is drawing with my-flux (FLUX.1).")
    assert "width 3072" in Texts("zh").error(wide).replace("宽度 ", "width ")
    named = misfit(facts, "Lin", MadeOn("flux2", 3072, "FLUX.2-klein-4B"))
    assert named is not None
    assert "made on FLUX.2-klein-4B;" in Texts("en").error(named)


def test_every_request_that_would_draw_with_it_is_refused(studio: Studio) -> None:
    persona = made_on("flux2", 3072)
    post = PostRequest.make(persona=persona, scene=make_scene(), shots=make_post_set().request.shots)
    sets = make_post_set().model_copy(update={"request": post})
    pictures = (NamedPicture(name="a.png", picture=key("a")),)
    design: Design = make_design().model_copy(update={"recipe": persona.recipe})
    for request in (
        post, SwapRequest(persona=persona, pictures=pictures), VaryRequest(post_set=sets, number=0, seed=1),
        ConsolidateRequest(design=design, name="Lin"),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=r"made_on_other_family.*backbone=my-flux"):
            check_fits_backbone(studio, request)
    check_fits_backbone(studio, ExportRequest(post_set=sets, platform="xiaohongshu"))  # as it is, it can be exported
    check_fits_backbone(studio, DesignRequest(category="sweet"))


def test_a_donor_that_was_chosen_by_hand_must_fit(studio: Studio) -> None:
    donors = studio.donors("sweet")[:3]  # the miniature's, of width 256
    recipe = replace(RECIPE, category="sweet", donors=tuple(d.id for d in donors), mix_weights=(0.4, 0.3, 0.3))
    for request in (DesignRequest(category="sweet", recipe=recipe), PreviewRequest(recipes=(recipe,))):
        with pytest.raises(BadInput, match=r"made_on_other_width.*width=256.*drawing_width=512"):
            check_fits_backbone(studio, request)


def test_a_take_is_drawn_with_its_sets_backbone(studio: Studio) -> None:
    post_set = make_post_set()
    fitting = post_set.request.model_copy(update={"persona": made_on("flux1", 512)})
    drawn = post_set.model_copy(update={"request": fitting, "drawn_with": DRAWN})
    check_fits_backbone(studio, VaryRequest(post_set=drawn, number=0, seed=1))
    other = drawn.model_copy(update={"drawn_with": DRAWN.model_copy(update={"backbone": "miniature"})})
    with pytest.raises(BadInput, match=r"set_of_other_backbone.*drawn_with=miniature"):
        check_fits_backbone(studio, VaryRequest(post_set=other, number=0, seed=1))


def test_an_older_persona_is_asked_by_its_lora(studio: Studio, tmp_path: Path) -> None:
    path = tmp_path / "old.safetensors"
    write_lora(path, make_layers(tiny_transformer(), 1), LoraMetadata(title="Lin"))
    lora: Any = studio.store.put(path.read_bytes())
    persona = make_persona().model_copy(update={"lora": lora, "recipe": RECIPE, "backbone": "old"})
    made = made_on_persona(studio.store, persona)
    assert (made.family, made.backbone) == ("flux1", "old")
    assert made.width not in (0, 512)
    with pytest.raises(BadInput, match="made_on_other_width"):
        check_fits_backbone(
            studio, SwapRequest(persona=persona, pictures=(NamedPicture(name="a.png", picture=key("a")),))
        )


def test_the_api_says_it_too(tmp_path: Path) -> None:
    folder = write_backbone_folder(tmp_path / "Z-Image-Turbo", "apache-2.0", "ZImagePipeline")
    studio = Studio(Settings(data=tmp_path / "data", backbone=str(folder)))
    keep_persona(studio)
    scene = keep_cafe(studio)
    told = TestClient(make_site(studio), headers={"accept-language": "zh"}).post(
        "/api/jobs", json={"kind": "posts", "persona": "p1", "scene": scene.id, "count": 3}
    )
    assert told.status_code == 422
    assert told.json()["code"] == "made_on_other_family"
    assert told.json()["message"].startswith("Lin 是用 FLUX.1 制作的")
