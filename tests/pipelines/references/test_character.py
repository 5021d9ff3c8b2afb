"""Characters: the published attention in every block, off bit by bit, per step, own people within a batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import FluxTransformer2DModel
from transformers import Dinov2Model, SiglipVisionModel

from pipelines.adapters.character import character_of, check_fits, load_character
from pipelines.adapters.character_files import CharacterFile, read_character_file
from pipelines.adapters.character_layout import INSTANTCHARACTER, read_dimensions
from pipelines.adapters.character_photos import CharacterPhoto, lay_out
from pipelines.backbones import Backbone, encode_prompt, load_backbone, resolve_backbone
from pipelines.errors import BadInput, ModelMissing, NotEnoughMemory
from pipelines.families.model import Extras
from pipelines.models.hardware import Hardware
from pipelines.references.character import CharacterReference
from pipelines.references.ip_adapter import IpAdapterReference
from pipelines.references.landmark import Landmark
from pipelines.references.protocol import Conditions, Reference
from pipelines.sampling.draw import draw, draw_batch
from pipelines.sampling.loop import sample
from pipelines.sampling.request import plan_batches, request_from
from tests.pipelines.adapters.character_restated import RestatedProcessor, project, resample
from tests.pipelines.adapters.test_character_files import published
from tests.tiny import CHARACTER, character_tensors, ip_adapter_tensors, write_character, write_ip_adapter

Picture = npt.NDArray[np.uint8]


def photo(seed: int, height: int = 96, width: int = 80) -> CharacterPhoto:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    mask = np.zeros((height, width), np.bool_)
    mask[8:88, 20:70] = True
    return CharacterPhoto(image, mask)


def somebody(seed: int = 1, **more: Any) -> CharacterReference:
    return CharacterReference((photo(seed),), **more)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("adapters")
    return {
        "character": write_character(root / "character"),
        "ip_adapter": write_ip_adapter(root / "ip_adapter", ip_adapter_tensors()),
    }


@pytest.fixture(scope="module")
def backbone(tiny_flux: Path, folders: dict[str, Path]) -> Backbone:
    spec = replace(resolve_backbone(tiny_flux), companions=folders, true_cfg_scale=1.0)
    return load_backbone(spec, "cpu", torch.float32)


def one(backbone: Backbone, *references: Reference, seed: int = 0, **more: Any) -> Picture:
    return draw_batch(backbone, [request_from(backbone.spec, "a cafe", seed, references=references, **more)])[0]


def call(batch: int = 2) -> dict[str, Any]:
    """What a transformer is asked with 24 tokens of picture and 5 of text."""
    generator = torch.Generator().manual_seed(3)

    def some(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return {
        "hidden_states": some(batch, 24, 32), "encoder_hidden_states": some(batch, 5, 32),
        "pooled_projections": some(batch, 24), "timestep": torch.full((batch,), 0.5),
        "img_ids": torch.cartesian_prod(torch.zeros(1), torch.arange(6.0), torch.arange(4.0)),
        "txt_ids": torch.zeros(5, 3), "return_dict": False,
    }  # fmt: skip


@contextmanager
def worn(backbone: Backbone, references: list[CharacterReference], sigma: float = 0.5) -> Iterator[Any]:
    """The transformer with these on, one for each picture, at a sigma."""
    conditions = Conditions(backbone, [], [])
    references[0].extend(conditions, references, [r.encode(backbone) for r in references])
    conditions.followers[0].follow(torch.tensor(sigma), 0.5, False)
    with ExitStack() as stack:
        for installed in conditions.installed:
            stack.enter_context(installed)
        yield backbone.transformer


def restated_tokens(folder: Path, shown: CharacterPhoto, sigma: float) -> torch.Tensor:
    """A photo's tokens by transformers' own encoders and the published formulas."""
    layout, tensors = read_character_file(folder).layout, character_tensors()
    siglip = SiglipVisionModel.from_pretrained(folder / "siglip-so400m-patch14-384")
    dinov2 = Dinov2Model.from_pretrained(folder / "dinov2-giant")
    laid = lay_out(shown, layout, 32)

    def look(squares: list[Picture]) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).float() / 255
        mean, deviation = (torch.tensor(v)[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
        first = siglip((x - 0.5) / 0.5, output_hidden_states=True)
        second = dinov2((x - mean) / deviation, output_hidden_states=True)
        deep = torch.cat([first.last_hidden_state, second.last_hidden_state[:, 1:]], dim=2)
        shallow = [torch.cat([first.hidden_states[i] for i in (1, 2, 3)], dim=1)]
        shallow += [torch.cat([second.hidden_states[i][:, 1:] for i in (0, 1, 2)], dim=1)]
        return deep, torch.cat(shallow, dim=2)

    deep, shallow = look([laid.regions[0]])
    crops = look(list(laid.quarters))[0].flatten(0, 1)[None]
    return resample(tensors, project(tensors, deep, shallow, crops, 7), 0, 1000 * sigma, 4)


@torch.no_grad()
def test_every_block_adds_what_the_published_pass_adds(backbone: Backbone, folders: dict[str, Path]) -> None:
    people = [somebody(1, strength=0.7), somebody(2, strength=0.7)]
    tokens = torch.cat([restated_tokens(folders["character"], r.photos[0], 0.5) for r in people])
    transformer, tensors = backbone.transformer, character_tensors()
    plain = transformer(**call())[0]
    with worn(backbone, people) as changed:
        got = changed(**call())[0]
    blocks = (*transformer.transformer_blocks, *transformer.single_transformer_blocks)
    before = [block.attn.processor for block in blocks]
    try:
        for number, block in enumerate(blocks):
            block.attn.set_processor(RestatedProcessor(tensors, number, tokens, 0.7, 5))
        want = transformer(**call())[0]
    finally:
        for block, processor in zip(blocks, before, strict=True):
            block.attn.set_processor(processor)
    assert (got - want).abs().max() < 1e-5
    assert (got - plain).abs().max() > 0.01
    assert torch.equal(transformer(**call())[0], plain)  # and nothing stays on the model


@torch.no_grad()
def test_a_whole_picture_is_drawn_with_the_tokens_of_each_step(backbone: Backbone, folders: dict[str, Path]) -> None:
    """The sampling loop with the published pass in every block, by its formulas, at each step's own time."""
    model, tensors, person = backbone.model, character_tensors(), somebody(strength=0.9)
    text = encode_prompt(backbone, "a cafe")
    length = text.prompt_embeds.shape[1]
    blocks = (*model.transformer.transformer_blocks, *model.transformer.single_transformer_blocks)
    before = [block.attn.processor for block in blocks]

    def restated(state: torch.Tensor, sigma: torch.Tensor, conditioning: Any) -> torch.Tensor:
        tokens = restated_tokens(folders["character"], person.photos[0], float(sigma[0]))
        for number, block in enumerate(blocks):
            block.attn.set_processor(RestatedProcessor(tensors, number, tokens, 0.9, length))
        return model.velocity(state, sigma, conditioning)

    try:
        spec = backbone.spec
        given = model.condition(model.join([text]), spec.height, spec.width, spec.guidance_scale, Extras())
        cells = spec.height // model.token_px * (spec.width // model.token_px)
        sigmas = model.sigmas(cells, spec.num_inference_steps)
        state = sample(restated, model.noise(0, spec.height, spec.width), sigmas, given)
    finally:
        for block, processor in zip(blocks, before, strict=True):
            block.attn.set_processor(processor)
    want = model.decode(model.unpack(state, spec.height, spec.width))[0].permute(1, 2, 0)
    drawn = torch.from_numpy(one(backbone, person)) / 127.5 - 1
    assert (drawn - want.clamp(-1, 1)).abs().max() < 0.01  # a level of 255 is 0.0078


@torch.no_grad()
def test_a_block_less_is_another_picture(backbone: Backbone) -> None:
    """Each of the four blocks counts, the double and the single ones."""
    adapter = character_of(backbone)
    with worn(backbone, [somebody()]) as changed:
        whole = changed(**call(1))[0]
    for block in adapter.blocks:
        kept = block.to_v_ip.weight.clone(), block.to_v_ip.bias.clone()
        try:
            block.to_v_ip.weight.zero_()
            block.to_v_ip.bias.zero_()
            with worn(backbone, [somebody()]) as changed:
                assert (changed(**call(1))[0] - whole).abs().max() > 1e-4
        finally:
            block.to_v_ip.weight.copy_(kept[0])
            block.to_v_ip.bias.copy_(kept[1])


def test_off_is_exactly_off_and_it_follows_the_strength(backbone: Backbone) -> None:
    without = one(backbone)
    assert np.array_equal(one(backbone, somebody(strength=0.0)), without)
    pictures = [without, one(backbone, somebody()), one(backbone, somebody(2)), one(backbone, somebody(strength=0.4))]
    for i, a in enumerate(pictures):
        for b in pictures[i + 1 :]:
            assert not np.array_equal(a, b)
    assert np.array_equal(one(backbone), without)  # and nothing stays on the model


def test_it_is_on_for_its_share_of_the_way(backbone: Backbone) -> None:
    """Three steps: before the start and behind the end the picture is the model's own."""
    spans = [one(backbone, somebody(start=start, end=end)) for start, end in ((0, 1), (0, 0.3), (0.3, 0.6), (0.6, 1))]
    for i, a in enumerate(spans):
        for b in spans[i + 1 :]:
            assert not np.array_equal(a, b)
    assert np.array_equal(one(backbone, somebody(start=0.9, end=1.0)), one(backbone))  # no step begins so late
    two = one(backbone, somebody(end=0.6))
    assert np.array_equal(two, one(backbone, somebody(end=0.66)))  # the third step begins at two thirds


def test_four_of_a_batch_are_four_alone(backbone: Backbone) -> None:
    people = [somebody(seed) for seed in (1, 2, 3, 1)]
    requests = [request_from(backbone.spec, f"a cafe {i}", i, references=(person,)) for i, person in enumerate(people)]
    assert plan_batches(requests) == ((0, 1, 2, 3),)
    for together, request in zip(draw_batch(backbone, requests), requests, strict=True):
        (alone,) = draw_batch(backbone, [request])
        assert np.abs(together.astype(int) - alone).max() <= 1  # a batch of four may round differently


def test_several_photos_are_read_side_by_side(backbone: Backbone) -> None:
    twice = CharacterReference((photo(1), photo(1)))
    assert np.abs(one(backbone, twice).astype(int) - one(backbone, somebody())).max() <= 1
    both = one(backbone, CharacterReference((photo(1), photo(2))))
    assert not np.array_equal(both, one(backbone, somebody()))
    assert not np.array_equal(both, one(backbone, somebody(2)))
    requests = [request_from(backbone.spec, "a", 1, references=(r,)) for r in (twice, somebody())]
    assert plan_batches(requests) == ((0,), (1,))  # not as many tokens


@torch.no_grad()
def test_it_works_beside_an_ip_adapter_in_either_order(backbone: Backbone) -> None:
    place = IpAdapterReference((photo(5).image,), (0.8, 0.8))
    person = somebody()
    pictures = [one(backbone, *both) for both in ((), (place,), (person,), (place, person), (person, place))]
    assert np.abs(pictures[3].astype(int) - pictures[4]).max() <= 1
    for i, a in enumerate(pictures[:4]):
        for b in pictures[i + 1 : 4]:
            assert not np.array_equal(a, b)
    # a person who is not on yet leaves the place as it is, bit by bit
    late = somebody(start=0.9)
    assert np.array_equal(one(backbone, place, late), pictures[1])
    assert np.array_equal(one(backbone), pictures[0])


def test_it_goes_with_a_landmark_and_guidance(backbone: Backbone) -> None:
    mask = np.zeros((96, 64), np.bool_)
    mask[:32, :32] = True
    image = np.random.default_rng(4).integers(0, 256, (96, 64, 3), dtype=np.uint8)
    kept = Landmark(image, mask)
    ((_, drawn),) = draw(backbone, [request_from(backbone.spec, "a", 1, references=(somebody(), kept), cfg_scale=2.0)])
    bare = one(backbone, kept, cfg_scale=2.0, seed=1)
    assert np.array_equal(drawn[mask], image[mask])
    assert not np.array_equal(drawn, bare)


def test_identity_guidance_leaves_the_negative_side_without_the_person(backbone: Backbone) -> None:
    """Equal words and no person on the negative side: the further apart the sides, the more guidance does."""
    asked: dict[str, Any] = {"cfg_scale": 3.0, "negative_prompt": "a cafe"}
    guided = one(backbone, somebody(), identity_guidance=True, **asked)
    both = one(backbone, somebody(), **asked)
    assert np.abs(both.astype(int) - one(backbone, somebody())).max() <= 1  # both sides are the same
    assert np.abs(guided.astype(int) - both).mean() > 1


def test_references_that_cannot_be(backbone: Backbone) -> None:
    with pytest.raises(BadInput, match=r"character_photo_count.*count=5"):
        CharacterReference((photo(1),) * 5)
    with pytest.raises(BadInput, match="character_photo_count"):
        CharacterReference(())
    for strength in (float("nan"), -0.1, 1.6):
        with pytest.raises(BadInput, match="character_scale_out_of_range"):
            somebody(strength=strength)
    for start, end in ((0.5, 0.5), (0.6, 0.5), (-0.1, 1), (0, 1.1), (float("nan"), 1)):
        with pytest.raises(BadInput, match="character_span"):
            somebody(start=start, end=end)
    with pytest.raises(BadInput, match="character_region_unknown"):
        one(backbone, somebody(scales={"legs": 0.5}))
    with pytest.raises(BadInput, match="character_listed_twice"):
        request_from(backbone.spec, "a", 1, references=(somebody(), somebody(2)))


def test_a_backbone_without_one_says_so(tiny_backbone: Backbone) -> None:
    with pytest.raises(ModelMissing, match="character_missing"):
        one(tiny_backbone, somebody())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"blocks": 3}, "blocks=3, width=32"),
        ({"block_width": 48}, "blocks=4, width=48"),
        ({"block_head": 8}, "head=8"),
    ],
)
def test_an_adapter_for_another_transformer_is_refused(
    tmp_path: Path, tiny_backbone: Backbone, change: dict[str, int], says: str
) -> None:
    written = write_character(tmp_path, character_tensors(replace(CHARACTER, **change)))  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=f"character_does_not_fit.*{says}"):
        load_character(written, tiny_backbone.transformer, tiny_backbone.device, tiny_backbone.dtype)


def test_the_published_sizes_fit_flux_dev() -> None:
    with torch.device("meta"):
        transformer, shallow = FluxTransformer2DModel(), FluxTransformer2DModel(num_layers=18)
    shapes = published()
    sizes = read_dimensions("instantcharacter_ip-adapter", shapes, {})
    file = CharacterFile(Path("a.safetensors"), "", "", INSTANTCHARACTER, sizes)
    check_fits(file, transformer)
    with pytest.raises(BadInput, match="wanted_blocks=56"):
        check_fits(file, shallow)


def test_it_draws_in_bfloat16(tiny_flux: Path, folders: dict[str, Path]) -> None:
    spec = replace(resolve_backbone(tiny_flux), companions=folders, true_cfg_scale=1.0)
    half = load_backbone(spec, "cpu", torch.bfloat16)
    drawn, without = one(half, somebody()), one(half)
    assert not np.array_equal(drawn, without)
    assert np.array_equal(one(half, somebody(strength=0.0)), without)


def test_encoders_of_another_model_are_refused(tmp_path: Path, tiny_backbone: Backbone) -> None:
    where = tiny_backbone.transformer, tiny_backbone.device, tiny_backbone.dtype
    deep = write_character(tmp_path / "a", metadata={"siglip_states": "1,2,4"})  # it has three layers
    wide = write_character(tmp_path / "b", character_tensors(replace(CHARACTER, features=42)))
    for folder in (deep, wide):
        with pytest.raises(BadInput, match="character_encoders_do_not_fit"):
            load_character(folder, *where)


def test_memory_is_planned_before_anything_is_loaded(
    tmp_path: Path, tiny_backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_character(tmp_path)
    where = tiny_backbone.transformer, torch.device("cpu"), torch.float32
    adapter = load_character(folder, *where)
    drawing: tuple[torch.nn.Module, ...] = (adapter.resampler, *adapter.blocks)
    draws = 4.0 * sum(p.numel() for m in drawing for p in m.parameters())
    reading: tuple[torch.nn.Module, ...] = (*adapter.encoders.modules, adapter.projector)
    reads = 4.0 * sum(p.numel() for m in reading for p in m.parameters())
    # the encoders' masks and heads are small: what the files hold is a little more than what is loaded
    assert adapter.device_bytes == reads + draws
    assert not load_character(folder, *where, 1e6, Hardware("cuda", 1.1 * (reads + draws) + 1e6, 1e9)).waits
    waiting = load_character(folder, *where, 2 * reads, Hardware("cuda", draws + 2.2 * reads, 1e9))
    assert waiting.waits
    assert waiting.device_bytes == draws
    monkeypatch.setattr(SiglipVisionModel, "from_pretrained", None)
    for free, ram in ((draws + 0.9 * reads, 1e9), (draws + 1.5 * reads, reads), (0.0, 1e9)):
        with pytest.raises(NotEnoughMemory, match="no_memory_for_character"):
            load_character(folder, *where, 0.9 * reads, Hardware("cuda", free, ram))


@torch.no_grad()
def test_readers_that_wait_see_the_same(backbone: Backbone, folders: dict[str, Path]) -> None:
    kept = backbone.beside.copy()
    want = one(backbone, somebody())
    try:
        adapter = replace(character_of(backbone), waits=True)
        backbone.beside[("character", None)] = adapter
        assert np.array_equal(one(backbone, somebody()), want)
    finally:
        backbone.beside.clear()
        backbone.beside.update(kept)
