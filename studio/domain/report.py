"""How far a job is: the studio's own events and stages, and the report that a page reads while the job runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from pipelines.errors import StudioError
from pipelines.progress import Denoising, Event, PipelineStage, Stage, StageProgress, TrainingStep
from studio.domain.design import PreviewedRecipe
from studio.domain.persona import Sample
from studio.domain.posts import Scores
from studio.domain.values import FileKey, Stored, Value
from studio.texts.texts import Texts

__all__ = [
    "LeftOut", "MixesShown", "PicturesDrawn", "PostScored", "Report", "SamplesDrawn", "ScoredPost", "StageReport",
    "StudioStage", "name_stage", "say_stage",
]  # fmt: skip

_CURVE_POINTS = 400


class StudioStage(StrEnum):
    """The stages of the studio's workflows; what people call them is `stage.*` of the texts."""

    ALBUM = "album"
    CANDIDATES = "candidates"
    CAPTION = "caption"
    CURATE = "curate"
    DONOR = "donor"
    FACES = "faces"
    GRID = "grid"
    INSPECT = "inspect"
    INTAKE = "intake"
    MEASURES = "measures"
    NOVELTY = "novelty"
    POSTS = "posts"
    PREVIEW = "preview"
    RECIPES = "recipes"
    REDRAW = "redraw"
    RETAKES = "retakes"
    ROUND = "round"
    SAMPLES = "samples"
    SCORES = "scores"
    STRENGTHS = "strengths"
    SWAP = "swap"
    TEMPLATES = "templates"


class ScoredPost(Value):
    """A post that is drawn and scored; `number` is its place in the set, from 0."""

    number: int
    picture: FileKey
    scores: Scores


@dataclass(frozen=True)
class LeftOut(Event):
    """Items of what was given take no part, each for a reason of its own; the others do."""

    reasons: tuple[StudioError, ...]


@dataclass(frozen=True)
class PicturesDrawn(Event):
    """All pictures of the stage so far, in their order."""

    pictures: tuple[FileKey, ...]


@dataclass(frozen=True)
class MixesShown(Event):
    """All mixes of a preview that are drawn so far; the `similarity` of one that is not measured yet is empty."""

    mixes: tuple[PreviewedRecipe, ...]


@dataclass(frozen=True)
class PostScored(Event):
    """One more post of a set is there."""

    post: ScoredPost


@dataclass(frozen=True)
class SamplesDrawn(Event):
    """All samples of a training so far."""

    samples: tuple[Sample, ...]


class StageReport(Value):
    """How far a stage is: `done` of `total` units, and `step` of `steps` in what is drawn now.

    `since` and `at` are when it was first and last told of, in seconds since 1970; `first` is what was done then.
    """

    name: PipelineStage | StudioStage
    subject: str = ""
    done: int
    total: int
    first: int
    since: float
    at: float
    step: int = 0
    steps: int = 0

    @property
    def stage(self) -> Stage:
        return Stage(self.name, self.subject)

    @property
    def share(self) -> float:
        """How much is done, from 0 to 1; what is drawn now counts as one unit, however many it is."""
        begun = self.step / self.steps if self.steps else 0.0
        return min(1.0, (self.done + begun) / max(self.total, 1))

    @property
    def seconds_left(self) -> float | None:
        """None where nothing was done since the stage began, or all is."""
        moved = self.done - self.first
        if moved <= 0 or self.done >= self.total:
            return None
        return (self.at - self.since) / moved * (self.total - self.done)


class Report(Stored):
    """Progress that a running job told so far. `stages` are in the order in which they were last told of.

    `losses` are (step, loss) of the training that runs; long ones are thinned out.
    """

    stages: tuple[StageReport, ...] = ()
    losses: tuple[tuple[int, float], ...] = ()
    pictures: tuple[FileKey, ...] = ()
    posts: tuple[ScoredPost, ...] = ()
    samples: tuple[Sample, ...] = ()
    mixes: tuple[PreviewedRecipe, ...] = ()

    @property
    def current(self) -> StageReport | None:
        return self.stages[-1] if self.stages else None

    def after(self, event: Event, at: float) -> Report:
        """Return the report once `event` was told at `at`, in seconds since 1970."""
        match event:
            case StageProgress():
                return self._moved(event.stage, at, event.done, event.total)
            case Denoising():
                known = self._find(event.stage)
                done, total = (0, 1) if known is None else (known.done, known.total)
                return self._moved(event.stage, at, done, total, event.step, event.steps)
            case TrainingStep():
                return self._moved(Stage(PipelineStage.TRAIN), at, event.step, event.steps)._learnt(event)
            case PicturesDrawn():
                return self.model_copy(update={"pictures": event.pictures})
            case MixesShown():
                return self.model_copy(update={"mixes": event.mixes})
            case PostScored():
                others = [post for post in self.posts if post.number != event.post.number]
                return self.model_copy(
                    update={"posts": tuple(sorted([*others, event.post], key=lambda post: post.number))}
                )
            case SamplesDrawn():
                return self.model_copy(update={"samples": event.samples})
        return self

    def _find(self, stage: Stage) -> StageReport | None:
        return next((row for row in self.stages if row.stage == stage), None)

    def _moved(self, stage: Stage, at: float, done: int, total: int, step: int = 0, steps: int = 0) -> Report:
        known = self._find(stage)
        if known is None or done < known.done:  # it begins, or begins anew
            assert isinstance(stage.name, PipelineStage | StudioStage)
            known = StageReport(
                name=stage.name, subject=stage.subject, done=done, total=total, first=done, since=at, at=at
            )
        now = known.model_copy(update={"done": done, "total": total, "at": at, "step": step, "steps": steps})
        return self.model_copy(update={"stages": (*(row for row in self.stages if row.stage != stage), now)})

    def _learnt(self, event: TrainingStep) -> Report:
        losses = self.losses
        if losses and event.step <= losses[-1][0]:
            losses = ()  # the next round's training
        if math.isfinite(event.loss):  # JSON knows no others
            losses = (*losses, (event.step, event.loss))
        if len(losses) > _CURVE_POINTS:
            losses = losses[::2]
        return self.model_copy(update={"losses": losses})


def name_stage(texts: Texts, stage: Stage) -> str:
    """Return what people call a stage, such as "looking at donor Lin"."""
    return texts(f"stage.{stage.name}", subject=stage.subject).strip()


def say_stage(texts: Texts, now: StageReport) -> str:
    """Return how far a stage is, such as "drawing posts 2/9, step 3 of 16"."""
    said = f"{name_stage(texts, now.stage)} {now.done}/{now.total}"
    return f"{said}, {texts('job.denoising', step=now.step, steps=now.steps)}" if now.steps else said
