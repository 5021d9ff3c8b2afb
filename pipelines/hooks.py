"""Hooks around a module's forward pass that are gone again when the work is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

__all__ = ["hooked"]


@contextmanager
def hooked(module: nn.Module, before: Callable[..., Any], after: Callable[..., Any] | None = None) -> Iterator[None]:
    """While open, every pass calls `before(module, args, kwargs)` and `after(module, args, kwargs, output)`.

    What they return takes the place of the pass's arguments and of its output, as torch's own hooks' does.
    """
    handles = [module.register_forward_pre_hook(before, with_kwargs=True)]
    if after is not None:
        handles.append(module.register_forward_hook(after, with_kwargs=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
