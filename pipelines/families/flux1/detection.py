"""Detection of a FLUX.1 transformer by a file's names and shapes, and whether a folder's other parts go with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from pipelines.errors import BadInput
from pipelines.families.folders import bare_names, config_number, read_json
from pipelines.models.headers import Header
from pipelines.models.sources import Source

__all__ = ["Layout", "layout_of", "transformer_config"]

_KNOWN = ["FLUX.1-dev", "FLUX.1-schnell", "FLUX.1-Krea-dev"]
Layout = Literal["diffusers", "black-forest-labs"]
# config's name: (black-forest-labs' tensor, diffusers' tensor, which dimension)
_DIMENSIONS: Mapping[str, tuple[str, str, int]] = {
    "in_channels": ("img_in.weight", "x_embedder.weight", 1),
    "joint_attention_dim": ("txt_in.weight", "context_embedder.weight", 1),
    "pooled_projection_dim": (
        "vector_in.in_layer.weight", "time_text_embed.text_embedder.linear_1.weight", 1),
    "attention_head_dim": (
        "double_blocks.0.img_attn.norm.query_norm.scale", "transformer_blocks.0.attn.norm_q.weight", 0),
}  # fmt: skip


def layout_of(names: Iterable[str]) -> Layout | None:
    """Return whose names the tensors of a FLUX.1 transformer have; None for what is no such transformer."""
    bare = bare_names(names)
    if any(name.startswith("double_stream_modulation_") for name in bare):  # FLUX.2's: FLUX.1 has one in every block
        return None
    if any(name.startswith("double_blocks.") for name in bare):
        return "black-forest-labs"
    if {"x_embedder.weight", "context_embedder.weight"} <= bare.keys() and any(
        name.startswith("single_transformer_blocks.") for name in bare
    ):
        return "diffusers"
    return None


def transformer_config(header: Header, source: Source) -> dict[str, int | bool]:
    """Read what a file's shapes say of its transformer, as fields of `FluxTransformer2DModel`'s config.

    Raises BadInput where the text encoders or the VAE of `source.base` do not go with it.
    """
    layout = layout_of(header.shapes)
    if layout is None:
        raise BadInput("file_of_no_family", file=header.path.name, known=_KNOWN)
    names = bare_names(header.shapes)
    own = layout == "black-forest-labs"
    found: dict[str, int | bool] = {}
    for field, (theirs, diffusers, dimension) in _DIMENSIONS.items():
        name = names.get(theirs if own else diffusers)
        if name is None or len(header.shapes[name]) <= dimension or 0 in header.shapes[name]:
            raise BadInput("transformer_incomplete", file=header.path.name, lacks=1, name=theirs if own else diffusers)
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


def _check_base(config: Mapping[str, int | bool], header: Header, source: Source) -> None:
    base = source.base
    t5, clip, vae = (read_json(base / part / "config.json") for part in ("text_encoder_2", "text_encoder", "vae"))
    latent = 4 * config_number(vae, "latent_channels", 0, f"{base.name}/vae/config.json")
    if config["in_channels"] != latent:
        raise BadInput(
            "transformer_of_other_vae",
            file=header.path.name,
            channels=config["in_channels"],
            folder=base.name,
            latent=latent,
            known=_KNOWN,
        )
    for field, given, part in (
        ("joint_attention_dim", t5.get("d_model"), "T5"), ("pooled_projection_dim", clip.get("hidden_size"), "CLIP")
    ):  # fmt: skip
        if config[field] != given:
            raise BadInput(
                "transformer_of_other_text_encoder",
                file=header.path.name,
                reads=config[field],
                part=part,
                folder=base.name,
                writes=given,
            )
