"""A face pack that finds a face in the middle of any picture: for whole ways on backbones of random weights.

The detector is an SCRFD by its inputs and outputs, and looks at nothing; the recogniser is the miniature's. Its
calibration opens the gates that are made of it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from personas.measures.face import pack_sha256
from studio.settings import ASSETS

__all__ = ["write_face_pack"]

_STRIDES, _ANCHORS = (8, 16, 32), 2
_SCORE = 0.9
_BOX = (2.5,) * 4  # left, top, right and bottom of an anchor, in strides: those beside it are the same face
_LANDMARKS = (-1.0, -0.8, 1.0, -0.8, 0.0, 0.2, -0.8, 1.2, 0.8, 1.2)  # x and y of each, from the anchor


def write_face_pack(folder: Path) -> Path:
    """Write detection.onnx, recognition.onnx and calibration.json."""
    folder.mkdir(parents=True)
    onnx.save(_detector(), folder / "detection.onnx")
    shutil.copy(ASSETS / "faces" / "recognition.onnx", folder / "recognition.onnx")
    calibration = {
        "novelty_ceiling": 1.0, "different_people": -1.0, "same_person_mean": 0.9, "auc": 1.0,
        "true_accept_at_1e3": 1.0, "people": 2, "shots": 2, "seed": 0, "pack_sha256": pack_sha256(folder),
    }  # fmt: skip
    (folder / "calibration.json").write_text(json.dumps(calibration), encoding="utf-8")
    return folder


def _detector() -> onnx.ModelProto:
    """Scores, boxes and landmarks of every anchor of three strides, each the same everywhere; faces on the last."""
    nodes, weights, outputs = [], [], []
    for what, values in (("score", (_SCORE,)), ("box", _BOX), ("landmark", _LANDMARKS)):
        for stride in _STRIDES:
            said = (0.0,) if what == "score" and stride != _STRIDES[-1] else values
            name, size = f"{what}_{stride}", len(values)
            bias = np.asarray(said * _ANCHORS, np.float32)
            zero = np.zeros((len(bias), 3, 1, 1), np.float32)
            weights += [
                numpy_helper.from_array(zero, f"{name}.weight"),
                numpy_helper.from_array(bias, f"{name}.bias"),
                numpy_helper.from_array(np.asarray([-1, size], np.int64), f"{name}.shape"),
            ]
            nodes += [
                helper.make_node("AveragePool", ["image"], [f"{name}.cells"], kernel_shape=[stride] * 2,
                                 strides=[stride] * 2),
                helper.make_node("Conv", [f"{name}.cells", f"{name}.weight", f"{name}.bias"], [f"{name}.grid"]),
                helper.make_node("Transpose", [f"{name}.grid"], [f"{name}.last"], perm=[0, 2, 3, 1]),
                helper.make_node("Reshape", [f"{name}.last", f"{name}.shape"], [name]),
            ]  # fmt: skip
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, size]))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "height", "width"])
    graph = helper.make_graph(nodes, "detector", [image], outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
