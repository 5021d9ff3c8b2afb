"""The table of references: every kind's classes are whole, and nothing but its row makes a kind known."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from pipelines.errors import BadInput
from pipelines.families.catalogue import FAMILIES
from pipelines.pictures import check_rgb
from pipelines.references.protocol import Reference
from pipelines.references.table import REFERENCES

KINDS = [(kind, cls) for kind, classes in REFERENCES.items() for cls in classes]


@pytest.mark.parametrize(("kind", "cls"), KINDS, ids=[f"{kind}-{cls.__name__}" for kind, cls in KINDS])
def test_rows_are_whole(kind: str, cls: type[Reference]) -> None:
    assert cls.kind == kind
    assert set(cls.families) <= {family.id for family in FAMILIES}
    assert isinstance(cls.companion, str)
    for method in ("key", "encode", "extend"):
        assert getattr(cls, method) is not getattr(Reference, method), method
    assert list(inspect.signature(cls.extend).parameters) == ["conditions", "references", "encoded"]


def test_pictures_are_checked_in_one_place() -> None:
    check_rgb(np.zeros((2, 3, 3), np.uint8))
    for wrong in (np.zeros((2, 3), np.uint8), np.zeros((2, 0, 3), np.uint8), np.zeros((2, 3, 3), np.float32)):
        with pytest.raises(BadInput, match="picture_not_rgb"):
            check_rgb(wrong)  # type: ignore[arg-type]
