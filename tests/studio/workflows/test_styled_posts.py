"""Posts in a style: off is off to the bit, what is drawn is told and drawn again, and another model's is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.errors import BadInput
from pipelines.lora import LoraMetadata, write_lora
from studio.application import Studio
from studio.domain.posts import PostRequest, plan_shots
from studio.domain.style import MOST_STYLE_STRENGTH, Style
from studio.domain.takes import FixRequest
from studio.domain.values import FileKey
from studio.export.manifest import read_manifest
from studio.export.recall import draft_of, recall
from studio.jobs.fit import check_fits_backbone
from studio.library.grants import grant
from studio.library.records import PersonaRecord
from studio.library.scenes import add_scene
from studio.library.styles import as_kept, style_reason
from studio.settings import Settings
from studio.texts.texts import LANGUAGES, Texts
from studio.workflows import run_directly
from studio.workflows.rights import lineage_of_set
from studio.workflows.takes import fix_post
from tests.library import keep_result
from tests.loras import make_layers
from tests.studio.domain.values import make_style
from tests.studio.workflows.test_ways import BLOCKS, bundle, draw, persona


@pytest.fixture(scope="module")
def studio(tiny_flux: Path, tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(Settings(data=tmp_path_factory.mktemp("styled"), backbone=str(tiny_flux), batch_size=2))


@pytest.fixture(scope="module")
def style(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Style:
    """One of the owner's own, in half precision."""
    file = tmp_path_factory.mktemp("style") / "style.safetensors"
    layers = make_layers(studio.backbone.transformer, 8, modules=BLOCKS, alpha=30.0)
    write_lora(file, layers, LoraMetadata("window light"))
    made = make_style(
        lora=studio.store.put(file.read_bytes()), weights=(studio.backbone_sha256,), backbone=studio.backbone.spec.id
    )
    keep_result(studio, "me", made)
    return made


@pytest.fixture
def asked(studio: Studio, tmp_path: Path) -> PostRequest:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (96, 64, 3), dtype=np.uint8)).save(tmp_path / "scene.png")
    scene = add_scene(studio.library, tmp_path / "scene.png", None, "square")
    return PostRequest.make(persona=persona(studio, tmp_path), scene=scene, shots=plan_shots(2, 1), scale=0.5)


def test_a_set_without_one_is_asked_for_as_before(asked: PostRequest, style: Style) -> None:
    assert {"style", "style_strength"}.isdisjoint(asked.model_dump(mode="json"))
    assert asked.styled is None
    assert asked.changed(style=style).styled == style
    assert asked.changed(style=style, style_strength=0.0).styled is None
    assert style.lora in asked.changed(style=style).file_keys()
    for wrong in (-0.1, MOST_STYLE_STRENGTH + 0.1):
        with pytest.raises(BadInput, match="request_invalid"):
            asked.changed(style=style, style_strength=wrong)


def test_its_strength_counts_and_0_is_off_to_the_bit(studio: Studio, asked: PostRequest, style: Style) -> None:
    (_, plain), (_, off), (_, one), (_, more) = (
        draw(studio, asked.changed(**told))
        for told in (
            {},
            {"style": style, "style_strength": 0.0},
            {"style": style},
            {"style": style, "style_strength": 1.5},
        )
    )
    for before, after in zip(plain, off, strict=True):
        assert np.array_equal(before, after)
    assert not np.array_equal(plain[0], one[0])
    assert not np.array_equal(one[0], more[0])
    assert not studio.backbone.lora_stack.changed


def test_it_is_told_of_and_drawn_again_to_the_pixel(
    studio: Studio, asked: PostRequest, style: Style, tmp_path: Path
) -> None:
    post_set, _ = draw(studio, asked.changed(style=style, style_strength=1.2))
    told = bundle(studio, post_set, tmp_path / "set.zip").draw.style  # which draws it again, too
    assert told is not None
    assert (told.id, told.names, told.lora, told.strength) == (style.id, dict(style.names), style.lora, 1.2)
    plain, _ = draw(studio, asked)
    without = bundle(studio, plain, tmp_path / "plain.zip")
    assert "style" not in json.loads(without.model_dump_json())["draw"]
    found = lineage_of_set_of(studio, post_set.request)
    assert found == (style.id, 1.2, None)


def lineage_of_set_of(studio: Studio, request: PostRequest) -> tuple[str, float, object] | None:
    post_set, _ = draw(studio, request)
    keep_result(studio, "me", request.persona)
    found = lineage_of_set(studio, "me", post_set).style
    return None if found is None else (found.id, found.strength, found.consent)


def test_a_set_is_asked_for_again_from_its_bundle(
    studio: Studio, asked: PostRequest, style: Style, tmp_path: Path
) -> None:
    who = asked.persona
    studio.records.keep(
        PersonaRecord(id=who.id, owner="me", name=who.name, version=1, design="", lora=who.lora, facts={})
    )
    post_set, _ = draw(studio, asked.changed(style=style, style_strength=0.6))
    bundle(studio, post_set, tmp_path / "set.zip")
    found = recall(studio.library, tmp_path / "set.zip", "me", lambda: ())
    draft = draft_of(found)
    assert draft is not None
    assert (draft.settings.style, draft.settings.style_strength) == (style, 0.6)
    called = " · ".join(dict.fromkeys(style.names[language] for language in LANGUAGES))
    assert [(one.hash, one.known, one.scale) for one in found.loras] == [
        (who.lora, who.name, None), (style.lora, called, 0.6)
    ]  # fmt: skip
    theirs = draft_of(recall(studio.library, tmp_path / "set.zip", "wang", lambda: ()))
    assert theirs is not None
    assert (theirs.settings.style, theirs.settings.style_strength) == (None, 1.0)
    assert read_manifest(tmp_path / "set.zip").draw.style is not None


def test_a_region_is_drawn_anew_in_the_same_style(studio: Studio, asked: PostRequest, style: Style) -> None:
    mask = np.zeros((96, 64, 3), np.uint8)
    mask[:40] = 255
    key = studio.store.put_picture(mask)
    drawn = []
    for one in (asked, asked.changed(style=style)):
        post_set, _ = draw(studio, one)
        plain, _ = draw(studio, asked)
        shown = plain.posts[0]  # the same picture, so that only what is drawn anew can differ
        request = FixRequest.make(post_set=post_set, number=0, mask=key, seed=7, post=shown)
        drawn.append(studio.store.get_picture(fix_post(studio, request, run_directly).posts[0].picture))
    assert not np.array_equal(drawn[0], drawn[1])
    assert np.array_equal(drawn[0][60:], drawn[1][60:])


def test_one_of_another_model_or_other_weights_is_refused(studio: Studio, asked: PostRequest, style: Style) -> None:
    others = (
        (style.model_copy(update={"family": "z-image"}), "style_of_other_model"),
        (style.model_copy(update={"width": 3072}), "style_of_other_model"),
        (style.model_copy(update={"weights": ("0" * 64,), "backbone": "FLUX.1-dev"}), "style_of_other_model"),
        (style.model_copy(update={"weights": ("0" * 64,)}), "style_of_other_weights"),
    )
    assert style_reason(studio.settings, style) is None
    for changed, code in others:
        other = changed.model_copy(update={"lora": FileKey("f" * 64)})  # no style that is kept
        wish = asked.changed(style=other)
        for refuse in (lambda wish=wish: check_fits_backbone(studio, wish), lambda wish=wish: draw(studio, wish)):
            with pytest.raises(BadInput) as refused:
                refuse()
            assert refused.value.code == code
            for language in LANGUAGES:
                assert style.names[language] in Texts(language).error(refused.value)
        check_fits_backbone(studio, asked.changed(style=other, style_strength=0.0))  # nothing of it is drawn


def test_nobody_draws_in_anothers(studio: Studio, asked: PostRequest, style: Style) -> None:
    from studio.jobs.queue import admit

    theirs = asked.changed(style=style, owner="wang")
    grant(studio.records, "wang", asked.file_keys())
    with pytest.raises(BadInput, match="file_not_yours"):
        admit(studio, theirs)


def test_what_a_request_says_of_a_style_does_not_make_it_fit(studio: Studio, asked: PostRequest, style: Style) -> None:
    """A request that leaves out what a style was learnt for, or from whom, is judged by the style that is kept."""
    forged = style.model_copy(update={"weights": (), "dataset": "", "id": "1" * 16})
    assert as_kept(studio.library, "me", forged) == style
    stranger = style.model_copy(update={"lora": FileKey("0" * 64), "weights": ()})
    assert as_kept(studio.library, "me", stranger) == stranger


def test_another_model_that_draws_around_what_is_kept_does_not_know_it(
    studio: Studio, asked: PostRequest, style: Style, tmp_path: Path
) -> None:
    mask = np.zeros((96, 64), np.uint8)
    mask[10:60, 8:50] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    tower = add_scene(studio.library, tmp_path / "scene.png", tmp_path / "mask.png", "tower")
    kept = asked.changed(scene=tower, keep_landmark=True)
    check_fits_backbone(studio, kept.changed(style=style))
    with pytest.raises(BadInput, match="style_beside_companion"):
        check_fits_backbone(studio, kept.changed(style=style, keep="fill"))
