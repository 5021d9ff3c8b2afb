"""JSON of a diffusers folder held against the classes that read it, before anything is built from it.

The classes take what they are given: text for a number is looked at only when a picture is drawn, and a billion layers
are built until somebody stops it. What the tensors' shapes tell is not looked at here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from inspect import signature
from pathlib import Path
from types import NoneType
from typing import Any, NoReturn, get_args, get_origin, get_type_hints

from pipelines import torchvision_mend  # noqa: F401

# isort: split
import diffusers
from diffusers import ConfigMixin

from pipelines.errors import BadInput
from pipelines.families.folders import MAX_VALUE, read_json

__all__ = ["check_configs", "check_tokenizer", "refuse_value"]

_PROBE = "a red lantern"
_MOST_LAYERS = 1000
_MOST = 1e6  # in a model of diffusers: no size, length or number of timesteps is as large, and tables are made of some
_MOST_OF_TEXT = 1e7  # words and positions
_UNBOUNDED = ("theta", "model_max_length")  # bases of positions; a tokenizer without a limit writes 1e30


def check_configs(folder: Path) -> None:
    """Raise BadInput where a value in the JSON of a folder's transformer, VAE or scheduler is of another type than its
    class of diffusers asks for, such as text for a number, or where it, or a text encoder's or a tokenizer's, is beyond
    any model's.
    """
    for file in ("transformer/config.json", "vae/config.json", "scheduler/scheduler_config.json"):
        config = read_json(folder / file) if (folder / file).is_file() else {}
        kind = getattr(diffusers, str(config.get("_class_name")), None)
        if not isinstance(kind, type) or not issubclass(kind, ConfigMixin):
            continue
        hints = get_type_hints(kind.__init__)  # type: ignore[misc]
        for name, parameter in signature(kind).parameters.items():
            if name not in config:
                continue
            usual = parameter.default if parameter.default is not None else _example(hints.get(name))
            fits = _is_like(config[name], usual) or (config[name] is None and parameter.default is None)
            if not fits or not _is_bounded(name, config[name], _MOST):
                refuse_value(folder, file, name, config[name])
    for path in sorted([*folder.glob("text_encoder*/config.json"), *folder.glob("tokenizer*/tokenizer_config.json")]):
        for name, value in _leaves(read_json(path)):
            if not _is_bounded(name, value, _MOST_OF_TEXT):
                refuse_value(folder, f"{path.parent.name}/{path.name}", name, value)


def check_tokenizer(folder: Path, name: str, tokenizer: Any, known: int) -> None:
    """Raise BadInput where a loaded tokenizer cannot read a prompt, or writes numbers that its text encoder, which has
    rows for `known` of them, does not have. `name` is the tokenizer's in `folder`.
    """
    place = f"{folder.name}/{name}"
    try:
        limit = float(tokenizer.model_max_length)
        read = tokenizer(_PROBE, padding="max_length", max_length=32, truncation=True)
        largest = max(read.input_ids)
    except Exception as error:  # it may raise anything
        raise BadInput("tokenizer_damaged", folder=place, reason=str(error)[:MAX_VALUE]) from error
    if not limit > 0:
        refuse_value(folder, f"{name}/tokenizer_config.json", "model_max_length", tokenizer.model_max_length)
    if largest >= known:
        raise BadInput("tokenizer_of_other_model", folder=place, largest=largest, known=known)


def _example(hint: Any) -> Any:
    """Return a value of a type, for `_is_like`; None where it says nothing."""
    if get_origin(hint) in (tuple, list):
        return [_example(get_args(hint)[0])]
    if kinds := [kind for kind in get_args(hint) if kind is not NoneType]:
        return _example(kinds[0])
    return hint() if hint in (int, float, str, bool) else None


def _is_like(value: object, usual: object) -> bool:
    """Whether a JSON value is of the kind of a class's own; None stands for any kind."""
    if isinstance(usual, bool | str):
        return isinstance(value, type(usual))
    if isinstance(usual, int | float):
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return is_number and (isinstance(usual, float) or value >= 0)  # type: ignore[operator]
    if isinstance(usual, list | tuple):
        return isinstance(value, list) and (not usual or all(_is_like(one, usual[0]) for one in value))
    return True


def _is_bounded(name: str, value: object, most: float) -> bool:
    """Whether all numbers of a value are finite and not more than any model has."""
    if isinstance(value, list):
        return all(_is_bounded(name, one, most) for one in value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return True
    bound = _MOST_LAYERS if "layers" in name else math.inf if name.endswith(_UNBOUNDED) else most
    return math.isfinite(value) and abs(value) <= bound


def _leaves(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _leaves(value)
        else:
            yield name, value


def refuse_value(folder: Path, file: str, name: str, value: object) -> NoReturn:
    """Raise BadInput for a value of a folder's JSON file."""
    raise BadInput("model_config_value", file=f"{folder.name}/{file}", name=name, value=str(value)[:MAX_VALUE])
