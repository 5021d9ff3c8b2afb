"""The layout of parts: what is off is never seen, several photos share, the name is in the text, all fits its file."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.adapters.character import CharacterAdapter, character_of, encode_character, load_character
from pipelines.adapters.character_files import read_character_file
from pipelines.adapters.character_layout import STUDIO, tensor_shapes
from pipelines.adapters.character_network import (
    build_blocks,
    build_name,
    build_projector,
    build_resampler,
    file_tensors,
)
from pipelines.adapters.character_photos import CharacterPhoto, best_views, lay_out
from pipelines.backbones import Backbone, load_backbone, resolve_backbone
from pipelines.errors import BadInput
from pipelines.references.character import CharacterReference
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.request import request_from
from tests.tiny import STUDIO_CHARACTER, character_tensors, write_studio_character

LANDMARKS = np.array([[44, 20], [56, 20], [50, 26], [45, 31], [55, 31]], np.float32)
ROWS = {"hair": (4, 12), "face": (12, 36), "torso": (36, 70), "legs": (70, 104), "shoes": (104, 114)}


def photo(seed: int = 1, **more: Any) -> CharacterPhoto:
    """Somebody made of stripes, with a bag beside them."""
    image = np.random.default_rng(seed).integers(0, 256, (128, 96, 3), dtype=np.uint8)
    parts = {}
    for name, (top, bottom) in ROWS.items():
        parts[name] = np.zeros((128, 96), np.bool_)
        parts[name][top:bottom, 35:65] = True
    parts["goods"] = np.zeros((128, 96), np.bool_)
    parts["goods"][60:80, 20:35] = True
    whole = np.logical_or.reduce(list(parts.values()))
    return CharacterPhoto(image, whole, parts, **({"landmarks": LANDMARKS} | more))


def repainted(shown: CharacterPhoto, region: str) -> CharacterPhoto:
    image = shown.image.copy()
    image[shown.parts[region]] = 255 - image[shown.parts[region]]
    return replace(shown, image=image)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_studio_character(tmp_path_factory.mktemp("studio") / "character")


@pytest.fixture(scope="module")
def backbone(tiny_flux: Path, folder: Path) -> Backbone:
    spec = replace(resolve_backbone(tiny_flux), companions={"character": folder}, true_cfg_scale=1.0)
    return load_backbone(spec, "cpu", torch.float32)


@pytest.fixture(scope="module")
def adapter(backbone: Backbone) -> CharacterAdapter:
    return character_of(backbone)


def one(backbone: Backbone, *photos: CharacterPhoto, **more: Any) -> npt.NDArray[np.uint8]:
    references = (CharacterReference(photos, **more),) if photos else ()
    return draw_batch(backbone, [request_from(backbone.spec, "a cafe", 0, references=references)])[0]


def tokens(adapter: CharacterAdapter, shown: CharacterPhoto, **scales: float) -> dict[str, torch.Tensor]:
    read = encode_character(adapter, [shown], scales)
    return {STUDIO.regions[int(n)]: row for n, row in zip(read.regions, read.tokens, strict=True)}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> list[str]:
    assert a.keys() == b.keys()
    return [name for name in a if torch.allclose(a[name], b[name], atol=1e-5)]


def test_its_numbers_go_into_the_networks_and_back_to_their_names() -> None:
    sizes, tensors = STUDIO_CHARACTER, character_tensors(STUDIO_CHARACTER)
    networks = build_projector(sizes, tensors), build_resampler(sizes, tensors), build_blocks(sizes, tensors)
    back = file_tensors(*networks, build_name(sizes, tensors))
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)


def test_every_region_has_its_tokens(adapter: CharacterAdapter) -> None:
    """16 + 16 of the stages, one of colours; of the face 16 more, of the whole one more."""
    found = tokens(adapter, photo())
    assert {name: len(row) for name, row in found.items()} == {
        "whole": 34, "face": 49, "hair": 33, "torso": 33, "legs": 33, "shoes": 33, "goods": 33,
    }  # fmt: skip
    without = tokens(adapter, photo(landmarks=None))
    assert (len(without["face"]), len(without["whole"])) == (33, 33)


@pytest.mark.parametrize("region", ["hair", "legs", "goods"])
def test_what_is_off_is_never_seen(adapter: CharacterAdapter, region: str) -> None:
    """Other pixels there change its own tokens and the whole's; with it off, nothing at all."""
    shown = photo()
    changed = repainted(shown, region)
    on = same(tokens(adapter, shown), tokens(adapter, changed))
    assert "torso" in on
    assert not {"whole", region} & set(on)
    off = tokens(adapter, shown, **{region: 0.0})
    assert region not in off
    assert len(same(off, tokens(adapter, changed, **{region: 0.0}))) == len(off)


def test_without_the_face_nobody_is_named(adapter: CharacterAdapter) -> None:
    named, silent = (encode_character(adapter, [photo()], scales) for scales in ({}, {"face": 0.0}))
    half = encode_character(adapter, [photo()], {"face": 0.5})
    assert named.name is not None
    assert half.name is not None
    assert torch.allclose(0.5 * named.name, half.name)
    assert silent.name is None


def test_clothes_come_from_another_photo_without_its_face(adapter: CharacterAdapter) -> None:
    person = photo(1, shown=frozenset({"whole", "face", "hair"}))
    garment = photo(2, shown=frozenset({"torso", "legs", "shoes"}))
    both = encode_character(adapter, [person, garment], {})
    assert [STUDIO.regions[n] for n in both.regions] == ["whole", "face", "hair", "torso", "legs", "shoes"]
    other = repainted(repainted(garment, "face"), "hair")
    again = encode_character(adapter, [person, replace(other, landmarks=LANDMARKS + 3)], {})
    assert all(torch.equal(a, b) for a, b in zip(both.tokens, again.tokens, strict=True))
    assert both.name is not None
    assert again.name is not None
    assert torch.equal(both.name, again.name)


def test_the_three_best_of_four_photos_share_their_weight(adapter: CharacterAdapter) -> None:
    flat = photo(4)
    flat.image[:] = 120  # nothing is sharp in it
    read = encode_character(adapter, [photo(1), photo(2), flat, photo(3)], {"legs": 1.5})
    assert [int(n) for n in read.regions] == sorted(list(range(7)) * 3)
    by = dict(zip((int(n) for n in read.regions), read.weights, strict=True))
    assert by[STUDIO.regions.index("torso")] == pytest.approx(1 / 3)
    assert by[STUDIO.regions.index("legs")] == pytest.approx(0.5)
    laid = [lay_out(one, STUDIO, 128) for one in (photo(1), photo(2), flat, photo(3))]
    assert best_views(laid, 3)[3] == [0, 1, 3]


def test_it_draws_and_is_off_without_values_and_name(backbone: Backbone, tmp_path: Path) -> None:
    without, drawn = one(backbone), one(backbone, photo())
    assert not np.array_equal(drawn, without)
    assert np.array_equal(one(backbone, photo(), strength=0.0), without)
    assert not np.array_equal(one(backbone, photo(), scales={"torso": 0.0}), drawn)
    assert np.array_equal(one(backbone), without)  # and nothing stays on the model
    tensors = character_tensors(STUDIO_CHARACTER)
    for name, tensor in tensors.items():
        if "to_v_ip" in name:
            tensor.zero_()
    named = one(_with(backbone, write_studio_character(tmp_path / "a", tensors)), photo())
    assert not np.array_equal(named, without)  # by the text alone
    for name in ("name_proj.fc2.weight", "name_proj.fc2.bias"):
        tensors[name].zero_()
    assert np.array_equal(one(_with(backbone, write_studio_character(tmp_path / "b", tensors)), photo()), without)


def _with(backbone: Backbone, folder: Path) -> Backbone:
    return replace(backbone, spec=replace(backbone.spec, companions={"character": folder}), beside={})


def test_people_of_a_batch_are_their_own(backbone: Backbone) -> None:
    people = [CharacterReference((photo(seed), photo(seed + 10))) for seed in (1, 2)]
    requests = [request_from(backbone.spec, "a cafe", k, references=(r,)) for k, r in enumerate(people)]
    for together, request in zip(draw_batch(backbone, requests), requests, strict=True):
        (alone,) = draw_batch(backbone, [request])
        assert np.abs(together.astype(int) - alone).max() <= 1


@torch.no_grad()
def test_parts_that_are_not_there_do_not_count_in_a_batch() -> None:
    projector = build_projector(STUDIO_CHARACTER, character_tensors(STUDIO_CHARACTER))
    g = torch.Generator().manual_seed(1)
    deep, shallow, parts = (torch.randn(3, n, 128, generator=g) for n in (4, 4, 8))
    seen = torch.tensor([[True] * 8, [True] * 4 + [False] * 4, [False] * 8])
    together = projector(deep, shallow, parts, seen)
    for row, kept in enumerate((8, 4, 0)):
        own = parts[row : row + 1, :kept] if kept else None
        alone = projector(deep[row : row + 1], shallow[row : row + 1], own)
        assert torch.allclose(together[row : row + 1], alone, atol=1e-5)


def test_files_that_do_not_go_with_it_are_refused(folder: Path, tmp_path: Path, tiny_backbone: Backbone) -> None:
    where = tiny_backbone.transformer, tiny_backbone.device, tiny_backbone.dtype
    tensors, path = load_file(folder / "character.safetensors"), tmp_path / "a" / "character.safetensors"
    write_studio_character(tmp_path / "a")
    said = read_character_file(folder).metadata
    save_file(tensors, path, {**said, "reader_sha256": "0" * 64})
    with pytest.raises(BadInput, match=r"character_encoders_changed.*reader"):
        load_character(path.parent, *where)
    for name in ("image_proj.whitening", "name_proj.fc1.weight", "image_proj.colour.bias"):
        save_file({key: tensor for key, tensor in tensors.items() if key != name}, path, dict(said))
        with pytest.raises(BadInput, match=f"character_tensor_missing.*{name}"):
            load_character(path.parent, *where)
    save_file(tensors, path, {**said, "layout": "instantcharacter"})
    with pytest.raises(BadInput, match="character_tensor"):
        load_character(path.parent, *where)


def test_the_miniatures_own_size_is_a_small_file() -> None:
    sizes = replace(
        STUDIO_CHARACTER, stack_hidden=256, mlp_hidden=96, width=192, depth=2, queries=12, sinusoids=128,
        token_width=256, blocks=8, block_width=256, block_head=64, resampler_heads=3, name_hidden=192,
    )  # fmt: skip
    assert sum(prod(shape) for _, shape in tensor_shapes(sizes)) * 2 < 6e6
