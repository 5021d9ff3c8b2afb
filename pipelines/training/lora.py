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
from pipelines.families.model import Extras
from pipelines.lora.layers import Lora, LoraLayer
from pipelines.models.weights import hash_weights
from pipelines.progress import SILENT, Progress, TrainingStep
from pipelines.training.checkpoints import Checkpoint, read_checkpoint, write_atomically, write_checkpoint
from pipelines.training.dataset import TrainingExample, TrainingSet, hash_examples, prepare_examples
from pipelines.training.losses import SigmaDensity, flow_matching_loss, sample_sigmas
from pipelines.training.memory import needs_checkpointing
from pipelines.training.optimizer import Optimizer, learning_rate
from pipelines.training.pictures import PictureLoss, check_differentiable, picture_loss

__all__ = ["AtCheckpoint", "LoraTrainingConfig", "TrainedLora", "TrainingExample", "train_lora"]

AtCheckpoint: TypeAlias = Callable[[int, tuple[LoraLayer, ...]], None]
_ADAPTER = "trainee"  # "training" is an attribute of every module, and peft keeps adapters in module dictionaries


class LoraTrainingConfig(BaseModel):
    """How a LoRA is trained. `height` and `width` of 0 mean the backbone's own; an `alpha` of 0 becomes
    `rank`.

    `target_modules` are the family's kinds of them (`Model.lora_modules`), or ends of the names of some.
    `caption_dropout` is the share of samples that see the empty caption (keeps classifier-free guidance working). The
    learning rate warms up linearly, then falls by a cosine to `final_learning_rate_share` of itself. `focus` is how
    much the examples' focus weighs on top of the whole picture's 1 (`focus_weights`).

    `picture_weight` is that of a `PictureLoss` (0 leaves it out), which judges at most `picture_samples` of a batch,
    with sigmas under `picture_sigma`: nearer to pure noise nothing can be seen yet.

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
    """A training's rows: the first `own` rows of the set are the examples, those behind are there to regularise."""

    backbone: Backbone
    config: LoraTrainingConfig
    training_set: TrainingSet
    own: int
    judge: PictureLoss | None


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
) -> TrainedLora:
    """Train, or go on where `folder` stopped. The transformer is left as it was found, whatever happens.

    `mix` is on it meanwhile, and what is trained comes on top.

    Half of every batch (of batches of one picture, every second) is of `regularisation` where there is some: pictures
    that keep the model able to do all else (arXiv:2208.12242 §3.3). `judge` knows the rows of both, one after the
    other; see `LoraTrainingConfig`, and `check_differentiable` for what it raises. `start` is a LoRA to learn on from,
    of the config's rank and modules.

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
    height, width = config.height or backbone.spec.height, config.width or backbone.spec.width
    everything = [*examples, *regularisation]
    fingerprint = _fingerprint(backbone, everything, len(examples), config, judge, start, mix)
    resumed = read_checkpoint(folder, fingerprint)
    if resumed is not None and len(resumed.losses) >= config.steps:
        return _trained(resumed, config)

    before = backbone.lora_stack.loras  # the stack must know the modules before an adapter wraps them
    try:
        backbone.put_on(mix)
        parameters = _add_adapter(backbone, config, (height, width))
        if start:
            _begin_at(start, parameters, config)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "config.json", config.model_dump_json(indent=2).encode())
        training_set = prepare_examples(backbone, everything, height, width, progress, config.focus)
        task = _Task(backbone, config, training_set, len(examples), judge)
        final = _run(task, parameters, resumed, folder, fingerprint, progress, at_checkpoint)
    finally:
        backbone.transformer.unload_lora()
        backbone.transformer.disable_gradient_checkpointing()
        backbone.put_on(before)
    write_atomically(folder / "losses.json", json.dumps(list(final.losses)).encode())
    return _trained(final, config)


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
    """The loss of one step's batch: states [b, …] at b sigmas."""
    backbone, training_set, config = task.backbone, task.training_set, task.config
    device, model, size = backbone.device, backbone.model, (training_set.height, training_set.width)
    count = config.batch_size
    rows = torch.from_numpy(_batch(task, step)).to(device)
    # drawn on the CPU in float32 and then moved, so that every device and dtype trains on the same samples
    generator = torch.Generator().manual_seed(_seed(config.seed, 1, step))
    x = training_set.states[rows]
    sigmas = sample_sigmas(count, config.sigma_density, generator)
    sigmas = model.shift(sigmas, math.prod(side // model.token_px for side in size)).to(device)
    noise = torch.randn(x.shape, generator=generator).to(device)
    dropped = (torch.rand(count, generator=generator) < config.caption_dropout).to(device)
    captions = training_set.caption_of[rows].masked_fill(dropped, 0)
    s = sigmas.view(-1, *[1] * (x.ndim - 1))
    noisy = torch.lerp(x, noise, s)
    text = model.join([training_set.captions[i] for i in captions.tolist()])
    conditioning = model.condition(text, *size, config.guidance_scale, Extras())
    with torch.autocast(device.type, dtype=backbone.dtype, enabled=backbone.dtype != torch.float32):
        velocity = model.velocity(noisy, sigmas, conditioning)
    loss = flow_matching_loss(velocity, x, noise, training_set.weights[rows])
    if task.judge is None or not config.picture_weight:
        return loss
    numbers = rows.tolist()
    seen = ((sigmas < config.picture_sigma) & ~dropped).tolist()
    usable = [i for i, row in enumerate(numbers) if seen[i] and task.judge.box(row) is not None]
    chosen = [usable[i] for i in torch.randperm(len(usable), generator=generator)[: config.picture_samples]]
    if not chosen:
        return loss
    clean = (noisy - s * velocity.float())[chosen]
    judged = [numbers[i] for i in chosen]
    judgement = picture_loss(backbone, task.judge, clean, sigmas[chosen], judged, size, generator)
    return loss + config.picture_weight * judgement


def _add_adapter(
    backbone: Backbone, config: LoraTrainingConfig, size: tuple[int, int]
) -> dict[str, torch.nn.Parameter]:
    """Put a fresh peft adapter on the transformer: its parameters by name, float32, seeded by the config.

    `size` is that of the pictures. Raises NotEnoughMemory where no step would fit the device.
    """
    transformer = backbone.transformer
    names = _target_modules(backbone, config)
    if (
        needs_checkpointing(backbone, names, config.rank, config.batch_size, math.prod(size))
        or config.gradient_checkpointing
    ):
        transformer.enable_gradient_checkpointing()
    with torch.random.fork_rng(devices=[]):  # peft's own start values are replaced below; leave the global state alone
        transformer.add_adapter(
            # a pattern: peft takes plain names for ends of names
            LoraConfig(
                r=config.rank, lora_alpha=config.alpha, target_modules="|".join(map(re.escape, names)), bias="none"
            ),
            _ADAPTER,
        )
    generator = torch.Generator().manual_seed(_seed(config.seed, 0, 0))
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
    ends = tuple(f".{name}" for name in wanted)
    names = tuple(name for name in backbone.model.lora_modules("all") if name.endswith(ends))
    if not names:
        some = sorted({name.split(".", 2)[2] for name in backbone.model.lora_modules("all")})
        raise BadInput("no_such_modules", model=backbone.spec.id, wanted=list(wanted), known=some)
    return names


def _batch(task: _Task, step: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The rows of one batch; its second half regularises where there is something to do so with, and of batches of one
    picture every second.
    """
    count, others = task.config.batch_size, len(task.training_set.states) - task.own
    if not others:
        return _rows(task.own, count, task.config.seed, step)
    if count == 1:
        first = _rows((task.own, others)[step % 2], 1, task.config.seed, step // 2)
        return first + task.own * (step % 2)
    half = count // 2
    own = _rows(task.own, half, task.config.seed, step)
    return np.concatenate([own, task.own + _rows(others, count - half, task.config.seed, step)])


def _rows(examples: int, count: int, seed: int, step: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The rows of one batch: a stream of shuffled passes over the examples, cut into batches."""
    positions = range(step * count, (step + 1) * count)
    epochs = {p // examples for p in positions}
    order = {e: np.random.default_rng([seed, 2, e]).permutation(examples) for e in epochs}
    return np.array([order[p // examples][p % examples] for p in positions], np.int64)


def _seed(seed: int, purpose: int, step: int) -> int:
    """A seed of its own for each purpose and step; neighbouring seeds give unrelated streams."""
    return int(np.random.SeedSequence([seed, purpose, step]).generate_state(1, np.uint64)[0] >> 1)


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
) -> str:
    """Return what a checkpoint must have been made from to be gone on with: a model is known by its weights, too."""
    facts: tuple[object, ...] = (
        backbone.spec.id,
        hash_weights(backbone.spec.source.path),
        hash_examples(examples),
        own,
        config.model_dump_json(exclude={"checkpoint_every"}),
    )
    if judge is not None:
        facts += (judge.fingerprint,)
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
