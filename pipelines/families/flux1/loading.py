"""Build a FluxPipeline from a source by a plan: the transformer's weights, the other parts, and where they go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from accelerate import init_empty_weights
from diffusers import FluxPipeline
from diffusers import FluxTransformer2DModel as FluxTransformer
from diffusers.hooks import apply_group_offloading

from pipelines.errors import BadInput, ModelMissing
from pipelines.families.catalogue import detect_file
from pipelines.families.flux1.detection import layout_of, transformer_config
from pipelines.families.flux1.original_names import to_diffusers
from pipelines.families.folders import bare_names, read_json
from pipelines.models.headers import Header
from pipelines.models.precision import LoadPlan
from pipelines.models.sources import Source

__all__ = ["check_transformer", "load_pipeline"]


def check_transformer(source: Source, header: Sequence[Header]) -> dict[str, Any]:
    """The transformer's config, once its files are known to hold every tensor that it asks for, and in the right shape.

    From headers alone. diffusers fills a missing tensor with random numbers and a warning; here it is BadInput.
    """
    shapes = {name: shape for h in header for name, shape in h.shapes.items()}
    config = read_json(source.base / "transformer" / "config.json")
    if source.kind != "folder":
        config |= transformer_config(header[0], source)
    detect_file(shapes, source.name)
    bare = {name: shapes[key] for name, key in bare_names(shapes).items()}
    if layout_of(shapes) != "diffusers":
        empty: dict[str, Tensor] = {name: torch.empty(shape, device="meta") for name, shape in bare.items()}
        if "img_in.bias" not in empty:
            raise BadInput("transformer_incomplete", file=source.name, lacks=1, name="img_in.bias")
        bare = {name: tuple(t.shape) for name, t in to_diffusers(empty, source.name).items()}
    with init_empty_weights():
        wanted = {n: tuple(t.shape) for n, t in FluxTransformer.from_config(config).state_dict().items()}
    if missing := sorted(wanted.keys() - bare.keys()):
        raise BadInput("transformer_incomplete", file=source.name, lacks=len(missing), name=missing[0])
    if extra := sorted(bare.keys() - wanted.keys()):
        raise BadInput("transformer_tensor_unknown", file=source.name, name=extra[0])
    if other := sorted(name for name in wanted if bare[name] != wanted[name]):
        name = other[0]
        raise BadInput(
            "transformer_shape_other", file=source.name, name=name, has=list(bare[name]), wanted=list(wanted[name])
        )
    return config


def load_pipeline(source: Source, header: Sequence[Header], plan: LoadPlan, device: torch.device) -> FluxPipeline:
    """The pipeline, frozen, in its place on the device. Raises ModelMissing or BadInput; never downloads."""
    config = check_transformer(source, header)
    try:
        if source.kind == "folder":
            transformer = FluxTransformer.from_pretrained(
                source.path / "transformer", dtype=plan.dtype, local_files_only=True, **_quantised(plan)
            )
        else:
            transformer = _from_file(source, config, plan)
        _settle(source.name, transformer, plan, device)
        pipeline = FluxPipeline.from_pretrained(
            source.base, transformer=transformer, dtype=plan.dtype, local_files_only=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelMissing("model_unreadable", model=source.name, reason=str(error)) from error
    for part in (pipeline.vae, pipeline.text_encoder, pipeline.text_encoder_2):
        part.requires_grad_(False).eval()
        _check_numbers(source.name, part)
    _place(pipeline, plan, device)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _from_file(source: Source, config: Mapping[str, Any], plan: LoadPlan) -> FluxTransformer:
    """From a single file: text encoders and VAE that it may hold too are left out."""
    tensors = _read_gguf(source.path) if source.kind == "gguf" else _read_safetensors(source.path)
    if layout_of(tensors) != "diffusers":
        tensors = to_diffusers(tensors, source.path.name)
    shape = {k: v for k, v in config.items() if not k.startswith("_")}
    return FluxTransformer.from_single_file(
        tensors, config=str(source.base / "transformer"), dtype=plan.dtype, local_files_only=True,
        **_quantised(plan), **shape,
    )  # fmt: skip


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    with safe_open(path, framework="pt") as file:
        return {bare: file.get_tensor(name) for bare, name in bare_names(file.keys()).items()}


def _read_gguf(path: Path) -> dict[str, Tensor]:
    from diffusers.models.model_loading_utils import load_gguf_checkpoint

    tensors = load_gguf_checkpoint(path)
    return {bare: tensors[name] for bare, name in bare_names(tensors).items()}


def _quantised(plan: LoadPlan) -> dict[str, Any]:
    """What diffusers is to be told so that it quantises while it loads, weight by weight."""
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


def _settle(name: str, transformer: FluxTransformer, plan: LoadPlan, device: torch.device) -> None:
    """Check it, make it as small as planned, and bring it to the device before the others need the memory."""
    transformer.requires_grad_(False).eval()
    stays = plan.offload == "none"
    if stays and plan.precision != "fp8":
        transformer.to(device)
    _check_numbers(name, transformer)
    if plan.precision == "fp8":
        transformer.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=plan.dtype)
        if stays:
            transformer.to(device)


def _place(pipeline: FluxPipeline, plan: LoadPlan, device: torch.device) -> None:
    if plan.offload == "model":
        pipeline.enable_model_cpu_offload(device=device)
    elif plan.offload == "group":
        stream = device.type == "cuda"
        pipeline.transformer.enable_group_offload(
            device, offload_type="block_level", num_blocks_per_group=1, use_stream=stream
        )
        apply_group_offloading(pipeline.text_encoder_2, device, offload_type="leaf_level", use_stream=stream)
        pipeline.text_encoder.to(device)
        pipeline.vae.to(device)
    else:
        pipeline.to(device)
    # convolutions in bf16 are twice as fast on channels-last data, on CPU and GPU
    pipeline.vae.to(memory_format=torch.channels_last)


def _check_numbers(name: str, part: nn.Module) -> None:
    """Raise BadInput where weights are no numbers. A GGUF file's blocks are not looked into: `draw` notices."""
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
