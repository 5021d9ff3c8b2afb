"""The numbers that the miniature is judged by."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.bench import Bench
from benchmarks.miniature_score import TARGETS, recogniser, vae
from benchmarks.statistics import bootstrap, mean_score
from studio.application import Studio
from studio.settings import Settings


def test_the_interval_holds_the_mean_and_narrows_with_more_rows() -> None:
    rng = np.random.default_rng(1)
    few, many = (mean_score(rng.normal(3.0, 1.0, n)) for n in (20, 2000))
    assert few.low < few.value < few.high
    assert many.high - many.low < 0.3 * (few.high - few.low)
    assert many.low < 3.0 < many.high
    assert (few.n, many.n) == (20, 2000)


def test_a_worst_of_several_is_resampled_as_a_whole() -> None:
    hits = np.stack([np.ones(50), np.r_[np.ones(45), np.zeros(5)]])
    worst = bootstrap(50, lambda rows: float(hits[:, rows].mean(axis=1).min()))
    assert worst.value == pytest.approx(0.9)
    assert worst.low < 0.9 < worst.high <= 1


@pytest.mark.journey
def test_eyes_and_vae_of_the_shipped_miniature(tmp_path: Path) -> None:
    bench = Bench(Studio(Settings(data=tmp_path / "data")), tmp_path, scale=0.1)
    scores = vae(bench) | recogniser(bench)
    assert scores["vae_psnr"].value > 26
    assert scores["vae_identity"].value > 0.6
    assert scores["face_auc"].value > 0.97
    assert scores["face_tar"].low <= scores["face_tar"].value <= 1
    assert scores.keys() <= TARGETS.keys()
    assert (tmp_path / "vae.png").is_file()
