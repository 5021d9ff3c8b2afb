"""The whole way on a FLUX of another shape: nothing may depend on the miniature."""

from pathlib import Path

import numpy as np
import pytest

from miniature.samples import save_scene
from pipelines.backbones import Backbone, load_backbone, resolve_backbone
from pipelines.errors import BadLora
from pipelines.lora import Lora, check_fits, read_lora
from pipelines.sampling.draw import draw
from pipelines.sampling.request import request_from
from studio.application import Studio
from studio.export.bundle import verify_bundle
from studio.jobs.engine import Engine
from studio.jobs.main_job import MainJobRequest, run_main_job
from studio.settings import ASSETS, Settings
from tests.grown import grow_donors, grow_flux

pytestmark = pytest.mark.journey
WIDTH = 256  # of the miniature


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return grow_flux(ASSETS / "flux", tmp_path_factory.mktemp("grown") / "flux-grown")


@pytest.fixture(scope="module")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(Settings(data=tmp_path_factory.mktemp("miniature")))


@pytest.fixture(scope="module")
def donors(miniature: Studio, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return grow_donors(miniature.donors("sweet"), tmp_path_factory.mktemp("donors"), WIDTH)


@pytest.fixture(scope="module")
def backbone(grown: Path) -> Backbone:
    return load_backbone(resolve_backbone(grown))


def test_it_has_another_shape(backbone: Backbone) -> None:
    config = backbone.transformer.config
    assert (config.num_attention_heads, config.num_layers, config.num_single_layers) == (8, 3, 7)
    assert config.guidance_embeds


def test_it_draws_what_the_miniature_draws(backbone: Backbone, donors: Path, miniature: Studio) -> None:
    small = miniature.donors("sweet")[0]
    large = next(donors.glob(f"sweet/{small.name}/lora.safetensors"))
    pictures = []
    for where, lora in ((miniature.backbone, small.lora_path), (backbone, large)):
        prompt = f"close-up portrait of {small.trigger} a young woman"
        request = request_from(where.spec, prompt, 3, loras=(Lora(read_lora(lora).layers),))
        pictures.append(next(draw(where, [request]))[1].astype(int))
    assert np.abs(pictures[0] - pictures[1]).mean() < 3  # bf16 rounds differently in other widths


def test_a_donor_of_the_miniature_is_refused(backbone: Backbone, miniature: Studio) -> None:
    donor = miniature.donors("sweet")[0]
    with pytest.raises(BadLora):
        check_fits(read_lora(donor.lora_path).layers, backbone.model)


def test_the_main_job_runs_on_it(grown: Path, donors: Path, tmp_path: Path) -> None:
    photo, mask = save_scene(tmp_path, "park", 7_100_002)
    settings = Settings(data=tmp_path / "data", backbone=str(grown), bundled_donors=donors)
    with Engine(Studio(settings)) as engine:
        request = MainJobRequest("sweet", 4, photo, mask, tmp_path / "a.zip", posts=2, candidates=10, steps=6, rounds=1)
        job = run_main_job(engine, request)
        assert engine.studio.backbone.transformer.inner_dim == 2 * WIDTH
    assert verify_bundle(job.bundle) == ()
    assert job.manifest.draw.backbone == "flux-grown"
    assert all(p.scores["identity"] is not None for p in job.manifest.posts)
