"""The true-size check of FLUX.2 and Z-Image at a tiny size: the folder is written, loaded, and every phase is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.full_size_families import Makers, write_folder
from benchmarks.full_size_phases import SMALL, Meter
from benchmarks.full_size_ways import run_folder
from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import AutoencoderKL, ZImageTransformer2DModel

from tests.tiny_flux2 import tiny_transformer, tiny_vae
from tests.tiny_qwen3 import qwen3_encoder, qwen3_tokenizer

WORK = replace(SMALL, canvas_px=64, candidates=1, posts=2, training_px=(64,), training_steps=2)


def _z_image_transformer() -> ZImageTransformer2DModel:
    return ZImageTransformer2DModel(
        in_channels=4, dim=32, n_layers=2, n_refiner_layers=1, n_heads=2, n_kv_heads=2, cap_feat_dim=16,
        axes_dims=[8, 4, 4], axes_lens=[512, 32, 32],
    )  # fmt: skip


def _vae() -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8), layers_per_block=1, latent_channels=4, norm_num_groups=4,
        mid_block_add_attention=False, use_quant_conv=False, use_post_quant_conv=False, sample_size=64,
        scaling_factor=0.3611, shift_factor=0.1159, force_upcast=False,
    )  # fmt: skip


TINY: Mapping[str, Makers] = {
    "FLUX.2-klein-base-4B": {
        "transformer": tiny_transformer,
        "text_encoder": lambda: qwen3_encoder(qwen3_tokenizer()),
        "vae": tiny_vae,
    },
    "Z-Image": {
        "transformer": _z_image_transformer,
        "text_encoder": lambda: qwen3_encoder(qwen3_tokenizer(), layers=2, causal=False),
        "vae": _vae,
    },
}


@pytest.mark.parametrize("model", TINY)
def test_every_phase_is_measured(model: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / model, TINY[model], torch.device("cpu"), {"max_sequence_length": 96})
    rows = run_folder(folder, WORK, Meter(torch.device("cpu")), torch.float32)
    phases = [row.phase for row in rows]
    assert phases[0] == "load"
    assert "persona training at 64²" in phases
    assert ("2 posts, scene, person and goods as references" in phases) == (model != "Z-Image")
    assert "2 posts, landmark" in phases
    assert phases[-1].startswith("save the LoRA")
    assert all(row.seconds > 0 and row.peak_gb > 0.01 for row in rows)
