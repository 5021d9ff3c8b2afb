"""The table of docs/families.md: `python -m benchmarks.families` prints it from the code's own tables.

What each model can do, its licence in three answers, its memory by precision, and which spellings of LoRA files are
read. Memory is that of the weights alone, computed from published numbers of parameters; what drawing takes beside
them depends on the picture, and `backbones plan` says both for a model that is here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipelines.families.catalogue import FAMILIES, family_name, is_loaded
from pipelines.families.protocol import Family
from pipelines.models.catalogue import MODELS, KnownModel
from pipelines.models.licences import USES, find_licence
from studio.texts.licences import say_permission, say_read_on
from studio.texts.texts import Texts

__all__ = ["LORA_KEYS", "families_table"]

LORA_KEYS: Mapping[str, Mapping[str, str]] = {
    "flux1": {
        "diffusers": "transformer.transformer_blocks.0.attn.to_q.lora_A.weight",
        "peft": "base_model.model.transformer_blocks.0.attn.to_q.lora_A.weight",
        "ai-toolkit, black-forest-labs": "diffusion_model.double_blocks.0.img_attn.qkv.lora_A.weight",
        "kohya": "lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight",
        "OneTrainer": "lora_transformer_transformer_blocks_0_attn_to_q.lora_down.weight",
        "XLabs": "double_blocks.0.processor.qkv_lora1.down.weight",
    },
    "flux2": {
        "diffusers": "transformer.single_transformer_blocks.0.attn.to_qkv_mlp_proj.lora_A.weight",
        "peft, fal": "base_model.model.double_blocks.0.img_attn.qkv.lora_A.weight",
        "ai-toolkit, black-forest-labs": "diffusion_model.double_blocks.0.img_attn.qkv.lora_A.weight",
        "kohya, musubi": "lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight",
    },
    "z-image": {
        "diffusers": "transformer.layers.0.attention.to_q.lora_A.weight",
        "ai-toolkit": "diffusion_model.layers.0.attention.to_q.lora_A.weight",
        "ComfyUI": "diffusion_model.layers.0.attention.qkv.lora_A.weight",
        "kohya, musubi": "lora_unet_layers_0_attention_to_q.lora_down.weight",
    },
}
"""By family and who writes them: one key of a file that is read."""
_NF4_BYTES = 0.5 + 4 / 64  # as `pipelines.models.precision` counts them
_HEADERS = (
    "model", "steps", "can do", "sell the pictures", "run it for a business", "fine-tune it", "licence", "bf16",
    "bf16, one part at a time", "fp8", "nf4",
)  # fmt: skip


def families_table() -> str:
    """Return both tables as Markdown, by family."""
    parts = []
    for family in FAMILIES:
        models = [m for m in MODELS.values() if m.family == family.id and m.role == "backbone" and m.hub]
        spellings = ", ".join(LORA_KEYS[family.id])
        parts.append(f"## {family.name}\n\nLoRA spellings read: {spellings}.\n\n{_table(models, family)}")
    others = [m for m in MODELS.values() if not is_loaded(m.family)]
    rows = [f"| {family_name(m.family)} | {m.id} | {' | '.join(_licence(m))} |" for m in others]
    head = (
        "| family | model | sell the pictures | run it for a business | fine-tune it | licence |\n" + "|---" * 6 + "|"
    )
    parts.append("## Not loaded\n\n" + "\n".join([head, *rows]))
    return "\n\n".join(parts)


def _table(models: list[KnownModel], family: Family) -> str:
    head = f"| {' | '.join(_HEADERS)} |\n{'|---' * len(_HEADERS)}|"
    return "\n".join([head, *(_row(model, family) for model in models)])


def _row(model: KnownModel, family: Family) -> str:
    cells = [
        model.id,
        str(model.num_inference_steps),
        ", ".join(_can(model)),
        *_licence(model),
        *_memory(model, family),
    ]
    return f"| {' | '.join(cells)} |"


def _can(model: KnownModel) -> Iterator[str]:
    yield from model.can.uses
    if model.can.references_max:
        yield f"up to {model.can.references_max} references"
    if model.can.cfg:
        yield "CFG"
    if model.train_on:
        yield f"trained on {model.train_on}"


def _licence(model: KnownModel) -> list[str]:
    t, licence = Texts("en"), find_licence(model.licence)
    return [*(say_permission(t, licence.allows(use)) for use in USES), f"{licence.id}, {say_read_on(t, licence)}"]


def _memory(model: KnownModel, family: Family) -> Iterator[str]:
    """Weights alone; the VAE, which no family makes smaller, is under 2% and is counted as the rest."""
    if not model.parameters:
        yield from ["–"] * 4
        return
    whole = sum(part.is_quantised for part in family.parts) > 1  # the text encoder is made smaller, too
    small = model.parameters if whole else model.largest_part
    rest = model.parameters - small
    sizes = (2 * model.parameters, 2 * model.largest_part, small + 2 * rest, _NF4_BYTES * small + 2 * rest)
    yield from (f"{size / 1e9:.1f} GB" for size in sizes)


if __name__ == "__main__":
    print(families_table())
