"""A finisher gives the same pixels every time, in pieces as at once, and says what it cannot do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.errors import BadInput, NotEnoughMemory
from pipelines.finishing.finisher import Finisher
from pipelines.finishing.network import FinishingNet, NetShape, enlarge_smoothly

SMALL = NetShape((16, 16, 16), (1, 1, 1))


def noise(height: int, width: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def random_net(scale: int = 4) -> FinishingNet:
    """A network that changes a lot."""
    torch.manual_seed(3)
    net = FinishingNet(NetShape((16, 16, 16), (1, 1, 1), scale))
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.05)
    return net.eval()


def finisher(net: Any, scale: int = 4, **more: Any) -> Finisher:
    return Finisher("net", "0" * 64, scale, net, **more)


@pytest.mark.parametrize(("height", "width"), [(64, 48), (67, 49), (5, 9)])
def test_any_size_is_enlarged(height: int, width: int) -> None:
    with torch.no_grad():
        y = FinishingNet(SMALL)(torch.rand(2, 3, height, width))
    assert y.shape == (2, 3, 4 * height, 4 * width)


def test_what_nobody_taught_makes_edges_narrow_and_invents_nothing() -> None:
    """A blurred edge between two colours, sideways and down; a slope is no edge and stays."""
    ramp = (torch.arange(32).float() - 15.5).mul(0.7).sigmoid()
    slope = torch.linspace(0.2, 0.6, 32)
    for x in (ramp.expand(3, 32, 32), ramp[:, None].expand(3, 32, 32)):
        x = x[None]
        with torch.no_grad():
            sharp, smooth = FinishingNet(SMALL)(x), enlarge_smoothly(x, 4)
        steps = [float((y.diff(dim=d).abs()).max()) for y in (sharp, smooth) for d in (2, 3)]
        assert max(steps[:2]) > 1.4 * max(steps[2:])
        assert smooth.min() <= sharp.min() <= sharp.max() <= smooth.max()
        assert abs(float(sharp.mean() - smooth.mean())) < 0.005
    flat = slope.expand(1, 3, 32, 32)
    with torch.no_grad():
        assert (FinishingNet(SMALL)(flat) - enlarge_smoothly(flat, 4)).abs()[..., 16:-16].max() < 0.01


def test_pieces_are_what_the_whole_is() -> None:
    """A picture larger than a piece: where pieces meet, nothing shows."""
    picture, net = noise(96, 112), random_net()
    whole = finisher(net).finish(picture, 384, 448).astype(int)
    pieces = finisher(net, tiles_px=(32,)).finish(picture, 384, 448).astype(int)
    assert np.abs(whole - pieces).max() <= 1
    assert np.abs(whole - finisher(FinishingNet(SMALL)).finish(picture, 384, 448)).max() > 20  # it does something


def test_the_same_again_and_on_other_threads() -> None:
    picture, one, before = noise(64, 48), finisher(random_net()), torch.get_num_threads()
    first = one.finish(picture, 360, 270)
    assert first.shape == (360, 270, 3)
    try:
        torch.set_num_threads(2)
        assert np.array_equal(one.finish(picture, 360, 270), first)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("size", [(0, 1080), (1440, 0), (20_000, 1080), (63, 64), (1440, 8193)])
def test_a_size_that_is_none_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(BadInput, match="finishing_size"):
        finisher(random_net()).finish(noise(64, 48), *size)


def test_smaller_pieces_where_memory_is_short() -> None:
    sides = list[int]()

    def short(x: Tensor) -> Tensor:
        sides.append(x.shape[2])
        if x.shape[2] > 130:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 123 bytes.")
        return F.interpolate(x, scale_factor=2, mode="nearest")

    picture = noise(300, 280)
    large = finisher(short, 2, tiles_px=(512, 128, 64)).finish(picture, 600, 560)
    assert sides[0] == 300  # at once first
    assert max(sides[2:]) <= 130
    assert np.array_equal(large[::2, ::2], picture)


def test_no_memory_at_all_is_said() -> None:
    def none(x: Tensor) -> Tensor:
        raise MemoryError

    with pytest.raises(NotEnoughMemory, match="finishing_no_memory") as raised:
        finisher(none).finish(noise(64, 64), 256, 256)
    assert dict(raised.value.fields) == {"height": 256, "width": 256}


def test_a_fault_is_no_lack_of_memory() -> None:
    def broken(x: Tensor) -> Tensor:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        finisher(broken).finish(noise(64, 64), 256, 256)
    with pytest.raises(BadInput, match="upscaler_not_finite"):
        finisher(lambda x: F.interpolate(x, scale_factor=4) * torch.nan).finish(noise(64, 64), 256, 256)
