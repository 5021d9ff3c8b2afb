"""The little world: illustrated people in illustrated places, drawn with full ground truth."""

from miniature.world.canvas import Wear
from miniature.world.faults import Faults
from miniature.world.figure import KEYPOINT_COUNT
from miniature.world.identity import IDENTITY_DIM, look_identities, sample_identities
from miniature.world.render import Rendered, Window, World, render
from miniature.world.scenes import SceneBatch, sample_scenes

__all__ = [
    "IDENTITY_DIM",
    "Faults",
    "KEYPOINT_COUNT",
    "Rendered",
    "SceneBatch",
    "Wear",
    "Window",
    "World",
    "look_identities",
    "render",
    "sample_identities",
    "sample_scenes",
]
