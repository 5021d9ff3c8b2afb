"""Upscaler files: our own and published ones load and work, everything else is refused by name."""

from __future__ import annotations

import json
import struct
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.errors import BadInput, ModelMissing
from pipelines.finishing import files
from pipelines.finishing.files import load_finisher, save_network
from pipelines.finishing.network import FinishingNet, NetShape

SHAPE = NetShape((16, 16, 16), (1, 1, 1), 2)
PICTURE = np.random.default_rng(0).integers(0, 256, (64, 48, 3)).astype(np.uint8)


def architecture(name: str) -> Any:
    return import_module(f"spandrel.architectures.{name}")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    net = FinishingNet(SHAPE)
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.05)
    save_network(net, SHAPE, tmp_path / "own.safetensors")
    return tmp_path / "own.safetensors"


def test_our_own_comes_back(own: Path, tmp_path: Path) -> None:
    finisher = load_finisher(own)
    assert (finisher.name, finisher.scale) == ("own.safetensors", 2)
    net = FinishingNet(SHAPE).eval()
    net.load_state_dict({name: value.float() for name, value in load_file(own).items()})
    with torch.no_grad():
        y = net(torch.from_numpy(PICTURE).permute(2, 0, 1)[None].float() / 255)
    want = (y[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    assert np.abs(finisher.finish(PICTURE, 128, 96).astype(int) - want).max() <= 1
    assert save_network(net, SHAPE, tmp_path / "again.safetensors") == finisher.sha256  # the same bytes


def test_published_upscalers_are_recognised(tmp_path: Path) -> None:
    """Compact (SRVGGNet) and ESRGAN, the two kinds that Real-ESRGAN's files are of, and SPAN."""
    pytest.importorskip("spandrel", reason="the extra [finishing] is not installed")
    torch.manual_seed(0)
    nets: dict[str, torch.nn.Module] = {
        "compact": architecture("Compact.__arch.SRVGG").SRVGGNetCompact(num_feat=8, num_conv=2, upscale=2),
        "esrgan": architecture("ESRGAN.__arch.RRDB").RRDBNet(num_filters=8, num_blocks=1, scale=4),
        "span": architecture("SPAN.__arch.span").SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=2),
    }
    for name, net in nets.items():
        path = tmp_path / f"{name}.safetensors"
        save_file({k: v.contiguous() for k, v in net.state_dict().items()}, path)
        finisher = load_finisher(path)
        assert finisher.scale == (4 if name == "esrgan" else 2)
        large = finisher.finish(PICTURE, 160, 120)
        assert large.shape == (160, 120, 3)
        assert np.array_equal(large, finisher.finish(PICTURE, 160, 120))


@pytest.mark.parametrize("name", ["x4.pth", "x4.ckpt", "renamed.safetensors"])
def test_pickles_are_refused(name: str, tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / name)
    with pytest.raises(BadInput, match="upscaler_is_pickle"):
        load_finisher(tmp_path / name)


def test_other_kinds_of_files_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("spandrel", reason="the extra [finishing] is not installed")
    lora = {"transformer.single_transformer_blocks.0.proj_out.lora_A.weight": torch.zeros(4, 16)}
    encoder = {"encoder.conv_in.weight": torch.zeros(8, 3, 3, 3), "decoder.conv_out.weight": torch.zeros(3, 8, 3, 3)}
    compact = architecture("Compact.__arch.SRVGG").SRVGGNetCompact
    grey = compact(num_in_ch=1, num_out_ch=1, num_feat=8, num_conv=2, upscale=2).state_dict()
    for name, tensors in {"lora": lora, "vae": encoder, "grey": grey, "nothing": {"x": torch.zeros(1)}}.items():
        save_file(tensors, tmp_path / f"{name}.safetensors")
        with pytest.raises(BadInput, match="upscaler_unknown"):
            load_finisher(tmp_path / f"{name}.safetensors")


def test_what_is_missing_is_said(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelMissing, match="upscaler_missing"):
        load_finisher(tmp_path / "gone.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    monkeypatch.setattr(files, "find_spec", lambda name: None)
    with pytest.raises(ModelMissing, match="spandrel_missing"):
        load_finisher(tmp_path / "other.safetensors")
    load_finisher(own)  # needs no package


def test_damaged_files_are_refused(own: Path, tmp_path: Path) -> None:
    data = own.read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(data[:-40])
    with pytest.raises(BadInput, match="model_file_damaged"):
        load_finisher(tmp_path / "cut.safetensors")
    size = struct.unpack("<Q", data[:8])[0]
    for shape in ("{}", "[1]", '{"widths": [16, 16, 900000], "blocks": [1, 1, 1], "scale": 2}', "no"):
        header = json.loads(data[8 : 8 + size])
        header["__metadata__"]["shape"] = shape
        text = json.dumps(header).encode()
        (tmp_path / "odd.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])
        with pytest.raises(BadInput, match="upscaler_damaged"):
            load_finisher(tmp_path / "odd.safetensors")
    wider = json.loads(data[8 : 8 + size])
    wider["__metadata__"]["shape"] = '{"widths": [24, 16, 16], "blocks": [1, 1, 1], "scale": 2}'
    text = json.dumps(wider).encode()
    (tmp_path / "wider.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])
    with pytest.raises(BadInput, match="upscaler_damaged"):
        load_finisher(tmp_path / "wider.safetensors")
