"""Models that the studio knows: what they may be used for, how they are drawn with, how large they are.

A model that is not in this list works as well, with defaults read from its own configuration; a new one is one entry.
Facts are those of the model cards at huggingface.co and of the licence texts they name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["LICENCES", "MODELS", "KnownModel", "Licence", "find_licence", "find_model"]


@dataclass(frozen=True)
class Licence:
    """May a merchant sell the pictures, run the model for their business, and fine-tune it for that? None: not known.

    `words` is one sentence for a person who is no lawyer.
    """

    id: str
    outputs: bool | None
    running: bool | None
    fine_tuning: bool | None
    words: str


@dataclass(frozen=True)
class KnownModel:
    """`role` is backbone, redux, fill, kontext or ip_adapter, or "not yet" for a model whose architecture cannot be
    loaded so far; `parameters` in all, `largest_part` of it in one module.

    Sizes in pixels. `can` names what of the studio works with it.
    """

    id: str
    hub: str
    role: str
    licence: str
    parameters: float
    largest_part: float
    num_inference_steps: int = 28
    guidance_scale: float = 3.5
    max_sequence_length: int = 512
    height: int = 1024
    width: int = 768
    can: tuple[str, ...] = ()


_NUMBER_TYPE = re.compile(r"[-_.](?:i?q\d\w*|bf16|fp?16|fp8\w*)$")
_FLUX_DEV = "flux-1-dev-non-commercial-license"
LICENCES = {
    licence.id: licence
    for licence in (
        Licence("apache-2.0", True, True, True, "Running, fine-tuning and selling the pictures are all allowed."),
        Licence("mit", True, True, True, "Running, fine-tuning and selling the pictures are all allowed."),
        Licence(
            _FLUX_DEV, True, False, False,
            "The pictures may be used commercially; running or fine-tuning the model for a business needs a paid "
            "licence from Black Forest Labs.",
        ),
    )
}  # fmt: skip
_UNKNOWN = "The folder names no licence: read the model's own card before you sell anything made with it."

_EVERYTHING = ("fusion", "persona training", "redux", "landmark", "panels", "swap")
_WHOLE, _TRANSFORMER = 16.9e9, 11.9e9  # transformer, T5-XXL (4.76e9), CLIP-L, VAE
MODELS = {
    model.id: model
    for model in (
        KnownModel("miniature", "", "backbone", "apache-2.0", 16e6, 11e6, 16, 0.0, 48, 256, 192, _EVERYTHING),
        KnownModel("FLUX.1-dev", "black-forest-labs/FLUX.1-dev", "backbone", _FLUX_DEV, _WHOLE, _TRANSFORMER,
                   can=_EVERYTHING),
        KnownModel("FLUX.1-schnell", "black-forest-labs/FLUX.1-schnell", "backbone", "apache-2.0", _WHOLE,
                   _TRANSFORMER, 4, 0.0, 256, can=_EVERYTHING),
        KnownModel("FLUX.1-Krea-dev", "black-forest-labs/FLUX.1-Krea-dev", "backbone", _FLUX_DEV, _WHOLE,
                   _TRANSFORMER, 28, 4.5, can=_EVERYTHING),
        KnownModel("FLUX.1-Fill-dev", "black-forest-labs/FLUX.1-Fill-dev", "fill", _FLUX_DEV, _WHOLE, _TRANSFORMER,
                   50, 30.0),
        KnownModel("FLUX.1-Kontext-dev", "black-forest-labs/FLUX.1-Kontext-dev", "kontext", _FLUX_DEV, _WHOLE,
                   _TRANSFORMER, 28, 2.5),
        KnownModel("FLUX.1-Redux-dev", "black-forest-labs/FLUX.1-Redux-dev", "redux", _FLUX_DEV, 0.49e9, 0.43e9),
        KnownModel("flux-ip-adapter", "XLabs-AI/flux-ip-adapter-v2", "ip_adapter", _FLUX_DEV, 0.53e9, 0.53e9),
        KnownModel("FLUX.2-klein-4B", "black-forest-labs/FLUX.2-klein-4B", "not yet", "apache-2.0", 8e9, 4e9, 4, 1.0),
    )
}  # fmt: skip


def find_licence(identifier: str) -> Licence:
    """By the id of a model card's front matter; one of unknown terms where the studio has not read it."""
    return LICENCES.get(identifier.lower(), Licence(identifier, None, None, None, _UNKNOWN))


def find_model(*names: str) -> KnownModel | None:
    """By its id, hub id or file name, whatever the case; the first of `names` that is known.

    "flux1-dev-Q4_K_S" and "flux1-dev-fp8" are FLUX.1-dev in other number types.
    """
    known = {_plain(key): model for model in MODELS.values() for key in (model.id, model.hub, model.hub.split("/")[-1])}
    return next((known[_plain(name)] for name in names if name and _plain(name) in known), None)


def _plain(name: str) -> str:
    return _NUMBER_TYPE.sub("", name.lower()).replace(".", "")
