"""The miniature's IP-Adapter learns in front of any FLUX folder, goes on where it was, and is exported as one."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from miniature import ip_adapter
from personas.shots import vary_shots
from pipelines.adapters.ip_adapter import read_adapter
from pipelines.backbones import load_backbone, resolve_backbone
from pipelines.references.ip_adapter import IpAdapterReference
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.request import request_from


@pytest.mark.filterwarnings("ignore:Mismatch dtype")  # of autocast, which the recipes run under
def test_it_trains_resumes_and_is_exported(tiny_flux: Path, tmp_path: Path) -> None:
    shots = vary_shots(6, 1)
    facts = [asdict(shot) | {"look": "sweet", "masculine": False} for shot in shots]
    (tmp_path / "attributes.json").write_text(json.dumps(facts))
    torch.manual_seed(0)
    latents = torch.rand(6, 2, 8, 6, 4)
    torch.save({"latents": latents, "spread": torch.ones(8)}, tmp_path / "latents.pt")
    photos = np.random.default_rng(0).integers(0, 256, (6, 128, 128, 3), dtype=np.uint8)
    np.save(tmp_path / "references.npy", photos)

    steps = []
    for most in (2, 5):
        ip_adapter.train(60, 2, tmp_path, tmp_path, tiny_flux, 1e-2, most)
        steps.append(torch.load(tmp_path / "ip_adapter.pt", weights_only=True)["step"])
    assert steps == [2, 5]

    folder = tmp_path / "exported"
    ip_adapter.export(tmp_path, tiny_flux, folder)
    file = read_adapter(folder)
    assert (file.format, file.licence, file.tokens, len(file.blocks)) == ("xlabs", "apache-2.0", 4, 2)
    spec = replace(resolve_backbone(tiny_flux), companions={"ip_adapter": folder})
    backbone = load_backbone(spec, "cpu", torch.float32)
    references = [IpAdapterReference((photo,), (2.0, 2.0)) for photo in photos[:2]]
    pictures = [draw_batch(backbone, [request_from(spec, "a cafe", 1, references=(r,))])[0] for r in references]
    (bare,) = draw_batch(backbone, [request_from(spec, "a cafe", 1)])
    assert not np.array_equal(pictures[0], bare)
