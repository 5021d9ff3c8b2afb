"""Keeps third parties' loading bars and deprecation warnings from people who can do nothing about them."""

from __future__ import annotations

import os
import warnings

__all__ = ["quiet_third_parties"]

_PACKAGES = (
    "accelerate|dbos|diffusers|facexlib|huggingface_hub|insightface|numba|onnx2torch|onnxruntime|peft|skimage|torch"
    "|torchvision|transformers"
)


def quiet_third_parties() -> None:
    """Turn tqdm's bars off, in this process and those that it starts, and hide warnings raised in those packages.

    tqdm reads the environment when it is imported: call this first of all in a program. Somebody who wants the bars
    sets TQDM_DISABLE to nothing.
    """
    os.environ.setdefault("TQDM_DISABLE", "1")
    for category in (DeprecationWarning, FutureWarning):
        warnings.filterwarnings("ignore", category=category, module=rf"({_PACKAGES})(\.|$)")
