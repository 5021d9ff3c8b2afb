"""Which checkpoint is the best and why, a persona as one of them draws it, and what people call it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipelines.errors import BadInput
from studio.domain.checkpoints import (
    DrawnAs,
    best_checkpoint,
    draw_as,
    kept_checkpoints,
    say_checkpoint,
    say_drawn_as,
)
from studio.domain.persona import Persona, Sample
from studio.texts.texts import Texts
from tests.studio.domain.values import key, make_persona

STEPS = (60, 120, 180, 240)


def trained(*likeness: float, dropped: tuple[int, ...] = ()) -> Persona:
    """A persona whose training kept a checkpoint at each of STEPS but those `dropped`."""
    samples = tuple(
        Sample(
            step=step, pictures=(key(f"sample {step}"),), identity=value,
            lora=None if step in dropped else key("lora" if step == STEPS[-1] else f"lora {step}"),
        )
        for step, value in zip(STEPS, likeness, strict=True)
    )  # fmt: skip
    return make_persona().model_copy(update={"samples": samples})


@pytest.mark.parametrize(
    ("likeness", "dropped", "step", "why"),
    [
        ((0.5, 0.8, 0.7, 0.6), (), 120, "nearest"),
        ((0.5, 0.6, 0.7, 0.8), (), 0, "nearest"),
        ((0.5, 0.8, 0.795, 0.6), (), 180, "as_near"),
        ((0.8, 0.8, 0.8, 0.8), (), 0, "as_near"),
        ((0.5, 0.9, 0.7, 0.6), (120,), 180, "nearest"),  # what was not kept cannot be chosen
        ((0.5, 0.9, 0.7, 0.6), (60, 120, 180), 0, "only"),
    ],
)
def test_the_best_is_the_nearest_that_was_kept(
    likeness: tuple[float, ...], dropped: tuple[int, ...], step: int, why: str
) -> None:
    best = best_checkpoint(trained(*likeness, dropped=dropped))
    assert best is not None
    assert (best.step, best.why) == (step, why)


def test_a_persona_of_before_has_its_end_alone() -> None:
    old = make_persona()
    assert kept_checkpoints(old) == old.samples
    best = best_checkpoint(old)
    assert best is not None
    assert (best.step, best.why) == (0, "only")
    assert best_checkpoint(old.model_copy(update={"samples": ()})) is None
    assert draw_as(old, DrawnAs(scale=0.8)).lora == old.lora
    with pytest.raises(BadInput) as raised:
        draw_as(old, DrawnAs(checkpoint=60))
    assert (raised.value.code, raised.value.fields["known"]) == ("checkpoint_unknown", [1])


def test_drawn_as_a_checkpoint_and_back() -> None:
    persona = trained(0.5, 0.8, 0.7, 0.6, dropped=(60,))
    half = draw_as(persona, DrawnAs(scale=0.8, checkpoint=120))
    assert (half.lora, half.scale, half.checkpoint) == (key("lora 120"), 0.8, 120)
    assert draw_as(half, DrawnAs(checkpoint=180)).lora == key("lora 180")
    assert draw_as(half, DrawnAs()) == persona
    assert draw_as(persona, DrawnAs(checkpoint=240)) == persona  # its end, named by its steps
    with pytest.raises(BadInput):
        draw_as(persona, DrawnAs(checkpoint=60))
    with pytest.raises(ValidationError):
        DrawnAs(scale=2.5)


def test_what_is_as_trained_is_written_as_before() -> None:
    """A request of today for a persona drawn as usual has the id that it had before there was a choice."""
    told = trained(0.5, 0.8, 0.7, 0.6).model_dump(mode="json")
    assert {"scale", "checkpoint"}.isdisjoint(told)
    assert "lora" not in make_persona().samples[0].model_dump(mode="json")
    assert Persona.model_validate_json(trained(0.1, 0.2, 0.3, 0.4).model_dump_json()).samples[0].lora == key("lora 60")


def test_kept_files_are_files_of_the_persona() -> None:
    assert {key("lora 60"), key("lora 120"), key("lora 180")} <= trained(0.5, 0.8, 0.7, 0.6).file_keys()


def test_words() -> None:
    persona, en, zh = trained(0.5, 0.8, 0.7, 0.6), Texts("en"), Texts("zh")
    assert say_checkpoint(en, persona, 120) == "50 % of the training"
    assert say_checkpoint(zh, persona, 0) == say_checkpoint(zh, persona, 240) == "训练全部完成"
    assert say_drawn_as(en, persona) == ""
    assert say_drawn_as(zh, draw_as(persona, DrawnAs(scale=0.8, checkpoint=60))) == "强度 0.8，训练到 25%"
