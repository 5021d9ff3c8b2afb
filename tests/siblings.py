"""A distilled backbone with the sibling that its LoRAs are trained on, as tiny random folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tests.tiny import write_flux

__all__ = ["SIBLING", "change_settings", "shake", "write_pair"]

SIBLING = "FLUX.1-dev"
_WEIGHTS = Path("transformer/diffusion_pytorch_model.safetensors")


def write_pair(root: Path) -> Path:
    """Return the folder of a backbone whose studio.json names SIBLING, which lies beside it: other weights, shift."""
    drawing = write_flux(root / "quick")
    change_settings(drawing, train_on=SIBLING, true_cfg_scale=1.0)
    sibling = write_flux(root / SIBLING, dynamic_shifting=True)
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
