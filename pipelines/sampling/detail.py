"""Detail: a shifted sigma for the model alone, so that the last steps find more to refine.

The idea of Detail-Daemon (github.com/muerrilla/sd-webui-detail-daemon) for flow matching: at progress p in [0, 1] of
the schedule the model is told

    σ' = σ · k,  k = max(1e-6, 1 - 0.1 · detail · m(p) · cfg),  m(p) = ½ (1 - cos 2πq),  q = (p - 0.2) / 0.6 in [0, 1]

(m is 0 outside), and its velocity is used as v_eff = k · v(x, σ'): it believes that less noise is left and removes
less. The loop's own σ stays. `cfg` is 1 without classifier-free guidance.
"""

from __future__ import annotations

import math

from torch import Tensor

from pipelines.errors import BadInput
from pipelines.families.model import Conditioning
from pipelines.sampling.loop import Extension, Step, Velocity

__all__ = ["Detail", "check_detail", "detail_factor"]

_START, _END = 0.2, 0.8
_MOST = 2.0


class Detail(Extension):
    """`detail` in (0, 2] (0.1 to 1 is usual), from step `begin` of `steps`."""

    def __init__(self, detail: float, cfg_scale: float, begin: int, steps: int) -> None:
        self._detail, self._cfg, self._step, self._steps = detail, max(cfg_scale, 1.0), begin, steps

    def wrap(self, velocity: Velocity) -> Velocity:
        def shifted(state: Tensor, sigma: Tensor, conditioning: Conditioning) -> Tensor:
            factor = detail_factor(self._step / max(self._steps - 1, 1), self._detail, self._cfg)
            return velocity(state, sigma * factor, conditioning) * factor

        return shifted

    def after_step(self, state: Tensor, step: Step) -> Tensor:
        self._step = step.number + 1
        return state


def detail_factor(progress: float, detail: float, cfg: float = 1.0) -> float:
    """Return k of the formula above, in (0, 1], at `progress` in [0, 1] of the schedule."""
    q = (progress - _START) / (_END - _START)
    bump = 0.5 * (1 - math.cos(2 * math.pi * q)) if 0 < q < 1 else 0.0
    return max(1e-6, 1 - 0.1 * detail * bump * cfg)


def check_detail(detail: float) -> None:
    """Raise BadInput for what is not in [0, 2]."""
    if not 0 <= detail <= _MOST:  # false for NaN too
        raise BadInput("detail_out_of_range", value=detail, most=_MOST)
