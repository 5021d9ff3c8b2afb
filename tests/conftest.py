"""Fixtures that several test modules share."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing may be fetched, not even by accident
os.environ["LC_ALL"] = "C.UTF-8"  # programs speak the terminal's language

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pipelines.backbones import Backbone, load_backbone, resolve_backbone
from tests.postgres import Postgres, start_postgres
from tests.s3 import SERVERS, S3Server, start_s3
from tests.tiny import write_companion, write_flux, write_redux


@pytest.fixture(scope="session")
def tiny_flux(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A FLUX folder like the miniature's, tiny and random, with a Redux folder beside it."""
    root = tmp_path_factory.mktemp("tiny")
    write_redux(root / "redux")
    return write_flux(root / "flux")


@pytest.fixture(scope="session")
def tiny_flux_dev(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with what FLUX.1-dev has more: a guidance input and dynamic shifting."""
    return write_flux(tmp_path_factory.mktemp("tiny-dev") / "flux-dev", guidance_embeds=True, dynamic_shifting=True)


@pytest.fixture(scope="session")
def tiny_backbone(tiny_flux: Path) -> Backbone:
    """Loaded on the CPU; whoever changes its weights must put them back."""
    return load_backbone(resolve_backbone(tiny_flux), "cpu")


@pytest.fixture(scope="session")
def tiny_backbone_float32(tiny_flux: Path) -> Backbone:
    """In float32 on every machine: for comparisons with other computations."""
    return load_backbone(resolve_backbone(tiny_flux), "cpu", torch.float32)


@pytest.fixture(scope="session")
def tiny_family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A FLUX folder with Redux, Fill and Kontext beside it."""
    root = tmp_path_factory.mktemp("tiny-family")
    write_redux(root / "redux")
    write_companion(root / "fill", "fill")
    write_companion(root / "FLUX.1-Kontext-dev", "kontext")
    return write_flux(root / "flux")


@pytest.fixture(scope="session")
def tiny_family_backbone(tiny_family: Path) -> Backbone:
    """In float32 on every machine: for comparisons with other computations."""
    return load_backbone(resolve_backbone(tiny_family), "cpu", torch.float32)


@pytest.fixture(scope="session")
def tiny_dev_backbone(tiny_flux_dev: Path) -> Backbone:
    return load_backbone(resolve_backbone(tiny_flux_dev), "cpu")


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A server of the module's own; skips where PostgreSQL is not installed."""
    with start_postgres() as started:
        yield started


@pytest.fixture(scope="module", params=SERVERS)
def s3_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server of each kind; skips where it is not installed."""
    with start_s3(request.param, tmp_path_factory.mktemp("s3")) as started:
        yield started


@pytest.fixture
def s3_url(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new bucket's, with all in the environment that it is reached by."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server.new_bucket()
