"""What every family's model must do, whatever its architecture: each of FAMILIES, on the tiny random folders of CASES.

The listings of LoRA spellings, and the refusals of other families' files, are in `test_catalogue.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import Flux2Pipeline

from pipelines.backbones import Backbone, encode_prompt, load_backbone, resolve_backbone
from pipelines.errors import BadInput
from pipelines.families.catalogue import FAMILIES
from pipelines.families.flux1.facts import FLUX1
from pipelines.families.model import Extras, Model
from pipelines.families.protocol import Family
from pipelines.lora import Lora, LoraMetadata, read_lora, write_lora
from pipelines.references.landmark import Landmark
from pipelines.references.native import NativeReferences
from pipelines.references.protocol import Kept, Reference
from pipelines.references.redux import ReduxReference
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.inpaint import Inpaint
from pipelines.sampling.loop import sample
from pipelines.sampling.request import DrawRequest, request_from
from pipelines.training.lora import LoraTrainingConfig, TrainedLora, TrainingExample, train_lora
from tests.siblings import shake
from tests.tiny import flux1, write_flux, write_redux
from tests.tiny_flux2 import flux2, write_dev, write_klein
from tests.tiny_z_image import write_z_image, z_image

Rgb = npt.NDArray[np.uint8]
PROMPT = "a young woman, smiling"


def _flux1_theirs(backbone: Backbone, request: DrawRequest) -> Tensor:
    """The grid that `FluxPipeline` draws."""
    model = flux1(backbone)
    text, against = (encode_prompt(backbone, words) for words in (request.prompt, request.negative_prompt))
    packed = model.pipeline(
        prompt_embeds=text.prompt_embeds, pooled_prompt_embeds=text.pooled,
        negative_prompt_embeds=against.prompt_embeds, negative_pooled_prompt_embeds=against.pooled,
        true_cfg_scale=request.cfg_scale, guidance_scale=request.distilled_guidance, height=request.height,
        width=request.width, num_inference_steps=request.num_inference_steps, output_type="latent",
        generator=torch.Generator().manual_seed(request.seed),
    ).images  # fmt: skip
    return model.unpack(packed, request.height, request.width)


def _flux2_theirs(backbone: Backbone, request: DrawRequest) -> Tensor:
    """The grid that the folder's own FLUX.2 pipeline draws, taken before it is denormalised."""
    pipeline, states = flux2(backbone).pipeline, list[Tensor]()

    def keep(_pipeline: object, _step: int, _timestep: object, kept: dict[str, Tensor]) -> dict[str, Tensor]:
        states.append(kept["latents"])
        return kept

    if isinstance(pipeline, Flux2Pipeline):
        guided: dict[str, Any] = {"guidance_scale": request.distilled_guidance}
    else:
        against = encode_prompt(backbone, request.negative_prompt)
        guided = {"guidance_scale": request.cfg_scale, "negative_prompt_embeds": against}
    pipeline(
        prompt_embeds=encode_prompt(backbone, request.prompt), generator=torch.Generator().manual_seed(request.seed),
        height=request.height, width=request.width, num_inference_steps=request.num_inference_steps,
        output_type="latent", callback_on_step_end=keep, **guided,
    )  # fmt: skip
    return backbone.model.unpack(states[-1], request.height, request.width)


def _write_flux1(root: Path) -> Path:
    write_redux(root / "redux")
    return write_flux(root / "flux")


def _write_flux1_dev(root: Path) -> Path:
    return write_flux(root / "flux-dev", guidance_embeds=True, dynamic_shifting=True)


def _write_klein(root: Path) -> Path:
    shake(write_klein(root / "FLUX.2-klein-base-4B"))
    return write_klein(root / "klein", distilled=True)


def _write_klein_base(root: Path) -> Path:
    return write_klein(root / "klein-base")


def _write_flux2_dev(root: Path) -> Path:
    return write_dev(root / "flux2-dev")


def _z_image_theirs(backbone: Backbone, request: DrawRequest) -> Tensor:
    """The grid that `ZImagePipeline` draws; its own guidance is what is added to the conditional side."""
    model = z_image(backbone)
    text, against = (list(encode_prompt(backbone, words)) for words in (request.prompt, request.negative_prompt))
    drawn: Tensor = model.pipeline(
        prompt_embeds=text, negative_prompt_embeds=against, guidance_scale=request.cfg_scale - 1, height=request.height,
        width=request.width, num_inference_steps=request.num_inference_steps, output_type="latent",
        generator=torch.Generator().manual_seed(request.seed),
    ).images  # fmt: skip
    return drawn


def _write_z_image(root: Path) -> Path:
    return write_z_image(root / "z-image")


def _write_z_image_turbo(root: Path) -> Path:
    shake(write_z_image(root / "Z-Image"))
    return write_z_image(root / "z-image-turbo", shift=3.0)


@dataclass(frozen=True)
class Case:
    """A folder of a family, the family's own diffusers pipeline, and how far that may be from the loop, as a share of
    the greatest value.

    `off` are references that are switched off: they change nothing.
    """

    name: str
    write: Callable[[Path], Path]
    theirs: Callable[[Backbone, DrawRequest], Tensor]
    off: tuple[Reference, ...] = ()
    tolerance: float = 0.0


CASES: Mapping[str, tuple[Case, ...]] = {
    "flux1": (
        Case("flux1", _write_flux1, _flux1_theirs, (ReduxReference(np.zeros((32, 32, 3), np.uint8), scale=0.0),)),
        Case("flux1-dev", _write_flux1_dev, _flux1_theirs),
    ),
    "flux2": (
        Case("klein", _write_klein, _flux2_theirs, (NativeReferences.show(np.zeros((32, 32, 3), np.uint8), 0.0),)),
        Case("klein-base", _write_klein_base, _flux2_theirs),
        Case("flux2-dev", _write_flux2_dev, _flux2_theirs),
    ),
    # its pipeline computes both sides of guidance in one batch, whose sums are rounded otherwise in the last bits
    "z-image": (
        Case("z-image", _write_z_image, _z_image_theirs, tolerance=1e-6),
        Case("z-image-turbo", _write_z_image_turbo, _z_image_theirs, tolerance=1e-6),
    ),
}
"""A family's id to its folders."""


def cases_of(families: Sequence[Family]) -> list[Case]:
    """Return all folders of these families; raises LookupError for one without any: the suite is no suite then."""
    if bare := [family.id for family in families if not CASES.get(family.id)]:
        raise LookupError(f"these families have no tiny folder in CASES: {', '.join(bare)}")
    return [case for family in families for case in CASES[family.id]]


def test_a_family_without_a_folder_fails_the_suite() -> None:
    with pytest.raises(LookupError, match="another"):
        cases_of([*FAMILIES, replace(FLUX1, id="another")])


@pytest.fixture(scope="module", params=cases_of(FAMILIES), ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture(scope="module")
def folder(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return case.write(tmp_path_factory.mktemp(case.name))


@pytest.fixture(scope="module")
def backbone(folder: Path) -> Backbone:
    return load_backbone(resolve_backbone(folder), "cpu", torch.float32)


@pytest.fixture(scope="module")
def trained(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> TrainedLora:
    config = LoraTrainingConfig(rank=3, steps=3, batch_size=2, learning_rate=2e-2, warmup_steps=0, checkpoint_every=3)
    examples = [TrainingExample(scene(i), f"a woman {i}") for i in range(2)]
    return train_lora(backbone.trained_on(), examples, config, tmp_path_factory.mktemp("training"))


def scene(seed: int) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (96, 64, 3), dtype=np.uint8)


def ask(backbone: Backbone, seed: int = 1, **changes: Any) -> DrawRequest:
    """Without classifier-free guidance where the model has none."""
    if not backbone.spec.can.cfg:
        changes |= {"cfg_scale": 1.0}
    given = {"cfg_scale": 1.0, "height": 96, "width": 64, "num_inference_steps": 3, "distilled_guidance": 3.5} | changes
    return request_from(backbone.spec, PROMPT, seed, **given)


@contextmanager
def decoded(backbone: Backbone) -> Iterator[list[Tensor]]:
    """The grids [b, c, h, w] that are decoded while it is open."""
    kind, seen = type(backbone.model), list[Tensor]()
    real = kind.decode

    def spy(self: Model, grid: Tensor) -> Tensor:
        seen.append(grid.clone())
        return real(self, grid)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(kind, "decode", spy)
        yield seen


def grid_of(backbone: Backbone, *requests: DrawRequest) -> Tensor:
    with decoded(backbone) as seen:
        draw_batch(backbone, requests)
    return seen[0]


@pytest.mark.parametrize("cfg_scale", [1.0, 2.5])
def test_it_draws_what_its_own_pipeline_draws(case: Case, backbone: Backbone, cfg_scale: float) -> None:
    request = replace(ask(backbone, negative_prompt="at night"), cfg_scale=cfg_scale)
    if cfg_scale > 1 and not backbone.spec.can.cfg:
        with pytest.raises(BadInput, match="model_without_cfg"):
            grid_of(backbone, request)
        return
    ours, theirs = grid_of(backbone, request), case.theirs(backbone, request)
    assert float((ours - theirs).abs().max()) <= case.tolerance * float(theirs.abs().max())
    assert float(ours.std()) > 0.1


def test_a_picture_of_a_batch_is_the_picture_alone(backbone: Backbone) -> None:
    requests = [ask(backbone, seed, cfg_scale=2.0) for seed in (1, 2)]
    together = grid_of(backbone, *requests)
    alone = torch.cat([grid_of(backbone, request) for request in requests])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(together[0], together[1])


def test_repainting_everything_from_pure_noise_is_plain_drawing(backbone: Backbone) -> None:
    model = backbone.model
    conditioning = model.condition(encode_prompt(backbone, PROMPT), 96, 64, 3.5, Extras())
    noise, sigmas = model.noise(1, 96, 64), model.sigmas(96 * 64 // model.token_px**2, 3)
    pictures = model.pack(model.encode_pictures(scene(0)[None]))
    inpaint = Inpaint(Kept(pictures, torch.ones_like(pictures)), noise)
    assert torch.equal(inpaint.noised(sigmas[0]), noise)
    with torch.no_grad():
        plain = sample(model.velocity, noise, sigmas, conditioning)
        repainted = sample(model.velocity, noise, sigmas, conditioning, extensions=[inpaint])
    assert torch.equal(plain, repainted)


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_kept_cells_are_the_pictures_own(backbone: Backbone, strength: float) -> None:
    model, mask = backbone.model, np.zeros((96, 64), np.bool_)
    mask[:32, :32] = True  # whole tokens of every family
    request = ask(backbone, references=(Landmark(scene(0), mask, exact=False),), strength=strength)
    grid = grid_of(backbone, request)
    own = model.encode_pictures(scene(0)[None])
    cells = 32 // model.cell_px
    assert torch.equal(grid[..., :cells, :cells], own[..., :cells, :cells])
    assert not torch.allclose(grid[..., cells:, :], own[..., cells:, :], atol=0.1)


def test_a_reference_that_is_off_is_none(case: Case, backbone: Backbone) -> None:
    request = ask(backbone)
    assert all(reference.key() is None for reference in case.off)
    assert torch.equal(grid_of(backbone, replace(request, references=case.off)), grid_of(backbone, request))


def test_a_trained_lora_comes_back_from_its_file_bit_for_bit(
    backbone: Backbone, trained: TrainedLora, tmp_path: Path
) -> None:
    write_lora(tmp_path / "a.safetensors", trained.layers, LoraMetadata("Li", "ohwx"))
    read = read_lora(tmp_path / "a.safetensors").layers
    assert {layer.module for layer in read} == set(backbone.model.lora_modules("all"))
    plain, learnt, again = (
        grid_of(backbone, ask(backbone, loras=loras)) for loras in ((), (Lora(trained.layers),), (Lora(read),))
    )
    assert float((learnt - again).abs().max()) == 0.0
    assert float((learnt - plain).abs().max()) > 1e-4


def test_the_loras_are_on_while_it_is_drawn_and_leave_no_trace(backbone: Backbone, trained: TrainedLora) -> None:
    before = {name: value.clone() for name, value in backbone.transformer.state_dict().items()}
    plain = grid_of(backbone, ask(backbone))
    changed = grid_of(backbone, ask(backbone, loras=(Lora(trained.layers, 2.0),)))
    assert not torch.equal(plain, changed)
    after = backbone.transformer.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(plain, grid_of(backbone, ask(backbone)))


def test_gradients_flow_through_velocity_and_decoding(backbone: Backbone) -> None:
    model = backbone.model
    conditioning = model.condition(encode_prompt(backbone, PROMPT), 96, 64, 1.0, Extras())
    state = model.noise(1, 96, 64).requires_grad_()
    velocity = model.velocity(state, torch.tensor([0.5]), conditioning)
    assert velocity.shape == state.shape
    model.decode(model.unpack(state - 0.5 * velocity, 96, 64)).square().mean().backward()  # type: ignore[no-untyped-call]
    assert state.grad is not None
    assert bool(state.grad.isfinite().all())
    assert float(state.grad.abs().max()) > 0


def test_it_runs_in_bfloat16(folder: Path, backbone: Backbone) -> None:
    small = load_backbone(resolve_backbone(folder), "cpu", torch.bfloat16)
    mask = np.zeros((96, 64), np.bool_)
    mask[:32] = True
    kept = ask(small, references=(Landmark(scene(0), mask),), strength=0.5, cfg_scale=2.0)
    for request in (ask(small), kept):
        (picture,) = draw_batch(small, [request])
        assert picture.std() > 1
    grid = grid_of(small, ask(small))
    assert grid.dtype == small.model.state_dtype
    alike = torch.corrcoef(torch.stack([grid.float().flatten(), grid_of(backbone, ask(backbone)).flatten()]))[0, 1]
    assert float(alike) > 0.9


def test_sigmas_fall_to_zero_and_training_shifts_as_they_are_shifted(backbone: Backbone) -> None:
    model = backbone.model
    steps = backbone.spec.num_inference_steps  # FLUX.2's shift depends on their number, and training has none
    for tokens in (6, 1024):
        sigmas = model.sigmas(tokens, steps)
        assert sigmas.dtype == torch.float32
        assert len(sigmas) == steps + 1
        assert (float(sigmas[0]), float(sigmas[-1])) == (1.0, 0.0)
        assert bool((sigmas[:-1] > sigmas[1:]).all())
        linear = torch.linspace(1, 1 / steps, steps)
        torch.testing.assert_close(model.shift(linear, tokens), sigmas[:-1], atol=1e-6, rtol=0)


def test_states_and_grids_are_the_same_values(backbone: Backbone) -> None:
    model = backbone.model
    grid = model.encode_pictures(np.stack([scene(0), scene(1)]))
    assert grid.shape[2:] == (96 // model.cell_px, 64 // model.cell_px)
    assert torch.equal(model.unpack(model.pack(grid), 96, 64), grid)
    noise = model.noise(3, 96, 64)
    assert noise.shape == model.pack(grid)[:1].shape
    assert torch.equal(noise, model.noise(3, 96, 64))
    assert not torch.equal(noise, model.noise(4, 96, 64))
    assert float(noise.std()) == pytest.approx(1, abs=0.1)


def test_lora_modules_are_linear_layers_by_their_full_names(backbone: Backbone) -> None:
    model = backbone.model
    attention, everything = (model.lora_modules(kind) for kind in ("attention", "all"))  # type: ignore[arg-type]
    assert set(attention) < set(everything)
    assert len(set(everything)) == len(everything)
    assert all(isinstance(model.transformer.get_submodule(name), nn.Linear) for name in everything)
