"""A character adapter's networks, against the published forward pass written down once more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from pipelines.adapters.character_layout import INSTANTCHARACTER, Dimensions, Layout, read_dimensions
from pipelines.adapters.character_network import build_blocks, build_projector, build_resampler
from pipelines.adapters.character_photos import CharacterPhoto, lay_out
from pipelines.errors import BadInput
from tests.pipelines.adapters.character_restated import project, resample
from tests.pipelines.adapters.test_character_files import published
from tests.tiny import CHARACTER, character_tensors

# InstantCharacter's at a sixteenth of its width, with as many heads
SIXTEENTH = Dimensions(
    features=168, stack_blocks=4, stack_hidden=672, mlp_hidden=336, width=80, depth=4, ratio=4, regions=1, queries=64,
    sinusoids=20, token_width=256, blocks=2, block_width=192, block_head=8, stack_heads=42, resampler_heads=20,
)  # fmt: skip


def test_the_published_tensors_fill_the_networks_at_their_real_size() -> None:
    """Each of the 577 finds its place, and no place is left empty; on the meta device no number is held."""
    shapes = published()
    tensors = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    sizes = read_dimensions("instantcharacter_ip-adapter", shapes, {})
    reads, makes = build_projector(sizes, tensors), build_resampler(sizes, tensors)
    attends = build_blocks(sizes, tensors)

    def count(*networks: torch.nn.Module) -> int:
        return sum(p.numel() for network in networks for p in network.parameters())

    assert len(attends) == 57
    assert count(reads, makes) == 1_360_116_096
    assert count(*attends) == 1_434_816_768
    assert [len(stack) for stack in (reads.cross_layer_blocks, reads.cross_scale_blocks)] == [4, 4]
    first: Any = reads.cross_layer_blocks[0]
    last: Any = makes.layers[3]
    assert (first.attn2.heads, last.attn.heads) == (42, 20)


def some(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_tokens_are_those_of_the_published_forward_pass() -> None:
    tensors = character_tensors(SIXTEENTH)
    deep, shallow, crops = some(2, 25, 168), some(2, 75, 168, seed=2), some(2, 100, 168, seed=3)
    projector, resampler = build_projector(SIXTEENTH, tensors), build_resampler(SIXTEENTH, tensors)
    x = projector(deep, shallow, crops)
    assert x.shape == (2, 50, 168)
    assert torch.allclose(x, project(tensors, deep, shallow, crops, 42), atol=1e-5)
    regions, made = torch.tensor([0, 0]), []
    for time in (1000.0, 637.5, 3.0):
        tokens = resampler.resample(x, regions, torch.tensor([time]))
        assert tokens.shape == (2, 64, 256)
        assert torch.allclose(tokens, resample(tensors, x, 0, time, 20), atol=1e-5)
        made.append(tokens)
    assert (made[0] - made[1]).abs().max() > 0.01  # the time matters


@torch.no_grad()
def test_a_region_has_queries_of_its_own_and_no_second_scale() -> None:
    sizes = replace(CHARACTER, regions=3)
    tensors = character_tensors(sizes)
    projector, resampler = build_projector(sizes, tensors), build_resampler(sizes, tensors)
    deep, shallow = some(2, 16, 28), some(2, 48, 28, seed=2)
    x = projector(deep, shallow)
    assert torch.allclose(x, project(tensors, deep, shallow, None, 7), atol=1e-5)
    rows = resampler.resample(x, torch.tensor([2, 1]), torch.tensor([500.0]))
    for row, region in enumerate((2, 1)):
        assert torch.allclose(rows[row], resample(tensors, x[row : row + 1], region, 500.0, 4)[0], atol=1e-5)
    same = resampler.resample(x[:1].expand(2, -1, -1), torch.tensor([2, 1]), torch.tensor([500.0]))
    assert (same[0] - same[1]).abs().max() > 0.01


@torch.no_grad()
def test_regions_weigh_in_the_attention_and_people_of_a_batch_are_their_own() -> None:
    tensors = character_tensors()
    block = build_blocks(CHARACTER, tensors)[0]
    query, tokens = some(3, 10, 32), some(2, 6, 32, seed=2)
    read = block(query, tokens, torch.tensor([1, 0, 1]))
    for row, person in enumerate((1, 0, 1)):
        alone = block(query[row : row + 1], tokens[person : person + 1], torch.tensor([0]))
        assert torch.allclose(read[row : row + 1], alone, atol=1e-6)
    first = torch.tensor([0.0] * 3 + [-40.0] * 3)  # the second region weighs next to nothing
    weighed = block(query, tokens, torch.tensor([1, 0, 1]), first)
    dropped = block(query, tokens[:, :3], torch.tensor([1, 0, 1]))
    assert torch.allclose(weighed, dropped, atol=1e-5)
    assert (weighed - read).abs().max() > 0.01


def photo(height: int = 90, width: int = 120) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    image = np.random.default_rng(1).integers(0, 200, (height, width, 3), dtype=np.uint8)
    mask = np.zeros((height, width), np.bool_)
    mask[10:80, 40:75] = True  # 70 high, 35 wide
    return image, mask


def test_a_photo_is_laid_out_as_the_published_app_lays_it_out() -> None:
    image, mask = photo()
    laid = lay_out(CharacterPhoto(image, mask), INSTANTCHARACTER, 32)
    square = Image.new("RGB", (70, 70), "white")
    square.paste(Image.fromarray(image[10:80, 40:75]), (17, 0))
    assert np.array_equal(laid.regions[0], np.asarray(square.resize((32, 32), Image.Resampling.BICUBIC)))
    large = square.resize((64, 64), Image.Resampling.BICUBIC)
    corners = ((0, 0), (32, 0), (0, 32), (32, 32))
    assert len(laid.quarters) == 4
    for quarter, (x, y) in zip(laid.quarters, corners, strict=True):
        assert np.array_equal(quarter, np.asarray(large.crop((x, y, x + 32, y + 32))))


def test_parts_are_regions_of_another_layout() -> None:
    """As the layout with regions in the quarters' place reads them: own pixels on grey, and what is off is not seen."""
    image, mask = photo()
    legs = mask.copy()
    legs[:50] = False
    layout = Layout("parts", INSTANTCHARACTER.encoders, ("whole", "face", "legs"), False, 127, 0.1)
    whole = CharacterPhoto(image, mask, {"legs": legs})
    laid = lay_out(whole, layout, 35)
    assert sorted(laid.regions) == [0, 2]  # nobody said where the face is
    assert laid.quarters == ()
    assert (laid.regions[2][0] == 127).all()  # a margin
    without = lay_out(whole, layout, 35, {"legs"})
    assert sorted(without.regions) == [0]
    torso = lay_out(CharacterPhoto(image, mask & ~legs), layout, 35)
    assert np.array_equal(without.regions[0], torso.regions[0])
    assert not np.array_equal(without.regions[0], laid.regions[0])


def test_photos_that_cannot_be_read() -> None:
    image, mask = photo()
    with pytest.raises(BadInput, match="character_mask_size"):
        CharacterPhoto(image, mask[1:])
    with pytest.raises(BadInput, match="character_not_cut_out"):
        CharacterPhoto(image, np.zeros_like(mask))
    with pytest.raises(BadInput, match=r"character_photo_small.*height=1, width=1"):
        CharacterPhoto(np.zeros((1, 1, 3), np.uint8), np.ones((1, 1), np.bool_))
    with pytest.raises(BadInput, match="picture_not_rgb"):
        CharacterPhoto(image[..., 0], mask)
