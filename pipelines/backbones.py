"""Backbones: what a base model is, what it can do, and how it is loaded, whatever its family."""

from __future__ import annotations

import gc
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from pipelines.errors import BadInput
from pipelines.families.catalogue import detect_file, detect_source, find_family
from pipelines.families.companions import companion_settings, drawing_spec, find_companions
from pipelines.families.folders import read_json, read_part_headers, reading
from pipelines.families.model import Model, TextEmbeds
from pipelines.families.protocol import Family
from pipelines.families.siblings import find_sibling
from pipelines.families.sources import find_source, licence_of
from pipelines.families.spec import TRAINING, BackboneSpec
from pipelines.families.vocabulary import PROMPT_WORDS
from pipelines.lora.layers import Lora
from pipelines.lora.stack import LoraStack
from pipelines.models.hardware import Hardware, read_hardware, work_bytes
from pipelines.models.precision import LoadPlan, plan_loading
from pipelines.models.sources import MINIATURE

__all__ = [
    "MINIATURE",
    "Backbone",
    "BackboneSpec",
    "best_device",
    "encode_prompt",
    "fast_dtype",
    "load_backbone",
    "plan_backbone",
    "resolve_backbone",
]

_PROMPTS_KEPT, _PROMPT_BYTES_KEPT = 512, 0.2e9  # on the device: inside of what every plan leaves for the runtime
_MOST = {"height": 4096, "width": 4096, "num_inference_steps": 1000, "max_sequence_length": 2048, "lora_rank": 256}
_MOST |= dict.fromkeys(("guidance_scale", "true_cfg_scale", "identity_guidance_scale"), 100)
_LOG = logging.getLogger(__name__)

Loaded = TypeVar("Loaded")


@dataclass(frozen=True, eq=False)
class Backbone:
    """A loaded backbone: a family's model, and what has been made or loaded for it since.

    A companion is a Backbone, too, with a transformer of its own, all else shared, and its `role`. `prompts` keeps
    encoded prompts by their words and how many tokens are read, `companions` the loaded companion by its role,
    `beside` what references and adapters have loaded for themselves (`loaded_beside`).
    """

    spec: BackboneSpec
    model: Model
    plan: LoadPlan
    role: str = ""
    prompts: OrderedDict[tuple[str, int], TextEmbeds] = field(default_factory=OrderedDict, repr=False)
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

    @property
    def room_bytes(self) -> float:
        """Return what the work may take of the device beside all that is kept there; inf: not bounded."""
        return self.plan.room_bytes - self.held_bytes

    @property
    def held_bytes(self) -> float:
        """Return what LoRAs and adapters keep on the device; of what is loaded beside, that which says so."""
        return self.lora_stack.device_bytes + sum(getattr(one, "device_bytes", 0.0) for one in self.beside.values())

    @property
    def drawing_bytes(self) -> float:
        """Return what adapters have to leave free on the device: the work of a drawing of the usual size, and the
        transformer where it comes only then.
        """
        work = work_bytes(self.model.width, self.spec.height * self.spec.width)
        return work + (0 if self.plan.offload == "none" else sum(p.nbytes for p in self.transformer.parameters()))

    @cached_property
    def lora_stack(self) -> LoraStack:
        """The one writer of LoRAs onto its weights."""
        return LoraStack(self.model)

    def put_on(self, loras: Sequence[Lora]) -> None:
        """Make exactly these LoRAs what is on its weights; BadLora where a layer does not fit, and nothing changes.

        Where text encoders change, prompts that were kept are read anew.
        """
        read_before = self._changes_text
        self.lora_stack.put_on(loras)
        if read_before or self._changes_text:
            self.prompts.clear()

    @property
    def _changes_text(self) -> bool:
        return any(name.split(".")[0] in self.text_encoders for name in self.lora_stack.changed)

    def drawn_by(self, role: str, hardware: Hardware | None = None) -> Backbone:
        """Return what draws: the backbone itself for role "", else its companion, loaded when first asked for.

        One companion is kept at a time: the one before is let go first, so that both are never held. Raises
        ModelMissing where there is no such companion, BadInput where it does not fit, NotEnoughMemory before anything
        is loaded.
        """
        if role and role not in self.companions:
            drawing_spec(self.spec, role)  # what is not there or does not fit costs nobody a loaded one
            if self.companions:
                self.companions.clear()
                gc.collect()  # modules and their hooks hold each other
            spec, model, plan = self.model.load_companion(role, self.spec, self.plan, hardware)
            self.companions[role] = Backbone(spec, model, plan, role, self.prompts)
        drawing = self.companions[role] if role else self
        if self.companions:
            others = [b.model for b in (self, *self.companions.values()) if b is not drawing]
            drawing.model.take_turn(others)
        return drawing

    def trained_on(self, hardware: Hardware | None = None) -> Backbone:
        """Return what LoRAs for it are trained on: itself, or its sibling, loaded when first asked for.

        The two take turns where they do not fit the device together: ask again after drawing. Raises as `drawn_by`.
        """
        return self if self.spec.trains_itself else self.drawn_by(TRAINING, hardware)

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
    """The spec of what `pipelines.families.sources.find_source` finds; ModelMissing or BadInput if no family loads it.

    A `studio.json` inside the diffusers folder overrides any field but `source`, `family`, `can` and `schedule`, and of
    a single file all but its id and licence; a companion's folder is named by its role ("redux_folder"), relative to
    the folder. Without it the defaults are the catalogue's, as `pipelines.families.catalogue.detect_source` finds them.
    """
    source = find_source(name, base, models)
    folder = source.base
    detected = detect_source(source)
    family, header, known = detected.family, detected.header, detected.variant
    read_json(folder / "transformer" / "config.json")
    if header is not None:
        with reading(source.name):
            family.config_of_file(header, source)
    values: dict[str, Any] = {
        "id": source.name,
        "licence": licence_of(source, detected),
        "licence_note": "",
        "height": known.height,
        "width": known.width,
        "num_inference_steps": known.num_inference_steps,
        "guidance_scale": known.guidance_scale,
        "true_cfg_scale": known.cfg_scale,
        "max_sequence_length": known.max_sequence_length,
        "lora_rank": 16,
        "train_on": known.train_on,
    }
    settings = _checked_settings(folder, family) if (folder / "studio.json").is_file() else {}
    own = {"id", "licence", "licence_note"} if header is not None else set()
    values |= {k: v for k, v in settings.items() if k not in {*own, *companion_settings(family)}}
    values["sizes"] = tuple((height, width) for height, width in values.get("sizes", ()))
    sibling = {} if f"{TRAINING}_folder" in settings else find_sibling(values["train_on"], source, models)
    companions = sibling | find_companions(family, folder, settings)
    return BackboneSpec(
        source=source, family=family.id, can=known.can, companions=companions, schedule=detected.schedule, **values
    )


def plan_backbone(spec: BackboneSpec, dtype: torch.dtype, hardware: Hardware, precision: str = "auto") -> LoadPlan:
    """In which precision it would be loaded on this hardware, and where its parts would go, to draw one picture.

    Batches are as large as the room that is left (`pipelines.sampling.draw.draw_fitting`). `dtype` is the hardware's
    fast one. Raises as `pipelines.models.precision.plan_loading` does, and BadInput or ModelMissing for files that are
    missing, cut short or another model's.
    """
    family = find_family(spec.family)
    headers = read_part_headers(spec.source, family)
    detect_file({name: shape for h in headers["transformer"] for name, shape in h.shapes.items()}, spec.source.name)
    width = family.hidden_width(family.loader().check_transformer(spec.source, headers["transformer"]))
    pixels = spec.height * spec.width
    references = spec.can.references_max * spec.can.reference_px**2
    return plan_loading(family.parts, headers, width, pixels, hardware, dtype, precision, spec.id, references)


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
    with reading(spec.id):
        return Backbone(spec, find_family(spec.family).loader().load_model(spec, plan, where), plan)


@torch.no_grad()
def encode_prompt(backbone: Backbone, prompt: str) -> TextEmbeds:
    """Return the prompt's embeddings, kept for the next time.

    Prompts are encoded one at a time: in bf16 a row of a batch can round differently from the same row alone,
    and a picture must not depend on its neighbours' prompts. What does not fit is cut, and a warning says what.
    """
    kept, key = backbone.prompts, (prompt, backbone.spec.max_sequence_length)
    if key not in kept:
        with reading(backbone.spec.id):  # what a text encoder's config.json says may matter only now
            kept[key] = backbone.model.encode_text(prompt)
        while len(kept) > _PROMPTS_KEPT or (len(kept) > 1 and sum(map(_bytes, kept.values())) > _PROMPT_BYTES_KEPT):
            kept.popitem(last=False)
    kept.move_to_end(key)
    return kept[key]


def _bytes(text: TextEmbeds) -> int:
    """Of a family's own dataclass of tensors, or tuples of them."""
    if isinstance(text, torch.Tensor):
        return text.nbytes
    parts = text if isinstance(text, list | tuple) else vars(text).values() if is_dataclass(text) else ()
    return sum(map(_bytes, parts))


def _checked_settings(folder: Path, family: Family) -> dict[str, Any]:
    """`studio.json`, names and types checked: a slip in it must not silently draw with other settings."""
    path = folder / "studio.json"
    given = read_json(path)
    told = ("source", "family", "can", "companions", "schedule")
    kinds = {f.name: str(f.type) for f in fields(BackboneSpec) if f.name not in told}
    kinds |= dict.fromkeys(companion_settings(family), "folder or null")
    for name, value in given.items():
        if name not in kinds:
            raise BadInput("backbone_setting_unknown", path=str(path), name=name, known=sorted(kinds))
        number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = {
            "str": isinstance(value, str),
            "int": isinstance(value, int) and number and value > 0,
            "float": number and value >= 0,
            "tuple[tuple[int, int], ...]": _are_sizes(value),
        }.get(kinds[name], value is None or isinstance(value, str))
        fits = fits and (name != "prompt_words" or value in PROMPT_WORDS)
        if not fits:
            raise BadInput("backbone_setting_invalid", path=str(path), name=name, value=str(value), type=kinds[name])
        if number and value > _MOST[name]:
            raise BadInput("backbone_setting_too_large", path=str(path), name=name, value=value, most=_MOST[name])
    return given


def _are_sizes(value: object) -> bool:
    """Whether it is a list of [height, width]."""
    return isinstance(value, list) and all(
        isinstance(size, list) and len(size) == 2 and all(type(side) is int and side > 0 for side in size)
        for size in value
    )
