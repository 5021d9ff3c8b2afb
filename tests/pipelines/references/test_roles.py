"""Roles of reference pictures: their names in a prompt and the size in which they are read."""

from __future__ import annotations

import pytest

from pipelines.references.roles import Role, name_references, reference_size


@pytest.mark.parametrize(
    ("roles", "said"),
    [
        ((), "a woman"),
        (("scene",), "a woman. The person is in the place from image 1"),
        (("person",), "a woman. The person from image 1 is shown"),
        (("goods",), "a woman. The person is shown with a red tin from image 1"),
        (("person", "goods"), "a woman. The person from image 1 is shown with a red tin from image 2"),
        (
            ("scene", "person", "goods"),
            "a woman. The person from image 2 is in the place from image 1 with a red tin from image 3",
        ),
        (
            ("scene", "scene", "person"),
            "a woman. The person from image 3 is in the place from image 1 and image 2",
        ),
    ],
)
def test_every_picture_is_named_by_its_number(roles: tuple[Role, ...], said: str) -> None:
    assert name_references("a woman", roles, "a red tin") == said


@pytest.mark.parametrize("prompt", ["a woman.", "Is it a woman?", "a woman. ", "一位女士。"])
def test_a_sentence_that_has_ended_gets_no_second_full_stop(prompt: str) -> None:
    assert name_references(prompt, ("scene",)) == f"{prompt} The person is in the place from image 1"


@pytest.mark.parametrize(
    ("height", "width", "side_px", "unit", "read"),
    [
        (1024, 768, 512, 16, (576, 432)),  # a third of its tokens, and its aspect to the unit
        (768, 1024, 512, 16, (432, 576)),
        (512, 512, 512, 16, (512, 512)),
        (128, 96, 512, 16, (128, 96)),  # nothing is enlarged
        (1024, 768, 0, 16, (1024, 768)),
        (100, 70, 512, 32, (96, 64)),
        (20, 4000, 512, 32, (32, 4000 // 32 * 32)),  # long and thin: its area is small enough
        (10, 10, 512, 32, (32, 32)),
    ],
)
def test_the_size_costs_few_tokens(height: int, width: int, side_px: int, unit: int, read: tuple[int, int]) -> None:
    assert reference_size(height, width, side_px, unit) == read


def test_a_size_never_has_more_pixels_than_it_may() -> None:
    for height in range(64, 2000, 97):
        for width in range(64, 2000, 89):
            tall, wide = reference_size(height, width, 512, 16)
            assert tall * wide <= 512**2
            assert (tall % 16, wide % 16) == (0, 0)
            assert abs(tall / wide / (height / width) - 1) < 16 / min(tall, wide) + 0.01
