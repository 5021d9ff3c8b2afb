"""Character adapters' files: InstantCharacter's names and shapes, its pickle converted, and all that is refused."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.adapters.character_files import convert_pickle, find_encoder, read_character_file, read_tensors
from pipelines.adapters.character_layout import INSTANTCHARACTER, read_dimensions, tensor_shapes
from pipelines.errors import BadInput, ModelMissing
from tests.tiny import CHARACTER, character_tensors, write_character

HEADS = {"stack_heads": "7", "resampler_heads": "4"}  # what no shape says
MANIFEST = Path(__file__).with_name("instantcharacter.json")
Shape = tuple[int, ...]


def published() -> dict[str, Shape]:
    """The published file's names and shapes, as the design's table has them."""

    def spelled(pattern: str) -> Iterator[str]:
        parts = [part.split(",") for part in re.split(r"[{}]", pattern)]
        ranges = [
            [str(n) for n in range(int(one[0].split("..")[0]), int(one[0].split("..")[1]) + 1)]
            if ".." in one[0]
            else one
            for one in parts
        ]
        return ("".join(choice) for choice in product(*ranges))

    rows = json.loads(MANIFEST.read_text(encoding="utf-8"))
    return {name: tuple(shape) for pattern, shape in rows.items() for name in spelled(pattern)}


def pickled(path: Path, tensors: dict[str, torch.Tensor], more: dict[str, Any] | None = None) -> Path:
    """Tensors as InstantCharacter's file has them: two dictionaries, in torch's own pickle."""
    parts: dict[str, Any] = {"image_proj": OrderedDict(), "ip_adapter": OrderedDict()}
    for name, tensor in tensors.items():
        part, rest = name.split(".", 1)
        parts[part][rest] = tensor
    torch.save(parts | (more or {}), path)
    return path


def usual_heads() -> dict[str, torch.Tensor]:
    """An adapter of heads of 64, as a file without any metadata has them."""
    return character_tensors(replace(CHARACTER, features=64, width=64, stack_heads=1, resampler_heads=1))


def test_the_published_file_is_read_by_its_shapes() -> None:
    shapes = published()
    assert len(shapes) == 577
    assert sum(name.startswith("ip_adapter.") for name in shapes) == 342
    sizes = read_dimensions("instantcharacter_ip-adapter", shapes, {})
    assert dict(tensor_shapes(sizes)) == shapes
    counted = {part: sum(prod(s) for n, s in shapes.items() if n.startswith(part)) for part in ("image_", "ip_")}
    assert counted == {"image_": 1_360_116_096, "ip_": 1_434_816_768}
    assert (sizes.blocks, sizes.block_width, sizes.block_head, sizes.token_width) == (57, 3072, 128, 4096)
    assert (sizes.stack_heads, sizes.resampler_heads, sizes.queries, sizes.regions) == (42, 20, 1024, 1)


def test_every_tensor_that_is_missing_or_of_another_shape_is_named() -> None:
    shapes = dict(tensor_shapes(CHARACTER))
    for name in shapes:
        with pytest.raises(BadInput, match="character_tensor_missing") as missing:
            read_dimensions("a.safetensors", {n: s for n, s in shapes.items() if n != name}, HEADS)
        assert missing.value.fields["name"] == name
    # a size that others are told by makes one of them wrong, which is then named; sinusoids stand nowhere else
    for name, shape in shapes.items():
        if not name.endswith("time_embedding.linear_1.weight"):
            with pytest.raises(BadInput, match=r"character_tensor_shape|character_heads"):
                read_dimensions("a.safetensors", shapes | {name: (*shape[:-1], shape[-1] + 1)}, HEADS)
    with pytest.raises(BadInput, match=r"character_tensor_unknown.*text_model"):
        read_dimensions("a", shapes | {"text_model.weight": (2,)}, HEADS)
    with pytest.raises(BadInput, match=r"character_tensor_missing.*ip_adapter\.2\."):
        read_dimensions("a", {n: s for n, s in shapes.items() if not n.startswith("ip_adapter.2.")}, HEADS)


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"layout": "telepathy"}, "character_layout_unknown"),
        ({"stack_heads": "5"}, "character_heads"),
        ({"stack_heads": "many"}, "character_metadata"),
        ({"siglip_states": "-1"}, "character_metadata"),
    ],
)
def test_metadata_that_cannot_be(tmp_path: Path, metadata: dict[str, str], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        read_character_file(write_character(tmp_path, metadata=metadata))


def test_a_pickle_is_converted_once_with_the_same_numbers(tmp_path: Path) -> None:
    tensors = {name: t.to(torch.bfloat16) for name, t in usual_heads().items()}
    source = pickled(tmp_path / "instantcharacter_ip-adapter.bin", tensors)
    file = convert_pickle(source, tmp_path / "character")
    assert file.path == tmp_path / "character" / "instantcharacter_ip-adapter.safetensors"
    assert (file.layout, file.sizes.stack_heads) == (INSTANTCHARACTER, 1)
    assert file.licence == "instantcharacter-academic"  # wherever it is put: it has no card
    written = load_file(file.path)
    assert written.keys() == tensors.keys()
    assert all(torch.equal(written[name], tensor) for name, tensor in tensors.items())
    assert read_tensors(file).keys() == tensors.keys()
    with pytest.raises(BadInput, match="character_folder_taken"):
        convert_pickle(source, tmp_path / "character")
    assert sorted(p.name for p in (tmp_path / "character").iterdir()) == [file.path.name]


class Bomb:
    """What a stranger's pickle could hold: it would make a file when it is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_a_pickle_that_names_anything_else_is_not_opened(tmp_path: Path) -> None:
    mark = tmp_path / "opened"
    source = pickled(tmp_path / "a.bin", usual_heads(), {"more": Bomb(mark)})
    with pytest.raises(BadInput, match=r"character_pickle_foreign.*mkdir"):
        convert_pickle(source, tmp_path / "out")
    protocol4 = tmp_path / "b.bin"
    torch.save({"more": Bomb(mark)}, protocol4, pickle_protocol=4)
    with pytest.raises(BadInput, match="character_pickle_foreign"):
        convert_pickle(protocol4, tmp_path / "out")
    assert not mark.exists()
    assert not (tmp_path / "out").exists()


def test_what_is_no_such_pickle(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="character_pickle_missing"):
        convert_pickle(tmp_path / "nothing.bin", tmp_path / "out")
    whole = usual_heads()
    name = "image_proj.resampler.layers.1.0.to_kv.weight"
    source = pickled(tmp_path / "a.bin", {n: t for n, t in whole.items() if n != name})
    with pytest.raises(BadInput, match=rf"character_tensor_missing.*{re.escape(name)}"):
        convert_pickle(source, tmp_path / "out")
    wide = whole | {name: torch.zeros(2, 64)}
    with pytest.raises(BadInput, match=rf"character_tensor_shape.*{re.escape(name)}"):
        convert_pickle(pickled(tmp_path / "b.bin", wide), tmp_path / "out")
    others: tuple[dict[str, Any], ...] = ({"state_dict": {}}, {"image_proj": [1], "ip_adapter": {}})
    for other in others:
        torch.save(other, tmp_path / "c.bin")
        with pytest.raises(BadInput, match="character_pickle_other"):
            convert_pickle(tmp_path / "c.bin", tmp_path / "out")
    repeated = whole | {"image_proj.proj.fc1.weight": torch.zeros(1).expand(10**7)}
    with pytest.raises(BadInput, match="character_damaged"):
        convert_pickle(pickled(tmp_path / "d.bin", repeated), tmp_path / "out")
    data = source.read_bytes()
    for cut in (b"no zip", data[: len(data) // 2]):
        (tmp_path / "e.bin").write_bytes(cut)
        with pytest.raises(BadInput, match="character_damaged"):
            convert_pickle(tmp_path / "e.bin", tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "f.bin", "w") as archive:
        archive.writestr("readme.txt", "nothing")
    with pytest.raises(BadInput, match="character_damaged"):
        convert_pickle(tmp_path / "f.bin", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_folders_without_a_usable_file(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="character_folder_missing"):
        read_character_file(tmp_path / "nowhere")
    with pytest.raises(ModelMissing, match="character_file_missing"):
        read_character_file(tmp_path)
    pickled(tmp_path / "a.bin", character_tensors())
    with pytest.raises(BadInput, match="character_is_pickle"):
        read_character_file(tmp_path)
    with pytest.raises(ModelMissing, match="character_encoder_missing"):
        find_encoder(tmp_path, INSTANTCHARACTER.encoders[0])
    save_file(character_tensors(), tmp_path / "b.safetensors", HEADS)
    whole = (tmp_path / "b.safetensors").read_bytes()
    assert read_character_file(tmp_path).licence == "unknown"
    (tmp_path / "b.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match="character_damaged"):
        read_character_file(tmp_path)
    broken = character_tensors() | {"ip_adapter.1.to_v_ip.bias": torch.full((32,), torch.nan)}
    save_file(broken, tmp_path / "b.safetensors", HEADS)
    with pytest.raises(BadInput, match=r"character_not_finite.*ip_adapter\.1\.to_v_ip\.bias"):
        read_tensors(read_character_file(tmp_path))
    (tmp_path / "c.safetensors").write_bytes(whole)
    with pytest.raises(BadInput, match=r"character_several_files.*count=2"):
        read_character_file(tmp_path)


def test_the_licence_of_the_known_one_is_known_without_its_card(tmp_path: Path) -> None:
    folder = write_character(tmp_path / "InstantCharacter")
    assert read_character_file(folder).licence == "apache-2.0"  # this card's own
    (folder / "README.md").unlink()
    assert read_character_file(folder).licence == "instantcharacter-academic"
