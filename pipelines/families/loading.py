"""Steps of loading that every family takes: tensors held against their class, number types, places on the device.

Number types are planned part by part: a text encoder as large as the transformer is quantised by transformers' own
configurations while it loads, or cast layer by layer afterwards (fp8), as diffusers does it for its models.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open
from torch import Tensor, nn

from pipelines import torchvision_mend  # noqa: F401

# isort: split
import diffusers
from accelerate import init_empty_weights
from diffusers import ConfigMixin, DiffusionPipeline
from diffusers.hooks import apply_group_offloading, apply_layerwise_casting
from diffusers.models.modeling_utils import ModelMixin

from pipelines.errors import BadInput
from pipelines.families.folders import MAX_VALUE, bare_names, read_json, reading
from pipelines.families.fp8_scales import dequantise, weight_shapes
from pipelines.families.protocol import Shapes
from pipelines.models.headers import Header
from pipelines.models.precision import LoadPlan
from pipelines.models.sources import Source
from pipelines.models.variants import Part

__all__ = [
    "build_transformer",
    "check_configs",
    "check_numbers",
    "check_tensors",
    "load_around",
    "place",
    "quantisation",
    "read_tensors",
    "settle",
    "transformer_shapes",
]

Pipeline = TypeVar("Pipeline", bound=DiffusionPipeline)
M = TypeVar("M", bound=ModelMixin)


def check_configs(folder: Path) -> None:
    """Raise BadInput where a value in the JSON of a folder's transformer, VAE or scheduler is of another type than that
    which its class of diffusers has by itself, such as text for a number.

    The classes take what they are given, and some of it is looked at only when a picture is drawn.
    """
    for file in ("transformer/config.json", "vae/config.json", "scheduler/scheduler_config.json"):
        config = read_json(folder / file) if (folder / file).is_file() else {}
        kind = getattr(diffusers, str(config.get("_class_name")), None)
        if not isinstance(kind, type) or not issubclass(kind, ConfigMixin):
            continue
        for name, parameter in signature(kind).parameters.items():
            if name in config and not _is_like(config[name], parameter.default):
                told = str(config[name])[:MAX_VALUE]
                raise BadInput("model_config_value", file=f"{folder.name}/{file}", name=name, value=told)


def _is_like(value: object, usual: object) -> bool:
    """Whether a JSON value is of the kind of a class's own; None stands for any kind."""
    if isinstance(usual, bool | str):
        return isinstance(value, type(usual))
    if isinstance(usual, int | float):
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if isinstance(usual, list | tuple):
        return isinstance(value, list) and (not usual or all(_is_like(one, usual[0]) for one in value))
    return True


def check_tensors(file: str, shapes: Shapes, build: Callable[[], nn.Module]) -> None:
    """Raise BadInput unless the names and shapes are those of the model that `build` makes (without memory).

    diffusers fills a missing tensor with random numbers and a warning.
    """
    with init_empty_weights():
        wanted = {name: tuple(tensor.shape) for name, tensor in build().state_dict().items()}
    if missing := sorted(wanted.keys() - shapes.keys()):
        raise BadInput("transformer_incomplete", file=file, lacks=len(missing), name=missing[0])
    if extra := sorted(shapes.keys() - wanted.keys()):
        raise BadInput("transformer_tensor_unknown", file=file, name=extra[0])
    if other := sorted(name for name in wanted if shapes[name] != wanted[name]):
        name = other[0]
        raise BadInput(
            "transformer_shape_other", file=file, name=name, has=list(shapes[name]), wanted=list(wanted[name])
        )


def transformer_shapes(source: Source, headers: Sequence[Header]) -> dict[str, tuple[int, ...]]:
    """Return the tensors' shapes by the names in the files, without the scales that `read_tensors` applies.

    Raises BadInput for scales of a single file that cannot be applied.
    """
    if source.kind == "single file":
        return weight_shapes(source.name, headers)
    return {name: shape for h in headers for name, shape in h.shapes.items()}


def read_tensors(source: Source, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return the transformer's tensors of a single file, by their names without prefix; what else it holds is left.

    fp8 weights with scales become what they stand for, in `dtype`.

    Of a GGUF file only matrices stay in its own number types: diffusers computes with those of linear layers alone, and
    some files hold biases and norms as bfloat16.
    """
    if source.kind == "gguf":
        from diffusers.models.model_loading_utils import load_gguf_checkpoint
        from diffusers.quantizers.gguf.utils import dequantize_gguf_tensor

        tensors = load_gguf_checkpoint(source.path)
        found = {bare: tensors[name] for bare, name in bare_names(tensors).items()}
        rows = {name: tensor.shape[0] if tensor.ndim > 1 else 1 for name, tensor in found.items()}
        return {name: dequantize_gguf_tensor(t) if rows[name] == 1 else t for name, t in found.items()}
    with safe_open(source.path, framework="pt") as file:
        return dequantise({bare: file.get_tensor(name) for bare, name in bare_names(file.keys()).items()}, dtype)


def quantisation(plan: LoadPlan) -> dict[str, Any]:
    """Return what `from_pretrained` is to be told so that it quantises while it loads, weight by weight."""
    if plan.precision == "gguf":
        from diffusers import GGUFQuantizationConfig

        return {"quantization_config": GGUFQuantizationConfig(compute_dtype=plan.dtype)}
    if plan.precision == "int8":
        from diffusers import TorchAoConfig
        from torchao.quantization import Int8WeightOnlyConfig

        return {"quantization_config": TorchAoConfig(Int8WeightOnlyConfig())}
    if plan.precision == "nf4":
        from diffusers import BitsAndBytesConfig

        config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=plan.dtype)
        return {"quantization_config": config}
    return {}


def build_transformer(
    kind: type[M], source: Source, config: Mapping[str, Any], plan: LoadPlan, tensors: Callable[[], dict[str, Tensor]]
) -> M:
    """Build a transformer of diffusers' class from a folder, or from `tensors`, a single file's in diffusers' names,
    whose shapes `config` tells; text encoders and a VAE that the file may hold too are left out by `tensors`.

    Raises ModelMissing for what cannot be read.
    """
    with reading(source.name):
        if source.kind == "folder":
            found: M = kind.from_pretrained(
                source.path / "transformer", dtype=plan.dtype, local_files_only=True, **quantisation(plan)
            )
            return found
        shape = {k: v for k, v in config.items() if not k.startswith("_")}
        found = kind.from_single_file(  # type: ignore[attr-defined]
            tensors(), config=str(source.base / "transformer"), dtype=plan.dtype, local_files_only=True,
            **quantisation(plan), **shape,
        )  # fmt: skip
        return found


def settle(name: str, transformer: ModelMixin, plan: LoadPlan, device: torch.device) -> None:
    """Freeze and check a transformer, make it as small as planned, and bring it to the device before the other parts
    need the memory. `name` is the model's, for errors.
    """
    transformer.requires_grad_(False).eval()
    stays = plan.offload == "none"
    if stays and plan.precision != "fp8":
        transformer.to(device)
    check_numbers(name, transformer)
    if plan.precision == "fp8":
        transformer.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=plan.dtype)
        if stays:
            transformer.to(device)


def load_around(
    kind: type[Pipeline],
    source: Source,
    transformer: ModelMixin,
    parts: Sequence[Part],
    plan: LoadPlan,
    device: torch.device,
) -> Pipeline:
    """Load the pipeline of a settled transformer: its other parts frozen, checked, each as small as planned, and where
    the plan has them. Raises ModelMissing or BadInput; never downloads.
    """
    others = [part for part in parts if part.name != "transformer"]
    with reading(source.name):
        pipeline = kind.from_pretrained(
            source.base, transformer=transformer, dtype=plan.dtype, local_files_only=True,
            **_encoders_quantisation(others, plan),
        )  # fmt: skip
    for part in others:
        module = getattr(pipeline, part.name)
        module.requires_grad_(False).eval()
        check_numbers(source.name, module)
        if plan.precision_of(part.name) == "fp8":
            apply_layerwise_casting(module, torch.float8_e4m3fn, plan.dtype, skip_modules_pattern=(part.uncast,))
    place(pipeline, parts, plan, device)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _encoders_quantisation(others: Sequence[Part], plan: LoadPlan) -> dict[str, Any]:
    """Return what a pipeline's `from_pretrained` is to be told so that transformers quantises text encoders."""
    kinds = {part.name: plan.precision_of(part.name) for part in others if part.library == "transformers"}
    configs: dict[str, Any] = {}
    for name, precision in kinds.items():
        if precision == "int8":
            from torchao.quantization import Int8WeightOnlyConfig
            from transformers import TorchAoConfig

            configs[name] = TorchAoConfig(Int8WeightOnlyConfig())
        elif precision == "nf4":
            from transformers import BitsAndBytesConfig

            configs[name] = BitsAndBytesConfig(
                load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=plan.dtype
            )
    if not configs:
        return {}
    from diffusers import PipelineQuantizationConfig

    return {"quantization_config": PipelineQuantizationConfig(quant_mapping=configs)}


def place(pipeline: DiffusionPipeline, parts: Sequence[Part], plan: LoadPlan, device: torch.device) -> None:
    """Bring a pipeline's parts to where the plan has them."""
    if plan.offload == "model":
        pipeline.enable_model_cpu_offload(device=device)
    elif plan.offload == "group":
        stream = device.type == "cuda"
        for part in parts:
            module = getattr(pipeline, part.name)
            if not part.is_large:
                module.to(device)
            elif part.library == "diffusers":
                module.enable_group_offload(
                    device, offload_type="block_level", num_blocks_per_group=1, use_stream=stream
                )
            else:
                apply_group_offloading(module, device, offload_type="leaf_level", use_stream=stream)
    else:
        pipeline.to(device)
    # convolutions in bf16 are twice as fast on channels-last data, on CPU and GPU
    pipeline.vae.to(memory_format=torch.channels_last)


def check_numbers(name: str, part: nn.Module) -> None:
    """Raise BadInput where weights are no numbers. A GGUF file's blocks are not looked into: drawing notices."""
    for weight, parameter in part.named_parameters():
        numbers = _numbers(parameter)
        if numbers is not None and not bool(torch.isfinite(numbers).all()):
            raise BadInput("model_not_finite", name=name, weight=weight)


def _numbers(parameter: Tensor) -> Tensor | None:
    """The floating-point numbers that a parameter is made of: a quantised one's are its scales."""
    state = getattr(parameter, "quant_state", None)  # bitsandbytes
    if state is not None:
        scales: Tensor = state.absmax
        return scales
    scale = getattr(parameter, "scale", None)  # torchao
    if isinstance(scale, Tensor):
        return scale
    return parameter if parameter.is_floating_point() else None
