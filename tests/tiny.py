"""A FLUX folder with random weights, small enough to be made in a second: for tests of ways, not of pictures.

All parts are the real classes with real tokenizer files; only sizes and weights are not.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxPriorReduxPipeline,
    FluxTransformer2DModel,
)
from diffusers.pipelines.flux.modeling_flux import ReduxImageEncoder
from transformers import (
    BitImageProcessor,
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    Dinov2Config,
    Dinov2Model,
    SiglipImageProcessor,
    SiglipVisionConfig,
    SiglipVisionModel,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from pipelines.adapters.character_encoders import StageEncoders
from pipelines.adapters.character_layout import STUDIO, Dimensions, tensor_shapes
from pipelines.backbones import Backbone
from pipelines.families.flux1.model import Flux1Model
from studio.settings import ASSETS

SENTENCES = (
    "close-up portrait of a young woman, facing the camera, smiling, wearing a red dress, in a cafe",
    "half-body shot of a young man, turned to the left, calm face, wearing a black suit, at night",
    "full-body shot of a woman, waving a hand, wearing a yellow coat, on a beach, at dusk",
)
TEXT_WIDTH, POOLED_WIDTH, SEQUENCE = 32, 24, 24


def clip_tokenizer() -> CLIPTokenizer:
    trained = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token="<|endoftext|>"))
    trained.normalizer = normalizers.Lowercase()
    trained.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    trained.train_from_iterator(SENTENCES, trainers.BpeTrainer(
        vocab_size=700, special_tokens=["<|startoftext|>", "<|endoftext|>"], end_of_word_suffix="</w>",
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
    ))  # fmt: skip
    model = json.loads(trained.to_str())["model"]
    merges = [tuple(m) for m in model["merges"]]
    return CLIPTokenizer(vocab=model["vocab"], merges=merges, model_max_length=SEQUENCE)


def t5_tokenizer() -> T5Tokenizer:
    trained = Tokenizer(models.Unigram())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trained.train_from_iterator(SENTENCES, trainers.UnigramTrainer(
        vocab_size=120, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False,
    ))  # fmt: skip
    vocab = [tuple(pair) for pair in json.loads(trained.to_str())["model"]["vocab"]]
    return T5Tokenizer(vocab=vocab, extra_ids=0, model_max_length=SEQUENCE)


def scramble(module: torch.nn.Module, seed: int) -> None:
    """Weights that make every layer matter: a layer that starts at zero hides mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(module.named_parameters()):
            if parameter.ndim > 1:
                fan_in = parameter[0].numel()
                parameter.normal_(0, fan_in**-0.5, generator=generator)
            elif name.endswith("bias"):
                parameter.normal_(0, 0.02, generator=generator)


def write_flux(folder: Path, *, guidance_embeds: bool = False, dynamic_shifting: bool = False, heads: int = 2) -> Path:
    """Five VAE levels (16 px a latent), 8 latent channels, 2 + 2 blocks of heads 16 wide; random but fixed."""
    transformer = FluxTransformer2DModel(
        in_channels=32, num_layers=2, num_single_layers=2, attention_head_dim=16, num_attention_heads=heads,
        joint_attention_dim=TEXT_WIDTH, pooled_projection_dim=POOLED_WIDTH, guidance_embeds=guidance_embeds,
        axes_dims_rope=(4, 6, 6),
    )  # fmt: skip
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 5, up_block_types=("UpDecoderBlock2D",) * 5,
        block_out_channels=(8, 8, 8, 8, 8), layers_per_block=1, latent_channels=8, norm_num_groups=4,
        mid_block_add_attention=False, use_quant_conv=False, use_post_quant_conv=False, sample_size=64,
        scaling_factor=1.0, shift_factor=0.1, force_upcast=False,
    )  # fmt: skip
    tokenizer, tokenizer_2 = clip_tokenizer(), t5_tokenizer()
    clip = CLIPTextModel(CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=POOLED_WIDTH, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=SEQUENCE, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, projection_dim=POOLED_WIDTH,
    ))  # fmt: skip
    t5 = T5EncoderModel(T5Config(
        vocab_size=len(tokenizer_2), d_model=TEXT_WIDTH, d_kv=16, d_ff=32, num_layers=1, num_heads=2,
        feed_forward_proj="gated-gelu",
    ))  # fmt: skip
    for seed, part in enumerate((transformer, vae, clip, t5)):
        scramble(part, seed)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=1.5, use_dynamic_shifting=dynamic_shifting)
    pipeline = FluxPipeline(
        scheduler=scheduler, vae=vae, text_encoder=clip, tokenizer=tokenizer, text_encoder_2=t5,
        tokenizer_2=tokenizer_2, transformer=transformer,
    )  # fmt: skip
    pipeline.save_pretrained(folder)
    settings: dict[str, Any] = {
        "id": folder.name, "licence": "apache-2.0", "height": 96, "width": 64, "num_inference_steps": 3,
        "true_cfg_scale": 2.0, "max_sequence_length": SEQUENCE, "lora_rank": 4,
    }  # fmt: skip
    (folder / "studio.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def write_companion(folder: Path, role: str, *, in_channels: int | None = None, seed: int = 20) -> Path:
    """The transformer of "fill" or "kontext" for `write_flux`'s folder: other depth, guidance, Fill's channels."""
    channels = 32 + (32 + (2 * 16) ** 2 if role == "fill" else 0)
    transformer = FluxTransformer2DModel(
        in_channels=in_channels or channels, out_channels=32, num_layers=1, num_single_layers=2, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=TEXT_WIDTH, pooled_projection_dim=POOLED_WIDTH,
        guidance_embeds=True, axes_dims_rope=(4, 6, 6),
    )  # fmt: skip
    scramble(transformer, seed + len(role))
    transformer.save_pretrained(folder / "transformer")
    return folder


def write_redux(folder: Path) -> Path:
    """SigLIP of 32 px and 8-px patches (4×4 tokens), 16 wide."""
    encoder = SiglipVisionModel(SiglipVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=32,
        patch_size=8,
    ))  # fmt: skip
    embedder = ReduxImageEncoder(redux_dim=16, txt_in_features=TEXT_WIDTH)
    scramble(encoder, 10)
    scramble(embedder, 11)
    processor = SiglipImageProcessor(size={"height": 32, "width": 32})
    FluxPriorReduxPipeline(image_encoder=encoder, feature_extractor=processor, image_embedder=embedder).save_pretrained(
        folder
    )
    return folder


def ip_adapter_tensors(
    layout: str = "xlabs", *, blocks: int = 2, width: int = 32, tokens: int = 4, seed: int = 12
) -> dict[str, torch.Tensor]:
    """An IP-Adapter's file for the tiny transformer, in XLabs' or in diffusers' keys; embeddings of width 12."""
    generator = torch.Generator().manual_seed(seed)

    def some(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * 0.5

    proj, norm = f"{_LAYOUTS[layout][0]}.proj", f"{_LAYOUTS[layout][0]}.norm"
    tensors = {
        f"{proj}.weight": some(tokens * TEXT_WIDTH, 12),
        f"{proj}.bias": some(tokens * TEXT_WIDTH),
        f"{norm}.weight": 1 + some(TEXT_WIDTH),
        f"{norm}.bias": some(TEXT_WIDTH),
    }
    for block in range(blocks):
        for part in "kv":
            name = _LAYOUTS[layout][1].format(block=block, part=part)
            tensors |= {f"{name}.weight": some(width, TEXT_WIDTH), f"{name}.bias": some(width)}
    return tensors


_LAYOUTS = {
    "xlabs": ("ip_adapter_proj_model", "double_blocks.{block}.processor.ip_adapter_double_stream_{part}_proj"),
    "diffusers": ("image_proj", "ip_adapter.{block}.to_{part}_ip"),
}


def write_ip_adapter(folder: Path, tensors: dict[str, torch.Tensor]) -> Path:
    """The file, a CLIP vision encoder of 32 px and 8-px patches, and a model card."""
    encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=8,
        projection_dim=12,
    ))  # fmt: skip
    scramble(encoder, 13)
    encoder.save_pretrained(folder / "image_encoder")
    size = {"height": 32, "width": 32}
    CLIPImageProcessor(size=size, crop_size=size).save_pretrained(folder / "image_encoder")
    save_file(tensors, folder / "ip_adapter.safetensors")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n", encoding="utf-8")
    return folder


CHARACTER = Dimensions(
    features=28, stack_blocks=2, stack_hidden=56, mlp_hidden=56, width=16, depth=2, ratio=2, regions=1, queries=6,
    sinusoids=8, token_width=TEXT_WIDTH, blocks=4, block_width=32, block_head=16, stack_heads=7, resampler_heads=4,
)  # fmt: skip
"""A character adapter for `write_flux`'s transformer: 16 + 12 channels of `write_character`'s encoders."""


STUDIO_CHARACTER = Dimensions(
    features=128, stack_blocks=1, stack_hidden=32, mlp_hidden=16, width=16, depth=1, ratio=2, regions=7, queries=2,
    sinusoids=8, token_width=TEXT_WIDTH, blocks=4, block_width=32, block_head=16, stack_heads=2, resampler_heads=4,
    face_map=128, embedding=128, colours=7, name_hidden=8,
)  # fmt: skip
"""One of the layout `studio` for the same transformer, which reads the shipped reader's and recogniser's stages."""


def write_studio_character(folder: Path, tensors: dict[str, torch.Tensor] | None = None) -> Path:
    """The file, its encoders linked beside it, and a model card."""
    folder.mkdir(parents=True)
    for name in ("reader", "faces"):
        if not (folder.parent / name).exists():
            (folder.parent / name).symlink_to(ASSETS / name)
    encoders = StageEncoders(STUDIO, folder)
    said = {f"{name}_sha256": sha256 for name, sha256 in encoders.sha256.items()}
    save_file(
        character_tensors(STUDIO_CHARACTER) if tensors is None else tensors, folder / "character.safetensors",
        {"layout": "studio", "stack_heads": "2", "resampler_heads": "4", **said},
    )  # fmt: skip
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n", encoding="utf-8")
    return folder


def character_tensors(sizes: Dimensions = CHARACTER, seed: int = 14) -> dict[str, torch.Tensor]:
    """All numbers of a character adapter of these sizes, none of them the one that a layer starts with."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in tensor_shapes(sizes):
        some = torch.randn(*shape, generator=generator)
        is_norm = "norm" in name or name.endswith((".1.0.weight", ".scale"))
        fan_in = shape[-1] if len(shape) > 1 else 25
        tensors[name] = some * fan_in**-0.5 + (1 if is_norm and not name.endswith("bias") else 0)
        if "whitening" in name:
            tensors[name] = some.abs() + 0.5
    return tensors


def write_character(
    folder: Path, tensors: dict[str, torch.Tensor] | None = None, metadata: dict[str, str] | None = None
) -> Path:
    """The file, SigLIP and DINOv2 of 32 px and 8-px patches (16 and 12 wide, 3 layers), and a model card."""
    siglip = SiglipVisionModel(SiglipVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=3, num_attention_heads=2, image_size=32, patch_size=8,
    ))  # fmt: skip
    dinov2 = Dinov2Model(Dinov2Config(
        hidden_size=12, num_hidden_layers=3, num_attention_heads=2, image_size=48, patch_size=8, mlp_ratio=2,
    ))  # fmt: skip
    for seed, (model, name) in enumerate(((siglip, "siglip-so400m-patch14-384"), (dinov2, "dinov2-giant")), 15):
        scramble(model, seed)
        model.save_pretrained(folder / name)
    side = {"height": 32, "width": 32}
    SiglipImageProcessor(size=side).save_pretrained(folder / "siglip-so400m-patch14-384")
    BitImageProcessor(  # as facebook/dinov2-giant's
        size={"shortest_edge": 48}, crop_size=side, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]
    ).save_pretrained(folder / "dinov2-giant")
    save_file(character_tensors() if tensors is None else tensors, folder / "character.safetensors", {
        "layout": "instantcharacter", "stack_heads": "7", "resampler_heads": "4", "siglip_states": "1,2,3",
        "dinov2_states": "0,1,2", **(metadata or {}),
    })  # fmt: skip
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n", encoding="utf-8")
    return folder


def flux1(backbone: Backbone) -> Flux1Model:
    """The backbone's model, known to be FLUX.1's: diffusers' own pipelines are made of its parts."""
    assert isinstance(backbone.model, Flux1Model)
    return backbone.model


def assert_same_picture(picture: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> None:
    """Of one model that was loaded in two ways: its weights lie elsewhere in memory, and on some processors sums of
    another alignment round a last bit in another way. So of a thousand values one may be one step off."""
    far = np.abs(picture.astype(int) - other.astype(int))
    assert far.max() <= 1
    assert (far > 0).mean() <= 0.001
