"""Rows about starting: a process of its own from nothing to the first picture, and its imports alone.

The peer is diffusers' `FluxPipeline.from_pretrained` of the same folder and the same prompt, seed, size and steps.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.speed_timing import SpeedRow, interleave, row_of
from studio.settings import ASSETS

__all__ = ["cold_start"]

_ROOT = Path(__file__).resolve().parents[1]
_STEPS = 8
_OURS = f"""
from pipelines.backbones import load_backbone, resolve_backbone
from pipelines.sampling.draw import draw
from pipelines.sampling.request import request_from
import torch
backbone = load_backbone(resolve_backbone("miniature"), torch.device("cpu"))
request = request_from(backbone.spec, "photo of a woman", 1, num_inference_steps={_STEPS})
next(iter(draw(backbone, [request])))
"""
_PEER = f"""
import torch
from pipelines import torchvision_mend
from diffusers import FluxPipeline
from pipelines.backbones import fast_dtype
kind = fast_dtype(torch.device("cpu"))
pipe = FluxPipeline.from_pretrained({str(ASSETS / "flux")!r}, torch_dtype=kind)
pipe("photo of a woman", height=256, width=192, num_inference_steps={_STEPS}, true_cfg_scale=4.0, negative_prompt="",
     max_sequence_length=48, generator=torch.Generator().manual_seed(1))
"""
_IMPORTS = "import pipelines.sampling.draw, pipelines.backbones, pipelines.families.flux1.model"


def cold_start(repeats: int) -> list[SpeedRow]:
    """To the first picture of the miniature."""
    seconds = interleave(repeats, lambda: _run(_OURS), lambda: _run(_PEER), lambda: _run(_IMPORTS))
    imports = sorted(seconds[2])[len(seconds[2]) // 2]
    note = f"8 s are wanted; {imports:.1f} s of it are imports, where 3 are wanted"
    return [row_of("cold_start", seconds[0], seconds[1], 1.0, agrees=True, note=note)]


def _run(code: str) -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=_ROOT, check=True, capture_output=True)
