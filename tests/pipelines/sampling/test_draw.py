"""Drawing: the same pictures as plain diffusers, in the order of the requests, and again the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipelines.backbones import Backbone
from pipelines.errors import BadInput, Cancelled
from pipelines.models.variants import Capabilities
from pipelines.progress import Denoising, Event, PipelineStage, Stage, StageProgress
from pipelines.references.landmark import Landmark
from pipelines.references.redux import ReduxReference
from pipelines.sampling.draw import draw, draw_batch
from pipelines.sampling.request import LEAST_STRENGTH, DrawRequest, plan_batches, request_from

Rgb = npt.NDArray[np.uint8]


def pictures(backbone: Backbone, requests: Sequence[DrawRequest], batch_size: int = 8) -> list[Rgb]:
    drawn = list(draw(backbone, requests, batch_size))
    assert [index for index, _ in drawn] == list(range(len(requests)))
    return [picture for _, picture in drawn]


def noise(seed: int, size: tuple[int, int, int] = (96, 64, 3)) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)


def test_distilled_guidance_reaches_the_model(tiny_dev_backbone: Backbone) -> None:
    request = replace(request_from(tiny_dev_backbone.spec, "a young woman", 1), cfg_scale=1.0)
    weak, strong = pictures(tiny_dev_backbone, [replace(request, distilled_guidance=g) for g in (1.0, 6.0)])
    assert np.abs(weak.astype(int) - strong).mean() > 0.5


def test_the_same_requests_give_the_same_pixels(tiny_backbone: Backbone) -> None:
    spec = tiny_backbone.spec
    requests = [request_from(spec, f"a woman {i}", i) for i in range(3)]
    first, second = pictures(tiny_backbone, requests, 2), pictures(tiny_backbone, requests, 2)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert np.abs(first[0].astype(int) - first[1]).mean() > 5


def test_guidance_against_a_negative_prompt_matters(tiny_backbone: Backbone) -> None:
    request = request_from(tiny_backbone.spec, "a woman", 1)
    off = replace(request, cfg_scale=1.0)
    drawn = pictures(tiny_backbone, [request, replace(request, negative_prompt="night"), off,
                                     replace(off, negative_prompt="night")])  # fmt: skip
    assert not np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    assert np.array_equal(drawn[2], drawn[3])


def test_batches_join_only_what_can_be_drawn_together(tiny_backbone: Backbone) -> None:
    base = request_from(tiny_backbone.spec, "a woman", 0)
    scene = ReduxReference(noise(0))
    requests = [
        base,
        replace(base, num_inference_steps=2),
        replace(base, seed=1, prompt="a man", negative_prompt="night"),
        replace(base, references=(scene,)),
        replace(base, references=(replace(scene, scale=0.0),)),
        replace(base, references=(replace(scene, image=noise(1), scale=0.5),)),
        replace(base, references=(replace(scene, pool=2),)),
        replace(base, references=(Landmark(noise(2), np.eye(96, 64, dtype=np.bool_)),)),
    ]
    assert plan_batches(requests) == ((0, 2, 4), (1,), (3, 5), (6,), (7,))
    assert plan_batches(requests, 2) == ((0, 2), (1,), (3, 5), (4,), (6,), (7,))
    assert plan_batches([]) == ()
    with pytest.raises(BadInput):
        plan_batches(requests, 0)
    with pytest.raises(BadInput, match="batch_mixed"):
        draw_batch(tiny_backbone, requests[:2])
    assert len(pictures(tiny_backbone, requests)) == 8  # in order, although the batches are not


def test_a_reference_of_scale_zero_is_no_reference(tiny_backbone: Backbone) -> None:
    base = request_from(tiny_backbone.spec, "a woman", 5)
    references = [(), (ReduxReference(noise(0), scale=0.0),), (ReduxReference(noise(0), scale=0.5),),
                  (ReduxReference(noise(0)),), (ReduxReference(noise(0), guided=False),)]  # fmt: skip
    drawn = pictures(tiny_backbone, [replace(base, references=r) for r in references])
    assert np.array_equal(drawn[0], drawn[1])
    assert all(not np.array_equal(drawn[i], drawn[j]) for i in range(2, 5) for j in range(i))


def test_a_landmark_keeps_its_pixels_and_frees_the_rest(tiny_backbone: Backbone) -> None:
    mask = np.zeros((96, 64), np.bool_)
    mask[20:70, 5:30] = True
    scene = noise(7)
    base = request_from(tiny_backbone.spec, "a woman", 5)
    marked = replace(base, references=(Landmark(scene, mask),))
    drawn = pictures(tiny_backbone, [base, marked, replace(marked, seed=6)])
    for picture in drawn[1:]:
        assert np.array_equal(picture[mask], scene[mask])
    assert np.abs(drawn[1].astype(int) - drawn[2])[~mask].mean() > 5
    again = pictures(tiny_backbone, [marked, replace(marked, seed=6)])
    assert np.array_equal(again[0], drawn[1])


def test_landmark_and_reference_and_guidance_go_together(tiny_backbone: Backbone) -> None:
    mask = np.zeros((96, 64), np.bool_)
    mask[:40] = True
    base = request_from(tiny_backbone.spec, "a woman", 5, references=(Landmark(noise(7), mask),))
    drawn = pictures(tiny_backbone, [
        base, replace(base, cfg_scale=1.0),
        replace(base, references=(*base.references, ReduxReference(noise(8)))),
    ])  # fmt: skip
    assert all(np.array_equal(picture[mask], noise(7)[mask]) for picture in drawn)
    assert not np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


class StopsAt:
    """A progress that asks to stop at the given check."""

    def __init__(self, check: int) -> None:
        self.left, self.seen = check, list[Event]()

    def tell(self, event: Event) -> None:
        self.seen.append(event)

    def check_cancelled(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Cancelled("Stopped.")


def test_stopping_takes_effect_within_a_denoising_step(tiny_backbone: Backbone) -> None:
    requests = [request_from(tiny_backbone.spec, "a woman", i) for i in range(3)]
    progress = StopsAt(6)  # 4 checks for the first batch (start and 3 steps), 2 of the second
    drawn = draw(tiny_backbone, requests, 2, progress)
    assert [next(drawn)[0], next(drawn)[0]] == [0, 1]
    with pytest.raises(Cancelled):
        next(drawn)
    stage = Stage(PipelineStage.DRAW)
    first, second = ([Denoising(stage, step, 3) for step in steps] for steps in ((0, 1, 2, 3), (0, 1)))
    assert progress.seen == [StageProgress(stage, 0, 3), *first, StageProgress(stage, 2, 3), *second]


def test_requests_that_cannot_be_drawn(tiny_backbone: Backbone) -> None:
    good = request_from(tiny_backbone.spec, "a woman", 0)
    changes: list[dict[str, Any]] = [
        {"seed": -1}, {"seed": 2**32}, {"num_inference_steps": 0}, {"cfg_scale": float("nan")},
        {"distilled_guidance": -1.0}, {"detail": 3.0}, {"renoise": float("nan")}, {"strength": 0.5},
        {"height": 128, "references": (Landmark(noise(0), np.eye(96, 64, dtype=np.bool_)),)},
    ]  # fmt: skip
    for change in changes:
        with pytest.raises(BadInput):
            replace(good, **change)
    sizes: list[dict[str, Any]] = [{"height": 100}, {"width": 0}, {"width": 48}]
    for size in sizes:
        with pytest.raises(BadInput, match=r"size_not_drawable.*unit=32"):
            pictures(tiny_backbone, [replace(good, **size)])
    distilled = replace(tiny_backbone, spec=replace(tiny_backbone.spec, can=Capabilities()))
    pictures(distilled, [replace(good, cfg_scale=1.0)])
    with pytest.raises(BadInput, match=r"model_without_cfg.*scale=2\.0"):
        pictures(distilled, [replace(good, cfg_scale=2.0)])


@pytest.mark.parametrize("strength", [0.0, 1e-9, 0.049, 1.001, float("nan")])
def test_a_strength_of_which_no_step_would_be_taken_is_refused(tiny_backbone: Backbone, strength: float) -> None:
    """1e-9 would plan a thousand million steps, to take one; with the least, twenty."""
    landmark = Landmark(noise(2), np.eye(96, 64, dtype=np.bool_))
    request = request_from(tiny_backbone.spec, "a woman", 0, references=(landmark,))
    with pytest.raises(BadInput, match="strength_out_of_range"):
        replace(request, strength=strength)
    planned: list[int] = []
    draw_batch(tiny_backbone, [replace(request, strength=LEAST_STRENGTH)], lambda done, steps: planned.append(steps))
    assert set(planned) == {20}
