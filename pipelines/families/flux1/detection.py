"""Which model a folder or a file holds, and whether all of it is there: told from names and shapes alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pipelines.errors import BadInput, ModelMissing
from pipelines.models.headers import Header, read_header, shards_of
from pipelines.models.sources import Source

__all__ = ["PARTS", "Layout", "bare_names", "check_kind", "read_json", "read_parts", "recognise", "transformer_config"]

Layout = Literal["diffusers", "black-forest-labs"]
PARTS = ("transformer", "text_encoder", "text_encoder_2", "vae")
_PREFIXES = ("model.diffusion_model.", "diffusion_model.", "transformer.")
_FLUX = "Choose a model of FLUX.1's architecture: FLUX.1-dev, -schnell, -Krea-dev, or a fine-tune of them."

# Names that only this family has, in the order in which they are asked for: what comes later shares names with FLUX.1
# or with what stands above. Read from diffusers' converters (loaders/single_file_utils.py) and model classes.
_FAMILIES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("a LoRA, no whole model", ("lora_unet_", "lora_te", ".lora_A.", ".lora_down.", ".lora_B.", "lora.up")),
    ("a ControlNet", ("controlnet_", "control_model.", "zero_convs.", "input_hint_block")),
    ("an IP-Adapter", ("ip_adapter_proj_model.", "image_proj", "ip_adapter.")),
    ("FLUX.2", ("double_stream_modulation_img", "double_stream_modulation_txt")),
    ("Chroma", ("distilled_guidance_layer.",)),
    ("Stable Diffusion 3", ("joint_blocks.", "pos_embed.proj.")),
    ("Stable Diffusion XL", ("conditioner.embedders.", "label_emb.", "add_embedding.linear_1.")),
    ("Stable Diffusion 1.5 or 2", ("cond_stage_model.", "input_blocks.", "down_blocks.0.attentions.")),
)
_ALONE = (
    ("a VAE only", ("decoder.conv_in.", "encoder.conv_in.", "decoder.mid.")),
    ("a text encoder only", ("encoder.block.", "text_model.", "shared.weight")),
)
_CLASSES: Mapping[str, str] = {
    "StableDiffusionXL": "Stable Diffusion XL",
    "StableDiffusion3": "Stable Diffusion 3",
    "StableDiffusion": "Stable Diffusion 1.5 or 2",
    "Flux2": "FLUX.2",
    "Chroma": "Chroma",
    "FluxFill": "FLUX.1-Fill, a companion that only fills masks",
    "FluxKontext": "FLUX.1-Kontext, a companion that only edits pictures",
    "FluxPriorRedux": "FLUX.1-Redux, a companion that only reads pictures",
    "FluxControl": "FLUX.1-Canny or -Depth, a companion",
}
# config's name: (black-forest-labs' tensor, diffusers' tensor, which dimension)
_DIMENSIONS: Mapping[str, tuple[str, str, int]] = {
    "in_channels": ("img_in.weight", "x_embedder.weight", 1),
    "joint_attention_dim": ("txt_in.weight", "context_embedder.weight", 1),
    "pooled_projection_dim": (
        "vector_in.in_layer.weight", "time_text_embed.text_embedder.linear_1.weight", 1),
    "attention_head_dim": (
        "double_blocks.0.img_attn.norm.query_norm.scale", "transformer_blocks.0.attn.norm_q.weight", 0),
}  # fmt: skip


def recognise(names: Iterable[str], what: str) -> Layout:
    """Whose names the tensors of a FLUX.1 transformer have; BadInput, saying which model it is, for any other."""
    names = list(names)
    for family, marks in _FAMILIES:
        if any(mark in name for mark in marks for name in names):
            raise BadInput(f"{what} is {family}, not a FLUX.1 transformer.", _FLUX)
    bare = bare_names(names)
    if any(name.startswith("double_blocks.") for name in bare):
        return "black-forest-labs"
    if {"x_embedder.weight", "context_embedder.weight"} <= bare.keys() and any(
        name.startswith("single_transformer_blocks.") for name in bare
    ):
        return "diffusers"
    for family, marks in _ALONE:
        if any(name.startswith(mark) for mark in marks for name in names):
            raise BadInput(f"{what} is {family}, not a FLUX.1 transformer.", _FLUX)
    raise BadInput(f"{what} holds no FLUX.1 transformer.", _FLUX)


def bare_names(names: Iterable[str]) -> dict[str, str]:
    """{name inside the transformer: name in the file}. What an all-in-one file holds beside it is left out."""
    names = list(names)
    prefix = next((p for p in _PREFIXES if any(name.startswith(p) for name in names)), "")
    return {name.removeprefix(prefix): name for name in names if name.startswith(prefix)}


def check_kind(folder: Path) -> dict[str, Any]:
    """The folder's model_index.json, if it is a FLUX.1 backbone's; else BadInput says whose it is."""
    index = read_json(folder / "model_index.json")
    kind = str(index.get("_class_name", "model of another kind"))
    if kind != "FluxPipeline":
        known = next((words for start, words in _CLASSES.items() if kind.startswith(start)), "")
        raise BadInput(f"{folder.name} holds a {kind}{f' ({known})' if known else ''}, not a FLUX.1 backbone.", _FLUX)
    return index


def read_parts(source: Source) -> dict[str, tuple[Header, ...]]:
    """The headers of everything that will be loaded, by part.

    Raises ModelMissing for files and shards that are not there, BadInput for damaged ones and another model's.
    """
    base, whole = source.base, source.kind == "folder"
    check_kind(base)
    for part in PARTS:
        read_json(base / part / "config.json")
    read_json(base / "scheduler" / "scheduler_config.json")
    for tokenizer in ("tokenizer", "tokenizer_2"):
        if not any((base / tokenizer).glob("*.json")) and not any((base / tokenizer).glob("*.model")):
            raise ModelMissing(f"{base.name}/{tokenizer} is missing.", "Fetch the model's folder again.")
    files = {part: shards_of(base / part) for part in PARTS if whole or part != "transformer"}
    files |= {} if whole else {"transformer": [source.path]}
    return {part: tuple(read_header(path) for path in paths) for part, paths in files.items()}


def transformer_config(header: Header, source: Source) -> dict[str, Any]:
    """What a single file's shapes say of its transformer, as fields of `FluxTransformer2DModel`'s config.

    Raises BadInput where the text encoders or the VAE of `source.base` do not go with it.
    """
    layout = recognise(header.shapes, header.path.name)
    names = bare_names(header.shapes)
    own = layout == "black-forest-labs"
    found: dict[str, Any] = {}
    for field, (theirs, diffusers, dimension) in _DIMENSIONS.items():
        name = names.get(theirs if own else diffusers)
        if name is None:
            raise BadInput(f"{header.path.name} is incomplete: {theirs if own else diffusers} is not in it.", _FLUX)
        found[field] = header.shapes[name][dimension]
    width = header.shapes[names["img_in.weight" if own else "x_embedder.weight"]][0]
    double, single = ("double_blocks", "single_blocks") if own else ("transformer_blocks", "single_transformer_blocks")
    found |= {
        "num_attention_heads": width // found["attention_head_dim"],
        "num_layers": _count(names, double),
        "num_single_layers": _count(names, single),
        "guidance_embeds": any("guidance_in." in n or "guidance_embedder." in n for n in names),
    }
    _check_base(found, header, source)
    return found


def _count(names: Iterable[str], family: str) -> int:
    return len({name.split(".")[1] for name in names if name.startswith(f"{family}.")})


def _check_base(config: Mapping[str, Any], header: Header, source: Source) -> None:
    base = source.base
    t5, clip, vae = (read_json(base / part / "config.json") for part in ("text_encoder_2", "text_encoder", "vae"))
    latent = 4 * int(vae.get("latent_channels", 0))
    if config["in_channels"] != latent:
        raise BadInput(
            f"{header.path.name} reads {config['in_channels']} channels and the VAE in {base.name} gives {latent}: it "
            "is a Fill, Canny or Depth model, or made for another VAE.",
            _FLUX,
        )
    for field, given, part in (
        ("joint_attention_dim", t5.get("d_model"), "T5"), ("pooled_projection_dim", clip.get("hidden_size"), "CLIP")
    ):  # fmt: skip
        if config[field] != given:
            raise BadInput(
                f"{header.path.name} reads text {config[field]} wide and the {part} in {base.name} writes {given}.",
                "Name a folder that goes with it in PERSONA_STUDIO_BASE.",
            )


def read_json(path: Path) -> dict[str, Any]:
    """Raises ModelMissing where there is no file, BadInput where it holds no JSON object."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise ModelMissing(
            f"{path.parent.name}/{path.name} is missing in {path.parent.parent}.",
            "Choose a folder that diffusers' FluxPipeline loads, or fetch it again.",
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is not JSON: {error}", "Fetch the model's folder again.") from error
    if not isinstance(value, dict):
        raise BadInput(f"{path} does not hold a JSON object.", "Fetch the model's folder again.")
    return value
