"""Whether a LoRA's layers go onto a model, told before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from pipelines.errors import BadLora
from pipelines.families.catalogue import family_name, find_family
from pipelines.families.model import Adaptable
from pipelines.families.spellings import LoraWords
from pipelines.lora.layers import LoraLayer

__all__ = ["FitReport", "check_fits", "named_linears"]


@dataclass(frozen=True)
class FitReport:
    """How a LoRA meets a model: modules it changes, and optional layers that this model lacks."""

    changed: tuple[str, ...]
    left_out: tuple[str, ...]


def named_linears(model: Adaptable) -> dict[str, nn.Module]:
    """Every module that a LoRA layer may name."""
    modules: dict[str, nn.Module] = dict(model.transformer.named_modules())
    for encoder, part in model.text_encoders.items():
        for name, module in part.named_modules():
            # transformers 5 has taken CLIP's level `text_model` away; a Qwen3ForCausalLM has its layers in `model`
            bare = name.removeprefix("text_model.").removeprefix("model.")
            modules[f"{encoder}.{bare}"] = module
    return modules


def check_fits(layers: Sequence[LoraLayer], model: Adaptable, name: str = "LoRA", family: str = "") -> FitReport:
    """Check every layer against the model's linear layers; `family` is the LoRA's, "" where it is not known.

    Layers that only some variants of its family have (`Spellings.optional`) are left out where it has none. Raises
    BadLora if it is for another family or for another hidden width, if other layers are missing or have other sizes, or
    if nothing would change.
    """
    if family and family != model.family:
        raise BadLora("lora_of_other_backbone", name=name, family=family_name(family), here=family_name(model.family))
    facts = find_family(model.family)
    modules = named_linears(model)
    _check_width(layers, modules, facts.lora_words, name)
    changed: list[str] = []
    left_out: list[str] = []
    for layer in layers:
        module = modules.get(layer.module)
        if module is None and any(word in layer.module for word in facts.lora_spellings.optional):
            left_out.append(layer.module)
        elif not isinstance(module, nn.Linear):
            raise BadLora("lora_layer_not_here", name=name, layer=layer.module)
        else:
            shape = (layer.up.shape[0], layer.down.shape[1])
            here = (module.out_features, module.in_features)  # a quantised weight has another shape
            if shape != here:
                raise BadLora("lora_shape_other", name=name, layer=layer.module, here=list(here), shape=list(shape))
            changed.append(layer.module)
    if not changed:
        raise BadLora("lora_changes_nothing_here", name=name)
    return FitReport(tuple(changed), tuple(left_out))


def _check_width(layers: Sequence[LoraLayer], modules: Mapping[str, nn.Module], words: LoraWords, name: str) -> None:
    """Say of a LoRA for a model of another size what that is, before its first layer that is not here is named."""
    for layer in layers:
        module = modules.get(layer.module)
        if isinstance(module, nn.Linear) and words.width_modules.search(layer.module):
            width, here = layer.down.shape[1], module.in_features
            if width != here:
                raise BadLora("lora_width_other", name=name, width=width, here=here)
