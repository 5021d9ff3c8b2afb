"""Training of the adapter in stages, in front of the exported base, which stays as it is; and its export.

names: the base learnt people by a vector that is added to every word, which its trigger announces; what says it was not
shipped, so it is learnt anew from true traits, and then read off faces by a line (`Learner.name_faces`). From faces alone
a thousand steps reach half of it. S1: a picture is its own photo (identity and structure). S2: photos of the same person elsewhere, dressed alike or not, so
that nothing but the person and their clothes is copied. S3: both, and who it is must be seen in the decoded face.
InstantCharacter's stages (arXiv:2504.12395 §3.3) in the miniature's size. SIGTERM saves first.
"""

from __future__ import annotations

import json
import math
import random
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import AutoencoderKL, FluxPipeline

from miniature.captions import NEUTRAL_TRIGGER
from miniature.characters.data import check_encoders, load_pieces
from miniature.characters.learner import Learner, sizes_for
from miniature.characters.pairs import Pairs, Sample
from miniature.flux import attention
from miniature.judges import load_judges, words_loss, words_of
from miniature.part_losses import PartLosses
from miniature.training import DEVICE, Average, Both, autocast, load_checkpoint, save_checkpoint
from pipelines.adapters.attention import AddedInside, TextLength, attention_added
from pipelines.adapters.character_encoders import StageEncoders
from pipelines.adapters.character_layout import STUDIO
from pipelines.adapters.character_network import BlockAttention
from pipelines.backbones import load_backbone, resolve_backbone
from pipelines.families.flux1.latents import pack, unpack
from pipelines.families.flux1.model import Flux1Model
from pipelines.training.losses import flow_matching_loss, sample_sigmas

_MICRO = 16  # pictures that go through together; a CPU keeps so many in its caches
_PAIRED = {"same": 0.45, "other": 0.15, "off": 0.2, "mixed": 0.2}
_FACES = 12  # that are decoded of a step
_FACES_BELOW = 0.7  # sigma: nearer to pure noise there is no face yet
_TEMPERATURE = 0.07
_WEIGHTS = {"background": 0.5, "identity": 0.1, "contrast": 0.05, "words": 0.1}
_PERSON = (0.3, 1.5, 2.0)  # what cells weigh everywhere, more where the person is, and more where the face is
_EVERY = 4  # steps from one look at the background to the next
_SAVE_EVERY_S, _LOG_EVERY = 600, 10


@dataclass(frozen=True)
class Stage:
    """`steps` of `micros` × 16 pictures of some `kinds`, `square` of them 256² ones; the rate goes from `first` to
    `last` along a cosine, after `warm` steps up. `noisy` of all sigmas are above .8, where a face is decided.
    """

    id: str
    steps: int
    kinds: Mapping[str, float]
    first: float
    last: float
    micros: int = 4
    warm: int = 0
    square: float = 0.0
    noisy: float = 0.0
    has_background: bool = False
    has_faces: bool = False
    names_only: bool = False
    focus: tuple[float, float, float] = (1.0, 1.0, 1.0)
    judged: float = 1.0


STAGES = (
    Stage("names", 1000, {"same": 0.7, "self": 0.3}, 2e-3, 3e-4, micros=1, warm=30, noisy=0.3, has_faces=True,
          names_only=True, focus=(0.2, 0.8, 4.0), judged=5.0),
    Stage("S1", 500, {"self": 1.0}, 2e-3, 2e-3, micros=1, warm=50, focus=_PERSON),
    Stage("S2", 1000, _PAIRED, 2e-3, 4e-4, micros=2, noisy=0.3, has_background=True, has_faces=True, focus=_PERSON,
          judged=2.0),
    Stage("S3", 200, {"self": 0.25} | {kind: 0.75 * share for kind, share in _PAIRED.items()}, 4e-4, 3e-5, micros=2,
          square=0.2, noisy=0.3, has_background=True, has_faces=True, focus=_PERSON, judged=3.0),
)  # fmt: skip
STEPS = sum(stage.steps for stage in STAGES)


def stage_at(step: int) -> tuple[Stage, int]:
    """Return the stage of a step, and how many of its steps are done by then."""
    for stage in STAGES:
        if step < stage.steps:
            return stage, step
        step -= stage.steps
    return STAGES[-1], STAGES[-1].steps


def rate_at(stage: Stage, done: int) -> float:
    """Return the learning rate after `done` steps of a stage."""
    cosine = 0.5 * (1 + math.cos(math.pi * done / stage.steps))
    return min(1.0, (done + 1) / stage.warm if stage.warm else 1.0) * (stage.last + (stage.first - stage.last) * cosine)


class _Reads:
    """What one block reads of a batch, each picture of its own person; `worn` is None where the adapter is off."""

    def __init__(self, block: BlockAttention) -> None:
        self._block = block
        self.worn: tuple[Tensor, Tensor, Tensor] | None = None

    @property
    def is_on(self) -> bool:
        return self.worn is not None

    def read(self, query: Tensor) -> Tensor:
        assert self.worn is not None
        tokens, bias, on = self.worn
        own = torch.arange(len(query), device=query.device)
        read: Tensor = self._block(query, tokens, own, bias)
        return read * on[:, None, None]


class Teacher:
    """The frozen base with the adapter in it, and all that judges its guesses."""

    def __init__(self, work: Path, assets: Path) -> None:
        backbone = load_backbone(resolve_backbone(assets / "flux"), DEVICE, torch.float32)
        assert isinstance(backbone.model, Flux1Model)
        self._model, self._length = backbone.model, backbone.spec.max_sequence_length
        self.transformer = backbone.model.transformer.requires_grad_(False)
        self.learner = Learner(sizes_for(self.transformer)).to(DEVICE)
        blocks = (*self.transformer.transformer_blocks, *self.transformer.single_transformer_blocks)
        self._reads = [_Reads(block) for block in self.learner.blocks if isinstance(block, BlockAttention)]
        text = TextLength()
        self._on = attention_added([block.attn for block in blocks], [AddedInside(one, text) for one in self._reads])
        self._on.__enter__()  # for as long as this lives: nothing else uses this transformer
        vae = AutoencoderKL.from_pretrained(assets / "flux" / "vae", torch_dtype=torch.float32).eval()
        self._faces = PartLosses(work / "parts.pt", vae, assets / "faces", _FACES)
        self._judges = load_judges(work / "judges.pt") if (work / "judges.pt").exists() else []

    def losses(self, sample: Sample, people: Tensor, stage: Stage, step: int, rng: random.Random) -> dict[str, Tensor]:
        """How wrong the guesses of one sample are, each loss with its weight; their sum is what to minimise."""
        count, (rows, columns) = len(sample.texts), (side // 2 for side in sample.latents.shape[2:])
        x0, noise = pack(sample.latents), torch.randn_like(pack(sample.latents))
        sigma = sample_sigmas(count, "logit_normal", torch.Generator().manual_seed(rng.getrandbits(40)))
        sigma = torch.where(torch.rand(count) < stage.noisy, 0.8 + 0.2 * torch.rand(count), sigma).to(DEVICE)
        s = sigma[:, None, None]
        with autocast(), attention():
            with torch.no_grad():
                text, pooled, text_ids = self._model.pipeline.encode_prompt(
                    list(sample.texts), None, max_sequence_length=self._length
                )
            if stage.names_only:
                worn, name = None, self.learner.name_people(sample.traits, sample.shown.on)
            else:
                name = self.learner.name_of(sample.shown)
                worn = (*self.learner(sample.shown, sigma * 1000), sample.shown.on.float())
            asked = {
                "hidden_states": (1 - s) * x0 + s * noise, "pooled_projections": pooled, "timestep": sigma,
                "img_ids": FluxPipeline._prepare_latent_image_ids(count, rows, columns, DEVICE, torch.float32),
                "txt_ids": text_ids, "return_dict": False,
            }  # fmt: skip
            velocity = self._drawn(worn, text + name[:, None], asked)
            plain = None
            if stage.has_background and step % _EVERY == 0:
                with torch.no_grad():
                    plain = self._drawn(None, text, asked)
        weight = pack(sample.weigh(*stage.focus)[:, None].expand_as(sample.latents))
        found = {"flow": flow_matching_loss(velocity, x0, noise, weight)}
        if plain is not None:
            behind = pack((sample.share[:, :1] == 0).float().expand_as(sample.latents))
            far = ((velocity.float() - plain.float()).square() * behind).sum() / behind.sum().clamp(min=1)
            found["background"] = _WEIGHTS["background"] * far
        if stage.has_faces:
            guess = unpack((1 - s) * x0 + s * noise - s * velocity.float(), rows, columns)
            judged = self._judged(guess, sample, people, sigma, rng)
            found |= {name: stage.judged * loss for name, loss in judged.items()}
        return found

    def _drawn(self, worn: tuple[Tensor, Tensor, Tensor] | None, text: Tensor, asked: Mapping[str, object]) -> Tensor:
        for one in self._reads:
            one.worn = worn
        velocity: Tensor = self.transformer(encoder_hidden_states=text, **asked)[0]
        return velocity

    def _judged(
        self, guess: Tensor, sample: Sample, people: Tensor, sigma: Tensor, rng: random.Random
    ) -> dict[str, Tensor]:
        """Who it is by the recogniser, near that person's other pictures and far from everybody else's; and the words."""
        zero = torch.zeros((), device=DEVICE)
        able = (sigma < _FACES_BELOW) & sample.shown.on & sample.shown.found.any(dim=1)
        rows = torch.nonzero(able)[:, 0]
        rows = rows[torch.randperm(len(rows), device=rows.device)[: _FACES // 3]]
        near, apart = zero, zero
        dice = np.random.default_rng(rng.getrandbits(40))
        for some, embedded in self._faces.embed_faces(guess, sample.points, rows, dice):
            weight = 1 - sigma[some]
            near = near + ((1 - (embedded * sample.who[some]).sum(dim=1)) * weight).sum()
            logits = embedded @ people.T / _TEMPERATURE
            apart = apart + (F.cross_entropy(logits, sample.person[some], reduction="none") * weight).sum()
        count = max(1, len(rows))
        empty = torch.tensor([not text for text in sample.texts], device=DEVICE)
        words = words_loss(self._judges, guess, words_of(list(map(dict, sample.facts))), (1 - sigma) * ~empty)
        return {
            "identity": _WEIGHTS["identity"] * near / count, "contrast": _WEIGHTS["contrast"] * apart / count,
            "words": _WEIGHTS["words"] * words,
        }  # fmt: skip


def is_hidden(name: str, p: nn.Parameter) -> bool:
    """Whether Muon learns a parameter: the matrices inside stacks and resampler."""
    return p.ndim == 2 and (name.startswith("resampler.layers") or "_blocks." in name)


def train(work: Path, assets: Path, steps: int | None = None, seconds: float = math.inf) -> None:
    """Train until step `steps` across resumes (None: all stages), at most `seconds` now, on the pieces in `work`."""
    check_encoders(work / "pieces", StageEncoders(STUDIO, assets / "character"))
    teacher, pairs = Teacher(work, assets), Pairs(load_pieces(work / "pieces"))
    learner, path, stop = teacher.learner, work / "checkpoint.pt", list[int]()
    if not path.exists():
        learner.whiten_as(list(pairs.pieces[:4]))
    average, optimizer = Average(learner, 0.998), Both(learner, is_hidden, STAGES[0].first)
    step, spent, log = load_checkpoint(path, learner, average, optimizer)
    signal.signal(signal.SIGTERM, lambda number, frame: stop.append(number))
    begin, saved, seen = time.time() - spent, time.time(), list[dict[str, float]]()
    end, used = time.time() + seconds, time.process_time()
    while step < min(STEPS, steps or STEPS) and not stop and time.time() < end:
        stage, done = stage_at(step)
        rng = random.Random(step)
        torch.manual_seed(step + 1)
        optimizer.rate(rate_at(stage, done))
        optimizer.zero_grad()
        for _ in range(stage.micros):
            sample = pairs.draw(stage.kinds, rng.random() < stage.square, _MICRO, rng)
            found = teacher.losses(sample, pairs.people, stage, step, rng)
            (torch.stack(list(found.values())).sum() / stage.micros).backward()  # type: ignore[no-untyped-call]
            seen.append({name: float(loss.detach()) for name, loss in found.items()})
        nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optimizer.step()
        average.update(learner)
        step, spent = step + 1, time.time() - begin
        if step % _LOG_EVERY == 0:
            names = dict.fromkeys(name for row in seen for name in row)
            means = {n: round(float(np.mean([row[n] for row in seen if n in row])), 5) for n in names}
            cpu = round((time.process_time() - used) / _LOG_EVERY, 2)
            log.append({"step": step, "minutes": round(spent / 60, 2), "cpu_seconds_a_step": cpu} | means)
            print(json.dumps({"stage": stage.id} | log[-1]), flush=True)
            seen, used = [], time.process_time()
        if stage_at(step)[0] is not stage and stage.names_only:
            learner.load_state_dict(average.state)
            learner.name_faces(*pairs.faces())
            average = Average(learner, 0.998)
        if stage_at(step)[0] is not stage:  # what a stage has learnt is kept, and measured
            save_checkpoint(work / f"checkpoint-{stage.id}.pt", learner, average, optimizer, step, spent, log)
        if time.time() > saved + _SAVE_EVERY_S:
            save_checkpoint(path, learner, average, optimizer, step, spent, log)
            saved, pairs = time.time(), Pairs(load_pieces(work / "pieces"))
    save_checkpoint(path, learner, average, optimizer, step, spent, log)


_CARD = """---
license: apache-2.0
---

# The miniature's character adapter

Photos of one person, to posts of them, for the FLUX folder beside it; the layout `studio` (`docs/architecture.md`). Its
encoders are stages of `reader/reader.onnx` and `faces/recognition.onnx`, which lie beside it, and of no others.

Trained by `python -m miniature.characters` on renders of the project's own world, in front of the frozen base: {steps}
steps in {minutes} minutes, stages {stages}. {parameters} numbers in half precision.
"""


def export(work: Path, assets: Path) -> None:
    """Write the adapter's folder in half precision, from the averaged weights, with what it was trained beside."""
    folder = assets / "character"
    state = torch.load(work / "checkpoint.pt", weights_only=True, map_location="cpu")
    config = json.loads((assets / "flux" / "transformer" / "config.json").read_text(encoding="utf-8"))
    from diffusers import FluxTransformer2DModel

    with torch.device("meta"):
        sizes = sizes_for(FluxTransformer2DModel.from_config(config))
    learner = Learner(sizes)
    learner.load_state_dict(state["average"])
    tensors = {name: tensor.half().contiguous() for name, tensor in learner.tensors().items()}
    encoders = StageEncoders(STUDIO, folder)
    if (work / "pieces").is_dir():
        check_encoders(work / "pieces", encoders)
    said = {f"{name}_sha256": sha256 for name, sha256 in encoders.sha256.items()}
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {"layout": STUDIO.id, "stack_heads": str(sizes.stack_heads),
                "resampler_heads": str(sizes.resampler_heads), "steps": str(state["step"]),
                "trigger": NEUTRAL_TRIGGER, **said}  # fmt: skip
    save_file(tensors, folder / "character.safetensors", metadata)
    stages = ", ".join(f"{stage.id} {stage.steps}" for stage in STAGES)
    card = _CARD.format(steps=state["step"], minutes=round(state["spent"] / 60), stages=stages,
                        parameters=f"{sum(t.numel() for t in tensors.values()):,}")  # fmt: skip
    (folder / "README.md").write_text(card, encoding="utf-8")
