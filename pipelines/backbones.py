"""What a base model is, what it can do, and how it is loaded. Any diffusers FLUX folder is a backbone."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import torch
from torch import nn

from pipelines.errors import BadInput, ModelMissing
from pipelines.families.catalogue import detect_file, detect_folder, find_family
from pipelines.families.flux1.companion_folders import find_beside, named_beside
from pipelines.families.folders import read_json, read_part_headers
from pipelines.families.model import Model, TextEmbeds
from pipelines.families.protocol import Family
from pipelines.families.spec import BackboneSpec
from pipelines.lora.stack import LoraStack
from pipelines.models.catalogue import find_model
from pipelines.models.hardware import Hardware, read_hardware
from pipelines.models.headers import Header, read_header
from pipelines.models.licences import UNKNOWN, find_licence, read_card_licence, read_file_licence
from pipelines.models.precision import LoadPlan, plan_loading
from pipelines.models.sources import MINIATURE, Source, find_source

__all__ = [
    "MINIATURE",
    "Backbone",
    "BackboneSpec",
    "FamilyModule",
    "best_device",
    "encode_prompt",
    "fast_dtype",
    "load_backbone",
    "plan_backbone",
    "resolve_backbone",
]

_PROMPTS_KEPT = 512
_LOG = logging.getLogger(__name__)

Loaded = TypeVar("Loaded")


class FamilyModule(Protocol):
    """A family's half that needs torch: what its `module` defines."""

    def transformer_config(self, header: Header, source: Source) -> Mapping[str, Any]:
        """Return the config of a single file's transformer; BadInput where the base's other parts do not go with it."""

    def check_transformer(self, source: Source, header: Sequence[Header]) -> Mapping[str, Any]:
        """Return the transformer's config; BadInput where its files lack tensors or hold others."""

    def load_model(self, spec: BackboneSpec, plan: LoadPlan, device: torch.device) -> Model:
        """Load it as planned."""


@dataclass(frozen=True, eq=False)
class Backbone:
    """A loaded backbone: a family's model, and what has been made or loaded for it since.

    A companion is a Backbone, too, with a transformer of its own, all else shared, and its `role`. `prompts` keeps
    encoded prompts, `companions` the loaded companion by its role, `beside` what references and adapters have loaded
    for themselves (`loaded_beside`).
    """

    spec: BackboneSpec
    model: Model
    plan: LoadPlan
    role: str = ""
    prompts: OrderedDict[str, TextEmbeds] = field(default_factory=OrderedDict, repr=False)
    companions: dict[str, Backbone] = field(default_factory=dict, repr=False)
    beside: dict[tuple[str, Path | None], Any] = field(default_factory=dict, repr=False)

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """The number type that is computed in."""
        return self.model.dtype

    @property
    def transformer(self) -> Any:
        return self.model.transformer

    @property
    def text_encoders(self) -> Mapping[str, nn.Module]:
        return self.model.text_encoders

    @cached_property
    def lora_stack(self) -> LoraStack:
        """The one writer of LoRAs onto its weights."""
        return LoraStack(self.transformer, self.text_encoders)

    def drawn_by(self, role: str, hardware: Hardware | None = None) -> Backbone:
        """Return what draws: the backbone itself for role "", else its companion, loaded when first asked for.

        One companion is kept at a time. Raises ModelMissing where there is no such companion, BadInput where it does
        not fit, NotEnoughMemory before anything is loaded.
        """
        if role and role not in self.companions:
            spec, model, plan = self.model.load_companion(role, self.spec, self.plan, hardware)
            self.companions.clear()
            self.companions[role] = Backbone(spec, model, plan, role, self.prompts)
        drawing = self.companions[role] if role else self
        if self.companions:
            others = [b.model for b in (self, *self.companions.values()) if b is not drawing]
            drawing.model.take_turn(others)
        return drawing

    def loaded_beside(self, kind: str, folder: Path | None, load: Callable[[Path | None], Loaded]) -> Loaded:
        """Return what `load` gives for a folder, loaded once; `kind` says what it is ("redux")."""
        if (kind, folder) not in self.beside:
            self.beside[kind, folder] = load(folder)
        loaded: Loaded = self.beside[kind, folder]
        return loaded


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
        raise ModelMissing("backbone_folder_missing", folder=str(folder))
    index = read_json(folder / "model_index.json")
    config = folder / "transformer" / "config.json"
    family, variant = detect_folder(folder, index, read_json(config) if config.is_file() else {})
    read_json(config)
    header = None if source.kind == "folder" else read_header(source.path)
    if header is not None:
        family, variant = detect_file(header.shapes, source.path.name)
        _module(family).transformer_config(header, source)
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
    width = family.hidden_width(_module(family).check_transformer(spec.source, parts["transformer"]))
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
    return Backbone(spec, _module(find_family(spec.family)).load_model(spec, plan, where), plan)


@torch.no_grad()
def encode_prompt(backbone: Backbone, prompt: str) -> TextEmbeds:
    """Return the prompt's embeddings, kept for the next time.

    Prompts are encoded one at a time: in bf16 a row of a batch can round differently from the same row alone,
    and a picture must not depend on its neighbours' prompts. What does not fit is cut, and a warning says what.
    """
    kept = backbone.prompts
    if prompt not in kept:
        kept[prompt] = backbone.model.encode_text(prompt)
        while len(kept) > _PROMPTS_KEPT:
            kept.popitem(last=False)
    kept.move_to_end(prompt)
    return kept[prompt]


def _module(family: Family) -> FamilyModule:
    return cast(FamilyModule, import_module(family.module))


def _checked_overrides(folder: Path) -> dict[str, Any]:
    """`studio.json`, names and types checked: a slip in it must not silently draw with other settings."""
    path = folder / "studio.json"
    given = read_json(path)
    kinds = {f.name: str(f.type) for f in fields(BackboneSpec) if f.name not in ("source", "family")}
    for name, value in given.items():
        if name not in kinds:
            raise BadInput("backbone_setting_unknown", path=str(path), name=name, known=sorted(kinds))
        number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = {
            "str": isinstance(value, str),
            "int": isinstance(value, int) and number and value > 0,
            "float": number and value >= 0,
        }.get(kinds[name], value is None or isinstance(value, str))
        if not fits:
            raise BadInput("backbone_setting_invalid", path=str(path), name=name, value=str(value), type=kinds[name])
    return given | named_beside(folder, given)
