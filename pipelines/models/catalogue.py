"""Models that the studio knows: their family, their licence, how they are drawn with, how large they are.

A model that is not in this table works as well, with defaults read from its own configuration; a new one is one row.
Facts are those of the model cards at huggingface.co; what a licence allows is `pipelines.models.licences`'s table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipelines.models.variants import Capabilities, Schedule, Variant

__all__ = ["MODELS", "KnownModel", "find_model"]


@dataclass(frozen=True, kw_only=True)
class KnownModel(Variant):
    """`role` is backbone, or what it is beside one: redux, fill, kontext, ip_adapter or character. A backbone can be
    loaded where its family can (`pipelines.families.catalogue.FAMILIES`). `parameters` in all, `largest_part` of it in
    one module, 0 where they are not published.
    """

    hub: str
    role: str
    parameters: float
    largest_part: float


_NOTHING = Capabilities()


def _row(
    id: str, hub: str, role: str, licence: str, sizes: tuple[float, float], drawn: tuple[int, float] = (28, 3.5), *,
    family: str = "flux1", length: int = 512, height: int = 1024, width: int = 768, distilled: bool = False,
    train_on: str = "", can: Capabilities = _NOTHING, schedule: Schedule | None = None,
) -> KnownModel:  # fmt: skip
    """`hub` is OWNER/NAME, or OWNER/ for a name that is the id; `sizes` are all parameters and those of the largest
    part, `drawn` steps and guidance.
    """
    return KnownModel(
        id=id, hub=hub + id if hub.endswith("/") else hub, role=role, licence=licence, family=family,
        parameters=sizes[0], largest_part=sizes[1], num_inference_steps=drawn[0], guidance_scale=drawn[1],
        max_sequence_length=length, height=height, width=width, distilled=distilled, train_on=train_on, can=can,
        schedule=schedule,
    )  # fmt: skip


_NUMBER_TYPE = re.compile(r"[-_.](?:i?q\d\w*|bf16|fp?16|fp8\w*)$")
_BFL, _QWEN = "black-forest-labs/", "Qwen/"
_DEV, _FLUX2, _APACHE = "flux-1-dev-non-commercial-license", "flux-non-commercial-license", "apache-2.0"
_FLUX1 = Capabilities(
    lora=True,
    inpaint=True,
    cfg=True,
    distilled_guidance=True,
    redux=True,
    ip_adapter=True,
    fill=True,
    kontext=True,
    character=True,
)
_SCHNELL = Capabilities(
    lora=True, inpaint=True, cfg=True, redux=True, ip_adapter=True, fill=True, kontext=True, character=True
)
_KLEIN = Capabilities(references_max=4, reference_px=512, lora=True, inpaint=True)
# its references stand before the noise, in a cache of their own, which the studio's loop does not keep
_KLEIN_KV = Capabilities(lora=True, inpaint=True)
_KLEIN_BASE = Capabilities(references_max=4, reference_px=512, lora=True, inpaint=True, cfg=True)
_FLUX2_DEV = Capabilities(references_max=4, reference_px=512, lora=True, inpaint=True, distilled_guidance=True)
_Z_IMAGE = Capabilities(lora=True, inpaint=True, cfg=True)
# the published folders' scheduler_config.json
_BY_TOKENS, _BY_NOTHING = Schedule(3.0, dynamic=True), Schedule(1.0)
_FLUX1_SIZES = (16.9e9, 11.9e9)  # transformer, T5-XXL (4.76e9), CLIP-L, VAE
_KLEIN_4B, _KLEIN_9B = (8e9, 4.02e9), (17.3e9, 9.1e9)  # transformer and Qwen3
MODELS: dict[str, KnownModel] = {
    model.id: model
    for model in (
        _row("miniature", "", "backbone", _APACHE, (16e6, 11e6), (16, 0.0), length=48, height=256, width=192,
             can=_SCHNELL),
        _row("FLUX.1-dev", _BFL, "backbone", _DEV, _FLUX1_SIZES, can=_FLUX1, schedule=_BY_TOKENS),
        _row("FLUX.1-schnell", _BFL, "backbone", _APACHE, _FLUX1_SIZES, (4, 0.0), length=256, distilled=True,
             can=_SCHNELL, schedule=_BY_NOTHING),
        _row("FLUX.1-Krea-dev", _BFL, "backbone", _DEV, _FLUX1_SIZES, (28, 4.5), can=_FLUX1,
             schedule=_BY_TOKENS),
        _row("FLUX.1-Fill-dev", _BFL, "fill", _DEV, _FLUX1_SIZES, (50, 30.0), schedule=_BY_TOKENS),
        _row("FLUX.1-Kontext-dev", _BFL, "kontext", _DEV, _FLUX1_SIZES, (28, 2.5), can=Capabilities(references_max=1),
             schedule=_BY_TOKENS),
        _row("FLUX.1-Redux-dev", _BFL, "redux", _DEV, (0.49e9, 0.43e9)),
        _row("flux-ip-adapter", "XLabs-AI/flux-ip-adapter-v2", "ip_adapter", _DEV, (0.53e9, 0.53e9)),
        _row("InstantCharacter", "tencent/", "character", "instantcharacter-academic", (2.79e9, 1.43e9)),
        _row("FLUX.2-klein-4B", _BFL, "backbone", _APACHE, _KLEIN_4B, (4, 1.0), family="flux2", distilled=True,
             train_on="FLUX.2-klein-base-4B", can=_KLEIN),
        _row("FLUX.2-klein-base-4B", _BFL, "backbone", _APACHE, _KLEIN_4B, (50, 4.0), family="flux2", can=_KLEIN_BASE),
        _row("FLUX.2-klein-9B", _BFL, "backbone", _FLUX2, _KLEIN_9B, (4, 1.0), family="flux2", distilled=True,
             train_on="FLUX.2-klein-base-9B", can=_KLEIN),
        _row("FLUX.2-klein-base-9B", _BFL, "backbone", _FLUX2, _KLEIN_9B, (50, 4.0), family="flux2", can=_KLEIN_BASE),
        _row("FLUX.2-klein-9B-KV", _BFL, "backbone", _FLUX2, _KLEIN_9B, (4, 1.0), family="flux2", distilled=True,
             train_on="FLUX.2-klein-base-9B", can=_KLEIN_KV),
        _row("FLUX.2-dev", _BFL, "backbone", _FLUX2, (56e9, 32e9), (50, 4.0), family="flux2", can=_FLUX2_DEV),
        _row("FLUX.3-klein", "", "backbone", "flux-kommunity-license", (0, 5.6e9), family="flux3"),
        # its own guidance_scale, 4 on its card, is what is added to the conditional side: one less than cfg_scale
        _row("Z-Image", "Tongyi-MAI/", "backbone", _APACHE, (10.3e9, 6.15e9), (50, 5.0), family="z-image",
             can=_Z_IMAGE, schedule=Schedule(6.0)),
        _row("Z-Image-Turbo", "Tongyi-MAI/", "backbone", _APACHE, (10.3e9, 6.15e9), (9, 1.0), family="z-image",
             distilled=True, train_on="Z-Image", can=_Z_IMAGE, schedule=Schedule(3.0)),
        _row("Qwen-Image", _QWEN, "backbone", _APACHE, (28.8e9, 20.4e9), (50, 4.0), family="qwen-image"),
        _row("Qwen-Image-2512", _QWEN, "backbone", _APACHE, (28.8e9, 20.4e9), (50, 4.0), family="qwen-image"),
        _row("Qwen-Image-Edit-2511", _QWEN, "backbone", _APACHE, (28.8e9, 20.4e9), (40, 4.0), family="qwen-image"),
        _row("Qwen-Image-2.1", "", "backbone", "qwen-research", (0, 7e9), family="qwen-image"),
        _row("LongCat-Image", "meituan-longcat/", "backbone", _APACHE, (0, 6e9), family="longcat-image"),
        _row("Krea-2", "", "backbone", "krea-2-community-license", (0, 0), family="krea2"),
    )
}  # fmt: skip


def find_model(*names: str) -> KnownModel | None:
    """By its id, hub id or file name, whatever the case and what stands between its words; the first that is known.

    "flux1-dev-Q4_K_S" and "flux1-dev-fp8" are FLUX.1-dev in other number types, "flux-2-klein-4b" is FLUX.2-klein-4B.
    """
    known = {
        _plain(key): model
        for model in MODELS.values()
        for key in (model.id, model.hub, model.hub.split("/")[-1])
        if key
    }
    return next((known[_plain(name)] for name in names if _plain(name) in known), None)


def _plain(name: str) -> str:
    return "".join(c for c in _NUMBER_TYPE.sub("", name.lower()) if c.isalnum())
