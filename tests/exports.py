"""A post set exported as its owner asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.application import Studio
from studio.domain.bundle import ExportRequest
from studio.domain.posts import PostSet
from studio.export.manifest import Manifest
from studio.workflows.bundling import export_bundle

__all__ = ["export_set"]


def export_set(studio: Studio, post_set: PostSet, path: Path, **fields: Any) -> Manifest:
    """Write the zip for Xiaohongshu, or another `platform`, and return its manifest."""
    if fields.get("platform") == "archive":
        fields["unlabelled"] = True  # as whoever exports originals says
    manifest = export_bundle(studio, ExportRequest.make(post_set=post_set, **fields), path)
    assert manifest is not None
    return manifest
