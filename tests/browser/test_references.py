"""A set on FLUX.2-klein in a real browser: the page begins with what it can do, and a picture says who is shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.lora import LoraMetadata, write_lora
from studio.application import Studio
from studio.domain.persona import Sample
from studio.domain.posts import PostSet
from studio.domain.values import FileKey
from studio.library.records import PersonaRecord
from studio.settings import Settings
from tests.browser.conftest import Site, need_chromium, serious_violations, serve, unfold
from tests.library import PERSONA, keep_cafe, keep_result, picture
from tests.loras import make_layers
from tests.tiny_flux2 import write_klein

pytestmark = [pytest.mark.browser, pytest.mark.journey]


@pytest.fixture(scope="module")
def klein(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A studio of a tiny klein, with a scene and a persona of whom training drew two pictures."""
    need_chromium()
    root = tmp_path_factory.mktemp("klein-site")
    folder = write_klein(root / "klein", distilled=True, max_sequence_length=160)
    studio = Studio(Settings(data=root / "data", backbone=str(folder)))
    layers = make_layers(studio.backbone.transformer, 3, modules=("transformer_blocks.0.attn.to_q",))
    write_lora(root / "persona.safetensors", layers, LoraMetadata("Lin", "ohwx", family="flux2"))
    drawn = tuple(FileKey(studio.store.put_picture(picture(number))) for number in (1, 2))
    persona = PERSONA.model_copy(
        update={
            "lora": studio.store.put((root / "persona.safetensors").read_bytes()),
            "enrolment": tuple(np.eye(1, 128)[0].tolist()),
            "samples": (Sample(step=1, pictures=drawn, identity=0.5),),
        }
    )
    row = PersonaRecord(id=persona.id, owner="me", name="Lin", version=2, design="d", lora=persona.lora, facts={})
    studio.records.keep(row)
    keep_result(studio, "me", persona)
    keep_cafe(studio)
    with serve(root / "data", backbone=str(folder)) as site:
        yield site


def test_a_picture_of_the_persona_and_the_goods_are_seen_by_the_model(
    chromium: Any, klein: Site, tmp_path: Path
) -> None:
    page = chromium.new_context(viewport={"width": 1280, "height": 900}, locale="en-US").new_page()
    page.goto(f"{klein.url}/en/posts")
    page.wait_for_selector("#person-tile :text('Lin')")
    unfold(page, "place")
    card = page.locator("#ways [data-way=references]")
    card.wait_for()
    assert card.get_attribute("aria-pressed") == "true"
    assert page.locator("#ways button:disabled").count() == 2  # Redux and the IP-Adapter are FLUX.1's

    unfold(page, "person")
    page.get_by_label("A picture of the persona").check()
    page.wait_for_selector("#person-pictures figure:nth-of-type(2) button")
    assert page.locator("#person-pictures [aria-pressed=true]").count() == 1
    page.locator("#person-pictures figure:nth-of-type(2) button").click()
    page.wait_for_selector("#person-pictures figure:nth-of-type(2) [aria-pressed=true]")
    # Gradio's own upload button has another name than its text says
    assert serious_violations(page, "[['#person-photo']]") == {}

    photo = np.full((150, 120, 3), 215, np.uint8)
    photo[30:130, 40:80] = (190, 30, 40)
    Image.fromarray(photo).save(tmp_path / "tin.png")
    unfold(page, "goods")
    page.locator("#goods input[type=file]").set_input_files(tmp_path / "tin.png")
    page.wait_for_selector("#stage img")
    page.get_by_label("Exactly, and shown to the model as well").check()
    page.locator("#go").click()
    page.wait_for_selector("#progress .st-panel.done", timeout=300_000)
    assert page.locator("#posts .st-card").count() == 9

    studio = Studio(Settings(data=klein.data))
    drawn = studio.result_of(PostSet)
    second = studio.store.put_picture(picture(2))
    assert (drawn.request.inject, drawn.request.person_as, drawn.request.person_picture) == (
        "references", "reference", second,
    )  # fmt: skip
    assert [(r.number, r.role) for r in drawn.references] == [(1, "scene"), (2, "person"), (3, "goods")]
    assert "The person from image 2 is in the place from image 1 with a product from image 3" in drawn.posts[0].prompt
