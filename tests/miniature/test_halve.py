"""Half the bytes, the same network."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from miniature.faces.halve import halve
from miniature.faces.nets import ConvRecogniser
from miniature.faces.train import export_recogniser
from personas.identity_loss import recogniser_module

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning"
)  # of torch's older exporter, which the recipe uses


def _run(path: Path, x: np.ndarray) -> np.ndarray:
    return np.asarray(onnxruntime.InferenceSession(str(path)).run(None, {"data": x})[0])


def test_a_halved_network_says_the_same_in_onnxruntime_and_in_torch(tmp_path: Path) -> None:
    torch.manual_seed(1)
    net = ConvRecogniser().eval()
    for layer in net.modules():  # equal biases would be stored once, which onnx2torch does not understand
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(layer.bias, std=0.1)
    export_recogniser(net, tmp_path)
    halved = tmp_path / "recognition.onnx"
    x = torch.randn(2, 3, 112, 112)
    with torch.no_grad():
        whole = net(x).numpy()
        again = recogniser_module(halved)(x).numpy()
    assert halved.stat().st_size < 0.55 * sum(p.numel() * 4 for p in net.parameters())
    np.testing.assert_allclose(_run(halved, x.numpy()), whole, rtol=0, atol=0.01 * np.abs(whole).max())
    np.testing.assert_allclose(again, _run(halved, x.numpy()), rtol=0, atol=1e-4 * np.abs(whole).max())


def test_halving_twice_changes_nothing(tmp_path: Path) -> None:
    export_recogniser(ConvRecogniser().eval(), tmp_path)
    twice = tmp_path / "twice.onnx"
    shutil.copy(tmp_path / "recognition.onnx", twice)
    halve(twice)
    assert onnx.load(twice) == onnx.load(tmp_path / "recognition.onnx")
