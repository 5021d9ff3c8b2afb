"""LoRAs that differ within a batch: each picture is what it would be alone, and nothing stays behind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipelines.backbones import Backbone
from pipelines.errors import BadLora
from pipelines.lora import Lora
from pipelines.lora.mixed import MixedLoras
from pipelines.sampling.draw import draw
from pipelines.sampling.request import DrawRequest, plan_batches, request_from
from tests.loras import make_layers


def _donors(backbone: Backbone) -> list[Lora]:
    return [Lora(make_layers(backbone.transformer, seed)) for seed in (3, 4, 5)]


def _recipes(backbone: Backbone, **changes: object) -> list[DrawRequest]:
    """Four pictures: three mixes of three donors, of which one has one donor alone, and one of none."""
    weights = ((0.5, 0.3, 0.2), (0.1, 0.2, 0.7), (0.0, 1.0, 0.0), (0.0, 0.0, 0.0))
    donors = _donors(backbone)
    mixes = [tuple(replace(d, scale=w) for d, w in zip(donors, row, strict=True) if w) for row in weights]
    return [
        request_from(backbone.spec, "a woman", number, loras=mix, mixed=True, **changes)
        for number, mix in enumerate(mixes)
    ]


@pytest.mark.parametrize("is_guided", [False, True])
def test_each_picture_is_what_it_is_alone(tiny_backbone_float32: Backbone, is_guided: bool) -> None:
    backbone = tiny_backbone_float32
    requests = _recipes(backbone, identity_guidance=is_guided, cfg_scale=2.0 if is_guided else 1.0)
    assert plan_batches(requests, 4) == ((0, 1, 2, 3),)
    together = np.stack([picture for _, picture in draw(backbone, requests, 4)]).astype(np.int64)
    alone = np.stack([next(draw(backbone, [replace(r, mixed=False)], 1))[1] for r in requests]).astype(np.int64)
    assert np.abs(together - alone).max() <= 1
    apart = [np.abs(alone[i] - alone[j]).mean() for i in range(4) for j in range(i)]
    assert min(apart) > 2  # else nothing is proved


def test_nothing_stays_behind(tiny_backbone_float32: Backbone) -> None:
    backbone = tiny_backbone_float32
    plain = request_from(backbone.spec, "a woman", 1)
    before = next(draw(backbone, [plain], 1))[1]
    list(draw(backbone, _recipes(backbone), 4))
    assert not backbone.lora_stack.loras
    assert np.array_equal(next(draw(backbone, [plain], 1))[1], before)


def test_one_module_adds_each_rows_own_sum(tiny_backbone_float32: Backbone) -> None:
    backbone = tiny_backbone_float32
    one, two, _ = _donors(backbone)
    layer = one.layers[0]
    module = backbone.transformer.get_submodule(layer.module)
    x = torch.randn(3, 5, layer.down.shape[1], generator=torch.Generator().manual_seed(1))
    pictures = [(replace(one, scale=0.5), replace(two, scale=-1.0)), (), (replace(one, scale=2.0),)]
    loras = MixedLoras(backbone.model, pictures)
    with torch.no_grad(), loras.on():
        mixed = module(x)
        loras.pause()
        paused = module(x)
        loras.resume()
    with torch.no_grad():
        plain = module(x)
    other = next(row for row in two.layers if row.module == layer.module)
    delta_one = layer.scale * layer.up @ layer.down
    delta_two = other.scale * other.up @ other.down
    added = [0.5 * delta_one - delta_two, torch.zeros_like(delta_one), 2 * delta_one]
    wanted = plain + torch.stack([row @ delta.T for row, delta in zip(x, added, strict=True)])
    assert torch.allclose(mixed, wanted, atol=1e-4)
    assert torch.equal(paused, plain)


def test_what_changes_the_text_or_is_not_mixed_goes_alone(tiny_backbone_float32: Backbone) -> None:
    requests = _recipes(tiny_backbone_float32)
    assert len(plan_batches([replace(r, mixed=False) for r in requests], 4)) == 4
    texts = [
        replace(r, loras=(Lora(tuple(replace(layer, module=f"text_encoder.{layer.module}") for layer in lora.layers)),))
        for r in requests
        for lora in r.loras[:1]
    ]
    assert len(plan_batches(texts, 4)) == len(texts)


def test_what_does_not_fit_is_refused(tiny_backbone_float32: Backbone) -> None:
    good, bad, _ = _donors(tiny_backbone_float32)
    wide = tuple(replace(layer, down=torch.zeros(layer.rank, layer.down.shape[1] + 1)) for layer in bad.layers)
    with pytest.raises(BadLora):
        MixedLoras(tiny_backbone_float32.model, [(good,), (Lora(wide),)])
