"""Train a LoRA of the transformer on a few pictures: flow matching on cached latents and text embeddings.

Every step draws its rows, sigmas, noise and dropped captions from a seed made of the config's seed and the
step's number. So a training that was killed and resumed ends, bit by bit, where an undisturbed one ends.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from peft import LoraConfig

from pipelines.backbones import Backbone
from pipelines.errors import BadInput, Cancelled
from pipelines.lora.layers import Lora, LoraLayer
from pipelines.models.weights import hash_weights
from pipelines.progress import SILENT, Progress, TrainingStep
from pipelines.training.batches import Batches, Objective, draw_noise, seed_of
from pipelines.training.buckets import BucketPlan, plan_buckets
from pipelines.training.checkpoints import Checkpoint, read_checkpoint, write_atomically, write_checkpoint
from pipelines.training.dataset import (
    TrainingExample,
    TrainingSet,
    hash_examples,
    measure_example,
    prepare_buckets,
    prepare_examples,
)
from pipelines.training.losses import SigmaDensity, flow_matching_loss
from pipelines.training.memory import needs_checkpointing
from pipelines.training.optimizer import Optimizer, learning_rate
from pipelines.training.pictures import FramedLoss, PictureLoss, check_differentiable, picture_loss

__all__ = ["AtCheckpoint", "LoraTrainingConfig", "TrainedLora", "TrainingExample", "plan_training", "train_lora"]

AtCheckpoint: TypeAlias = Callable[[int, tuple[LoraLayer, ...]], None]
_ADAPTER = "trainee"  # "training" is an attribute of every module, and peft keeps adapters in module dictionaries


class LoraTrainingConfig(BaseModel):
    """How a LoRA is trained. `height` and `width` of 0 mean the backbone's own; an `alpha` of 0 becomes
    `rank`.

    `target_modules` are the family's kinds of them (`Model.lora_modules`), ends of the names of some, or blocks.
    `caption_dropout` is the share of samples that see the empty caption (keeps classifier-free guidance working). The
    learning rate warms up linearly, then falls by a cosine to `final_learning_rate_share` of itself. `focus` is how
    much the examples' focus weighs on top of the whole picture's 1 (`focus_weights`).

    `picture_weight` is that of a `PictureLoss` (0 leaves it out), which judges at most `picture_samples` of a batch,
    with sigmas under `picture_sigma`: nearer to pure noise nothing can be seen yet.

    With `buckets` each picture is shown in every size of the family that it is large enough for (`plan_training`); a
    step has as many tokens as `batch_size` pictures of the backbone's own size. Without, all are fitted to one.

    `gradient_checkpointing` saves memory for time; it is on, too, where a step does not fit the device without it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    rank: int = Field(default=8, ge=1, le=256)
    alpha: float = Field(default=0.0, ge=0)
    learning_rate: float = Field(default=1e-4, gt=0)
    steps: int = Field(default=500, ge=1)
    batch_size: int = Field(default=4, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**32)
    checkpoint_every: int = Field(default=100, ge=1)
    target_modules: Literal["attention", "all"] | tuple[str, ...] = Field(default="all", min_length=1)
    caption_dropout: float = Field(default=0.1, ge=0, le=1)
    warmup_steps: int = Field(default=10, ge=0)
    final_learning_rate_share: float = Field(default=0.1, ge=0, le=1)
    weight_decay: float = Field(default=0.01, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    sigma_density: SigmaDensity = "logit_normal"
    guidance_scale: float = Field(default=1.0, ge=0)
    focus: float = Field(default=0.3, ge=0)
    picture_weight: float = Field(default=0.0, ge=0)
    picture_samples: int = Field(default=4, ge=1)
    picture_sigma: float = Field(default=0.6, gt=0, le=1)
    gradient_checkpointing: bool = False
    buckets: bool = False
    height: int = Field(default=0, ge=0)
    width: int = Field(default=0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _alpha_is_rank(cls, values: Any) -> Any:
        if isinstance(values, dict) and not values.get("alpha"):
            return values | {"alpha": values.get("rank", 8)}
        return values


@dataclass(frozen=True, eq=False)
class _Task:
    backbone: Backbone
    config: LoraTrainingConfig
    batches: Batches
    judge: PictureLoss | None
    objective: Objective | None = None


@dataclass(frozen=True, eq=False)
class TrainedLora:
    """Result of a training: the layers in float32 on the CPU, the loss of every step, and their number."""

    layers: tuple[LoraLayer, ...]
    losses: tuple[float, ...]
    steps: int


def train_lora(
    backbone: Backbone,
    examples: Sequence[TrainingExample],
    config: LoraTrainingConfig,
    folder: Path,
    progress: Progress = SILENT,
    at_checkpoint: AtCheckpoint = lambda steps, layers: None,
    regularisation: Sequence[TrainingExample] = (),
    judge: PictureLoss | None = None,
    start: Sequence[LoraLayer] = (),
    mix: tuple[Lora, ...] = (),
    objective: Objective | None = None,
) -> TrainedLora:
    """Train, or go on where `folder` stopped. The transformer is left as it was found, whatever happens.

    `mix` is on it meanwhile, and what is trained comes on top.

    Half of every batch (of batches of one picture, every second) is of `regularisation` where there is some: pictures
    that keep the model able to do all else (arXiv:2208.12242 §3.3). `judge` knows the rows of both, one after the
    other; see `LoraTrainingConfig`, and `check_differentiable` for what it raises. `start` is a LoRA to learn on from,
    of the config's rank and modules. `objective` is the loss where it is not flow matching.

    `at_checkpoint` is told the steps done after each checkpoint and the layers as trained so far, which are on the
    transformer: it may draw. `folder` gets `config.json`, `losses.json` and the two newest checkpoints. Raises BadInput
    for no examples, a distilled backbone (see `Backbone.trained_on`), a folder of another training or a start that does
    not fit, or a loss that is no number, NotEnoughMemory before the first step, OutOfDisk, Cancelled (after writing a
    checkpoint).
    """
    if not examples:
        raise BadInput("training_without_pictures")
    if not backbone.spec.trains_itself:
        wanted = backbone.spec.train_on
        raise BadInput("training_model_distilled", model=backbone.spec.id, backbone=backbone.spec.id, wanted=wanted)
    if not backbone.plan.trains:
        raise BadInput("backbone_draws_only", backbone=backbone.spec.id, precision=backbone.plan.precision)
    if judge is not None and config.picture_weight:
        check_differentiable(backbone)
    everything = [*examples, *regularisation]
    size = config.height or backbone.spec.height, config.width or backbone.spec.width
    plan = plan_training(backbone, everything, config) if config.buckets else None
    fingerprint = _fingerprint(backbone, everything, len(examples), config, judge, start, mix, objective)
    resumed = read_checkpoint(folder, fingerprint)
    if resumed is not None and len(resumed.losses) >= config.steps:
        return _trained(resumed, config)

    before = backbone.lora_stack.loras  # the stack must know the modules before an adapter wraps them
    try:
        backbone.put_on(mix)
        most = max((b.batch * b.height * b.width for b in plan.buckets), default=0) if plan else 0
        parameters = _add_adapter(backbone, config, max(math.prod(size), -(-most // config.batch_size)))
        if start:
            _begin_at(start, parameters, config)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "config.json", config.model_dump_json(indent=2).encode())
        if plan is None:
            sets: tuple[TrainingSet, ...] = (
                prepare_examples(backbone, everything, *size, progress, config.focus, config.batch_size),
            )
        else:
            sets = prepare_buckets(backbone, everything, plan, progress, config.focus)
        batches = Batches(sets, len(examples), config.seed, config.steps)
        task = _Task(backbone, config, batches, judge, objective)
        final = _run(task, parameters, resumed, folder, fingerprint, progress, at_checkpoint)
    finally:
        backbone.transformer.unload_lora()
        backbone.transformer.disable_gradient_checkpointing()
        backbone.put_on(before)
    write_atomically(folder / "losses.json", json.dumps(list(final.losses)).encode())
    return _trained(final, config)


def plan_training(backbone: Backbone, examples: Sequence[TrainingExample], config: LoraTrainingConfig) -> BucketPlan:
    """Return how a training with buckets would show its examples, before anything is encoded."""
    spec = backbone.spec
    own = config.height or spec.height, config.width or spec.width
    measured, token = [measure_example(e) for e in examples], backbone.model.token_px
    return plan_buckets(measured, token, own, config.batch_size, sizes=spec.sizes)


def _run(
    task: _Task,
    parameters: dict[str, torch.nn.Parameter],
    resumed: Checkpoint | None,
    folder: Path,
    fingerprint: str,
    progress: Progress,
    at_checkpoint: AtCheckpoint,
) -> Checkpoint:
    """The loop; `parameters` are the adapter's, by name."""
    config = task.config
    optimizer = Optimizer(parameters, config.weight_decay, task.backbone.device.type, task.backbone.dtype)
    losses: list[float] = []
    if resumed is not None:
        optimizer.restore(resumed)
        losses = list(resumed.losses)
    while (step := len(losses)) < config.steps:
        try:
            progress.check_cancelled()
        except Cancelled:
            if losses:
                write_checkpoint(folder, fingerprint, optimizer.state(losses))
            raise
        loss = _loss(task, step)
        rate = learning_rate(
            config.learning_rate, config.final_learning_rate_share, config.warmup_steps, step, config.steps
        )
        optimizer.step(loss, rate, config.max_grad_norm)
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            raise BadInput("training_not_finite", model=task.backbone.spec.id, step=step + 1)
        if (step + 1) % config.checkpoint_every == 0 or step + 1 == config.steps:
            state = optimizer.state(losses)
            write_checkpoint(folder, fingerprint, state)
            at_checkpoint(step + 1, _trained(state, config).layers)
        progress.tell(TrainingStep(step + 1, config.steps, float(np.mean(losses[-20:]))))
    return optimizer.state(losses)


def _loss(task: _Task, step: int) -> torch.Tensor:
    """The loss of one step's batch. Each picture weighs the same, whatever its bucket: a batch is weighed by how many
    pictures it has of a batch of the backbone's own size.
    """
    backbone, config = task.backbone, task.config
    batch, generator = draw_noise(
        backbone, task.batches, step, config.sigma_density, config.caption_dropout, config.guidance_scale
    )
    share = len(batch.rows) / config.batch_size
    if task.objective is not None:
        return task.objective(batch) * share
    velocity = batch.velocity()
    loss = flow_matching_loss(velocity, batch.clean, batch.noise, batch.of.weights[batch.rows])
    if task.judge is None or not config.picture_weight:
        return loss * share
    judge, rows = FramedLoss(task.judge, batch.of.rows, batch.of.frames), batch.rows.tolist()
    seen = ((batch.sigmas < config.picture_sigma) & ~batch.dropped).tolist()
    usable = [i for i, row in enumerate(rows) if seen[i] and judge.box(row) is not None]
    chosen = [usable[i] for i in torch.randperm(len(usable), generator=generator)[: config.picture_samples]]
    if not chosen:
        return loss * share
    clean = (batch.noisy - batch.broad_sigmas * velocity.float())[chosen]
    judged = [rows[i] for i in chosen]
    judgement = picture_loss(backbone, judge, clean, batch.sigmas[chosen], judged, batch.size, generator)
    return (loss + config.picture_weight * judgement) * share


def _add_adapter(backbone: Backbone, config: LoraTrainingConfig, pixels: int) -> dict[str, torch.nn.Parameter]:
    """Put a fresh peft adapter on the transformer: its parameters by name, float32, seeded by the config.

    A picture has so many `pixels`. Raises NotEnoughMemory where no step would fit the device.
    """
    transformer = backbone.transformer
    names = _target_modules(backbone, config)
    if needs_checkpointing(backbone, names, config.rank, config.batch_size, pixels) or config.gradient_checkpointing:
        transformer.enable_gradient_checkpointing()
    with torch.random.fork_rng(devices=[]):  # peft's own start values are replaced below; leave the global state alone
        transformer.add_adapter(
            # a pattern: peft takes plain names for ends of names
            LoraConfig(
                r=config.rank, lora_alpha=config.alpha, target_modules="|".join(map(re.escape, names)), bias="none"
            ),
            _ADAPTER,
        )
    generator = torch.Generator().manual_seed(seed_of(config.seed, 0, 0))
    parameters: dict[str, torch.nn.Parameter] = {}
    for name, parameter in sorted(transformer.named_parameters()):
        if f".lora_A.{_ADAPTER}." not in name and f".lora_B.{_ADAPTER}." not in name:
            continue
        start = torch.zeros(parameter.shape)
        if ".lora_A." in name:  # as peft: Kaiming-uniform with a = √5, so B·A starts at zero but A does not
            bound = 1 / math.sqrt(parameter.shape[1])
            start.uniform_(-bound, bound, generator=generator)
        parameter.data = start.to(backbone.device)
        parameters[name.replace(f".{_ADAPTER}", "")] = parameter
    return parameters


def _begin_at(
    layers: Sequence[LoraLayer], parameters: dict[str, torch.nn.Parameter], config: LoraTrainingConfig
) -> None:
    given: dict[str, torch.Tensor] = {}
    for layer in layers:
        given[f"{layer.module}.lora_A.weight"] = layer.down.float()
        given[f"{layer.module}.lora_B.weight"] = layer.up.float() * (layer.scale * config.rank / config.alpha)
    shapes, wanted = ({name: x.shape for name, x in some.items()} for some in (given, parameters))
    if wrong := sorted(name for name, _ in shapes.items() ^ wanted.items()):
        raise BadInput("training_start_does_not_fit", name=wrong[0])
    for name, parameter in parameters.items():
        parameter.data.copy_(given[name])


def _target_modules(backbone: Backbone, config: LoraTrainingConfig) -> tuple[str, ...]:
    wanted = config.target_modules
    if wanted in ("attention", "all"):
        return backbone.model.lora_modules(wanted)
    ends, blocks = tuple(f".{name}" for name in wanted), tuple(f"{name}." for name in wanted)
    known = backbone.model.lora_modules("all")
    names = tuple(name for name in known if name.endswith(ends) or name.startswith(blocks))
    if not names:
        some = sorted({name.split(".", 2)[2] for name in backbone.model.lora_modules("all")})
        raise BadInput("no_such_modules", model=backbone.spec.id, wanted=list(wanted), known=some)
    return names


def _trained(checkpoint: Checkpoint, config: LoraTrainingConfig) -> TrainedLora:
    weights = checkpoint.weights
    modules = sorted(name.removesuffix(".lora_A.weight") for name in weights if name.endswith(".lora_A.weight"))
    layers = tuple(
        LoraLayer(
            module=module,
            down=weights[f"{module}.lora_A.weight"],
            up=weights[f"{module}.lora_B.weight"],
            alpha=config.alpha,
        )
        for module in modules
    )
    return TrainedLora(layers=layers, losses=tuple(checkpoint.losses), steps=len(checkpoint.losses))


def _fingerprint(
    backbone: Backbone,
    examples: Sequence[TrainingExample],
    own: int,
    config: LoraTrainingConfig,
    judge: PictureLoss | None,
    start: Sequence[LoraLayer],
    mix: Sequence[Lora],
    objective: Objective | None,
) -> str:
    """Return what a checkpoint must have been made from to be gone on with: a model is known by its weights, too."""
    facts: tuple[object, ...] = (
        backbone.spec.id,
        hash_weights(backbone.spec.source.path),
        hash_examples(examples),
        own,
        # what was there before buckets goes on with them
        config.model_dump_json(exclude={"checkpoint_every"} | (set() if config.buckets else {"buckets"})),
    )
    if judge is not None:
        facts += (judge.fingerprint,)
    if objective is not None:
        facts += (objective.fingerprint,)
    facts += _told(start)
    for lora in mix:
        facts += ("mix", lora.scale, *_told(lora.layers))
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _told(layers: Sequence[LoraLayer]) -> tuple[object, ...]:
    return tuple(
        (layer.module, layer.scale)
        + tuple(hashlib.sha256(x.float().cpu().numpy().tobytes()).hexdigest() for x in (layer.down, layer.up))
        for layer in layers
    )
