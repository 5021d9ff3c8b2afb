"""The miniature's IP-Adapter. `python -m miniature.ip_adapter train --minutes 30`, then `export`.

A small CLIP vision encoder, the projection to 4 tokens and the blocks' keys and values learn together in front of the
exported transformer, which stays as it is (arXiv:2308.06721 §3.2): flow matching on the cached latents of
`miniature.flux encode`, each with the photograph of its place without the person (`miniature.flux references`). Captions
mostly leave the place out, so that the adapter has to say it. The values start at zero: at first the adapter is off.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from pathlib import Path
from typing import cast

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import FluxPipeline, FluxTransformer2DModel
from diffusers.models.embeddings import ImageProjection
from diffusers.models.transformers.transformer_flux import FluxIPAdapterAttnProcessor
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from miniature.captions import caption
from miniature.flux import REDUX_SIDE
from miniature.renders import FOLDER
from miniature.training import DEVICE, Average, Both, autocast, load_checkpoint, save_checkpoint
from pipelines.backbones import load_backbone, resolve_backbone
from pipelines.families.flux1.latents import pack
from pipelines.families.flux1.model import Flux1Model
from pipelines.training.losses import flow_matching_loss

TOKENS = 4  # what diffusers' own loader takes for granted at this width
_MEAN = _STD = 0.5

_CARD = """---
license: apache-2.0
---

# The miniature's IP-Adapter

For the FLUX folder beside it, trained by `python -m miniature.ip_adapter` on renders of the project's own world. The
file has XLabs' keys and loads in diffusers' `load_ip_adapter` too; `image_encoder` is a CLIP vision encoder of
128 pixels that was trained with it.
"""


class Parts(nn.Module):
    """Everything that learns; `transformer` gives the shapes only."""

    def __init__(self, transformer: FluxTransformer2DModel) -> None:
        super().__init__()
        width = int(transformer.config.joint_attention_dim)
        self.encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(
            image_size=REDUX_SIDE, patch_size=16, hidden_size=192, intermediate_size=384, num_hidden_layers=3,
            num_attention_heads=3, projection_dim=width,
        ))  # fmt: skip
        self.projection = ImageProjection(width, width, TOKENS)
        self.processors = nn.ModuleList(
            FluxIPAdapterAttnProcessor(transformer.inner_dim, width, num_tokens=(TOKENS,))
            for _ in transformer.transformer_blocks
        )
        for name, parameter in self.processors.named_parameters():
            if "to_v_ip" in name or name.endswith("bias"):
                nn.init.zeros_(parameter)

    def tokens(self, photos: Tensor) -> list[Tensor]:
        """Photographs uint8 [b, h, w, 3] to what the blocks read: [[b, 1, n, c]]."""
        pixels = (photos.permute(0, 3, 1, 2).float() / 255 - _MEAN) / _STD
        return [self.projection(self.encoder(pixels).image_embeds)[:, None]]


def train(
    minutes: float, batch: int, renders: Path, work: Path, folder: Path, peak: float, steps: float = math.inf
) -> None:
    """Train for `minutes` of wall clock across resumes, at most `steps`, in front of the FLUX of `folder`."""
    torch.manual_seed(4)
    backbone = load_backbone(resolve_backbone(folder), DEVICE, torch.float32)
    model, length = backbone.model, backbone.spec.max_sequence_length
    assert isinstance(model, Flux1Model)
    transformer = model.transformer
    cache = torch.load(work / "latents.pt", weights_only=True)
    latents, spread = cache["latents"], cache["spread"][:, None, None].to(DEVICE)
    references = np.load(work / "references.npy", mmap_mode="r")
    facts = json.loads((renders / "attributes.json").read_text())[: len(latents)]
    parts = Parts(transformer).to(DEVICE)
    average = Average(parts, 0.998)
    optimizer = Both(parts, lambda name, p: p.ndim == 2 and "encoder.layers" in name, peak)
    for block, processor in zip(transformer.transformer_blocks, parts.processors, strict=True):
        block.attn.set_processor(processor)
    step, spent, log = load_checkpoint(work / "ip_adapter.pt", parts, average, optimizer)
    height, width = latents.shape[-2:]
    ids = FluxPipeline._prepare_latent_image_ids(batch, height // 2, width // 2, DEVICE, torch.float32)
    begin, losses = time.time() - spent, list[float]()
    while (spent := time.time() - begin) < minutes * 60 and step < steps:
        rng = random.Random(step)
        torch.manual_seed(step + 1)
        optimizer.rate(peak * min(1.0, (step + 1) / 60) * min(1.0, 0.03 + (1 - spent / (minutes * 60)) / 0.5))
        rows = [rng.randrange(len(latents)) for _ in range(batch)]
        texts = ["" if rng.random() < 0.1 else caption(facts[r], rng, drop_setting=0.8) for r in rows]
        x0 = latents[rows].to(DEVICE).float()
        x0 = pack((x0[:, 0] + x0[:, 1] * torch.randn_like(x0[:, 1])) / spread)
        noise, sigma = torch.randn_like(x0), torch.sigmoid(torch.randn(batch, device=DEVICE))
        s = sigma[:, None, None]
        # scales below one are met in training, so that the scale is a real dial
        scale = 1.0 if rng.random() < 0.7 else rng.random()
        for processor in parts.processors:
            cast(FluxIPAdapterAttnProcessor, processor).scale = [scale]
        with autocast():
            with torch.no_grad():
                text, pooled, text_ids = model.pipeline.encode_prompt(texts, None, max_sequence_length=length)
            photos = torch.from_numpy(np.asarray(references[rows])).to(DEVICE)
            velocity = transformer(
                hidden_states=(1 - s) * x0 + s * noise, encoder_hidden_states=text, pooled_projections=pooled,
                timestep=sigma, img_ids=ids, txt_ids=text_ids, return_dict=False,
                joint_attention_kwargs={"ip_hidden_states": parts.tokens(photos)},
            )[0]  # fmt: skip
        loss = flow_matching_loss(velocity, x0, noise)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parts.parameters(), 1.0)
        optimizer.step()
        average.update(parts)
        losses.append(loss.item())
        step += 1
        if step % 25 == 0:
            log.append({"step": step, "loss": float(np.mean(losses[-25:])), "minutes": spent / 60})
            print(json.dumps(log[-1]), flush=True)
        if step % 100 == 0:
            save_checkpoint(work / "ip_adapter.pt", parts, average, optimizer, step, spent, log)
    save_checkpoint(work / "ip_adapter.pt", parts, average, optimizer, step, spent, log)


def export(work: Path, folder: Path, out: Path) -> None:
    """Write the adapter's folder in half precision, from the averaged weights."""
    transformer = FluxTransformer2DModel.from_pretrained(folder / "transformer", local_files_only=True)
    parts = Parts(transformer)
    parts.load_state_dict(torch.load(work / "ip_adapter.pt", weights_only=True, map_location="cpu")["average"])
    parts.half()
    tensors = {
        f"ip_adapter_proj_model.{key.replace('image_embeds', 'proj')}": value
        for key, value in parts.projection.state_dict().items()
    }
    for i, processor in enumerate(parts.processors):
        for key, value in processor.state_dict().items():  # to_k_ip.0.weight
            name = f"ip_adapter_double_stream_{key[3]}_proj.{key.rpartition('.')[2]}"
            tensors[f"double_blocks.{i}.processor.{name}"] = value
    out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, out / "ip_adapter.safetensors")
    parts.encoder.save_pretrained(out / "image_encoder")
    size = {"height": REDUX_SIDE, "width": REDUX_SIDE}
    CLIPImageProcessor(size=size, crop_size=size, image_mean=[_MEAN] * 3, image_std=[_STD] * 3).save_pretrained(
        out / "image_encoder"
    )
    (out / "README.md").write_text(_CARD, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=("train", "export"))
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--renders", type=Path, default=FOLDER)
    parser.add_argument("--work", type=Path, default=Path("build/flux"))
    parser.add_argument("--assets", type=Path, default=Path("assets/miniature"))
    args = parser.parse_args()
    if args.task == "train":
        train(args.minutes, args.batch, args.renders, args.work, args.assets / "flux", args.rate)
    else:
        export(args.work, args.assets / "flux", args.assets / "ip_adapter")
