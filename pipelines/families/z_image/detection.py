"""Detection of a Z-Image transformer by a file's names and shapes, and whether a folder's other parts go with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pipelines.errors import BadInput
from pipelines.families.folders import bare_names, config_number, read_json
from pipelines.families.protocol import Shapes
from pipelines.models.headers import Header
from pipelines.models.sources import Source

__all__ = [
    "AXES_DIMS",
    "Layout",
    "check_parts",
    "entrance",
    "layout_of",
    "says_turbo",
    "says_undone",
    "transformer_config",
]

Layout = Literal["diffusers", "original"]
AXES_DIMS = (32, 48, 48)
"""Numbers of a head that turn with caption, row and column: the default of `ZImageTransformer2DModel`."""
_KNOWN = ["Z-Image", "Z-Image-Turbo"]
_TURBO_SHIFT = 3.0  # of Z-Image-Turbo's scheduler; Z-Image's is 6


def layout_of(names: Iterable[str]) -> Layout | None:
    """Return whose names the tensors of a Z-Image transformer have; None for what is no such transformer.

    Lumina-Image 2.0, from which it comes, has no tokens to pad with. Z-Image-Omni, which reads pictures through SigLIP
    as well, is another model.
    """
    bare = bare_names(names)
    inside = {name.split(".")[0] for name in bare}
    if not {"cap_pad_token", "x_pad_token", "layers", "noise_refiner"} <= inside or "siglip_embedder" in inside:
        return None
    return "diffusers" if "all_x_embedder" in inside else "original"


def entrance(shapes: Shapes) -> tuple[int, ...]:
    """Return the shape [width, 4c] of the layer that reads the noise; () where there is none."""
    bare = bare_names(shapes)
    name = next((bare[name] for name in ("x_embedder.weight", "all_x_embedder.2-1.weight") if name in bare), "")
    return shapes[name] if name else ()


def says_turbo(names: Sequence[str], scheduler: Mapping[str, Any]) -> bool | None:
    """Return whether a model is drawn as Z-Image-Turbo, whose weights have the same names and shapes as Z-Image's.

    None where nothing tells. A name that says turbo or base decides, and that of Z-Image itself; one whose distillation
    was undone ("de-turbo") is drawn as Z-Image. Else the shift of its scheduler does.
    """
    for name in names:
        plain = _plain(name)
        if "turbo" in plain:
            return not says_undone([name])
        if "base" in plain or plain == "zimage":
            return False
    shift = scheduler.get("shift")
    return 0 < shift <= _TURBO_SHIFT if isinstance(shift, int | float) else None


def says_undone(names: Sequence[str]) -> bool:
    """Return whether one of the names says that it is a Turbo whose distillation was undone."""
    return any(word in _plain(name) for name in names for word in ("deturbo", "dedistill"))


def transformer_config(header: Header, source: Source) -> dict[str, int]:
    """Read what a file's shapes say of its transformer, as fields of `ZImageTransformer2DModel`'s config.

    Raises BadInput where the text encoder or the VAE of `source.base` do not go with it.
    """
    names = bare_names(header.shapes)
    first, caption = entrance(header.shapes), header.shapes.get(names.get("cap_embedder.1.weight", ""), ())
    for name, shape in (("x_embedder.weight", first), ("cap_embedder.1.weight", caption)):
        if len(shape) != 2 or 0 in shape:
            raise BadInput("transformer_incomplete", file=header.path.name, lacks=1, name=name)
    base = read_json(source.base / "transformer" / "config.json")
    heads = first[0] // sum(base.get("axes_dims", AXES_DIMS))
    found = {
        "in_channels": first[1] // 4,  # of 2×2 latents
        "dim": first[0],
        "n_layers": _count(names, "layers"),
        "n_refiner_layers": _count(names, "noise_refiner"),
        "n_heads": heads,
        "n_kv_heads": heads,
        "cap_feat_dim": caption[1],
    }
    check_parts(header.path.name, found, source)
    return found


def check_parts(file: str, config: Mapping[str, Any], source: Source) -> None:
    """Raise BadInput unless the VAE and the text encoder of `source.base` go with a transformer of this config."""
    base = source.base
    vae, text = (read_json(base / part / "config.json") for part in ("vae", "text_encoder"))
    latent = config_number(vae, "latent_channels", 0, f"{base.name}/vae/config.json")
    channels = config.get("in_channels", 16)
    if channels != latent:
        raise BadInput(
            "transformer_of_other_vae", file=file, channels=channels, folder=base.name, latent=latent, known=_KNOWN
        )
    writes = config_number(text, "hidden_size", 0, f"{base.name}/text_encoder/config.json")
    reads = config.get("cap_feat_dim", 2560)
    if reads != writes:
        raise BadInput(
            "transformer_of_other_text_encoder",
            file=file,
            reads=reads,
            part="Qwen3",
            folder=base.name,
            writes=writes,
        )


def _plain(name: str) -> str:
    return "".join(c for c in name.split("/")[-1].lower() if c.isalnum())


def _count(names: Iterable[str], blocks: str) -> int:
    return len({name.split(".")[1] for name in names if name.startswith(f"{blocks}.")})
