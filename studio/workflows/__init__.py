"""Durable ways through the house: the only place that ties personas, pipelines, records and store together.

A workflow is a plain function of the studio, a request, a step runner and a progress. Every expensive thing is a step
whose result is small JSON (keys of the store), so that a killed run goes on behind the last finished step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Run", "run_directly"]


class Run(Protocol):
    """Runs a step once and remembers its JSON result; the engine's does so across crashes."""

    def __call__(self, name: str, step: Callable[[], Any]) -> Any: ...


def run_directly(name: str, step: Callable[[], Any]) -> Any:
    """Just runs it; for tests and one-off scripts."""
    return step()
