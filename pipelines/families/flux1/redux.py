"""FLUX.1-Redux, which reads a picture into tokens like T5's."""

from __future__ import annotations

from pathlib import Path

import torch

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import FluxPriorReduxPipeline

from pipelines.errors import ModelMissing
from pipelines.families.folders import reading

__all__ = ["load_redux"]


def load_redux(folder: Path | None, backbone: str, device: torch.device, dtype: torch.dtype) -> FluxPriorReduxPipeline:
    """Load the image encoder and its embedder; raises ModelMissing where the backbone (by its id) has none."""
    if folder is None:
        raise ModelMissing("redux_missing", backbone=backbone)
    if not folder.is_dir():
        raise ModelMissing("redux_folder_missing", folder=str(folder))
    with reading(str(folder)):
        pipeline = FluxPriorReduxPipeline.from_pretrained(folder, dtype=dtype, local_files_only=True)
    return pipeline.to(device)
