"""What a base model is, what it can do, and how it is loaded. Any diffusers FLUX folder is a backbone."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import AutoencoderKL, FluxInpaintPipeline, FluxPipeline, FluxPriorReduxPipeline
from diffusers import FluxTransformer2DModel as FluxTransformer

from pipelines.errors import BadInput, ModelMissing
from pipelines.families.catalogue import detect_file, detect_folder, find_family
from pipelines.families.flux1.companion_folders import find_beside, named_beside
from pipelines.families.flux1.detection import transformer_config
from pipelines.families.flux1.loading import check_transformer, load_pipeline
from pipelines.families.folders import read_json, read_part_headers
from pipelines.lora.stack import LoraStack
from pipelines.models.catalogue import find_model
from pipelines.models.hardware import Hardware, read_hardware, work_bytes
from pipelines.models.headers import read_header
from pipelines.models.licences import UNKNOWN, find_licence, read_card_licence, read_file_licence
from pipelines.models.precision import LoadPlan, plan_loading
from pipelines.models.sources import MINIATURE, Source, find_source

if TYPE_CHECKING:
    from pipelines.adapters.ip_adapter import IpAdapter

__all__ = [
    "MINIATURE",
    "Backbone",
    "BackboneSpec",
    "PromptEmbeds",
    "best_device",
    "encode_prompt",
    "fast_dtype",
    "load_backbone",
    "plan_backbone",
    "resolve_backbone",
]

_PROMPTS_KEPT = 512

_LOG = logging.getLogger(__name__)
# FluxPipeline says this itself, but of T5 it names the wrong words (it cuts at CLIP's length); `_warn_of_cuts` does it.
logging.getLogger("diffusers.pipelines.flux.pipeline_flux").addFilter(lambda r: "was truncated" not in r.getMessage())


@dataclass(frozen=True)
class BackboneSpec:
    """A backbone and the defaults it is drawn with. Sizes in pixels, order (height, width).

    `guidance_scale` is the distilled guidance of FLUX.1-dev (ignored by models without a guidance input),
    `true_cfg_scale` classifier-free guidance (1 = off), `identity_guidance_scale` that of pictures in which a LoRA
    says who is shown: their negative side is drawn without it (1 = off). `redux_folder` is a `FluxPriorReduxPipeline`
    folder or None; `fill_folder` and `kontext_folder` hold a companion's `transformer`
    (`pipelines.families.flux1.companions`), or are None, and `ip_adapter_folder` an IP-Adapter
    (`pipelines.adapters.ip_adapter`). `family` is an id of `pipelines.families.catalogue.FAMILIES`.
    """

    id: str
    source: Source
    licence: str
    licence_note: str
    height: int
    width: int
    num_inference_steps: int
    guidance_scale: float
    true_cfg_scale: float
    max_sequence_length: int
    lora_rank: int
    redux_folder: Path | None
    identity_guidance_scale: float = 1.0
    fill_folder: Path | None = None
    kontext_folder: Path | None = None
    ip_adapter_folder: Path | None = None
    family: str = "flux1"

    @property
    def folder(self) -> Path:
        """The diffusers folder that gives everything but, perhaps, the transformer's weights."""
        return self.source.base


@dataclass(frozen=True, eq=False)
class PromptEmbeds:
    """A prompt as the transformer reads it: `prompt_embeds` [1, s, d] (T5) and `pooled` [1, p] (CLIP)."""

    prompt_embeds: torch.Tensor
    pooled: torch.Tensor


@dataclass(frozen=True, eq=False)
class Backbone:
    """A loaded backbone. The pipelines made on demand share its modules, so a LoRA put on one is on all.

    A companion is a Backbone, too, with a transformer of its own and all else shared; `companions` holds those loaded.
    """

    spec: BackboneSpec
    pipeline: FluxPipeline
    dtype: torch.dtype
    device: torch.device
    plan: LoadPlan
    prompts: OrderedDict[str, PromptEmbeds] = field(default_factory=OrderedDict, repr=False)
    companions: dict[str, Backbone] = field(default_factory=dict, repr=False)

    @property
    def transformer(self) -> FluxTransformer:
        return self.pipeline.transformer

    @cached_property
    def lora_stack(self) -> LoraStack:
        """The one writer of LoRAs onto its weights."""
        return LoraStack(self.transformer, self.text_encoders)

    @property
    def text_encoders(self) -> dict[str, nn.Module]:
        """By their names in the folder, which LoRA layers use too."""
        return {"text_encoder": self.pipeline.text_encoder, "text_encoder_2": self.pipeline.text_encoder_2}

    @property
    def vae(self) -> AutoencoderKL:
        return self.pipeline.vae

    @property
    def latent_channels(self) -> int:
        """Channels of the VAE's latents: a quarter of what the transformer gives, which sees 2×2 patches.

        What it takes may be more: a Fill transformer also reads a masked picture and the mask.
        """
        return int(self.transformer.out_channels) // 4

    @property
    def cell_px(self) -> int:
        """Pixels along the side of one latent (16 in the miniature, 8 in FLUX.1)."""
        return int(self.pipeline.vae_scale_factor)

    @cached_property
    def inpainting(self) -> FluxInpaintPipeline:
        # built from the components, not with from_pipe, which casts the shared modules to float32
        pipeline = FluxInpaintPipeline(**self.pipeline.components)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    @cached_property
    def redux(self) -> FluxPriorReduxPipeline:
        """The Redux image encoder; raises ModelMissing where the backbone has none."""
        folder = self.spec.redux_folder
        if folder is None:
            raise ModelMissing(
                f"The backbone {self.spec.id} has no Redux folder, so a scene picture cannot be injected.",
                "Put a FluxPriorReduxPipeline folder beside it, and name it as redux_folder in studio.json.",
            )
        if not folder.is_dir():
            raise ModelMissing(f"The Redux folder {folder} is missing.", "Correct redux_folder in studio.json.")
        try:
            pipeline = FluxPriorReduxPipeline.from_pretrained(folder, dtype=self.dtype, local_files_only=True)
        except (OSError, ValueError) as error:
            raise ModelMissing(f"The Redux folder {folder} does not load: {error}", "Fetch it again.") from error
        return pipeline.to(self.device)

    @cached_property
    def ip_adapter(self) -> IpAdapter:
        """Raises ModelMissing where the backbone has none, BadInput where it does not fit."""
        from pipelines.adapters.ip_adapter import load_adapter

        folder = self.spec.ip_adapter_folder
        if folder is None:
            raise ModelMissing(
                f"The backbone {self.spec.id} has no IP-Adapter, so a reference cannot be injected by one.",
                "Put an IP-Adapter's folder beside it as ip_adapter, or name it as ip_adapter_folder in studio.json.",
            )
        work = work_bytes(self.transformer.inner_dim, self.spec.height * self.spec.width)
        waits = 0 if self.plan.offload == "none" else sum(p.nbytes for p in self.transformer.parameters())
        return load_adapter(folder, self.transformer, self.device, self.dtype, beside=work + waits)


def best_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the device computes in it natively (AMX or AVX512-BF16 on a CPU), else float32.

    A CPU without these instructions emulates bfloat16 and is slower with it than with float32.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "cpu" and _computes_in_bfloat16():
        return torch.bfloat16
    return torch.float32


def _computes_in_bfloat16() -> bool:
    read = getattr(torch.cpu, "get_capabilities", None)
    if read is not None:
        able: Mapping[str, Any] = read()
        return bool(able.get("amx_bf16") or able.get("avx512_bf16"))
    # older builds of torch answer only these two
    names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names)


def resolve_backbone(name: str | Path, base: str | Path | None = None, models: Path | None = None) -> BackboneSpec:
    """The spec of what `pipelines.models.sources.find_source` finds; ModelMissing or BadInput if no family loads it.

    A `studio.json` inside the diffusers folder overrides any field but `source` and `family`, and of a single file all
    but its id and licence; a relative `redux_folder`, `fill_folder`, `kontext_folder` or `ip_adapter_folder` in it is
    relative to the folder. Without it the defaults are the catalogue's: those of a known model of this name, else of
    the variant that the family detects.
    """
    source = find_source(name, base, models)
    folder = source.base
    if not folder.is_dir():
        raise ModelMissing(f"The backbone's folder {folder} is missing.", "Fetch it again.")
    index = read_json(folder / "model_index.json")
    config = folder / "transformer" / "config.json"
    family, variant = detect_folder(folder, index, read_json(config) if config.is_file() else {})
    read_json(config)
    header = None if source.kind == "folder" else read_header(source.path)
    if header is not None:
        family, variant = detect_file(header.shapes, source.path.name)
        transformer_config(header, source)
    named = find_model(source.name, str(index.get("_name_or_path", "")) if header is None else "")
    known = variant if named is None or named.family != family.id else named
    licence = read_card_licence(folder) if header is None else read_file_licence(header)
    if licence == UNKNOWN and named is not None:
        licence = named.licence
    values: dict[str, Any] = {
        "id": source.name,
        "licence": licence,
        "height": known.height,
        "width": known.width,
        "num_inference_steps": known.num_inference_steps,
        "guidance_scale": known.guidance_scale,
        "true_cfg_scale": 1.0,
        "max_sequence_length": known.max_sequence_length,
        "lora_rank": 16,
    } | find_beside(folder)
    if (folder / "studio.json").is_file():
        overrides = _checked_overrides(folder)
        own = {"id", "licence", "licence_note"} if header is not None else set()
        values |= {field: value for field, value in overrides.items() if field not in own}
    values.setdefault("licence_note", find_licence(values["licence"]).words)
    return BackboneSpec(source=source, family=family.id, **values)


def plan_backbone(
    spec: BackboneSpec, dtype: torch.dtype, hardware: Hardware, batch_size: int = 1, precision: str = "auto"
) -> LoadPlan:
    """In which precision it would be loaded on this hardware, and where its parts would go.

    `dtype` is the hardware's fast one. Raises as `pipelines.models.precision.plan_loading` does, and BadInput or
    ModelMissing for files that are missing, cut short or another model's.
    """
    family = find_family(spec.family)
    parts = read_part_headers(spec.source, family)
    width = family.hidden_width(check_transformer(spec.source, parts["transformer"]))
    pixels = spec.height * spec.width * batch_size
    return plan_loading(family, parts, width, pixels, hardware, dtype, precision, spec.id)


def load_backbone(
    spec: BackboneSpec,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    hardware: Hardware | None = None,
    precision: str = "auto",
) -> Backbone:
    """Load the pipeline, frozen; by default on the best device, computing in its fast dtype. Never downloads.

    `precision` is one of `pipelines.models.precision.PRECISIONS`; "auto" takes the most exact that fits. Raises
    NotEnoughMemory before anything is loaded where nothing does, by the free memory of `hardware` (None: this
    machine's).
    """
    where = best_device() if device is None else torch.device(device)
    kind = fast_dtype(where) if dtype is None else dtype
    plan = plan_backbone(spec, kind, read_hardware(where) if hardware is None else hardware, precision=precision)
    _LOG.info("%s: %s", spec.id, plan.describe())
    pipeline = load_pipeline(
        spec.source, read_part_headers(spec.source, find_family(spec.family))["transformer"], plan, where
    )
    # CLIP's tokenizer files may allow more words than its text encoder has positions for
    positions = int(pipeline.text_encoder.config.max_position_embeddings)
    pipeline.tokenizer_max_length = min(pipeline.tokenizer_max_length, positions)
    return Backbone(spec=spec, pipeline=pipeline, dtype=plan.dtype, device=where, plan=plan)


@torch.no_grad()
def encode_prompt(backbone: Backbone, prompt: str) -> PromptEmbeds:
    """The prompt's embeddings, kept for the next time.

    Prompts are encoded one at a time: in bf16 a row of a batch can round differently from the same row alone,
    and a picture must not depend on its neighbours' prompts. What does not fit is cut, and a warning says what.
    """
    kept = backbone.prompts
    if prompt not in kept:
        _warn_of_cuts(backbone, prompt)
        prompt_embeds, pooled, _ = backbone.pipeline.encode_prompt(
            prompt=[prompt], prompt_2=None, max_sequence_length=backbone.spec.max_sequence_length
        )
        kept[prompt] = PromptEmbeds(prompt_embeds.to(backbone.dtype), pooled.to(backbone.dtype))
        while len(kept) > _PROMPTS_KEPT:
            kept.popitem(last=False)
    kept.move_to_end(prompt)
    return kept[prompt]


def _warn_of_cuts(backbone: Backbone, prompt: str) -> None:
    pipeline = backbone.pipeline
    for name, tokenizer, limit in (
        ("CLIP", pipeline.tokenizer, pipeline.tokenizer_max_length),
        ("T5", pipeline.tokenizer_2, backbone.spec.max_sequence_length),
    ):
        ids = tokenizer(prompt).input_ids
        if len(ids) > limit:  # the last place is the end's
            cut = tokenizer.decode(ids[limit - 1 : -1], skip_special_tokens=True).strip()
            _LOG.warning("The prompt is too long for %s, which reads %d tokens and not: %s", name, limit, cut)


def _checked_overrides(folder: Path) -> dict[str, Any]:
    """`studio.json`, names and types checked: a slip in it must not silently draw with other settings."""
    path = folder / "studio.json"
    given = read_json(path)
    kinds = {f.name: str(f.type) for f in fields(BackboneSpec) if f.name not in ("source", "family")}
    for name, value in given.items():
        if name not in kinds:
            raise BadInput(f"{path} sets {name!r}, which is no setting.", f"It may set {', '.join(sorted(kinds))}.")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = {
            "str": isinstance(value, str),
            "int": isinstance(value, int) and number and value > 0,
            "float": number and value >= 0,
        }.get(kinds[name], value is None or isinstance(value, str))
        if not fits:
            raise BadInput(
                f"{path} sets {name} to {value!r}, which does not fit.",
                f"It should be of type {kinds[name]}.",
            )
    return given | named_beside(folder, given)
