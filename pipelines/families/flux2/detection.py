"""Detection of a FLUX.2 transformer by a file's names and shapes, and whether a folder's other parts go with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pipelines.errors import BadInput
from pipelines.families.folders import MAX_VALUE, bare_names, config_number, read_json
from pipelines.models.headers import Header, read_header, shards_of
from pipelines.models.sources import Source

__all__ = ["STATISTICS", "Layout", "check_parts", "layout_of", "text_layers", "transformer_config"]

STATISTICS = ("bn.running_mean", "bn.running_var")
"""The VAE's tensors of each patchified latent channel's mean and variance."""
_KNOWN = ["FLUX.2-klein-4B", "FLUX.2-klein-base-4B"]
_MARK = "double_stream_modulation_img"
Layout = Literal["diffusers", "black-forest-labs"]
# config's name: (black-forest-labs' tensor, diffusers' tensor, which dimension)
_DIMENSIONS: Mapping[str, tuple[str, str, int]] = {
    "in_channels": ("img_in.weight", "x_embedder.weight", 1),
    "joint_attention_dim": ("txt_in.weight", "context_embedder.weight", 1),
    "timestep_guidance_channels": (
        "time_in.in_layer.weight", "time_guidance_embed.timestep_embedder.linear_1.weight", 1),
    "attention_head_dim": (
        "double_blocks.0.img_attn.norm.query_norm.scale", "transformer_blocks.0.attn.norm_q.weight", 0),
    "mlp_ratio": ("double_blocks.0.img_mlp.2.weight", "transformer_blocks.0.ff.linear_out.weight", 1),
}  # fmt: skip


def layout_of(names: Iterable[str]) -> Layout | None:
    """Return whose names the tensors of a FLUX.2 transformer have; None for what is no such transformer."""
    bare = bare_names(names)
    if f"{_MARK}.lin.weight" in bare:
        return "black-forest-labs"
    return "diffusers" if f"{_MARK}.linear.weight" in bare else None


def transformer_config(header: Header, source: Source) -> dict[str, Any]:
    """Read what a file's shapes say of its transformer, as fields of `Flux2Transformer2DModel`'s config.

    Raises BadInput where the text encoder or the VAE of `source.base` does not go with it.
    """
    layout = layout_of(header.shapes)
    if layout is None:
        raise BadInput("file_of_no_family", file=header.path.name, known=_KNOWN)
    names = bare_names(header.shapes)
    own = layout == "black-forest-labs"
    found: dict[str, Any] = {}
    for field, (theirs, diffusers, dimension) in _DIMENSIONS.items():
        # ComfyUI's newer files call a norm's scale its weight
        name = names.get(theirs, names.get(theirs.replace(".scale", ".weight"))) if own else names.get(diffusers)
        if name is None or len(header.shapes[name]) <= dimension or 0 in header.shapes[name]:
            raise BadInput("transformer_incomplete", file=header.path.name, lacks=1, name=theirs if own else diffusers)
        found[field] = header.shapes[name][dimension]
    width = header.shapes[names["img_in.weight" if own else "x_embedder.weight"]][0]
    double, single = ("double_blocks", "single_blocks") if own else ("transformer_blocks", "single_transformer_blocks")
    found |= {
        "mlp_ratio": found["mlp_ratio"] / width,
        "num_attention_heads": width // found["attention_head_dim"],
        "num_layers": _count(names, double),
        "num_single_layers": _count(names, single),
        "guidance_embeds": any("guidance_in." in n or "guidance_embedder." in n for n in names),
    }
    check_parts(found, source)
    return found


def check_parts(config: Mapping[str, Any], source: Source) -> None:
    """Raise BadInput where the VAE or the text encoder of `source.base` does not go with a transformer of `config`, or
    lacks what FLUX.2 reads of it; from JSON and headers alone.
    """
    _check_vae(config, source)
    encoder = read_json(source.base / "text_encoder" / "config.json")
    file = f"{source.base.name}/text_encoder/config.json"
    text = encoder.get("text_config", encoder)  # Mistral 3 sees pictures, too, and has a config for each
    if not isinstance(text, dict):
        raise BadInput("model_config_value", file=file, name="text_config", value=str(text)[:MAX_VALUE])
    layers, depth = text_layers(encoder), config_number(text, "num_hidden_layers", 0, file)
    if depth < layers[-1]:
        raise BadInput("text_encoder_too_shallow", folder=source.base.name, layers=depth, wanted=layers[-1])
    writes = len(layers) * config_number(text, "hidden_size", 0, file)
    if config["joint_attention_dim"] != writes:
        raise BadInput(
            "transformer_of_other_text_encoder",
            file=source.name,
            reads=config["joint_attention_dim"],
            part="Mistral 3" if "text_config" in encoder else "Qwen3",
            folder=source.base.name,
            writes=writes,
        )


def text_layers(encoder: Mapping[str, Any]) -> tuple[int, ...]:
    """Return which hidden states of a text encoder of this config are read, side by side."""
    return (10, 20, 30) if "text_config" in encoder else (9, 18, 27)


def _check_vae(config: Mapping[str, Any], source: Source) -> None:
    base = source.base
    vae = read_json(base / "vae" / "config.json")
    latent = 4 * config_number(vae, "latent_channels", 32, f"{base.name}/vae/config.json")  # of 2×2
    if config["in_channels"] != latent:
        raise BadInput(
            "transformer_of_other_vae",
            file=source.name,
            channels=config["in_channels"],
            folder=base.name,
            latent=latent,
            known=_KNOWN,
        )
    _check_statistics(base / "vae", latent)


def _check_statistics(vae: Path, channels: int) -> None:
    """Raise BadInput where a VAE's files lack the statistics; diffusers would take 0 and 1 for them, with a warning."""
    shapes = {name: shape for path in shards_of(vae) for name, shape in read_header(path).shapes.items()}
    for name in STATISTICS:
        if shapes.get(name) != (channels,):
            raise BadInput("vae_statistics_missing", folder=f"{vae.parent.name}/{vae.name}", name=name)


def _count(names: Iterable[str], family: str) -> int:
    return len({name.split(".")[1] for name in names if name.startswith(f"{family}.")})
