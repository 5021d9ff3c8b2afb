"""Optimizer of a training: AdamW on the adapter's parameters, its learning rate, and what of it a checkpoint keeps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch

from pipelines.training.checkpoints import Checkpoint

__all__ = ["Optimizer", "learning_rate"]

_SCALER, _SCALER_STATE = "scaler", ("scale", "_growth_tracker")


class Optimizer:
    """AdamW, and, where the model computes in float16, a scale of the loss (arXiv:1710.03740 §3.2).

    Without that scale most of attention's gradients would be zero at a picture's number of tokens: float16 holds
    nothing under 6e-8.
    """

    def __init__(
        self, parameters: Mapping[str, torch.nn.Parameter], weight_decay: float, device: str, dtype: torch.dtype
    ) -> None:
        """`parameters` are float32, by name; `dtype` is what the model computes in on `device`."""
        self._parameters = parameters
        self._adamw = torch.optim.AdamW(parameters.values(), weight_decay=weight_decay, fused=True)
        self._scaler = torch.amp.GradScaler(device, enabled=dtype == torch.float16)

    def step(self, loss: torch.Tensor, learning_rate: float, max_grad_norm: float) -> None:
        """Make one step down the loss's gradient. In float16 one whose gradient was too large only lowers the scale."""
        for group in self._adamw.param_groups:
            group["lr"] = learning_rate
        self._adamw.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._scaler.unscale_(self._adamw)
        torch.nn.utils.clip_grad_norm_(self._parameters.values(), max_grad_norm)
        self._scaler.step(self._adamw)
        self._scaler.update()

    def state(self, losses: Sequence[float]) -> Checkpoint:
        """Return all that a training goes on from, on the CPU."""
        moments = {
            f"{key}.{name}": torch.as_tensor(value).detach().cpu().clone()
            for name, parameter in self._parameters.items()
            for key, value in self._adamw.state[parameter].items()
        }
        if self._scaler.is_enabled():
            moments |= {f"{_SCALER}.{key}": torch.tensor(self._scaler.state_dict()[key]) for key in _SCALER_STATE}
        weights = {name: parameter.detach().cpu().clone() for name, parameter in self._parameters.items()}
        return Checkpoint(weights=weights, optimizer=moments, losses=list(losses))

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from `state`."""
        if self._scaler.is_enabled():
            kept = {key: checkpoint.optimizer[f"{_SCALER}.{key}"].item() for key in _SCALER_STATE}
            self._scaler.load_state_dict(self._scaler.state_dict() | kept)
        for name, parameter in self._parameters.items():
            parameter.data.copy_(checkpoint.weights[name])
            self._adamw.state[parameter] = {
                key: checkpoint.optimizer[f"{key}.{name}"].to(parameter.device)
                for key in ("step", "exp_avg", "exp_avg_sq")
            }


def learning_rate(highest: float, final_share: float, warmup_steps: int, step: int, steps: int) -> float:
    """Return the rate of a step (from 0): it warms up linearly and falls by a cosine to a share of the highest."""
    warm = min(1.0, (step + 1) / (warmup_steps + 1))
    return highest * warm * (final_share + (1 - final_share) * 0.5 * (1 + math.cos(math.pi * step / steps)))
