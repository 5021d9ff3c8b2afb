"""Which FLUX.2 a folder or a file holds, and what is refused before anything is loaded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import Flux2Transformer2DModel

from pipelines.backbones import load_backbone, resolve_backbone
from pipelines.errors import BadInput, StudioError
from pipelines.families.catalogue import detect_file, detect_folder, detect_source
from pipelines.families.flux2.detection import layout_of
from pipelines.families.flux2.facts import FLUX2
from pipelines.families.flux2.original_names import to_diffusers
from pipelines.families.sources import find_source
from pipelines.models.sources import FETCHED
from studio.texts.errors import say_error
from studio.texts.texts import LANGUAGES, Texts
from tests.data import need
from tests.originals_flux2 import original_tensors, write_single_file
from tests.pipelines.families.test_catalogue import shapes_of
from tests.tiny import write_flux

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def copy(klein: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(klein, tmp_path / "copy"))


@pytest.mark.parametrize(
    ("index", "heads", "variant"),
    [
        ({"_class_name": "Flux2KleinPipeline", "is_distilled": True}, 24, "FLUX.2-klein-4B"),
        ({"_class_name": "Flux2KleinPipeline", "is_distilled": False}, 24, "FLUX.2-klein-base-4B"),
        ({"_class_name": "Flux2KleinPipeline"}, 32, "FLUX.2-klein-base-9B"),
        ({"_class_name": "Flux2KleinPipeline", "is_distilled": True}, 32, "FLUX.2-klein-9B"),
        ({"_class_name": "Flux2KleinKVPipeline", "is_distilled": True}, 32, "FLUX.2-klein-9B-KV"),
        ({"_class_name": "Flux2Pipeline"}, 48, "FLUX.2-dev"),
    ],
)
def test_a_folder_says_which_it_is(index: dict[str, object], heads: int, variant: str) -> None:
    family, found = detect_folder(Path("x"), index, {"num_attention_heads": heads, "attention_head_dim": 128})
    assert (family.id, found.id) == ("flux2", variant)


def test_a_published_checkpoint_is_recognised_by_its_names() -> None:
    family, variant = detect_file(shapes_of(need("model_keys/flux2_transformer_bfl_keys.json")), "a.safetensors")
    assert (family.id, variant.id) == ("flux2", "FLUX.2-klein-9B")
    shapes = shapes_of(need("model_keys/flux2_transformer_bfl_keys.json"))
    assert FLUX2.hidden_width_of_file(shapes) == 4096
    assert layout_of([f"model.diffusion_model.{name}" for name in shapes]) == "black-forest-labs"


def test_a_published_checkpoint_has_the_tensors_that_the_class_asks_for() -> None:
    """klein-9B at its true width, one block of each kind: the listing's excerpt."""
    shapes = shapes_of(need("model_keys/flux2_transformer_bfl_keys.json"))
    empty = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    named = {name: tuple(x.shape) for name, x in to_diffusers(empty, "a").items()}
    with torch.device("meta"):
        built = Flux2Transformer2DModel(
            num_layers=1, num_single_layers=1, num_attention_heads=32, joint_attention_dim=12288, guidance_embeds=False
        )
    assert named == {name: tuple(x.shape) for name, x in built.state_dict().items()}


@pytest.mark.parametrize(
    ("file", "metadata", "folder", "steps", "cfg_scale"),
    [
        ("flux-2-klein-4b", {}, "klein_base", 4, 1.0),  # by its name
        ("flux-2-klein-base-4b-Q8_0", {}, "klein", 50, 4.0),
        ("mine", {"modelspec.title": "FLUX.2 klein base 4B"}, "klein", 50, 4.0),  # by its header
        ("mine", {}, "klein", 4, 1.0),  # by the folder of its other parts
        ("mine", {}, "klein_base", 50, 4.0),
    ],
)
def test_a_file_is_distilled_or_base_by_its_name_its_header_or_its_folder(
    file: str, metadata: dict[str, str], folder: str, steps: int, cfg_scale: float, tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    parts = Path(shutil.copytree(request.getfixturevalue(folder), tmp_path / "parts"))
    (parts / "studio.json").unlink()
    path = write_single_file(parts, tmp_path / f"{file}.safetensors", metadata=metadata)
    spec = resolve_backbone(path, parts)
    assert (spec.family, spec.num_inference_steps, spec.true_cfg_scale) == ("flux2", steps, cfg_scale)
    assert spec.can.cfg == (cfg_scale > 1)
    assert detect_source(spec.source).variant.can == spec.can


def test_a_folders_own_word_is_surer_than_its_name(klein_base: Path, tmp_path: Path) -> None:
    named = Path(shutil.copytree(klein_base, tmp_path / "FLUX.2-klein-4B"))
    (named / "studio.json").unlink()
    spec = resolve_backbone(named)
    assert (spec.num_inference_steps, spec.true_cfg_scale, spec.licence) == (50, 4.0, "apache-2.0")
    kv = Path(shutil.copytree(klein_base, tmp_path / "FLUX.2-klein-9B-KV"))
    (kv / "studio.json").unlink()
    index = kv / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"_class_name": "Flux2KleinKVPipeline"}))
    spec = resolve_backbone(kv)
    assert (spec.licence, spec.can.references_max) == ("flux-non-commercial-license", 0)


def test_a_file_takes_the_parts_of_its_own_size_first(klein: Path, tmp_path: Path) -> None:
    file = write_single_file(klein, tmp_path / "flux-2-klein-4b.safetensors")
    for name in ("FLUX.2-klein-9B", "FLUX.2-klein-base-4B"):
        place = tmp_path / "models" / "black-forest-labs" / name
        shutil.copytree(klein, place)
        (place / FETCHED).write_text("{}")
    assert find_source(file, models=tmp_path / "models").base.name == "FLUX.2-klein-base-4B"


def _without_template(folder: Path) -> None:
    (folder / "tokenizer" / "chat_template.jinja").unlink()


def _empty_template(folder: Path) -> None:
    (folder / "tokenizer" / "chat_template.jinja").write_text("\n")


def _without_statistics(folder: Path) -> None:
    tensors = load_file(folder / "vae" / WEIGHTS)
    save_file({name: x for name, x in tensors.items() if not name.startswith("bn.")}, folder / "vae" / WEIGHTS)


def _cut_short(folder: Path) -> None:
    file = folder / "text_encoder" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def _of_another_size(folder: Path) -> None:
    _change(folder / "text_encoder" / "config.json", hidden_size=24)


def _shallow(folder: Path) -> None:
    _change(folder / "text_encoder" / "config.json", num_hidden_layers=20)


def _of_another_vae(folder: Path) -> None:
    _change(folder / "vae" / "config.json", latent_channels=32)


def _without_layers(folder: Path) -> None:
    tensors = load_file(folder / "transformer" / WEIGHTS)
    del tensors["transformer_blocks.0.ff.linear_in.weight"]
    save_file(tensors, folder / "transformer" / WEIGHTS)


def _change(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize(
    ("spoil", "code", "word"),
    [
        (_without_template, "chat_template_missing", "copy/tokenizer"),
        (_empty_template, "chat_template_missing", "copy/tokenizer"),
        (_without_statistics, "vae_statistics_missing", "bn.running_mean"),
        (_cut_short, "model_file_damaged", "text_encoder/model.safetensors"),
        (_of_another_size, "transformer_of_other_text_encoder", "Qwen3"),
        (_shallow, "text_encoder_too_shallow", "27"),
        (_of_another_vae, "transformer_of_other_vae", "128"),
        (_without_layers, "transformer_incomplete", "linear_in"),
    ],
)
def test_what_is_not_whole_is_said_before_it_is_loaded(
    copy: Path, spoil: Callable[[Path], None], code: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*given: object, **more: object) -> None:
        raise AssertionError("it was loaded")

    monkeypatch.setattr("pipelines.families.flux2.model.load_pipeline", never)
    spoil(copy)
    with pytest.raises(StudioError, match=code) as refused:
        load_backbone(resolve_backbone(copy), "cpu")
    for language in LANGUAGES:
        message, advice = say_error(refused.value, Texts(language))
        assert word in message
        assert advice


def test_a_file_for_another_text_encoder_is_refused(klein: Path, tmp_path: Path) -> None:
    """A 9B transformer over a 4B folder reads text of another width."""
    tensors = original_tensors(klein)
    wide = tensors | {"txt_in.weight": tensors["txt_in.weight"].repeat(1, 2).contiguous()}
    save_file(wide, tmp_path / "flux-2-klein-9b.safetensors")
    with pytest.raises(BadInput, match=r"transformer_of_other_text_encoder.*reads=96.*writes=48"):
        resolve_backbone(tmp_path / "flux-2-klein-9b.safetensors", klein)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("img_in.weight", ()),
        ("img_in.weight", (32,)),
        ("img_in.weight", (0, 16)),
        ("double_blocks.0.img_attn.norm.query_norm.scale", (0,)),
    ],
)
def test_a_file_whose_tensors_have_no_sides_is_refused(
    klein: Path, name: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    save_file(original_tensors(klein) | {name: torch.ones(shape)}, tmp_path / "damaged.safetensors")
    with pytest.raises(BadInput, match=rf"transformer_incomplete.*{name}"):
        resolve_backbone(tmp_path / "damaged.safetensors", klein)


def test_the_other_parts_of_a_file_are_of_its_own_family(klein: Path, tmp_path: Path) -> None:
    file = write_single_file(klein, tmp_path / "klein.safetensors")
    with pytest.raises(BadInput, match="base_of_other_family"):
        resolve_backbone(file, write_flux(tmp_path / "flux"))
