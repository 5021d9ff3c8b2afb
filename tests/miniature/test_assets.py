"""What is shipped loads in the ordinary libraries, and its numbers are what its files say."""

from pathlib import Path

import numpy as np
import pytest
import torch

from miniature.faces.calibrate import SEED, calibrate
from miniature.renders import people
from miniature.world import World, render, sample_scenes
from personas.measures.face import read_calibration
from personas.measures.regions import ATTRIBUTES, LABELS, RegionReader
from personas.shots import vary_shots
from pipelines import torchvision_mend  # noqa: F401
from studio.settings import ASSETS


def test_plain_diffusers_loads_and_draws() -> None:
    from diffusers import FluxInpaintPipeline, FluxPipeline, FluxPriorReduxPipeline

    pipeline = FluxPipeline.from_pretrained(ASSETS / "flux", local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    picture = pipeline(
        "close-up portrait of a young woman, facing the camera, smiling, wearing a red dress",
        height=256,
        width=192,
        num_inference_steps=2,
        max_sequence_length=48,
        generator=torch.Generator().manual_seed(0),
        output_type="np",
    ).images[0]
    assert picture.shape == (256, 192, 3)
    assert picture.std() > 0.05
    FluxInpaintPipeline.from_pipe(pipeline)
    redux = FluxPriorReduxPipeline.from_pretrained(ASSETS / "redux", local_files_only=True)
    # Called whole and without text, this pipeline joins zeros of FLUX.1's own width 4096: its parts are asked instead.
    features = redux.encode_image((picture * 255).astype(np.uint8), "cpu", 1)
    tokens = redux.image_embedder(features).image_embeds
    assert tokens.shape[2] == pipeline.transformer.config.joint_attention_dim


@pytest.mark.parametrize("pack", ["faces", "faces_second"])
def test_calibration_is_what_unseen_people_give(pack: str) -> None:
    """Other people than the shipped calibration's: the ceiling must hold for them too."""
    shipped = read_calibration(ASSETS / pack)
    fresh, single = calibrate(ASSETS / pack, count=16, shots_each=6, seed=SEED + 17)
    assert abs(fresh.novelty_ceiling - shipped.novelty_ceiling) < 0.12
    assert fresh.auc > 0.99
    assert single >= 0.97 * 96


def test_the_reader_reads_renders() -> None:
    identity, _ = people(10, 880_001)
    shots = vary_shots(40, 880_001)
    scenes = sample_scenes([s.setting for s in shots], list(range(880_001, 880_041)))
    reader = RegionReader(ASSETS / "reader")
    right = dict.fromkeys(ATTRIBUTES, 0)
    overlap = []
    for i in range(0, 40, 4):
        rows = list(range(i, i + 4))
        drawn = render(World(identity[[r // 4 for r in rows]], tuple(shots[r] for r in rows), scenes.take(rows), i))
        for k, regions in enumerate(reader.read(list(drawn.images.numpy()))):
            for name in ATTRIBUTES:
                right[name] += regions.attributes[name] == getattr(shots[rows[k]], name)
            truth = drawn.labels[k].numpy()
            for part in ("hair", "clothes", "face"):
                a, b = truth == LABELS.index(part), regions.labels == LABELS.index(part)
                overlap.append((a & b).sum() / max(1, (a | b).sum()))
    assert min(right.values()) >= 36, right
    assert float(np.mean(overlap)) > 0.75


def test_files_stay_small() -> None:
    files = [p for p in Path(ASSETS).rglob("*") if p.is_file()]
    assert max(p.stat().st_size for p in files) <= 16 * 2**20
    assert sum(p.stat().st_size for p in files) <= 96 * 2**20
