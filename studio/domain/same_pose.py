"""Pictures of the same pose beside each other: of two sets, or of any number of a persona's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from personas.shots import Shot
from studio.domain.posts import Post

__all__ = ["Pose", "PoseRow", "pose_of", "same_pose"]

Pose = tuple[str, str, str]
"""Framing, side and pose of a shot."""


@dataclass(frozen=True)
class PoseRow:
    """All pictures of one pose, by column."""

    pose: Pose
    columns: tuple[tuple[Post, ...], ...]


def pose_of(shot: Shot) -> Pose:
    """Return what makes two pictures comparable, whatever is worn and held in them."""
    return shot.framing, shot.view, shot.pose


def same_pose(columns: Sequence[Sequence[Post]]) -> tuple[tuple[PoseRow, ...], int]:
    """Return a row for each pose that at least two columns show, in the first one's order, and how many posts have no
    match.
    """
    poses = dict.fromkeys(pose_of(post.shot) for posts in columns for post in posts)
    rows = []
    for pose in poses:
        found = tuple(tuple(post for post in posts if pose_of(post.shot) == pose) for posts in columns)
        if sum(map(bool, found)) > 1:
            rows.append(PoseRow(pose, found))
    matched = sum(len(posts) for row in rows for posts in row.columns)
    return tuple(rows), sum(map(len, columns)) - matched
