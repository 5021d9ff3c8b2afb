"""A training whose LoRA moves how a model's pictures look, and not what they show.

The plain loss on photographs teaches their style and, with the same force, their crooked framings, odd poses and wrong
captions: layouts break. Here the style is learnt from the predicted clean latents' statistics, the content is held by
the frozen base's own hidden tokens, and pictures of the base's own, beside the photos, hold everything else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

from pipelines.backbones import Backbone
from pipelines.errors import BadInput
from pipelines.training.batches import NoisyBatch
from pipelines.training.losses import flow_matching_loss
from pipelines.training.style_losses import coarse, content_loss, measure_shrink, shrink_at, style_loss, style_window

__all__ = ["StyleObjective", "StyleRecipe", "find_style_recipe", "measure_curve"]


@dataclass(frozen=True)
class StyleRecipe:
    """Weights of the losses, the sigmas `window` in which style is learnt, and the `blocks` whose tokens hold content.

    Blocks are numbers in the list `stack` of the transformer. `modules` are what is trained of it, as
    `LoraTrainingConfig.target_modules`. Style is judged on squares of `cells` x `cells` latents: on single ones the
    base's guesses of photographs are so much flatter than those of its own pictures that the loss asks for contrast
    without end. `shrink` is the curve of `measure_shrink` of this base. `focus` is what a token
    of faces, hands and goods weighs more than 1, `batch` photos a step, and as many of the base's own pictures.
    `measured` says whether these numbers were measured on such a model or carried over.
    """

    stack: str
    blocks: tuple[int, ...]
    modules: tuple[str, ...] | Literal["all"]
    measured: bool
    rank: int = 16
    learning_rate: float = 1e-3
    batch: int = 8
    window: tuple[float, float] = (0.25, 0.85)
    style: float = 12.0
    bands: float = 0.0
    cells: int = 4
    content: float = 30.0
    prior: float = 0.0
    flow: float = 0.0
    focus: float = 2.0
    shrink: tuple[tuple[float, float], ...] = ((0.3, 0.99), (0.5, 0.97), (0.7, 0.94), (0.85, 0.855))


# Measured on the miniature; for FLUX.1's 57 blocks what SplitFlux (CVPR 2026) found is carried over: single blocks 1 to
# 10 carry content, 13 to 38 style.
_MINIATURE = StyleRecipe("single_transformer_blocks", (4,), "all", measured=True)
_SMALL, _SINGLES = 1024, 6  # a narrower transformer is a small model; the miniature has so many single blocks
_SINGLE = "single_transformer_blocks"
_RECIPES: Mapping[str, StyleRecipe] = {
    "flux1": StyleRecipe(
        _SINGLE, (8, 9, 10), tuple(f"{_SINGLE}.{n}" for n in range(13, 38)), measured=False, learning_rate=1e-4, batch=2
    ),
}


def find_style_recipe(backbone: Backbone) -> StyleRecipe:
    """Return a family's recipe; raises BadInput `style_family_unknown` where nobody has told one."""
    family, count = backbone.spec.family, len(getattr(backbone.transformer, _SINGLE, ()))
    if family == "flux1" and backbone.model.width < _SMALL:
        return replace(_MINIATURE, blocks=(min(_MINIATURE.blocks[0], count - 1),), measured=count == _SINGLES)
    if family not in _RECIPES:
        raise BadInput("style_family_unknown", model=backbone.spec.id, known=sorted(_RECIPES))
    return _RECIPES[family]


@dataclass(eq=False)
class StyleObjective:
    """The losses of a `StyleRecipe`; `seen` collects each step's parts, in their order, for a log."""

    recipe: StyleRecipe
    seen: list[dict[str, float]] = field(default_factory=list)

    @property
    def fingerprint(self) -> str:
        return json.dumps(asdict(self.recipe))

    def __call__(self, batch: NoisyBatch) -> Tensor:
        recipe, own = self.recipe, batch.own
        blocks = list(getattr(batch.backbone.transformer, recipe.stack))
        watched = [blocks[i] for i in recipe.blocks] if recipe.content and bool(own.any()) else []
        with _tokens(watched, batch.clean.shape[1]) as tokens:
            velocity = batch.velocity().float()
        found: dict[str, Tensor] = {}
        if recipe.style and bool(own.any()):
            found["style"] = recipe.style * self._style(batch, velocity)
        if recipe.flow and bool(own.any()):
            weights = batch.of.weights[batch.rows][own]
            found["flow"] = recipe.flow * flow_matching_loss(velocity[own], batch.clean[own], batch.noise[own], weights)
        if watched or (recipe.prior and not bool(own.all())):
            with _frozen(batch.backbone), torch.no_grad(), _tokens(watched, batch.clean.shape[1]) as base:
                taught = batch.velocity().float()
        if watched:
            weights = 1 + recipe.focus * batch.of.inside[batch.rows].mean(dim=2)[own]
            gaps = [content_loss(x[own], y[own], weights) for x, y in zip(tokens, base, strict=True)]
            found["content"] = recipe.content * torch.stack(gaps).mean()
        if recipe.prior and not bool(own.all()):
            found["prior"] = recipe.prior * (velocity[~own] - taught[~own]).square().mean()
        self.seen.append({name: float(loss.detach()) for name, loss in found.items()})
        return torch.stack(list(found.values())).sum() if found else velocity.sum() * 0

    def _style(self, batch: NoisyBatch, velocity: Tensor) -> Tensor:
        own, (low, high), model = batch.own, self.recipe.window, batch.backbone.model
        predicted, sigmas = (batch.noisy - batch.broad_sigmas * velocity)[own], batch.sigmas[own]
        drawn, photo = (coarse(model.unpack(x, *batch.size), self.recipe.cells) for x in (predicted, batch.clean[own]))
        weights, shrink = style_window(sigmas, low, high), shrink_at(sigmas, self.recipe.shrink)
        return style_loss(drawn, photo, weights, shrink, self.recipe.bands)


def measure_curve(
    backbone: Backbone, batches: Sequence[NoisyBatch], points: Sequence[float], cells: int = 1
) -> tuple[tuple[float, float], ...]:
    """Return r(σ) of a base at some sigmas: how much flatter its predicted clean latents are than pictures."""
    curve = []
    for sigma in points:
        found = []
        for batch in batches:
            at = torch.full_like(batch.sigmas, sigma)
            broad = at.view(-1, *[1] * (batch.clean.ndim - 1))
            noisy = replace(batch, sigmas=at, noisy=torch.lerp(batch.clean, batch.noise, broad))
            with torch.no_grad():
                predicted = noisy.noisy - broad * noisy.velocity().float()
            drawn, clean = (coarse(backbone.model.unpack(x, *batch.size), cells) for x in (predicted, batch.clean))
            found.append(measure_shrink(drawn, clean))
        curve.append((sigma, float(torch.cat(found).mean())))
    return tuple(curve)


@contextmanager
def _frozen(backbone: Backbone) -> Iterator[None]:
    """The base without what is being trained on it."""
    backbone.transformer.disable_adapters()
    try:
        yield
    finally:
        backbone.transformer.enable_adapters()


@contextmanager
def _tokens(blocks: Sequence[torch.nn.Module], count: int) -> Iterator[list[Tensor]]:
    """Collect what the blocks give out, image tokens [b, t, d] only: they come last."""
    kept: list[Tensor] = []

    def keep(module: torch.nn.Module, args: Any, output: Any) -> None:
        kept.append((output[-1] if isinstance(output, tuple) else output)[:, -count:])

    hooks = [block.register_forward_hook(keep) for block in blocks]
    try:
        yield kept
    finally:
        for hook in hooks:
            hook.remove()
