"""The kinds of reference: one row each."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.references.fill import FillReference
from pipelines.references.ip_adapter import IpAdapterReference
from pipelines.references.kontext import ContextReference
from pipelines.references.landmark import Landmark
from pipelines.references.protocol import Reference
from pipelines.references.redux import ReduxReference, ReduxReferences

__all__ = ["REFERENCES"]

REFERENCES: Mapping[str, tuple[type[Reference], ...]] = {
    "redux": (ReduxReference, ReduxReferences),
    "ip_adapter": (IpAdapterReference,),
    "kontext": (ContextReference,),
    "landmark": (Landmark,),
    "fill": (FillReference,),
}
"""A kind's name to its classes."""
