"""How a model would be loaded, in a person's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from studio.texts.texts import Texts

__all__ = ["Plan", "say_plan"]


class Plan(Protocol):
    """Where and in which precision; sizes in bytes."""

    @property
    def precision(self) -> str: ...
    @property
    def offload(self) -> str: ...
    @property
    def device_bytes(self) -> float: ...
    @property
    def ram_bytes(self) -> float: ...


def say_plan(t: Texts, plan: Plan, device: str) -> str:
    """Return precision, place and size, in gigabytes; on a processor there is only the memory."""
    if device == "cpu":
        return t("plan.said_cpu", precision=plan.precision, ram=f"{plan.ram_bytes / 1e9:.1f}")
    sizes = {"device": f"{plan.device_bytes / 1e9:.1f}", "ram": f"{plan.ram_bytes / 1e9:.1f}"}
    return t("plan.said", precision=plan.precision, place=t(f"plan.{plan.offload}"), **sizes)
