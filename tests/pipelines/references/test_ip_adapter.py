"""IP-Adapter: diffusers' own attention, off at 0 bit by bit, per block, own references within a batch."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import FluxPipeline, FluxTransformer2DModel
from transformers import CLIPVisionModelWithProjection

from pipelines.adapters.ip_adapter import load_adapter, read_adapter
from pipelines.backbones import Backbone, load_backbone, resolve_backbone
from pipelines.errors import BadInput, ModelMissing, NotEnoughMemory
from pipelines.models.hardware import Hardware
from pipelines.references.ip_adapter import IpAdapterReference, block_scales
from pipelines.references.landmark import Landmark
from pipelines.references.protocol import Conditions
from pipelines.sampling.draw import draw, draw_batch
from pipelines.sampling.request import plan_batches, request_from
from tests.tiny import ip_adapter_tensors, write_ip_adapter

Picture = npt.NDArray[np.uint8]


def noise(seed: int) -> Picture:
    return np.random.default_rng(seed).integers(0, 256, (64, 48, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ip_adapter(tmp_path_factory.mktemp("adapter") / "ip_adapter", ip_adapter_tensors())


@pytest.fixture(scope="module")
def backbone(tiny_flux: Path, folder: Path) -> Backbone:
    spec = replace(resolve_backbone(tiny_flux), companions={"ip_adapter": folder}, true_cfg_scale=1.0)
    return load_backbone(spec, "cpu", torch.float32)


def one(backbone: Backbone, *scales: float, seed: int = 0, image: int = 1) -> Picture:
    references = (IpAdapterReference((noise(image),), scales),) if scales else ()
    return draw_batch(backbone, [request_from(backbone.spec, "a cafe", seed, references=references)])[0]


@pytest.mark.parametrize("layout", ["xlabs", "diffusers"])
def test_it_draws_what_diffusers_draws(backbone: Backbone, tiny_flux: Path, tmp_path: Path, layout: str) -> None:
    tensors = ip_adapter_tensors(layout)
    written = write_ip_adapter(tmp_path, tensors)
    assert read_adapter(written).format == layout
    theirs = FluxPipeline.from_pretrained(tiny_flux, dtype=torch.float32)
    theirs.load_ip_adapter(
        str(tmp_path), "ip_adapter.safetensors", image_encoder_dtype=torch.float32,
        image_encoder_pretrained_model_name_or_path=str(tmp_path / "image_encoder"),
    )  # fmt: skip
    theirs.set_ip_adapter_scale([0.7, 0.4])
    square = noise(1)[:32, :32]  # of the encoder's own size: nothing is resized
    reference = IpAdapterReference((square,), (0.7, 0.4), written)
    encoded = reference.encode(backbone)
    tokens = encoded[1]
    told = theirs.transformer.encoder_hid_proj([theirs.encode_image(Image.fromarray(square), "cpu", 1)[None]])
    assert torch.allclose(told[0], tokens, atol=1e-5)
    call = {
        "hidden_states": torch.randn(2, 24, 32), "encoder_hidden_states": torch.randn(2, 5, 32),
        "pooled_projections": torch.randn(2, 24), "timestep": torch.tensor([0.5, 0.5]), "img_ids": torch.zeros(24, 3),
        "txt_ids": torch.zeros(5, 3), "return_dict": False,
    }  # fmt: skip
    both = torch.cat([tokens, tokens])
    with torch.no_grad():
        want = theirs.transformer(**call, joint_attention_kwargs={"ip_hidden_states": [both]})[0]
        plain = backbone.transformer(**call)[0]
        conditions = Conditions(backbone, [], [])
        reference.extend(conditions, [reference] * 2, [encoded] * 2)
        with conditions.installed[0]:
            got = backbone.transformer(**call)[0]
        after = backbone.transformer(**call)[0]
    assert torch.equal(got, want)
    assert (got - plain).abs().max() > 0.01
    assert torch.equal(after, plain)


def test_off_is_exactly_off_and_every_block_counts(backbone: Backbone) -> None:
    without = one(backbone)
    assert np.array_equal(one(backbone, 0.0, 0.0), without)
    first, second, both = one(backbone, 1.0, 0.0), one(backbone, 0.0, 1.0), one(backbone, 1.0, 1.0)
    pictures = (without, first, second, both, one(backbone, 1.0, 1.0, image=2))
    for i, a in enumerate(pictures):
        for b in pictures[i + 1 :]:
            assert not np.array_equal(a, b)
    assert np.array_equal(one(backbone), without)  # and nothing stays on the model


def test_pictures_of_a_batch_have_their_own_references(backbone: Backbone) -> None:
    scales = (0.8, 0.5)
    references = [IpAdapterReference((noise(i),), scales) for i in (1, 2)]
    requests = [request_from(backbone.spec, "a cafe", 5, references=(r,)) for r in references]
    assert plan_batches(requests) == ((0, 1),)
    together = draw_batch(backbone, requests)
    for picture, image in zip(together, (1, 2), strict=True):
        alone = one(backbone, *scales, seed=5, image=image)
        assert np.abs(picture.astype(int) - alone).max() <= 1  # a batch of two may round differently


def test_what_differs_is_not_drawn_together(backbone: Backbone) -> None:
    def ask(*references: IpAdapterReference) -> tuple[tuple[int, ...], ...]:
        plain = request_from(backbone.spec, "a cafe", 1)
        return plan_batches([plain, replace(plain, references=references)])

    assert ask() == ask(IpAdapterReference((noise(1),), (0.0, 0.0))) == ((0, 1),)
    assert ask(IpAdapterReference((noise(1),), (1.0, 0.0))) == ((0,), (1,))


def test_it_goes_with_a_landmark_guidance_and_several_references(backbone: Backbone) -> None:
    mask = np.zeros((96, 64), np.bool_)
    mask[:32, :32] = True
    image = np.random.default_rng(4).integers(0, 256, (96, 64, 3), dtype=np.uint8)
    reference = IpAdapterReference((noise(1), noise(2)), (1.0, 1.0))
    request = request_from(backbone.spec, "a cafe", 1, references=(reference, Landmark(image, mask)), cfg_scale=2.0)
    ((_, drawn),) = draw(backbone, [request])
    ((_, bare),) = draw(backbone, [replace(request, references=request.references[1:])])
    assert np.array_equal(drawn[mask], image[mask])
    assert not np.array_equal(drawn, bare)


def test_blocks_in_words() -> None:
    assert block_scales("", 0.6, 3) == (0.6, 0.6, 0.6)
    assert block_scales("0-1, 4=0.25", 0.6, 5) == (0.6, 0.6, 0.0, 0.0, 0.25)
    for wrong in ("5", "2-1", "x", "1=", "1=nan", "1=-1", "0,", "1=3"):
        with pytest.raises(BadInput):
            block_scales(wrong, 0.6, 5)
    for scale in (float("nan"), -0.1, 2.5):
        with pytest.raises(BadInput, match="ip_adapter_scale_out_of_range"):
            block_scales("", scale, 5)


def test_wrong_references(backbone: Backbone) -> None:
    with pytest.raises(BadInput, match="references_empty"):
        IpAdapterReference((), (1.0,))
    with pytest.raises(BadInput, match="picture_not_rgb"):
        IpAdapterReference((noise(1)[..., 0],), (1.0,))
    with pytest.raises(BadInput, match="scales=3"):
        one(backbone, 1.0, 1.0, 1.0)


def test_a_backbone_without_one_says_so(tiny_backbone: Backbone) -> None:
    with pytest.raises(ModelMissing, match="ip_adapter_missing"):
        one(tiny_backbone, 1.0, 1.0)


def test_the_licence_is_read_from_its_card(folder: Path, tmp_path: Path) -> None:
    save = tmp_path / "flux-ip-adapter"
    save.mkdir()
    save_file(ip_adapter_tensors(), save / "ip_adapter.safetensors")
    assert read_adapter(save).licence == "flux-1-dev-non-commercial-license"  # a known one without its card
    file = read_adapter(folder)
    assert file.licence == "apache-2.0"
    assert (len(file.blocks), file.tokens, file.token_width) == (2, 4, 32)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"blocks": 3}, r"ip_adapter_does_not_fit.*blocks=3, width=32"),
        ({"width": 48}, r"ip_adapter_does_not_fit.*blocks=2, width=48"),
    ],
)
def test_an_adapter_of_another_shape_is_refused(
    tmp_path: Path, tiny_backbone: Backbone, change: dict[str, int], says: str
) -> None:
    written = write_ip_adapter(tmp_path, ip_adapter_tensors(**change))  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=says):
        load_adapter(written, tiny_backbone.transformer, tiny_backbone.device, tiny_backbone.dtype)


def test_damaged_files_are_refused(tmp_path: Path, tiny_backbone: Backbone) -> None:
    written = write_ip_adapter(tmp_path / "adapter", ip_adapter_tensors())
    path = written / "ip_adapter.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match="ip_adapter_damaged"):
        read_adapter(written)
    for broken, says in (
        (
            {"double_blocks.0.processor.ip_adapter_double_stream_k_proj.weight": None},
            r"ip_adapter_incomplete.*double_blocks\.0",
        ),
        ({"image_proj.latents": torch.zeros(2)}, "ip_adapter_key_unknown"),
        ({"ip_adapter_proj_model.norm.bias": torch.full((32,), torch.nan)}, "ip_adapter_not_finite"),
        ({"ip_adapter_proj_model.norm.bias": torch.zeros(31)}, "ip_adapter_layers_do_not_fit"),
    ):
        tensors = {k: v for k, v in (ip_adapter_tensors() | broken).items() if v is not None}
        save_file(tensors, path)
        with pytest.raises(BadInput, match=says):
            read_adapter(written)
    save_file(ip_adapter_tensors() | {"ip_adapter_proj_model.proj.weight": torch.zeros(128, 7)}, path)
    with pytest.raises(BadInput, match=r"ip_adapter_encoder_does_not_fit.*reads=7"):
        load_adapter(written, tiny_backbone.transformer, tiny_backbone.device, tiny_backbone.dtype)


def test_folders_without_a_usable_file(tmp_path: Path, tiny_backbone: Backbone) -> None:
    with pytest.raises(ModelMissing, match="ip_adapter_folder_missing"):
        read_adapter(tmp_path / "nowhere")
    with pytest.raises(ModelMissing, match="ip_adapter_file_missing"):
        read_adapter(tmp_path)
    torch.save(ip_adapter_tensors(), tmp_path / "ip_adapter.bin")
    with pytest.raises(BadInput, match="ip_adapter_is_pickle"):
        read_adapter(tmp_path)
    save_file(ip_adapter_tensors(), tmp_path / "a.safetensors")
    with pytest.raises(ModelMissing, match="ip_adapter_encoder_missing"):
        load_adapter(tmp_path, tiny_backbone.transformer, tiny_backbone.device, tiny_backbone.dtype)
    save_file(ip_adapter_tensors(), tmp_path / "b.safetensors")
    with pytest.raises(BadInput, match=r"ip_adapter_several_files.*count=2"):
        read_adapter(tmp_path)


def test_an_adapter_without_room_is_refused_before_it_is_loaded(
    tmp_path: Path, tiny_backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = write_ip_adapter(tmp_path, ip_adapter_tensors())
    where = tiny_backbone.transformer, tiny_backbone.device, torch.float32
    file = read_adapter(written)
    weights = [*file.projection.values(), *(t for block in file.blocks for t in block.values())]
    needed = 4 * sum(t.numel() for t in weights)
    needed += 4 * sum(p.numel() for p in load_adapter(written, *where).encoder.parameters())
    load_adapter(written, *where, 1e6, Hardware("cuda", needed + 1e6, 1e9))
    monkeypatch.setattr(CLIPVisionModelWithProjection, "from_pretrained", None)
    for beside, free in ((0.0, needed - 1), (1e6, needed + 1e6 - 1)):
        with pytest.raises(NotEnoughMemory, match="no_memory_for_ip_adapter"):
            load_adapter(written, *where, beside, Hardware("cuda", free, 1e9))


def test_a_real_shape_fits(tmp_path: Path) -> None:
    """FLUX.1-dev's 19 blocks, 3072 wide, with 16 tokens of 4096: sizes as XLabs' second adapter has them."""
    with torch.device("meta"):
        transformer = FluxTransformer2DModel(num_single_layers=0)
    assert (transformer.config.num_layers, transformer.inner_dim) == (19, 3072)
    tensors = ip_adapter_tensors(blocks=19, width=3072)
    save_file(tensors, tmp_path / "flux.safetensors")
    write_ip_adapter(tmp_path / "x", {"a": torch.zeros(1)})
    (tmp_path / "x" / "image_encoder").rename(tmp_path / "image_encoder")
    adapter = load_adapter(tmp_path, transformer, torch.device("cpu"), torch.float32)
    assert len(adapter.processors) == 19


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another adapter for the same transformer, with other weights and more tokens."""
    return write_ip_adapter(tmp_path_factory.mktemp("second"), ip_adapter_tensors(seed=77, tokens=6))


def test_two_adapters_add_up_in_every_block(backbone: Backbone, second: Path) -> None:
    attention = backbone.transformer.transformer_blocks[1].attn
    generator = torch.Generator().manual_seed(0)
    image, text = (torch.randn(1, n, 32, generator=generator) for n in (24, 5))
    references = [IpAdapterReference((noise(1),), (0.0, 0.7)), IpAdapterReference((noise(2),), (0.0, 0.4), second)]

    @torch.no_grad()
    def read(*some: IpAdapterReference) -> tuple[torch.Tensor, ...]:
        conditions = Conditions(backbone, [], [])
        for reference in some:
            reference.extend(conditions, [reference], [reference.encode(backbone)])
        with ExitStack() as stack:
            for installed in conditions.installed:
                stack.enter_context(installed)
            return tuple(attention(hidden_states=image, encoder_hidden_states=text))

    plain, one, two, both = read(), read(references[0]), read(references[1]), read(*references)
    assert len(plain) == 2
    for found in (one, two, both):
        assert torch.equal(found[0], plain[0])
        assert torch.equal(found[1], plain[1])
    assert torch.equal(both[2], one[2] + two[2])
    assert min(float(found[2].abs().max()) for found in (one, two)) > 0.01
    after = read()
    assert len(after) == 2


def test_one_of_two_adapters_that_is_off_leaves_the_other_alone(backbone: Backbone, second: Path) -> None:
    first, other = IpAdapterReference((noise(1),), (0.7, 0.4)), IpAdapterReference((noise(2),), (0.5, 0.5), second)
    off = replace(other, scales=(0.0, 0.0))

    def drawn(*references: IpAdapterReference) -> Picture:
        return draw_batch(backbone, [request_from(backbone.spec, "a cafe", 1, references=references)])[0]

    alone = drawn(first)
    assert np.array_equal(drawn(first, off), alone)
    assert np.array_equal(drawn(off, first), alone)
    assert not np.array_equal(drawn(first, other), alone)
    assert not np.array_equal(drawn(first, other), drawn(other))
    assert np.array_equal(drawn(), one(backbone, seed=1))
