"""A distilled backbone with the sibling that its LoRAs are trained on, as tiny random folders of each family."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tests.tiny import write_flux
from tests.tiny_flux2 import write_klein
from tests.tiny_z_image import write_z_image

__all__ = ["PAIRS", "SIBLING", "change_settings", "shake", "write_pair"]

SIBLING = "FLUX.1-dev"
_WEIGHTS = Path("transformer/diffusion_pytorch_model.safetensors")


def write_pair(root: Path) -> Path:
    """Return the folder of a backbone whose studio.json names SIBLING, which lies beside it: other weights, shift."""
    drawing = write_flux(root / "quick")
    change_settings(drawing, train_on=SIBLING, true_cfg_scale=1.0)
    return _beside(drawing, write_flux(root / SIBLING, dynamic_shifting=True))


def _write_z_image_pair(root: Path) -> Path:
    """The scheduler's shift says which is the distilled one."""
    drawing = write_z_image(root / "quick", shift=3.0, settings={"true_cfg_scale": 1.0})
    return _beside(drawing, write_z_image(root / "Z-Image"))


def _write_klein_pair(root: Path) -> Path:
    """The folder's own `is_distilled` says which it is."""
    drawing = write_klein(root / "quick", distilled=True)
    return _beside(drawing, write_klein(root / "FLUX.2-klein-base-4B"))


PAIRS: Mapping[str, Callable[[Path], Path]] = {
    "flux1": write_pair,
    "flux2": _write_klein_pair,
    "z-image": _write_z_image_pair,
}
"""A family's id to what writes its pair: the folder that draws, and beside it the sibling under its published name."""


def _beside(drawing: Path, sibling: Path) -> Path:
    (sibling / "studio.json").unlink()
    shake(sibling)
    return drawing


def change_settings(folder: Path, **settings: Any) -> None:
    """Change what the folder's studio.json says."""
    path = folder / "studio.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def shake(folder: Path, seed: int = 9) -> None:
    """Change the transformer's weights a little."""
    tensors, generator = load_file(folder / _WEIGHTS), torch.Generator().manual_seed(seed)
    changed = {name: t + 0.05 * torch.randn(t.shape, generator=generator) for name, t in sorted(tensors.items())}
    save_file(changed, folder / _WEIGHTS, {"format": "pt"})
