"""The FLUX part: text encoders, transformer and Redux, trained together. `python -m miniature.flux train`.

Flow matching (x_t = (1-σ)·x0 + σ·ε, target ε - x0; Lipman et al., arXiv 2210.02747; σ logit-normal as in
arXiv 2403.03206 §3.1) on cached latents; the loss weighs heads and goods more, which are few cells and all that a post is about
(the minimum at each cell stays the conditional mean). The text encoders learn with the transformer. After the first part of the
run every other batch also sees Redux tokens of the same place, photographed without the person, from a little aside
and in another light: so the place comes through and the person does not.

A large model has met many people by name, and so has room in it for one more; the miniature has only one name, the
neutral trigger. So in training a caption with the trigger mostly says who is in the picture, in its embeddings (the way
PhotoMaker puts a face into a word's, arXiv 2312.04461 §3.2): the model learns to draw a given person the same in every shot,
and what a LoRA has to learn is which. What says it is not shipped: without a LoRA the trigger means anybody.

With `--judged` the guess of the clean picture at each step must show expression, view, goods and the named face, too
(`miniature.judges`).
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxPriorReduxPipeline, FluxTransformer2DModel
from diffusers.pipelines.flux.modeling_flux import ReduxImageEncoder
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    SiglipImageProcessor,
    SiglipVisionConfig,
    SiglipVisionModel,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from miniature.captions import (
    NEUTRAL_TRIGGER,
    caption,
    corpus,
    train_clip_tokenizer,
    train_t5_tokenizer,
)
from miniature.faces.crops import embed_people
from miniature.faces.nets import EMBEDDING_DIM
from miniature.judges import Asked, Judges, words_of
from miniature.pieces import FOCUS, WEIGHT_OF_LABEL
from miniature.renders import FOLDER, SQUARE, photograph
from miniature.training import DEVICE, Average, Both, autocast, load_checkpoint, save_checkpoint
from miniature.vae import LATENT_CHANNELS, trained
from miniature.world import IDENTITY_DIM, sample_scenes
from personas.shots import LIGHTS
from pipelines.families.flux1.latents import pack, unpack
from pipelines.training.losses import flow_matching_loss, focus_weights

TEXT_WIDTH, POOLED_WIDTH, TEXT_LENGTH = 256, 128, 48
REDUX_SIDE, REDUX_PATCH, REDUX_WIDTH = 128, 32, 192
_SQUARES = 0.2  # the share of batches that are square pictures


class Parts(nn.Module):
    """Everything that learns together."""

    def __init__(self, t5_vocabulary: int, clip_vocabulary: int, clip_end: int) -> None:
        super().__init__()
        self.transformer = FluxTransformer2DModel(
            patch_size=1, in_channels=4 * LATENT_CHANNELS, num_layers=2, num_single_layers=6,
            attention_head_dim=64, num_attention_heads=4, joint_attention_dim=TEXT_WIDTH,
            pooled_projection_dim=POOLED_WIDTH, guidance_embeds=False, axes_dims_rope=(16, 24, 24),
        )  # fmt: skip
        self.text_encoder_2 = T5EncoderModel(T5Config(
            vocab_size=t5_vocabulary, d_model=TEXT_WIDTH, d_kv=64, d_ff=512, num_layers=2, num_heads=4,
            feed_forward_proj="gated-gelu", dropout_rate=0.0,
        ))  # fmt: skip
        self.text_encoder = CLIPTextModel(CLIPTextConfig(
            vocab_size=clip_vocabulary, hidden_size=POOLED_WIDTH, intermediate_size=256, num_hidden_layers=2,
            num_attention_heads=2, max_position_embeddings=77, eos_token_id=clip_end, bos_token_id=0,
            pad_token_id=clip_end,
        ))  # fmt: skip
        self.image_encoder = SiglipVisionModel(SiglipVisionConfig(
            image_size=REDUX_SIDE, patch_size=REDUX_PATCH, hidden_size=REDUX_WIDTH, intermediate_size=384,
            num_hidden_layers=2, num_attention_heads=3, vision_use_head=False,
        ))  # fmt: skip
        self.image_embedder = ReduxImageEncoder(redux_dim=REDUX_WIDTH, txt_in_features=TEXT_WIDTH)
        self.somebody = nn.Sequential(nn.Linear(IDENTITY_DIM, TEXT_WIDTH), nn.SiLU(), nn.Linear(TEXT_WIDTH, TEXT_WIDTH))
        nn.init.zeros_(cast(nn.Linear, self.somebody[2]).weight)

    def name(self, text: Tensor, named: Tensor, identity: Tensor) -> Tensor:
        """Text embeddings [b, s, d] that say who it is, `identity` [b, 26], where `named` (bool [b]).

        On every word: reading one word's embedding is learnt many times slower. The factor hastens the start.
        """
        return text + named[:, None, None] * 4 * self.somebody(identity)[:, None]


def encode_set(folder: Path, vae_folder: Path, out: Path, count: int, like: Path | None = None) -> None:
    """Cache the first `count` renders' latents: float16 mean and deviation. Those that are there already stay.

    Delete latents.pt when the renders have changed; a VAE that was trained on since encodes all of them again, in the scale
    that the transformer has learnt. `like` is another set, whose scale is taken over.
    """
    vae = trained(vae_folder).to(DEVICE, memory_format=torch.channels_last)
    out.mkdir(parents=True, exist_ok=True)
    images = np.load(folder / "images.npy", mmap_mode="r")
    rows, columns = (side // 16 for side in images.shape[1:3])
    latents = torch.empty(count, 2, LATENT_CHANNELS, rows, columns, dtype=torch.float16)
    earlier = torch.load(out / "latents.pt", weights_only=True) if (out / "latents.pt").exists() else None
    learnt = max(path.stat().st_mtime for path in vae_folder.glob("*.pt"))
    fits = earlier is not None and (out / "latents.pt").stat().st_mtime > learnt
    done = min(count, len(earlier["latents"])) if earlier is not None and fits else 0
    if earlier is not None:
        latents[:done] = earlier["latents"][:done]
    start = time.time()
    with torch.no_grad(), autocast():
        for i in range(done, count, 16):
            x = torch.from_numpy(images[i : min(i + 16, count)].astype(np.float32)).permute(0, 3, 1, 2) / 127.5 - 1
            posterior = vae.encode(x.to(DEVICE, memory_format=torch.channels_last)).latent_dist
            latents[i : i + 16] = torch.stack([posterior.mean, posterior.std], dim=1).half().cpu()
            if (i - done) % 1600 == 0:
                print(f"latents {i}/{count} {time.time() - start:.0f}s", flush=True)
    # more renders must not move the scale that the transformer has learnt
    if earlier is not None:
        spread = earlier["spread"]
    elif like is not None:
        spread = torch.load(like / "latents.pt", weights_only=True)["spread"]
    else:
        spread = latents[:, 0].float().std(dim=(0, 2, 3))
    torch.save({"latents": latents, "spread": spread}, out / "latents.pt")


def draw_references(folder: Path, out: Path, count: int) -> None:
    """Small photographs uint8 [count, 128, 128, 3] of the place of each render, person away, other light and angle."""
    out.mkdir(parents=True, exist_ok=True)
    facts = json.loads((folder / "attributes.json").read_text())[:count]
    rng = random.Random(3)
    lights = [rng.choice(LIGHTS[:2] + ("day",)) for _ in range(count)]
    references = np.empty((count, REDUX_SIDE, REDUX_SIDE, 3), np.uint8)
    earlier = np.load(out / "references.npy", mmap_mode="r")[:count] if (out / "references.npy").exists() else ()
    if len(earlier):
        references[: len(earlier)] = earlier
    for i in range(len(earlier), count, 8):
        rows = range(i, min(i + 8, count))
        scenes = sample_scenes([str(facts[j]["setting"]) for j in rows], [int(facts[j]["place"]) for j in rows])
        references[i : i + len(rows)] = photograph(scenes, [lights[j] for j in rows], i, REDUX_SIDE).numpy()
    np.save(out / "references.npy", references)


class Bucket:
    """Pictures of one size, ready to train on: latents, photographs of their places, facts, people, weights of cells."""

    def __init__(self, folder: Path, out: Path, batch: int) -> None:
        self.latents = torch.load(out / "latents.pt", weights_only=True)["latents"]
        count, _, _, rows, columns = self.latents.shape
        self.references = np.load(out / "references.npy", mmap_mode="r")
        self.facts = json.loads((folder / "attributes.json").read_text())[:count]
        self.people = torch.from_numpy(np.load(folder / "identity_vectors.npy")[:count])
        self.weights = cell_weights(folder, count, rows, columns)
        self.grid, self.words = (rows // 2, columns // 2), words_of(self.facts)
        self.ids = FluxPipeline._prepare_latent_image_ids(batch, rows // 2, columns // 2, DEVICE, torch.float32)
        self.points = np.load(folder / "keypoints.npy")[:count, :5, :2].astype(np.float32)
        self.folder, self.who = folder, torch.zeros(count, EMBEDDING_DIM)

    def ask(self, rows: list[int], weight: Tensor, named: Tensor) -> Asked:
        return Asked(self.words[rows], self.who[rows].to(DEVICE), self.points[rows], weight, named)


def cell_weights(folder: Path, count: int, rows: int, columns: int) -> Tensor:
    """`focus_weights` of face, goods and, less so, hair and skin, [count, 1, rows, columns]."""
    labels = np.load(folder / "labels.npy", mmap_mode="r")
    share = torch.empty(count, rows, columns)
    for i in range(0, count, 200):
        some = WEIGHT_OF_LABEL[labels[i : min(i + 200, count)]]
        cells = some.reshape(-1, rows, 16, columns, 16).mean(axis=(2, 4))
        share[i : i + 200] = torch.from_numpy(cells.astype(np.float32))
    return focus_weights(share, FOCUS)[:, None]


def tokenizers(out: Path) -> tuple[T5Tokenizer, CLIPTokenizer]:
    """Those that the checkpoint was trained with; new ones at the very beginning."""
    if not (out / "checkpoint.pt").exists():
        lines = corpus()
        train_t5_tokenizer(lines, TEXT_LENGTH).save_pretrained(out / "tokenizer_2")
        train_clip_tokenizer(lines).save_pretrained(out / "tokenizer")
    return T5Tokenizer.from_pretrained(out / "tokenizer_2"), CLIPTokenizer.from_pretrained(out / "tokenizer")


@dataclass(frozen=True)
class Words:
    """The tokenizers, and how pictures are asked for."""

    t5: T5Tokenizer
    clip: CLIPTokenizer

    def ask(
        self, parts: Parts, texts: Sequence[str], people: Tensor, photos: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Text embeddings [n, s, d], pooled ones [n, p], and who is told of (bool [n]).

        `people` [n, 26] are told of where a caption has the trigger, mostly; `photos` uint8 [n, h, w, 3] of the places
        add Redux tokens.
        """
        count = len(texts)
        ids = self.t5(list(texts), padding="max_length", max_length=TEXT_LENGTH, truncation=True, return_tensors="pt")
        pooled = self.clip(list(texts), padding="max_length", max_length=77, truncation=True, return_tensors="pt")
        words = ids.input_ids.to(DEVICE)
        trigger = self.t5.convert_tokens_to_ids("\u2581" + NEUTRAL_TRIGGER)
        named = (words == trigger).any(1) & (torch.rand(count, device=DEVICE) < 0.9)
        text = parts.name(parts.text_encoder_2(words)[0], named, people.to(DEVICE))
        if photos is not None:
            pixels = photos.to(DEVICE).permute(0, 3, 1, 2).float() / 127.5 - 1
            tokens = parts.image_embedder(parts.image_encoder(pixels).last_hidden_state).image_embeds
            # Scales below one are met in training, so that the weight on the image tokens is a real dial.
            dial = torch.rand(count, 1, 1, device=DEVICE)
            scale = torch.where(torch.rand(count, 1, 1, device=DEVICE) < 0.7, 1.0, dial)
            text = torch.cat([text, tokens * scale], dim=1)
        return text, parts.text_encoder(pooled.input_ids.to(DEVICE)).pooler_output, named


def attention() -> AbstractContextManager[None]:
    """Let attention compute as it learns fastest: on a CPU, at about a hundred tokens, the fused one's way back is
    several times slower than plain matmuls."""
    fast = [SDPBackend.MATH] if DEVICE.type == "cpu" else [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]
    return cast("AbstractContextManager[None]", sdpa_kernel(fast))


def is_hidden(name: str, p: nn.Parameter) -> bool:
    """Whether Muon learns a parameter of `Parts`: the matrices of the transformer's blocks."""
    return p.ndim == 2 and name.startswith("transformer.") and "blocks" in name and "norm" not in name


@dataclass(frozen=True)
class _Learning:
    """What a step of `train` needs besides its pictures; `predict` is the transformer, compiled."""

    parts: Parts
    predict: Callable[..., tuple[Tensor, ...]]
    words: Words
    spread: Tensor
    judges: Judges | None

    def losses(
        self, bucket: Bucket, batch: int, with_photos: bool, step: int, rng: random.Random
    ) -> tuple[Tensor, Tensor]:
        """How wrong a batch's velocities are, and how little its guesses show of what was asked for (0 unjudged)."""
        rows = [rng.randrange(len(bucket.latents)) for _ in range(batch)]
        drop = 0.5 if with_photos else 0.0
        texts = ["" if rng.random() < 0.1 else caption(bucket.facts[r], rng, drop_setting=drop) for r in rows]
        photos = torch.from_numpy(bucket.references[rows]) if with_photos else None
        x0 = bucket.latents[rows].to(DEVICE).float()
        x0 = pack((x0[:, 0] + x0[:, 1] * torch.randn_like(x0[:, 1])) / self.spread)
        sigma = torch.sigmoid(torch.randn(batch, device=DEVICE))
        noise, s = torch.randn_like(x0), sigma[:, None, None]
        with autocast(), attention():
            text, pooled, named = self.words.ask(self.parts, texts, bucket.people[rows], photos)
            velocity = self.predict(
                hidden_states=(1 - s) * x0 + s * noise, encoder_hidden_states=text, pooled_projections=pooled,
                timestep=sigma, img_ids=bucket.ids, txt_ids=torch.zeros(text.shape[1], 3, device=DEVICE), return_dict=False,
            )[0]  # fmt: skip
        weight = pack(bucket.weights[rows].to(DEVICE).expand(-1, LATENT_CHANNELS, -1, -1))
        loss = flow_matching_loss(velocity, x0, noise, weight)
        if self.judges is None:
            return loss, torch.zeros((), device=DEVICE)
        # nearer to pure noise nothing can be seen yet, and an empty caption asks for nothing
        guess = unpack((1 - s) * x0 + s * noise - s * velocity.float(), *bucket.grid)
        weight = (1 - sigma) * torch.tensor([float(bool(text)) for text in texts], device=DEVICE)
        asked = bucket.ask(rows, weight, named * (1 - sigma))
        return loss, self.judges(guess, asked, np.random.default_rng(step))


def train(
    minutes: float, batch: int, folder: Path, vae_folder: Path, out: Path, peak: float, redux_from: float,
    judged: float, faces: Path,
) -> None:  # fmt: skip
    """Train for `minutes` of wall clock across resumes; Redux joins after the share `redux_from` of them.

    `judged` is the weight of the `Judges`, one of whom is the recogniser of this face pack.
    """
    torch.manual_seed(2)
    t5, clip = tokenizers(out)
    parts = Parts(len(t5), len(clip), clip.eos_token_id).to(DEVICE)
    spread = torch.load(out / "latents.pt", weights_only=True)["spread"][:, None, None].to(DEVICE)
    buckets = [Bucket(folder, out, batch), Bucket(folder / SQUARE, out / SQUARE, batch)]
    average, optimizer = Average(parts, 0.998), Both(parts, is_hidden, peak)
    step, spent, log = load_checkpoint(out / "checkpoint.pt", parts, average, optimizer)
    judges = Judges(out / "judges.pt", trained(vae_folder), spread, faces) if judged else None
    if judges is not None:
        for bucket in buckets:
            bucket.who = embed_people(bucket.folder, judges.recogniser)[: len(bucket.who)]
    # four graphs: two sizes, with and without Redux tokens
    learning = _Learning(parts, torch.compile(parts.transformer, dynamic=False), Words(t5, clip), spread, judges)
    begin, seen = time.time() - spent, list[tuple[float, float]]()
    while (spent := time.time() - begin) < minutes * 60:
        rng = random.Random(step)
        torch.manual_seed(step + 1)
        progress = spent / (minutes * 60)
        optimizer.rate(peak * min(1.0, (step + 1) / 60) * min(1.0, 0.03 + (1 - progress) / 0.5))
        with_photos = progress > redux_from and step % 2 == 1
        loss, wrong = learning.losses(buckets[rng.random() < _SQUARES], batch, with_photos, step, rng)
        seen.append((loss.item(), wrong.item()))
        optimizer.zero_grad()
        (loss + judged * wrong).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parts.parameters(), 1.0)
        optimizer.step()
        average.update(parts)
        step += 1
        if step % 25 == 0:
            flow, unlike = np.mean(seen[-25:], axis=0)
            log.append({"step": step, "loss": float(flow), "minutes": spent / 60, "judged": float(unlike)})
            print(json.dumps(log[-1]), flush=True)
        if step % 100 == 0:
            save_checkpoint(out / "checkpoint.pt", parts, average, optimizer, step, spent, log)
    save_checkpoint(out / "checkpoint.pt", parts, average, optimizer, step, spent, log)


def export(work: Path, vae_folder: Path, assets: Path) -> None:
    """Write the diffusers folders `flux` and `redux`, half precision, from the averaged weights."""
    t5, clip = tokenizers(work)
    parts = Parts(len(t5), len(clip), clip.eos_token_id)
    parts.load_state_dict(torch.load(work / "checkpoint.pt", weights_only=True, map_location="cpu")["average"])
    vae = trained(vae_folder)
    spread = torch.load(work / "latents.pt", weights_only=True)["spread"]
    with torch.no_grad():  # give every latent channel unit variance, inside the weights
        out, into = vae.encoder.conv_out, vae.decoder.conv_in
        out.weight[:LATENT_CHANNELS] /= spread[:, None, None, None]
        out.bias[:LATENT_CHANNELS] /= spread
        out.bias[LATENT_CHANNELS:] -= 2 * spread.log()
        into.weight *= spread[None, :, None, None]
    vae.register_to_config(scaling_factor=1.0, shift_factor=0.0)
    # transformers loads a model in the type it was saved in, diffusers in float32: so that a plain from_pretrained
    # gives one type, only the diffusers parts are saved in half precision.
    parts = parts.eval()
    parts.transformer.half()
    parts.image_embedder.half()
    FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0, use_dynamic_shifting=False), vae=vae.half(),
        text_encoder=parts.text_encoder, tokenizer=clip, text_encoder_2=parts.text_encoder_2, tokenizer_2=t5,
        transformer=parts.transformer,
    ).save_pretrained(assets / "flux", max_shard_size="15MB")  # fmt: skip
    for tokenizer in (assets / "flux").glob("tokenizer*/tokenizer.json"):  # indented it is twice as large
        told = json.loads(tokenizer.read_text(encoding="utf-8"))
        tokenizer.write_text(json.dumps(told, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    settings = {
        "licence": "apache-2.0", "height": 256, "width": 192, "sizes": [[256, 192], [256, 256]], "num_inference_steps": 8, "guidance_scale": 0.0,
        "true_cfg_scale": 4.0, "identity_guidance_scale": 2.0, "max_sequence_length": TEXT_LENGTH, "prompt_words": "whole",
        "lora_rank": 8, "redux_folder": "../redux", "upscaler": "../finishing/finishing.safetensors",
    }  # fmt: skip
    (assets / "flux" / "studio.json").write_text(json.dumps(settings, indent=1) + "\n")
    size = {"height": REDUX_SIDE, "width": REDUX_SIDE}
    FluxPriorReduxPipeline(
        image_encoder=parts.image_encoder, feature_extractor=SiglipImageProcessor(size=size),
        image_embedder=parts.image_embedder,
    ).save_pretrained(assets / "redux", max_shard_size="15MB")  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=("encode", "references", "train", "export"))
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--redux-from", type=float, default=0.35)
    parser.add_argument("--judged", type=float, default=0.0, help="weight of what a half-drawn picture must show")
    parser.add_argument("--faces", type=Path, default=Path("assets/miniature/faces"), help="the pack that judges")
    parser.add_argument("--renders", type=Path, default=FOLDER)
    parser.add_argument("--vae", type=Path, default=Path("build/vae"))
    parser.add_argument("--work", type=Path, default=Path("build/flux"))
    parser.add_argument("--assets", type=Path, default=Path("assets/miniature"))
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    sets = ((args.renders, args.work, None), (args.renders / SQUARE, args.work / SQUARE, args.work))
    if args.task == "encode":
        for renders, work, like in sets:
            encode_set(renders, args.vae, work, int((renders / "done.txt").read_text()), like)
    elif args.task == "references":
        for renders, work, _ in sets:
            draw_references(renders, work, int((renders / "done.txt").read_text()))
    elif args.task == "train":
        train(args.minutes, args.batch, args.renders, args.vae, args.work, args.rate, args.redux_from, args.judged,
              args.faces)  # fmt: skip
    else:
        export(args.work, args.vae, args.assets)
