"""What every recipe of the miniature shares: device, autocast, optimizers, an average of the weights, checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipelines.backbones import fast_dtype

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast() -> torch.autocast:
    """Return bfloat16 autocast where the device computes in it natively; elsewhere one that changes nothing.

    float16, which the product draws with on older GPUs, would need a loss scaler.
    """
    return torch.autocast(DEVICE.type, dtype=torch.bfloat16, enabled=fast_dtype(DEVICE) == torch.bfloat16)


class Both:
    """Muon for the hidden matrices (convolutions flattened to [out, in·k·k]), AdamW for the rest, behind one face.

    AdamW alone where the device does not compute in bfloat16: Muon's iteration always does, and takes 19 s a step there
    for the base, which goes forwards and back in 2.5.
    """

    def __init__(self, module: nn.Module, is_hidden: Callable[[str, nn.Parameter], bool], rate: float) -> None:
        named, fast = list(module.named_parameters()), fast_dtype(DEVICE) == torch.bfloat16
        self.hidden = [p for n, p in named if fast and is_hidden(n, p)]
        others = [p for n, p in named if not (fast and is_hidden(n, p))]
        # The flat parameters share memory with the real ones, so that a step on them is a step on the module.
        self.flat = [nn.Parameter(p.data.view(len(p), -1)) for p in self.hidden]
        self.muon = None if not self.flat else torch.optim.Muon(
            self.flat, lr=rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw", ns_steps=4
        )  # fmt: skip
        self.adamw = torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.98), weight_decay=1e-3)

    def rate(self, value: float) -> None:
        for group in (*(self.muon.param_groups if self.muon else ()), *self.adamw.param_groups):
            group["lr"] = value

    def zero_grad(self) -> None:
        self.adamw.zero_grad()
        for p in self.hidden:
            p.grad = None

    def step(self) -> None:
        for flat, p in zip(self.flat, self.hidden, strict=True):
            flat.grad = None if p.grad is None else p.grad.reshape(len(p), -1)
        if self.muon:
            self.muon.step()
        self.adamw.step()

    def state_dict(self) -> dict[str, Any]:
        return {"muon": self.muon.state_dict() if self.muon else None, "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Start anew where the state is of a device of the other kind."""
        if (self.muon is None) != (state["muon"] is None):
            return
        if self.muon:
            self.muon.load_state_dict(state["muon"])
        self.adamw.load_state_dict(state["adamw"])


class Average:
    """An exponential moving average of a module's state; the decay warms up, so that early weights are forgotten."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay, self.count = decay, 0
        self.state = {k: v.detach().clone() for k, v in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        self.count += 1
        keep = min(self.decay, (1 + self.count) / (10 + self.count))
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                self.state[name].lerp_(value, 1 - keep)
            else:
                self.state[name].copy_(value)


def save_checkpoint(
    path: Path, module: nn.Module, average: Average, optimizer: Both, step: int, spent: float,
    log: list[dict[str, float]],
) -> None:  # fmt: skip
    """Write aside, then rename: a killed run never leaves half a checkpoint."""
    part = path.with_suffix(".part")
    state = {"module": module.state_dict(), "average": average.state, "count": average.count,
             "optimizer": optimizer.state_dict(), "step": step, "spent": spent, "log": log}  # fmt: skip
    torch.save(state, part)
    part.replace(path)


def load_checkpoint(
    path: Path, module: nn.Module, average: Average, optimizer: Both
) -> tuple[int, float, list[dict[str, float]]]:
    """Steps done, seconds spent and the log so far; zeros where there is no checkpoint."""
    if not path.exists():
        return 0, 0.0, []
    state: dict[str, Any] = torch.load(path, weights_only=True, map_location=DEVICE)
    module.load_state_dict(state["module"])
    average.state, average.count = state["average"], state["count"]
    if "optimizer" in state:
        optimizer.load_state_dict(state["optimizer"])
    return state["step"], state["spent"], state["log"]
