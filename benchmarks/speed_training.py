"""A row about training: a LoRA learnt by the studio's trainer, and by diffusers' DreamBooth example as plain as can be.

The peer's loop is that of examples/dreambooth/train_dreambooth_lora_flux.py with cached latents and texts: a peft
adapter on the same layers, AdamW, one random sigma a picture, the mean square of the velocity's error, gradients
clipped at 1.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from diffusers import FluxPipeline
from peft import LoraConfig
from torch.nn import functional

from benchmarks.speed_timing import SpeedRow, interleave, row_of
from miniature.renders import people
from miniature.world import World, render, sample_scenes
from personas.shots import vary_shots
from pipelines.backbones import Backbone, load_backbone, resolve_backbone
from pipelines.families.flux1.model import Flux1Model, PromptEmbeds
from pipelines.training.lora import LoraTrainingConfig, TrainingExample, train_lora

__all__ = ["training"]

_CPU = torch.device("cpu")
_STEPS, _BATCH, _PICTURES = 6, 4, 16
_RATE = 1e-4


def training(repeats: int) -> list[SpeedRow]:
    """Six steps of four pictures each, encoding included on both sides, on the miniature."""
    ours, peer = (load_backbone(resolve_backbone("miniature"), _CPU) for _ in range(2))
    examples = _examples()
    config = LoraTrainingConfig(
        rank=8, steps=_STEPS, batch_size=_BATCH, learning_rate=_RATE, seed=1, checkpoint_every=_STEPS
    )
    losses: dict[str, list[float]] = {"ours": [], "peer": []}

    def train_ours() -> None:
        with tempfile.TemporaryDirectory() as folder:
            trained = train_lora(ours, examples, config, Path(folder))
            losses["ours"].append(float(np.mean(trained.losses)))
            assert json.loads((Path(folder) / "losses.json").read_text())

    seconds = interleave(repeats, train_ours, lambda: losses["peer"].append(_train_plainly(peer, examples)))
    a, b = (float(np.mean(losses[name])) for name in ("ours", "peer"))
    note = f"{ours.dtype}; six steps of four pictures; mean loss {a:.3f} and {b:.3f}"
    return [row_of("training", seconds[0], seconds[1], 2.0, agrees=abs(a - b) < 0.2 * b, note=note)]


def _examples() -> list[TrainingExample]:
    identity, _ = people(1, 77)
    shots = vary_shots(_PICTURES, 77)
    scenes = sample_scenes([s.setting for s in shots], list(range(_PICTURES)))
    made = render(World(identity[[0] * _PICTURES], tuple(shots), scenes, 77)).images.numpy()
    return [TrainingExample(np.asarray(p), s.prompt("a woman", "zxq")) for p, s in zip(made, shots, strict=True)]


def _train_plainly(backbone: Backbone, examples: list[TrainingExample]) -> float:
    model, transformer = backbone.model, backbone.transformer
    assert isinstance(model, Flux1Model)
    with torch.no_grad():
        latents = model.encode_pictures(np.stack([example.image for example in examples]))
        texts = [model.encode_text(example.caption) for example in examples]
    rows, columns = latents.shape[2] // 2, latents.shape[3] // 2
    names = "|".join(name.replace(".", r"\.") for name in model.lora_modules("all"))
    transformer.add_adapter(LoraConfig(r=8, lora_alpha=8, target_modules=names, init_lora_weights="gaussian"), "plain")
    trained = [p for p in transformer.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.data = parameter.data.float()
    optimizer = torch.optim.AdamW(trained, lr=_RATE)
    generator, losses = torch.Generator().manual_seed(1), []
    ids = FluxPipeline._prepare_latent_image_ids(_BATCH, rows, columns, _CPU, model.dtype)
    for _ in range(_STEPS):
        picked = torch.randint(len(examples), (_BATCH,), generator=generator).tolist()
        clean = latents[picked]
        noise = torch.randn(clean.shape, generator=generator)
        sigma = torch.sigmoid(torch.randn(_BATCH, generator=generator))
        noisy = (1 - sigma[:, None, None, None]) * clean + sigma[:, None, None, None] * noise
        text = PromptEmbeds(
            torch.cat([texts[i].prompt_embeds for i in picked]), torch.cat([texts[i].pooled for i in picked])
        )
        guidance = torch.ones(_BATCH) if transformer.config.guidance_embeds else None
        made = transformer(
            hidden_states=FluxPipeline._pack_latents(noisy, *noisy.shape).to(model.dtype),
            timestep=sigma.to(model.dtype), guidance=guidance, pooled_projections=text.pooled,
            encoder_hidden_states=text.prompt_embeds, txt_ids=torch.zeros(text.prompt_embeds.shape[1], 3), img_ids=ids,
            return_dict=False,
        )[0]  # fmt: skip
        wanted = FluxPipeline._pack_latents(noise - clean, *noisy.shape)
        loss = functional.mse_loss(made.float(), wanted.float())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    transformer.unload_lora()
    return float(np.mean(losses))
