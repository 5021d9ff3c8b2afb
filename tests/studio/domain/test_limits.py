"""A request's limits, read from its class."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.errors import BadInput
from pipelines.sampling.request import LEAST_STRENGTH
from studio.domain.design import DesignRequest
from studio.domain.limits import Limits, limits_of
from studio.domain.persona import SwapRequest
from studio.domain.posts import PostRequest
from studio.domain.takes import FixRequest


@pytest.mark.parametrize(
    ("field", "limits"),
    [
        ("scale", Limits(1.0, 0, 2)), ("seed", Limits(1, 0, 2**32 - 1)), ("blocks", Limits("", longest=300)),
        ("panels", Limits(1, choices=(1, 2, 3, 4, 6, 9))), ("keep", Limits("inpaint", choices=("inpaint", "fill"))),
    ],
)  # fmt: skip
def test_a_fields_limits_are_its_classs(field: str, limits: Limits) -> None:
    assert limits_of(PostRequest, field) == limits


@pytest.mark.parametrize("field", ["seed", "donors", "candidates", "recipes"])
def test_what_is_beyond_a_limit_is_refused(field: str) -> None:
    limits = limits_of(DesignRequest, field)
    assert limits.least is not None
    assert limits.most is not None
    inside: dict[str, Any] = {field: int(limits.most)}
    assert DesignRequest.make(category="sweet", **inside)
    for value in (int(limits.least) - 1, int(limits.most) + 1):
        with pytest.raises(BadInput):
            DesignRequest.make(category="sweet", **{field: value})


@pytest.mark.parametrize("kind", [FixRequest, SwapRequest])
def test_the_least_strength_is_the_least_that_can_be_drawn_with(kind: type[FixRequest] | type[SwapRequest]) -> None:
    assert limits_of(kind, "strength").least == LEAST_STRENGTH
