"""The loss sees what the recogniser sees, and what it asks for is what the recogniser wants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from personas.identity_loss import IdentityLoss
from personas.measures.face import FaceReader
from pipelines.errors import ModelMissing
from studio.settings import ASSETS

PORTRAITS = sorted((ASSETS / "donors").glob("*/*/thumbnail.png"))[:6]


def pictures() -> list[np.ndarray]:
    return [np.asarray(Image.open(path).convert("RGB")) for path in PORTRAITS]


def pixels_of(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.copy()).permute(2, 0, 1).float() / 127.5 - 1


@pytest.fixture(scope="module", params=["faces", "faces_second"])
def reader(request: pytest.FixtureRequest) -> FaceReader:
    return FaceReader(ASSETS / request.param)


def test_it_sees_what_insightface_sees_also_in_a_part_of_the_picture(reader: FaceReader) -> None:
    images = pictures()
    faces = reader.read_many(images)
    loss = IdentityLoss(reader, images, faces[0].embedding)  # type: ignore[union-attr]
    for row, (image, face) in enumerate(zip(images, faces, strict=True)):
        assert face is not None
        box = loss.box(row)
        assert box is not None
        with torch.no_grad():
            whole = loss.embed(pixels_of(image), row).numpy()
            left, top = max(0, box[0] - 3), max(0, box[1] - 2)
            part = pixels_of(image)[:, top : box[3] + 2, left : box[2] + 2]
            windowed = loss.embed(part, row, (left, top)).numpy()
            trembling = loss.embed(pixels_of(image), row, generator=torch.Generator().manual_seed(row)).numpy()
        assert whole @ face.embedding > 0.999
        assert windowed @ face.embedding > 0.999
        assert 0.6 < trembling @ face.embedding < 0.99999


def test_beyond_the_edge_there_is_what_insightface_puts_there(reader: FaceReader) -> None:
    beyond = 0
    for image in pictures():
        face = reader.read(image)
        assert face is not None
        cut = image[int(face.box[1] * 0.5 + face.landmarks[0][1] * 0.5) :]
        again = reader.read(cut)
        if again is None:
            continue
        loss = IdentityLoss(reader, [cut], face.embedding)
        box = loss.box(0)
        assert box is not None
        beyond -= min(box[1], 0)
        with torch.no_grad():
            assert loss.embed(pixels_of(cut), 0).numpy() @ again.embedding > 0.999
    assert beyond > 20, "the crops must leave the pictures, or the test sees nothing"


def test_its_gradient_makes_a_face_the_other_person_to_the_pack_itself(reader: FaceReader) -> None:
    image, other = pictures()[0], pictures()[-1]
    target = reader.read(other)
    before = reader.read(image)
    assert target is not None
    assert before is not None
    loss = IdentityLoss(reader, [image], target.embedding)
    x = pixels_of(image).requires_grad_()
    for step in range(40):
        value = loss(x, 0, (0, 0), torch.Generator().manual_seed(step))
        (gradient,) = torch.autograd.grad(value, x)
        x = (x - 0.01 * gradient.sign()).clamp(-1, 1).detach().requires_grad_()
    changed = ((x.detach() + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    after = reader.read(changed)
    assert after is not None
    assert after.embedding @ target.embedding > before.embedding @ target.embedding + 0.3


def test_no_face_is_left_alone_and_another_person_is_another_loss() -> None:
    reader = FaceReader(ASSETS / "faces")
    image = pictures()[0]
    wall = np.full_like(image, 180)
    one, two = (np.eye(128, dtype=np.float32)[i] for i in (0, 1))
    loss = IdentityLoss(reader, [wall, image], one)
    assert loss.box(0) is None
    assert loss.box(1) is not None
    assert loss.fingerprint == IdentityLoss(reader, [image], one).fingerprint
    assert loss.fingerprint != IdentityLoss(reader, [image], two).fingerprint


def test_a_recogniser_without_a_torch_equivalent_is_named(tmp_path: Path) -> None:
    for part in ("detection.onnx", "recognition.onnx"):
        (tmp_path / part).write_bytes((ASSETS / "faces" / part).read_bytes())
    model = onnx.load(tmp_path / "recognition.onnx")
    relu = next(node for node in model.graph.node if node.op_type == "Relu")
    relu.op_type = "ThresholdedRelu"
    onnx.save(model, tmp_path / "recognition.onnx")
    with pytest.raises(ModelMissing, match="face_recogniser_not_differentiable"):
        IdentityLoss(FaceReader(tmp_path), pictures()[:1], np.eye(128, dtype=np.float32)[0])
