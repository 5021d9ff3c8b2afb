"""Z-Image's text, positions, sizes and parity with `ZImagePipeline`, where the conformance suite does not look."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.backbones import Backbone, encode_prompt, load_backbone, resolve_backbone
from pipelines.errors import BadInput
from pipelines.families.model import Extras, ReferenceTokens
from pipelines.families.z_image.model import ZImageConditioning
from pipelines.references.native import NativeReferences
from pipelines.references.redux import ReduxReference
from pipelines.sampling.draw import draw, draw_batch
from pipelines.sampling.loop import sample
from pipelines.sampling.request import DrawRequest, request_from
from tests.pipelines.families.test_conformance import grid_of
from tests.siblings import shake
from tests.tiny_z_image import TEXT_WIDTH, write_z_image, z_image

PROMPT = "a young woman, smiling"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_z_image(tmp_path_factory.mktemp("z") / "z-image")


@pytest.fixture(scope="module")
def backbone(folder: Path) -> Backbone:
    return load_backbone(resolve_backbone(folder), "cpu", torch.float32)


def ask(backbone: Backbone, prompt: str = PROMPT, **changes: Any) -> DrawRequest:
    return request_from(backbone.spec, prompt, 1, **{"cfg_scale": 1.0} | changes)


def with_settings(folder: Path, **settings: Any) -> Backbone:
    return load_backbone(resolve_backbone(write_z_image(folder, settings=settings)), "cpu", torch.float32)


def test_a_text_is_the_last_hidden_state_but_one_without_padding(backbone: Backbone) -> None:
    """Computed by hand: the template's tokens alone, nothing padded, through the encoder without its mask."""
    model = z_image(backbone)
    (text,) = model.encode_text(PROMPT)
    written = f"<|im_start|>user\n{PROMPT}<|im_end|>\n<|im_start|>assistant\n"
    tokens = model.pipeline.tokenizer(written, return_tensors="pt").input_ids
    assert "<think>" not in written  # with thinking no empty block of thoughts is put in front of the answer
    with torch.no_grad():
        states = model.pipeline.text_encoder(tokens, output_hidden_states=True).hidden_states
    assert text.shape == (tokens.shape[1], TEXT_WIDTH)
    torch.testing.assert_close(text, states[-2][0], atol=1e-6, rtol=1e-6)
    assert not torch.allclose(text, states[-1][0], atol=1e-2)


def test_both_sides_of_guidance_in_one_batch_are_the_pipelines_own_to_the_bit(backbone: Backbone) -> None:
    """What the loop and `ZImagePipeline` differ by is the rounding of a batch, and nothing else."""
    model, cfg_scale, steps = z_image(backbone), 4.0, 6
    text, against = encode_prompt(backbone, PROMPT), encode_prompt(backbone, "at night")
    theirs = model.pipeline(
        prompt_embeds=list(text), negative_prompt_embeds=list(against), guidance_scale=cfg_scale - 1, height=96,
        width=64, num_inference_steps=steps, output_type="latent", generator=torch.Generator().manual_seed(1),
    ).images  # fmt: skip
    both = ZImageConditioning((*text, *against))

    def velocity(state: torch.Tensor, sigma: torch.Tensor, conditioning: ZImageConditioning) -> torch.Tensor:
        positive, negative = model.velocity(state.repeat(2, 1, 1, 1), sigma.repeat(2), conditioning).chunk(2)
        return positive + (cfg_scale - 1) * (positive - negative)

    with torch.no_grad():
        ours = sample(velocity, model.noise(1, 96, 64), model.sigmas(24, steps), both)
    assert torch.equal(ours, theirs)


def test_its_neighbours_captions_do_not_change_a_picture(backbone: Backbone) -> None:
    long = ask(backbone, "a woman in a red dress, in a cafe, at night, smiling, waving a hand, at dusk, " * 2)
    model = z_image(backbone)
    lengths = {-(-len(model.encode_text(r.prompt)[0]) // 32) for r in (ask(backbone), long)}
    assert len(lengths) == 2  # the second has more padded blocks, so its picture stands elsewhere
    together = grid_of(backbone, ask(backbone), long)
    for row, request in enumerate((ask(backbone), long)):
        torch.testing.assert_close(together[row : row + 1], grid_of(backbone, request), atol=1e-5, rtol=1e-5)


def test_a_prompt_that_is_too_long_is_cut_and_the_words_are_named(
    backbone: Backbone, caplog: pytest.LogCaptureFixture
) -> None:
    prompt = " ".join(["a woman"] * 60) + " in the end"
    with caplog.at_level(logging.WARNING):
        (text,) = backbone.model.encode_text(prompt)
    assert len(text) == backbone.spec.max_sequence_length
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("The prompt is too long for Qwen3, which reads 64 tokens and not: ")
    assert said.endswith("a woman in the end")
    caplog.clear()
    backbone.model.encode_text(PROMPT)
    assert not caplog.records


def test_a_prompt_beyond_the_positions_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    """The tiny model has 128 positions on the caption's axis: 96 padded tokens, and the picture's own behind them."""
    backbone = with_settings(tmp_path / "z", max_sequence_length=512)
    model = z_image(backbone)
    assert model.max_text_tokens == 96
    words = 1
    while len(model.pipeline.tokenizer(model.written(" ".join(["a"] * (words + 1)))).input_ids) <= 96:
        words += 1
    fits, too_long = (" ".join(["a"] * count) for count in (words, words + 1))
    (picture,) = draw_batch(backbone, [ask(backbone, fits, num_inference_steps=1)])
    assert picture.std() > 1
    steps: list[int] = []
    requests = [ask(backbone), ask(backbone, too_long)]
    with pytest.raises(BadInput, match=r"prompt_beyond_positions.*tokens=97, limit=96"):
        steps.extend(number for number, _ in draw(backbone, requests, batch_size=1))
    assert steps == []  # not even the first, which could have been drawn
    with pytest.raises(BadInput, match="prompt_beyond_positions"):
        encode_prompt(backbone, too_long)
    # diffusers' own error, which names nothing, is what is prevented
    long = torch.zeros(97, TEXT_WIDTH)
    with pytest.raises(IndexError):
        model.velocity(model.noise(1, 96, 64), torch.tensor([0.5]), ZImageConditioning((long,)))


def test_what_is_cut_need_not_have_positions(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    backbone = with_settings(tmp_path / "z", max_sequence_length=96)
    with caplog.at_level(logging.WARNING):
        (text,) = backbone.model.encode_text("a woman " * 100)
    assert len(text) == 96
    assert "reads 96 tokens" in caplog.text


@pytest.mark.parametrize(("height", "width"), [(528, 64), (64, 528)])
def test_a_side_beyond_the_positions_is_refused(backbone: Backbone, height: int, width: int) -> None:
    with pytest.raises(BadInput, match=r"size_beyond_positions.*most_height=512, most_width=512"):
        draw_batch(backbone, [ask(backbone, height=height, width=width)])


def test_a_size_that_is_no_whole_tokens_is_refused(backbone: Backbone) -> None:
    assert backbone.model.token_px == 16
    with pytest.raises(BadInput, match=r"size_not_drawable.*unit=16"):
        draw_batch(backbone, [ask(backbone, height=104)])


def test_it_reads_no_references(backbone: Backbone) -> None:
    picture = np.zeros((96, 64, 3), np.uint8)
    with pytest.raises(BadInput, match="model_reads_no_references"):
        backbone.model.encode_reference(picture[None], 0)
    text, extras = encode_prompt(backbone, PROMPT), Extras((ReferenceTokens(torch.zeros(1, 1, 1), torch.zeros(1, 3)),))
    with pytest.raises(BadInput, match="model_reads_no_references"):
        backbone.model.condition(text, 96, 64, 1.0, extras)
    for reference in (ReduxReference(picture), NativeReferences.show(picture, 1.0)):
        with pytest.raises(BadInput, match="reference_not_for_family"):
            draw_batch(backbone, [ask(backbone, references=(reference,))])
    for role in ("fill", "kontext"):
        with pytest.raises(BadInput, match="companion_of_other_family"):
            backbone.drawn_by(role)


def test_its_time_runs_the_other_way_and_its_sign_is_turned(backbone: Backbone) -> None:
    model = z_image(backbone)
    (text,) = encode_prompt(backbone, PROMPT)
    state = model.noise(2, 96, 64)
    with torch.no_grad():
        ours = model.velocity(state, torch.tensor([0.25]), ZImageConditioning((text,)))
        theirs = model.transformer([state[0].unsqueeze(1)], torch.tensor([0.75]), [text], return_dict=False)[0][0]
    assert torch.equal(ours[0], -theirs.squeeze(1))


def test_states_stay_in_float32(folder: Path) -> None:
    small = load_backbone(resolve_backbone(folder), "cpu", torch.bfloat16)
    grid = grid_of(small, ask(small))
    assert grid.dtype == torch.float32
    assert not torch.equal(grid, grid.to(torch.bfloat16).float())
    model = z_image(small)
    theirs = model.pipeline(
        prompt_embeds=list(encode_prompt(small, PROMPT)), guidance_scale=0.0, height=96, width=64,
        num_inference_steps=3, output_type="latent", generator=torch.Generator().manual_seed(1),
    ).images  # fmt: skip
    assert torch.equal(grid, theirs)


def test_only_the_blocks_are_trained(backbone: Backbone) -> None:
    modules: Mapping[str, tuple[str, ...]] = {
        kind: backbone.model.lora_modules(kind)  # type: ignore[arg-type]
        for kind in ("attention", "all")
    }
    assert len(modules["attention"]) == 2 * 4
    assert len(modules["all"]) == 2 * 7
    assert all(name.startswith("layers.") for name in modules["all"])


def test_turbo_is_trained_on_z_image_with_its_shift(tmp_path: Path) -> None:
    shake(write_z_image(tmp_path / "Z-Image"))
    turbo = load_backbone(resolve_backbone(write_z_image(tmp_path / "quick", shift=3.0)), "cpu", torch.float32)
    assert (turbo.spec.train_on, turbo.spec.true_cfg_scale) == ("Z-Image", 1.0)
    trainer = turbo.trained_on()
    ours, theirs = z_image(turbo), z_image(trainer)
    assert ours.transformer is not theirs.transformer
    assert ours.text_encoders["text_encoder"] is theirs.text_encoders["text_encoder"]
    sigmas = torch.tensor([0.25, 0.5])
    torch.testing.assert_close(ours.shift(sigmas, 24), 3 * sigmas / (1 + 2 * sigmas))
    torch.testing.assert_close(theirs.shift(sigmas, 24), 6 * sigmas / (1 + 5 * sigmas))
