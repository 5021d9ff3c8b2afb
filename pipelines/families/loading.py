"""Steps of loading that every family takes: tensors held against their class, number types, places on the device.

Number types are planned part by part: a text encoder as large as the transformer is quantised by transformers' own
configurations while it loads, or cast layer by layer afterwards (fp8), as diffusers does it for its models.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import torch
from safetensors import safe_open
from torch import Tensor, nn

from pipelines import torchvision_mend  # noqa: F401

# isort: split
import diffusers
import transformers
from accelerate import init_empty_weights
from diffusers import DiffusionPipeline
from diffusers.hooks import apply_group_offloading, apply_layerwise_casting
from diffusers.models.model_loading_utils import load_model_dict_into_meta
from diffusers.models.modeling_utils import ModelMixin
from diffusers.quantizers import DiffusersAutoQuantizer

from pipelines.errors import BadInput
from pipelines.families.configs import check_tokenizer, refuse_value
from pipelines.families.folders import MAX_VALUE, bare_names, read_json, reading
from pipelines.families.fp8_scales import dequantise, weight_shapes
from pipelines.families.protocol import Shapes
from pipelines.models.headers import Header
from pipelines.models.precision import LoadPlan, Precision
from pipelines.models.sources import Source
from pipelines.models.variants import Part

__all__ = [
    "build_transformer",
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
_BLOCK = re.compile(r"(?:^|\.)(?:layers|block)\.\d+\.")


def check_tensors(file: str, shapes: Shapes, build: Callable[[], ModelMixin]) -> None:
    """Raise BadInput unless the names and shapes are those of the model that `build` makes (without memory), and the
    parts of a head that turn with each position make up a head.

    diffusers fills a missing tensor with random numbers and a warning.
    """
    with init_empty_weights():
        built = build()
    wanted = {name: tuple(tensor.shape) for name, tensor in built.state_dict().items()}
    if missing := sorted(wanted.keys() - shapes.keys()):
        raise BadInput("transformer_incomplete", file=file, lacks=len(missing), name=missing[0])
    if extra := sorted(shapes.keys() - wanted.keys()):
        raise BadInput("transformer_tensor_unknown", file=file, name=extra[0])
    if other := sorted(name for name in wanted if shapes[name] != wanted[name]):
        name = other[0]
        raise BadInput(
            "transformer_shape_other", file=file, name=name, has=list(shapes[name]), wanted=list(wanted[name])
        )
    axes = built.config.get("axes_dims_rope")
    if axes is not None and sum(axes) != built.config.attention_head_dim:
        where = f"{file}/transformer/config.json"
        raise BadInput("model_config_value", file=where, name="axes_dims_rope", value=str(list(axes))[:MAX_VALUE])


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


def quantisation(
    precision: Precision, library: Literal["diffusers", "transformers"], dtype: torch.dtype
) -> dict[str, Any]:
    """Return what `from_pretrained` of a part is to be told so that it quantises while it loads, weight by weight, to
    be computed with in `dtype`. Both libraries have configurations of the same names.
    """
    room: Any = diffusers if library == "diffusers" else transformers
    if precision == "gguf":
        return {"quantization_config": diffusers.GGUFQuantizationConfig(compute_dtype=dtype)}
    if precision == "int8":
        from torchao.quantization import Int8WeightOnlyConfig

        return {"quantization_config": room.TorchAoConfig(Int8WeightOnlyConfig())}
    if precision == "nf4":
        config = room.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
        return {"quantization_config": config}
    return {}


def build_transformer(
    kind: type[M], source: Source, config: Mapping[str, Any], plan: LoadPlan, tensors: Callable[[], dict[str, Tensor]]
) -> M:
    """Build a transformer of diffusers' class from a folder, or from `tensors`, a single file's in diffusers' names,
    whose shapes `config` tells; text encoders and a VAE that the file may hold too are left out by `tensors`.

    Raises ModelMissing for what cannot be read.
    """
    options = quantisation(plan.precision, "diffusers", plan.dtype)
    with reading(source.name):
        if source.kind == "folder":
            found: M = kind.from_pretrained(
                source.path / "transformer", dtype=plan.dtype, local_files_only=True, **options
            )
            return found
        if plan.precision in ("int8", "nf4"):
            return _quantise(kind, config, tensors(), plan.dtype, options["quantization_config"])
        shape = {k: v for k, v in config.items() if not k.startswith("_")}
        found = kind.from_single_file(  # type: ignore[attr-defined]
            tensors(), config=str(source.base / "transformer"), dtype=plan.dtype, local_files_only=True,
            **options, **shape,
        )  # fmt: skip
        return found


def _quantise(
    kind: type[M], config: Mapping[str, Any], tensors: dict[str, Tensor], dtype: torch.dtype, wanted: Any
) -> M:
    """Build a transformer of `tensors`, each quantised as it is put in: `from_pretrained`'s steps, since
    `from_single_file` takes all files to be quantised already, and leaves them as they are.
    """
    quantizer = DiffusersAutoQuantizer.from_config(wanted, pre_quantized=False)
    quantizer.validate_environment(torch_dtype=dtype, device_map=None)
    with init_empty_weights():
        model: M = kind.from_config(config)  # type: ignore[attr-defined]
    kept = list(kind._keep_in_fp32_modules or [])
    quantizer.preprocess_model(model=model, device_map=None, keep_in_fp32_modules=kept)
    load_model_dict_into_meta(
        model, tensors, dtype=dtype, device_map=quantizer.update_device_map(None) or {"": torch.device("cpu")},
        hf_quantizer=quantizer, keep_in_fp32_modules=kept, unexpected_keys=[],
    )  # fmt: skip
    quantizer.postprocess_model(model)
    return model


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
    others = {part.name: _load_part(source, part, plan) for part in parts if part.name != "transformer"}
    with reading(source.name):
        pipeline = kind.from_pretrained(source.base, transformer=transformer, local_files_only=True, **others)
    for name in (name for name in pipeline.components if name.startswith("tokenizer")):
        tokenizer, encoder = getattr(pipeline, name), getattr(pipeline, name.replace("tokenizer", "text_encoder"))
        rows = encoder.get_input_embeddings().num_embeddings
        # a processor, of an encoder that sees pictures, has one inside
        check_tokenizer(source.base, name, getattr(tokenizer, "tokenizer", tokenizer), rows)
    place(pipeline, parts, plan, device)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _load_part(source: Source, part: Part, plan: LoadPlan) -> nn.Module:
    """Load a part of a folder, frozen, checked, and as small as planned.

    Raises BadInput where its config.json asks for layers that its files do not hold, which the libraries fill with
    random numbers and a warning, or leaves out some that they do.
    """
    library: Any = diffusers if part.library == "diffusers" else transformers
    folder, precision = source.base / part.name, plan.precision_of(part.name)
    named = read_json(source.base / "model_index.json").get(part.name)
    kind = None
    if isinstance(named, list) and len(named) == 2 and named[0] == part.library:
        kind = getattr(library, str(named[1]), None)
    if not isinstance(kind, type) or not hasattr(kind, "from_pretrained"):
        refuse_value(source.base, "model_index.json", part.name, named)
    options = quantisation(precision, part.library, plan.dtype)
    with reading(source.name):
        module, told = kind.from_pretrained(
            folder, dtype=plan.dtype, local_files_only=True, output_loading_info=True, **options
        )
    # what a text encoder's file holds beside its blocks may be of no use here, such as a language head
    extra = [n for n in told["unexpected_keys"] if part.library == "diffusers" or _BLOCK.search(n)]
    if wrong := sorted([*told["missing_keys"], *extra]):
        raise BadInput("part_incomplete", folder=f"{source.base.name}/{part.name}", count=len(wrong), name=wrong[0])
    module.requires_grad_(False).eval()
    check_numbers(source.name, module)
    if precision == "fp8":
        apply_layerwise_casting(module, torch.float8_e4m3fn, plan.dtype, skip_modules_pattern=(part.uncast,))
    found: nn.Module = module
    return found


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
