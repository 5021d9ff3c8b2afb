"""Whether a LoRA file is for FLUX.1."""

from __future__ import annotations

from pipelines.families.flux_lora_fit import judge_flux_lora
from pipelines.families.protocol import Shapes, Verdict

__all__ = ["judge_lora"]


def judge_lora(shapes: Shapes, width: int = 0) -> Verdict:
    """Judge by names and shapes alone; `width` 0 accepts any hidden width."""
    return judge_flux_lora("flux1", shapes, width)
