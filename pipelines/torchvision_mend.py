"""Lets torchvision be imported beside a torch build that its wheel was not made for. Import this first.

The torchvision wheel of PyPI registers its C++ operators only where its library loads; beside a CPU build of
torch it may not, and `import torchvision` then fails with "operator torchvision::nms does not exist", and
with it transformers, peft and diffusers. Defining the two schemas that its Python side looks up is enough:
nothing here runs those operators.
"""

from __future__ import annotations

import torch

_SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def mend() -> tuple[str, ...]:
    """Define the missing operators; the names of those that had to be defined. Harmless when called again."""
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        pass
    else:
        return ()
    missing = tuple(name for name in _SCHEMAS if not hasattr(torch.ops.torchvision, name))
    for name in missing:
        torch.library.define(f"torchvision::{name}", _SCHEMAS[name])
    return missing


MENDED = mend()
