"""The sweep draws every block alone; a backbone without an IP-Adapter is told so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.ip_adapter_sweep import main, sweep, write_sweep
from pipelines.errors import ModelMissing
from studio.application import Studio
from studio.settings import ASSETS, Settings
from tests.tiny import ip_adapter_tensors, write_ip_adapter


def test_off_all_and_each_block(tiny_flux: Path, tmp_path: Path) -> None:
    adapter = write_ip_adapter(tmp_path / "adapter", ip_adapter_tensors())
    studio = Studio(Settings(data=tmp_path / "data", backbone=str(tiny_flux), ip_adapter_folder=adapter))
    rows, sheet = sweep(studio, ASSETS / "scenes" / "cafe.png", shots=2)
    assert [r.blocks for r in rows] == ["off", "all", "0", "1"]
    assert len({np.stack(pictures).tobytes() for pictures in sheet}) == 4
    assert all(r.prompt is not None and 0 <= r.prompt <= 1 for r in rows)
    write_sweep(tmp_path / "out", rows, sheet)
    written = json.loads((tmp_path / "out" / "ip-adapter-sweep.json").read_text())
    assert [r["blocks"] for r in written] == ["off", "all", "0", "1"]
    with Image.open(tmp_path / "out" / "ip-adapter-sweep.png") as image:
        assert image.size == (2 * 64, 4 * 96)


def test_a_backbone_without_one(tiny_flux: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["sweep", "--out", str(tmp_path), "--backbone", str(tiny_flux)])
    with pytest.raises(ModelMissing, match="ip_adapter_missing"):
        main()
