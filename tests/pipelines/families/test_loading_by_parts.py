"""Text encoders as large as the transformer are cast, and wait in memory, as they are planned; pictures stay near."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pipelines.backbones import Backbone, encode_prompt, plan_backbone, resolve_backbone
from pipelines.errors import Cancelled
from pipelines.families.catalogue import find_family
from pipelines.families.folders import read_part_headers
from pipelines.lora import LoraLayer
from pipelines.models.hardware import Hardware
from pipelines.models.precision import Offload, part_bytes
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.request import request_from
from tests.loras import weight_of
from tests.tiny import assert_same_picture
from tests.tiny_flux2 import write_klein
from tests.tiny_z_image import write_z_image

FOLDERS: Mapping[str, Callable[[Path], Path]] = {
    "flux2": lambda root: write_klein(root / "klein", distilled=True),
    "z-image": lambda root: write_z_image(root / "z-image"),
}


@pytest.fixture(scope="module", params=FOLDERS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return FOLDERS[request.param](tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def whole(folder: Path) -> Backbone:
    return load(folder)


def load(folder: Path, precision: str = "fp32", offload: Offload = "none") -> Backbone:
    """Tiny parts fit anywhere, so the plan is told where they wait; what computes is the CPU."""
    spec = resolve_backbone(folder)
    hardware = Hardware("meta", 1e12, 1e12)
    plan = replace(plan_backbone(spec, torch.float32, hardware, precision=precision), offload=offload)
    model = find_family(spec.family).loader().load_model(spec, plan, torch.device("cpu"))
    return Backbone(spec, model, plan)


def picture(backbone: Backbone) -> npt.NDArray[np.uint8]:
    return draw_batch(backbone, [request_from(backbone.spec, "a young woman, smiling", 1)])[0]


def test_in_fp8_the_text_encoder_is_cast_but_for_embeddings_and_norms(folder: Path, whole: Backbone) -> None:
    backbone = load(folder, "fp8")
    assert backbone.plan.precision_of("text_encoder") == "fp8"
    encoder = backbone.text_encoders["text_encoder"]
    kinds = {name: parameter.dtype for name, parameter in encoder.named_parameters()}
    cast = {name for name, kind in kinds.items() if kind == torch.float8_e4m3fn}
    assert {name.rsplit(".", 2)[1] for name in cast} == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    }  # fmt: skip
    assert all(kind == torch.float32 for name, kind in kinds.items() if name not in cast)
    family = find_family(backbone.spec.family)
    stored = sum(p.numel() * p.element_size() for p in encoder.parameters())
    header = read_part_headers(backbone.spec.source, family)["text_encoder"]
    assert part_bytes(header, "fp8", 4, family.parts[1].uncast) == stored == backbone.plan.parts["text_encoder"].bytes
    mine, theirs = (_numbers(encode_prompt(one, "a young woman, smiling")) for one in (backbone, whole))
    assert 0 < float((mine - theirs).norm() / theirs.norm()) < 0.3
    assert np.abs(picture(backbone).astype(float) - picture(whole)).mean() < 25


def _numbers(text: torch.Tensor | tuple[torch.Tensor, ...]) -> torch.Tensor:
    return text if isinstance(text, torch.Tensor) else torch.cat(text)


@pytest.mark.parametrize("offload", ["model", "group"])
@pytest.mark.parametrize("precision", ["fp32", "fp8"])
def test_parts_that_wait_in_memory_draw_the_same(
    folder: Path, whole: Backbone, precision: str, offload: Offload
) -> None:
    backbone = load(folder, precision, offload)
    expected = picture(whole if precision == "fp32" else load(folder, precision))
    assert_same_picture(picture(backbone), expected)
    assert_same_picture(picture(backbone), expected)


def test_a_drawing_that_is_stopped_leaves_no_part_on_the_device(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = load(folder, "fp32", "model")
    freed: list[bool] = []
    pipeline = getattr(backbone.model, "pipeline")  # noqa: B009
    monkeypatch.setattr(pipeline, "maybe_free_model_hooks", lambda: freed.append(True))

    def stop(step: int, steps: int) -> None:
        if step:
            raise Cancelled("job_stopped")

    with pytest.raises(Cancelled):
        draw_batch(backbone, [request_from(backbone.spec, "a woman", 1)], stop)
    assert freed


def test_a_lora_stands_beside_a_cast_text_encoder(folder: Path) -> None:
    backbone = load(folder, "fp8")
    encoder = backbone.text_encoders["text_encoder"]
    linear = next(name for name, m in encoder.named_modules() if name.endswith("layers.0.self_attn.q_proj"))
    rows, columns = weight_of(encoder, linear).shape
    generator = torch.Generator().manual_seed(0)
    down, up = (torch.randn(shape, generator=generator) for shape in ((2, columns), (rows, 2)))
    before = _numbers(encode_prompt(backbone, "a young woman"))
    backbone.lora_stack.set([((LoraLayer(f"text_encoder.{linear.removeprefix('model.')}", down, up, 2.0),), 1.0)])
    backbone.prompts.clear()
    assert not torch.equal(_numbers(encode_prompt(backbone, "a young woman")), before)
    backbone.lora_stack.clear()
    backbone.prompts.clear()
    assert torch.equal(_numbers(encode_prompt(backbone, "a young woman")), before)
