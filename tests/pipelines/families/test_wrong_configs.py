"""Config files whose values are of another type than they should be: one sentence, before anything is drawn."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.backbones import load_backbone, resolve_backbone
from pipelines.errors import BadInput, StudioError
from pipelines.families.companions import drawing_spec
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.request import request_from
from studio.domain.capabilities import backbone_facts
from studio.domain.training import training_refusal
from studio.settings import Settings
from studio.texts.errors import say_error
from studio.texts.texts import LANGUAGES, Texts
from tests.tiny import write_companion, write_flux
from tests.tiny_flux2 import write_klein
from tests.tiny_z_image import write_single_file, write_z_image

FOLDERS: dict[str, Callable[[Path], Path]] = {"flux1": write_flux, "flux2": write_klein, "z-image": write_z_image}
TRANSFORMER, VAE = "transformer/config.json", "vae/config.json"
SCHEDULER, ENCODER = "scheduler/scheduler_config.json", "text_encoder/config.json"
DEPTH = {"flux1": "num_layers", "flux2": "num_single_layers", "z-image": "n_layers"}
AXES = {"flux1": "axes_dims_rope", "flux2": "axes_dims_rope", "z-image": "axes_lens"}
SCALE = {"flux1": "scaling_factor", "flux2": "batch_norm_eps", "z-image": "scaling_factor"}
WRONG: tuple[Any, ...] = ("two", None, [2], {"a": 1}, True)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("right")
    return {family: write(root / family) for family, write in FOLDERS.items()}


@pytest.fixture(params=FOLDERS)
def folder(request: pytest.FixtureRequest, folders: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(folders[request.param], tmp_path / request.param))


def change(path: Path, **values: Any) -> str:
    """Change values of a JSON file; returns what it held before."""
    before = path.read_text()
    path.write_text(json.dumps(json.loads(before) | values))
    return before


def refusal(folder: Path) -> StudioError:
    """Load it; whatever is raised must be an error that people can read, in one line."""
    with pytest.raises(StudioError) as refused:
        load_backbone(resolve_backbone(folder), "cpu", torch.float32)
    for language in LANGUAGES:
        message, advice = say_error(refused.value, Texts(language))
        assert message
        assert advice
    return refused.value


@pytest.mark.parametrize("value", WRONG)
def test_values_of_another_type_are_named_with_their_file(folder: Path, value: Any) -> None:
    family = folder.name
    for file, name in (
        (TRANSFORMER, DEPTH[family]), (TRANSFORMER, AXES[family]), (VAE, "latent_channels"), (VAE, SCALE[family]),
        (SCHEDULER, "shift"), (SCHEDULER, "base_shift"), (SCHEDULER, "max_image_seq_len"),
    ):  # fmt: skip
        if (name, value) == (AXES[family], [2]):
            continue  # it is a list of numbers, and the tensors tell that it is another model's
        before = change(folder / file, **{name: value})
        told = refusal(folder)
        assert (told.code, told.fields["name"]) == ("model_config_value", name)
        assert told.fields["file"] == f"{family}/{file}"
        (folder / file).write_text(before)
    load_backbone(resolve_backbone(folder), "cpu", torch.float32)


@pytest.mark.parametrize("value", ["wide", [16], {}])
def test_a_text_encoders_and_a_tokenizers_values_are_refused_in_a_sentence(folder: Path, value: Any) -> None:
    for file, name in ((ENCODER, "hidden_size"), (ENCODER, "num_hidden_layers"), (ENCODER, "max_position_embeddings")):
        before = change(folder / file, **{name: value})
        assert refusal(folder).code in ("model_config_value", "model_unreadable")
        (folder / file).write_text(before)


@pytest.mark.parametrize(
    ("file", "name", "value"),
    [
        (SCHEDULER, "shift_terminal", "two"),  # a number or null, by its type alone: null is the usual value
        (SCHEDULER, "num_train_timesteps", 10**9),  # a table of as many is made
        (VAE, "layers_per_block", 10**9),
        (VAE, "norm_num_groups", -1),
        (ENCODER, "num_hidden_layers", 10**9),
        (TRANSFORMER, "depth", 10**9),
        ("tokenizer/tokenizer_config.json", "extra_ids", 10**9),
    ],
)
def test_numbers_beyond_any_models_are_refused_before_anything_is_built(
    folder: Path, file: str, name: str, value: Any
) -> None:
    name = DEPTH[folder.name] if name == "depth" else name
    change(folder / file, **{name: value})
    told = refusal(folder)
    assert (told.code, told.fields["name"], told.fields["file"]) == (
        "model_config_value",
        name,
        f"{folder.name}/{file}",
    )


@pytest.mark.parametrize("family", ["flux1", "flux2"])
def test_positions_that_make_up_no_head_are_refused(family: str, folders: dict[str, Path], tmp_path: Path) -> None:
    """Where a config leaves them out, diffusers' own hold, of the published models' heads."""
    folder = Path(shutil.copytree(folders[family], tmp_path / family))
    config = json.loads((folder / TRANSFORMER).read_text())
    (folder / TRANSFORMER).write_text(json.dumps({k: v for k, v in config.items() if k != AXES[family]}))
    told = refusal(folder)
    assert (told.code, told.fields["name"]) == ("model_config_value", AXES[family])


@pytest.mark.parametrize("layers", [0, 2])
def test_a_vaes_file_that_does_not_hold_what_its_config_asks_for_is_refused(folder: Path, layers: int) -> None:
    """diffusers leaves out what is too much, and fills what is missing with random numbers."""
    change(folder / VAE, layers_per_block=layers)
    told = refusal(folder)
    assert (told.code, told.fields["folder"]) == ("part_incomplete", f"{folder.name}/vae")


def test_a_text_encoders_file_that_does_not_hold_its_layers_is_refused(folder: Path) -> None:
    """FLUX.1's is CLIP; Qwen3 wants a list of its layers' kinds, too."""
    told = json.loads((folder / ENCODER).read_text())
    more = told["num_hidden_layers"] + 1
    change(folder / ENCODER, num_hidden_layers=more, layer_types=["full_attention"] * more)
    assert refusal(folder).code == "part_incomplete"


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("model_max_length", "long", "tokenizer_damaged"),
        ("model_max_length", -1, "model_config_value"),
        ("pad_token", None, "tokenizer_damaged"),
        ("pad_token", "<|unheard|>", "tokenizer_of_other_model"),
    ],
)
def test_a_tokenizer_that_cannot_read_a_prompt_is_refused(folder: Path, name: str, value: Any, code: str) -> None:
    change(folder / "tokenizer" / "tokenizer_config.json", **{name: value})
    assert refusal(folder).code == code


@pytest.mark.parametrize("value", [None, "two", ["diffusers", 3], ["transformers", "AutoencoderKL"], ["os", "system"]])
def test_the_folders_index_names_parts_of_its_library(folder: Path, value: Any) -> None:
    change(folder / "model_index.json", vae=value)
    told = refusal(folder)
    assert (told.code, told.fields["name"]) == ("model_config_value", "vae")


@pytest.mark.parametrize("value", [None, 3, ""])
def test_a_folder_whose_index_names_no_class_says_so(folder: Path, value: Any) -> None:
    change(folder / "model_index.json", _class_name=value)
    told = refusal(folder)
    assert (told.code, told.fields["name"]) == ("model_config_value", "_class_name")


def test_what_matters_only_when_a_prompt_is_read_is_a_sentence_then(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders["flux1"], tmp_path / "flux1"))
    change(folder / ENCODER, eos_token_id=None)
    backbone = load_backbone(resolve_backbone(folder), "cpu", torch.float32)
    with pytest.raises(StudioError, match="model_unreadable"):
        draw_batch(backbone, [request_from(backbone.spec, "a woman", 1)])


def test_any_key_may_hold_anything(folder: Path) -> None:
    """Some of all keys and values, drawn by a seed: a sentence, or a picture."""
    generator = random.Random(folder.name)
    files = [TRANSFORMER, VAE, SCHEDULER, ENCODER, "model_index.json"]
    keys = [(file, key) for file in files for key in json.loads((folder / file).read_text()) if key[0] != "_"]
    for file, key in generator.sample(keys, 12):
        value: Any = generator.choice((None, "two", [1, "x"], -1, 0, 10**9, 0.5, {}))
        before, told = change(folder / file, **{key: value}), None
        try:
            backbone = load_backbone(resolve_backbone(folder), "cpu", torch.float32)
            assert draw_batch(backbone, [request_from(backbone.spec, "a woman", 1, num_inference_steps=1)])
        except StudioError as error:
            told = error
        assert told is None or all(say_error(told, Texts("zh"))), (file, key, value)
        (folder / file).write_text(before)


def test_numbers_that_are_none_and_files_that_hold_no_object(folder: Path) -> None:
    before = change(folder / SCHEDULER, shift=float("nan"))
    assert refusal(folder).code == "model_config_value"
    (folder / SCHEDULER).write_text("[" * 100_000)
    assert refusal(folder).code == "json_unreadable"
    (folder / SCHEDULER).write_text("[3]")
    assert refusal(folder).code == "json_no_object"
    (folder / SCHEDULER).unlink()
    (folder / SCHEDULER).mkdir()
    assert refusal(folder).code == "model_config_missing"
    (folder / SCHEDULER).rmdir()
    (folder / SCHEDULER).write_text(before)
    index = folder / "transformer" / "diffusion_pytorch_model.safetensors.index.json"
    wrong: tuple[Any, ...] = ({"weight_map": {"a": [1]}}, {"weight_map": 3}, [])
    for shards in wrong:
        index.write_text(json.dumps(shards))
        assert refusal(folder).code == "model_file_damaged"


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("max_sequence_length", 1_000_000_000, "backbone_setting_too_large"),
        ("height", 100_000, "backbone_setting_too_large"),
        ("num_inference_steps", 10**6, "backbone_setting_too_large"),
        ("guidance_scale", float("inf"), "backbone_setting_too_large"),
        ("height", float("inf"), "backbone_setting_invalid"),
        ("guidance_scale", float("nan"), "backbone_setting_invalid"),
        ("max_sequence_length", "64", "backbone_setting_invalid"),
        ("max_sequence_length", None, "backbone_setting_invalid"),
        ("lora_rank", [4], "backbone_setting_invalid"),
        ("licence", {}, "backbone_setting_invalid"),
    ],
)
def test_the_folders_own_settings_have_types_and_limits(folder: Path, name: str, value: Any, code: str) -> None:
    change(folder / "studio.json", **{name: value})
    told = refusal(folder)
    assert (told.code, told.fields["name"]) == (code, name)
    assert backbone_facts(Settings(backbone=str(folder), models=folder / "none"))  # no page stops by it


def test_settings_that_are_no_object_stop_no_page(folder: Path) -> None:
    (folder / "studio.json").write_text("[]")
    assert refusal(folder).code == "json_no_object"
    settings = Settings(backbone=str(folder), models=folder / "none")
    assert backbone_facts(settings) is None
    assert training_refusal(settings) is None


def test_a_files_own_shapes_do_not_help_where_its_folder_is_wrong(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders["z-image"], tmp_path / "z-image"))
    file = write_single_file(folder, tmp_path / "z-image-mix.safetensors")
    for value in ("8", ["8"], [], 0):
        change(folder / TRANSFORMER, axes_dims=value)
        with pytest.raises(StudioError, match=r"model_unreadable|model_config_value"):
            resolve_backbone(file, folder)


@pytest.mark.parametrize("value", ["32", [32], {}])
def test_a_companions_values_are_refused_in_a_sentence(value: Any, folders: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders["flux1"], tmp_path / "flux"))
    fill = write_companion(tmp_path / "fill", "fill")
    spec = resolve_backbone(folder)
    assert drawing_spec(spec, "fill").can
    for file, name in ((fill, "in_channels"), (fill, "joint_attention_dim"), (folder, "pooled_projection_dim")):
        before = change(file / TRANSFORMER, **{name: value})
        with pytest.raises(BadInput, match=f"model_config_value.*name={name}"):
            drawing_spec(spec, "fill")
        (file / TRANSFORMER).write_text(before)
    change(folder / VAE, block_out_channels=8)
    with pytest.raises(BadInput, match=r"model_config_value.*block_out_channels"):
        drawing_spec(spec, "fill")
