"""Tiny FLUX.2 folders that the tests of the family share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipelines.backbones import Backbone, load_backbone, resolve_backbone
from tests.tiny_flux2 import write_klein


@pytest.fixture(scope="session")
def klein(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A distilled one."""
    return write_klein(tmp_path_factory.mktemp("klein") / "some-klein", distilled=True)


@pytest.fixture(scope="session")
def klein_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_klein(tmp_path_factory.mktemp("klein-base") / "some-base")


@pytest.fixture(scope="session")
def backbone(klein_base: Path) -> Backbone:
    """The base model in float32; whoever changes its weights must put them back."""
    return load_backbone(resolve_backbone(klein_base), "cpu", torch.float32)
