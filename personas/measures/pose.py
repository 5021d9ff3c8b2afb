"""Keypoints of a body in a photograph, by a ViTPose model of transformers from a local folder.

ViTPose (arXiv:2204.12484) reads one person's crop and gives a heat map for each of COCO's 17 keypoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from personas.measures.regions import KEYPOINTS
from pipelines import torchvision_mend  # noqa: F401
from pipelines.errors import ModelMissing
from pipelines.families.folders import reading

__all__ = ["COCO", "PoseReader", "from_coco"]

COCO = (
    "nose", "eye_left", "eye_right", "ear_left", "ear_right", "shoulder_left", "shoulder_right", "elbow_left",
    "elbow_right", "wrist_left", "wrist_right", "hip_left", "hip_right", "knee_left", "knee_right", "ankle_left",
    "ankle_right",
)  # fmt: skip
# COCO's left is the person's own; ours is the picture's, as if everybody looked at the camera.
_OURS = {
    name: COCO.index(
        name.replace("left", "?").replace("right", "left").replace("?", "right")
        .replace("hand", "wrist").replace("foot", "ankle")
    )
    for name in KEYPOINTS
    if name not in ("mouth_left", "mouth_right", "head_top", "chin", "neck")
}  # fmt: skip
Box = tuple[float, float, float, float]


class PoseReader:
    """Holds the model."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Raises ModelMissing where the folder holds no ViTPose model for COCO's keypoints."""
        from transformers import VitPoseForPoseEstimation, VitPoseImageProcessor

        if not (folder / "config.json").is_file():
            raise ModelMissing("pose_model_missing", folder=str(folder))
        with reading(str(folder)):
            self._processor = VitPoseImageProcessor.from_pretrained(folder, local_files_only=True)
            model = VitPoseForPoseEstimation.from_pretrained(folder, local_files_only=True)
        if model.config.num_labels != len(COCO):
            raise ModelMissing(
                "pose_keypoints_other", folder=str(folder), keypoints=model.config.num_labels, wanted=len(COCO)
            )
        self._model = model.eval().requires_grad_(False).to(device)

    @torch.no_grad()
    def read(self, images: Sequence[npt.NDArray[np.uint8]], boxes: Sequence[Box]) -> list[npt.NDArray[np.float32]]:
        """COCO's keypoints float32 [17, 3] (x and y in pixels, score in [0, 1]) of the person in each picture's box.

        Boxes are (x0, y0, x1, y1); all people are read in one batch.
        """
        corners = [[[x0, y0, x1 - x0, y1 - y0]] for x0, y0, x1, y1 in boxes]
        pixels = self._processor(list(images), boxes=corners, return_tensors="pt")["pixel_values"].to(
            self._model.device, self._model.dtype
        )
        several = (
            self._model.config.backbone_config.num_experts > 1
        )  # ViTPose++ has an expert per data set; 0 is COCO's
        index = torch.zeros(len(pixels), dtype=torch.long, device=pixels.device) if several else None
        poses = self._processor.post_process_pose_estimation(self._model(pixels, dataset_index=index), boxes=corners)
        return [
            np.concatenate([pose["keypoints"].numpy(), pose["scores"].clamp(0, 1).numpy()[:, None]], 1).astype(
                np.float32
            )
            for (pose,) in poses
        ]


def from_coco(points: npt.NDArray[np.float32], height: int, width: int) -> npt.NDArray[np.float32]:
    """COCO's [17, 3] as our [20, 3]; what COCO lacks, or what lies outside of the picture, has score 0."""
    ours = np.zeros((len(KEYPOINTS), 3), np.float32)
    for name, row in _OURS.items():
        ours[KEYPOINTS.index(name)] = points[row]
    inside = (ours[:, 0] >= 0) & (ours[:, 0] < width) & (ours[:, 1] >= 0) & (ours[:, 1] < height)
    ours[~inside] = 0
    shoulders = ours[[KEYPOINTS.index("shoulder_left"), KEYPOINTS.index("shoulder_right")]]
    ours[KEYPOINTS.index("neck")] = *shoulders[:, :2].mean(0), shoulders[:, 2].min()
    return ours
