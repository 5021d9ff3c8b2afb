"""The reader of photographs with random nets of the real classes, and its geometry against known truth."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import pytest
import torch
from PIL import Image

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from transformers import VitPoseBackboneConfig, VitPoseConfig, VitPoseForPoseEstimation, VitPoseImageProcessor

from miniature.world import World, look_identities, render, sample_scenes
from personas.measures.body import BODY_RATIOS, body_proportions
from personas.measures.face import FaceReader
from personas.measures.facexlib_nets import MATTING, PARSING, QUALITY, load_parsing, parse_crops
from personas.measures.hair import hair_similarity, read_hair
from personas.measures.person import PersonReader, person_of
from personas.measures.photographic import PhotographicReader, hair_embedding, join_labels
from personas.measures.pose import COCO, PoseReader, from_coco
from personas.measures.regions import KEYPOINTS, LABELS, PictureReader, RegionReader, Regions
from personas.shots import Shot
from pipelines.errors import ModelMissing
from studio.application import Studio
from studio.settings import ASSETS, Settings

CPU = torch.device("cpu")
H, W = 256, 192


def _write(net: torch.nn.Module, path: Path) -> None:
    torch.save({f"module.{name}": tensor.half() for name, tensor in net.state_dict().items()}, path)


def _write_pose(folder: Path, keypoints: int = len(COCO)) -> None:
    backbone = VitPoseBackboneConfig(
        image_size=(64, 48), patch_size=(16, 16), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        mlp_ratio=2, out_indices=[1],
    )  # fmt: skip
    config = VitPoseConfig(backbone_config=backbone, num_labels=keypoints)
    VitPoseForPoseEstimation(config).save_pretrained(folder)
    VitPoseImageProcessor(size={"height": 64, "width": 48}).save_pretrained(folder)


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a merchant would fill it, with random weights."""
    from facexlib.assessment.hyperiqa_net import HyperIQA
    from facexlib.matting.modnet import MODNet
    from facexlib.parsing.bisenet import BiSeNet

    folder = tmp_path_factory.mktemp("photographs")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        _write(BiSeNet(num_class=19), folder / PARSING)
        _write(MODNet(backbone_pretrained=False), folder / MATTING)
        _write(HyperIQA(16, 112, 224, 112, 56, 28, 14, 7).hypernet, folder / QUALITY)
        _write_pose(folder / "pose")
    return folder


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    people = look_identities("sweet", 2, torch.Generator().manual_seed(1))
    shots = (Shot(framing="close-up"), Shot(framing="full-body"))
    drawn = list(render(World(people, shots, sample_scenes(["cafe", "park"], [1, 2]), 0)).images.numpy())
    return [drawn[0], np.full((200, 300, 3), 90, np.uint8), drawn[1]]


@pytest.fixture(scope="module")
def reader(nets: Path) -> PhotographicReader:
    return PhotographicReader(nets, FaceReader(ASSETS / "faces"), device=CPU)


def test_a_batch_reads_as_one_by_one(reader: PhotographicReader, pictures: list[np.ndarray]) -> None:
    together = reader.read(pictures)
    for image, seen in zip(pictures, together, strict=True):
        (alone,) = reader.read([image])
        assert seen.labels.shape == image.shape[:2]
        assert seen.labels.dtype == np.uint8
        assert (seen.labels == alone.labels).mean() > 0.999  # a class may be a draw within rounding
        np.testing.assert_allclose(seen.keypoints, alone.keypoints, atol=0.5)
        assert seen.keypoints.shape == (len(KEYPOINTS), 3)
        assert seen.attributes == {}
        assert seen.people is None
    assert together[0].quality is not None
    assert 0 <= together[0].quality <= 1
    assert together[1].quality is None  # nobody is in it
    assert not together[1].keypoints.any()
    assert body_proportions(together[1]).shape == (len(BODY_RATIOS),)


def test_settings_choose_the_reader(nets: Path, tmp_path: Path) -> None:
    photographs: PictureReader = Studio(Settings(data=tmp_path, reader=nets)).regions
    assert isinstance(photographs, PhotographicReader)
    assert isinstance(Studio(Settings(data=tmp_path)).regions, RegionReader)
    with pytest.raises(ModelMissing, match="person_package_missing"):
        _ = Studio(Settings(data=tmp_path, reader=nets, person_package=tmp_path / "models/cheetah_s")).regions
    with pytest.raises(ModelMissing, match="attribute_reader_missing"):
        _ = Studio(Settings(data=tmp_path, reader=tmp_path)).regions


def test_what_is_absent_is_optional_or_named(nets: Path, tmp_path: Path, pictures: list[np.ndarray]) -> None:
    faces = FaceReader(ASSETS / "faces")
    bare = shutil.copytree(nets, tmp_path / "bare", ignore=shutil.ignore_patterns(QUALITY, "pose"))
    (seen,) = PhotographicReader(bare, faces, device=CPU).read(pictures[:1])
    assert seen.quality is None
    assert seen.keypoints[KEYPOINTS.index("shoulder_left"), 2] == 0
    (bare / MATTING).unlink()
    with pytest.raises(ModelMissing, match=f"measure_weights_missing.*{MATTING}"):
        PhotographicReader(bare, faces, device=CPU)
    (bare / MATTING).write_bytes((bare / PARSING).read_bytes())
    with pytest.raises(ModelMissing, match="measure_weights_unreadable"):
        PhotographicReader(bare, faces, device=CPU)
    (bare / PARSING).write_bytes(b"no weights")
    with pytest.raises(ModelMissing, match="measure_weights_unreadable"):
        PhotographicReader(bare, faces, device=CPU)
    _write_pose(tmp_path / "hands", 21)
    with pytest.raises(ModelMissing, match=r"pose_keypoints_other.*21"):
        PoseReader(tmp_path / "hands", CPU)
    with pytest.raises(ModelMissing, match="pose_model_missing"):
        PoseReader(tmp_path, CPU)


def test_the_parser_is_facexlibs_net(nets: Path) -> None:
    net = load_parsing(nets, CPU)
    crop = np.random.default_rng(0).integers(0, 255, (512, 512, 3)).astype(np.uint8)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = ((torch.from_numpy(crop).float() / 255 - mean) / std).permute(2, 0, 1)[None]
    with torch.no_grad():
        expected = net(x)[0].argmax(1).numpy()
    assert (parse_crops(net, [crop]) == expected).mean() > 0.999


def test_labels_join_the_matte_and_the_parser() -> None:
    matte = np.zeros((H, W), np.float32)
    matte[60:, 40:150] = 1
    parsed = np.zeros((512, 512), np.uint8)
    for name, rows in ((17, slice(64, 192)), (1, slice(192, 320)), (10, slice(240, 256)), (14, slice(320, 384))):
        parsed[rows, 128:384] = name
    labels = join_labels(matte, parsed, (32, -16, 128))  # a quarter of the parser's size, sticking out at the top
    words = np.array(LABELS)[labels]
    assert set(words[2:30, 65:126].ravel()) == {"hair"}
    assert set(words[34:62, 65:126].ravel()) == {"face"}
    assert set(words[66:78, 65:126].ravel()) == {"body_skin"}
    assert set(words[90:, 41:149].ravel()) == {"clothes"}
    assert set(words[:58, :30].ravel()) == {"background"}
    nobody = join_labels(matte, None, None)
    assert (nobody > 0).sum() == matte.sum()


TRUTH = {  # of the picture, a person who looks at the camera; COCO's names are the person's own
    "eye": (88, 104, 40), "shoulder": (66, 126, 75), "elbow": (60, 132, 105), "wrist": (58, 134, 140),
    "hip": (76, 116, 140), "knee": (78, 114, 185), "ankle": (80, 112, 230),
}  # fmt: skip


def _coco() -> np.ndarray:
    points = np.zeros((len(COCO), 3), np.float32)
    for name, (left, right, y) in TRUTH.items():
        points[COCO.index(f"{name}_right")] = left, y, 0.9
        points[COCO.index(f"{name}_left")] = right, y, 0.9
    return points


def test_proportions_of_known_keypoints() -> None:
    ours = from_coco(_coco(), H, W)
    for name, y in (("head_top", 20), ("chin", 60)):
        ours[KEYPOINTS.index(name)] = 96, y, 1
    labels = np.zeros((H, W), np.uint8)
    labels[70:200, 60:132] = LABELS.index("clothes")
    regions = Regions(labels, ours, {}, {}, np.zeros(1, np.float32))
    ratios = dict(zip(BODY_RATIOS, body_proportions(regions), strict=True))
    assert ratios["shoulders"] == pytest.approx(60 / 40)
    assert ratios["hips"] == pytest.approx(40 / 40)
    assert ratios["torso"] == pytest.approx(np.hypot(10, 65) / 40, rel=1e-3)
    assert ratios["upper_arm"] == pytest.approx(np.hypot(6, 30) / 40, rel=1e-3)
    assert ratios["legs"] == pytest.approx(np.hypot(4, 90) / 40, rel=1e-3)
    assert ratios["silhouette"] == pytest.approx(72 / 40)
    assert ours[KEYPOINTS.index("neck")] == pytest.approx([96, 75, 0.9])


def test_what_lies_outside_of_the_picture_is_not_seen() -> None:
    ours = from_coco(_coco(), 200, W)
    assert ours[KEYPOINTS.index("foot_left"), 2] == 0
    assert ours[KEYPOINTS.index("knee_left"), 2] == pytest.approx(0.9)


def test_keypoints_come_back_into_the_picture(nets: Path) -> None:
    """Heat maps with one peak each, through the model's own crop geometry: a peak's place is known."""
    pose = PoseReader(nets / "pose", CPU)
    boxes = [
        (30.0, 20.0, 126.0, 148.0),
        (100.0, 50.0, 196.0, 178.0),
    ]  # 3:4 as the model's crop, so no side is stretched
    height, width = 16, 12

    class Peaks(torch.nn.Module):
        config, device, dtype = pose._model.config, CPU, torch.float32

        def forward(self, pixels: torch.Tensor, dataset_index: object) -> object:
            maps = torch.zeros(len(pixels), len(COCO), height, width)
            y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
            for k in range(len(COCO)):
                maps[:, k] = 0.9 * torch.exp(-((x - 3) ** 2 + (y - 4 - k % 8) ** 2) / 2.0)
            return type("Output", (), {"heatmaps": maps})()

    pose._model = Peaks()
    image = np.zeros((240, 240, 3), np.uint8)
    for box, points in zip(boxes, pose.read([image, image], boxes), strict=True):
        wide, high = 1.25 * (box[2] - box[0]), 1.25 * (box[3] - box[1])  # ViTPose pads a box by a quarter
        left, top = (box[0] + box[2] - wide) / 2, (box[1] + box[3] - high) / 2
        for k in range(len(COCO)):
            assert points[k, 0] == pytest.approx(left + 3 / (width - 1) * wide, abs=1.5)
            assert points[k, 1] == pytest.approx(top + (4 + k % 8) / (height - 1) * high, abs=1.5)
            assert points[k, 2] == pytest.approx(0.9, abs=1e-3)


def _head(colour: tuple[int, int, int], bottom: int, light: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    noise = np.random.default_rng(1).normal(0, 6, (H, W, 1))
    image = np.clip((np.array(colour) + noise) * light, 0, 255).astype(np.uint8)
    hair = np.zeros((H, W), bool)
    hair[30:bottom, 60:80] = hair[30:bottom, 120:140] = hair[30:50, 60:140] = True
    points = np.zeros((len(KEYPOINTS), 3), np.float32)
    points[KEYPOINTS.index("head_top")], points[KEYPOINTS.index("chin")] = (100, 30, 1), (100, 100, 1)
    return image, hair, points


def test_hair_is_told_by_colour_and_length_in_any_light() -> None:
    brown = hair_embedding(*_head((90, 60, 40), 90))
    assert np.linalg.norm(brown) == pytest.approx(1, abs=1e-5)
    darker = float(brown @ hair_embedding(*_head((90, 60, 40), 90, 0.85)))
    longer = float(brown @ hair_embedding(*_head((90, 60, 40), 200)))
    blond = float(brown @ hair_embedding(*_head((220, 190, 120), 90)))
    assert darker > 0.85 > longer > 0.3 > blond  # 0.3 is the gate
    image, hair, points = _head((90, 60, 40), 90)
    assert not hair_embedding(image, np.zeros_like(hair), points).any()
    regions = Regions(np.where(hair, LABELS.index("hair"), 0).astype(np.uint8), points, {}, {}, brown)
    reading = read_hair(image, regions)
    assert reading is not None
    assert hair_similarity(reading, reading) == pytest.approx(1, abs=1e-5)
    assert reading.length == pytest.approx(59 / 70)


def test_whose_body_it_is() -> None:
    face = (40.0, 20.0, 60.0, 45.0)
    crowd, mine, other = (0.0, 0.0, 200.0, 200.0), (20.0, 10.0, 90.0, 190.0), (100.0, 10.0, 180.0, 190.0)
    assert person_of([crowd, mine, other], face) == mine
    assert person_of([other], face) is None


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A person package whose detector always sees two people, at known places of its 64 × 64 input."""
    folder = tmp_path / "models/tiny"
    folder.mkdir(parents=True)
    seen = np.array([[[8, 4, 40, 60], [44, 4, 62, 60], [0, 0, 64, 64]]], np.float32)
    save = onnx.numpy_helper.from_array
    tensor = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node
    graphs = {
        "people.onnx": onnx.helper.make_graph(
            [
                node("Gather", ["scale_factor", "order"], ["scale"], axis=1),  # (y, x) to (x, y, x, y)
                node("Div", ["seen", "scale"], ["nms_pre_boxes"]),
                node("Identity", ["sure"], ["nms_pre_scores"]),
            ],
            "people",
            [tensor("image", 1, [1, 3, 64, 64]), tensor("scale_factor", 1, [1, 2])],
            [tensor("nms_pre_boxes", 1, [1, 3, 4]), tensor("nms_pre_scores", 1, [1, 1, 3])],
            [
                save(seen, "seen"), save(np.array([1, 0, 1, 0]), "order"),
                save(np.array([[[0.9, 0.8, 0.2]]], np.float32), "sure"),
            ],
        ),
        "reid.onnx": onnx.helper.make_graph(
            [
                node("GlobalAveragePool", ["data"], ["mean"]),
                node("Flatten", ["mean"], ["flat"]),
                node("Gemm", ["flat", "weight", "bias"], ["reid_embedding"]),
            ],
            "reid",
            [tensor("data", 1, [1, 3, 64, 32])],
            [tensor("reid_embedding", 1, [1, 256])],
            [save(np.ones((3, 256), np.float32), "weight"), save(np.ones(256, np.float32), "bias")],
        ),
    }  # fmt: skip
    for name, graph in graphs.items():
        opset = [onnx.helper.make_opsetid("", 17)]
        onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), folder / name)
    shutil.copy(ASSETS / "faces/detection.onnx", folder)
    shutil.copy(ASSETS / "faces/recognition.onnx", folder)
    (folder / "MODEL.LICENSE").write_text("none")
    tasks = {
        "person_detection": {"file": "people.onnx", "input_size": [64, 64]},
        "person_reid": {"file": "reid.onnx", "input_size": [64, 32]},
        "detection": {"file": "detection.onnx"},
        "recognition": {"file": "recognition.onnx", "embedding_dimension": 128},
    }
    manifest = {"manifest_version": 2, "model_id": "tiny", "license": "MODEL.LICENSE", "tasks": tasks}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_people_are_counted(package: Path, nets: Path, pictures: list[np.ndarray]) -> None:
    people = PersonReader(package)
    found = people.read(np.full((128, 192, 3), 90, np.uint8))
    assert found == [pytest.approx((24, 8, 120, 120)), pytest.approx((132, 8, 186, 120))]  # the third is not sure
    (seen,) = PhotographicReader(nets, FaceReader(ASSETS / "faces"), people, CPU).read(pictures[:1])
    assert seen.people == 2


def test_a_person_package_must_be_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ".insightface/models/cheetah_s"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    monkeypatch.setenv("HOME", str(tmp_path))
    for given in (Path("cheetah_s"), folder):
        with pytest.raises(ModelMissing, match="person_package_unreadable"):
            PersonReader(given)


def test_a_picture_of_twice_the_size_is_read_alike(reader: PhotographicReader) -> None:
    people = look_identities("sweet", 1, torch.Generator().manual_seed(4))
    (drawn,) = render(World(people, (Shot(framing="half-body"),), sample_scenes(["cafe"], [3]), 0)).images.numpy()
    twice = np.asarray(Image.fromarray(drawn).resize((2 * W, 2 * H), Image.Resampling.BICUBIC))
    small, large = reader.read([drawn, twice])
    assert large.labels.shape == (2 * H, 2 * W)
    mouth = KEYPOINTS.index("mouth_left")
    np.testing.assert_allclose(large.keypoints[mouth, :2] / 2, small.keypoints[mouth, :2], atol=4)
