"""Posts whose place is shown by Redux with all dials or by an IP-Adapter: recorded, and drawn again to the pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.adapters.ip_adapter import adapter_of
from pipelines.errors import BadInput, BadPicture, ModelMissing
from pipelines.masks import load_weights
from pipelines.references.redux import ReduxReference, ReduxReferences, encode_reference
from studio.application import Studio
from studio.domain.posts import PostRequest, plan_shots
from studio.domain.scene import ReferenceDials
from studio.library.scenes import add_dials, add_scene
from studio.settings import Settings
from studio.workflows import run_directly
from studio.workflows.injections import Injections
from studio.workflows.redrawing import redraw_bundle
from studio.workflows.redux_dials import clear_person
from tests.exports import export_set
from tests.studio.workflows.test_ways import bundle, draw, persona
from tests.tiny import ip_adapter_tensors, write_ip_adapter


@pytest.fixture(scope="module")
def studio(tiny_flux: Path, tmp_path_factory: pytest.TempPathFactory) -> Studio:
    root = tmp_path_factory.mktemp("dials")
    adapter = write_ip_adapter(root / "adapter", ip_adapter_tensors())
    return Studio(Settings(data=root / "data", backbone=str(tiny_flux), batch_size=2, ip_adapter_folder=adapter))


def picture(path: Path, seed: int, size: tuple[int, int] = (96, 64)) -> Path:
    rng = np.random.default_rng(seed)
    Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def asked(studio: Studio, tmp_path: Path) -> PostRequest:
    scene = add_scene(studio.library, picture(tmp_path / "scene.png", 0), None, "square")
    return PostRequest.make(persona=persona(studio, tmp_path), scene=scene, shots=plan_shots(2, 1), scale=0.8)


def dials(studio: Studio, asked: PostRequest, tmp_path: Path, **more: Any) -> ReferenceDials:
    grey = np.zeros((96, 64), np.uint8)
    grey[:50] = np.linspace(10, 255, 64).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "weights.png")
    also = [picture(tmp_path / "other.png", 1, (80, 120))]
    given: dict[str, Any] = {"weights": tmp_path / "weights.png", "also": also, "pool": 2, "merge": 0.8}
    return add_dials(studio.library, asked.scene, **given | more)


def test_redux_with_every_dial_is_drawn_again_to_the_pixel(studio: Studio, asked: PostRequest, tmp_path: Path) -> None:
    redux = dials(studio, asked, tmp_path)
    post_set, _ = draw(studio, asked.changed(dials=redux))
    manifest = bundle(studio, post_set, tmp_path / "a.zip")
    kept = manifest.scene.redux
    assert kept is not None
    assert (kept.pool, kept.merge, kept.weights) == (2, 0.8, redux.weights)
    assert [len(r.sha256) for r in kept.references] == [64]
    assert (manifest.draw.inject, manifest.draw.ip_adapter_sha256) == ("redux", "")


def test_every_dial_changes_the_reference(studio: Studio, asked: PostRequest, tmp_path: Path) -> None:
    def tokens(**more: Any) -> list[float]:
        (reference,) = Injections(studio, asked.changed(dials=dials(studio, asked, tmp_path, **more))).references
        assert isinstance(reference, ReduxReference | ReduxReferences)
        found: list[float] = encode_reference(studio.backbone, reference).float().flatten().tolist()
        return found

    every = tokens()
    for without in ({"weights": None}, {"also": ()}, {"pool": 1}, {"merge": 1.0}):
        assert tokens(**without) != every


@pytest.mark.parametrize("more", [{}, {"blocks": "1=0.4"}, {"panels": 2}])
def test_the_ip_adapter_is_drawn_again_to_the_pixel(
    studio: Studio, asked: PostRequest, tmp_path: Path, more: dict[str, Any]
) -> None:
    redux = add_dials(studio.library, asked.scene, also=[picture(tmp_path / "other.png", 1)])
    post_set, pictures = draw(studio, asked.changed(inject="ip-adapter", dials=redux, **more))
    without, bare = draw(studio, asked.changed(scale=0.0))
    prompt, told = post_set.posts[0].prompt, without.posts[0].prompt
    assert len(prompt) < len(told)  # the place is shown instead of said
    assert set(prompt.split(", ")) < set(told.split(", "))
    assert not np.array_equal(pictures[0], bare[0])
    draws = bundle(studio, post_set, tmp_path / "a.zip").draw
    assert draws.ip_adapter_sha256 == adapter_of(studio.backbone).file.sha256
    assert (draws.ip_adapter_licence, draws.blocks, draws.inject) == (
        "apache-2.0",
        more.get("blocks", ""),
        "ip-adapter",
    )


def test_off_is_off_by_every_way(studio: Studio, asked: PostRequest) -> None:
    plain = draw(studio, asked.changed(scale=0.0))
    for off in ({"scale": 0.0, "inject": "ip-adapter"}, {"inject": "ip-adapter", "blocks": "0-1=0"}):
        post_set, pictures = draw(studio, asked.changed(**off))
        assert post_set.ip_adapter is None
        assert post_set.posts[0].prompt == plain[0].posts[0].prompt  # the words say the place
        for a, b in zip(pictures, plain[1], strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_bundle_of_another_adapter_is_not_drawn_again(studio: Studio, asked: PostRequest, tmp_path: Path) -> None:
    export_set(studio, draw(studio, asked.changed(inject="ip-adapter"))[0], tmp_path / "a.zip")
    other = write_ip_adapter(tmp_path / "adapter", ip_adapter_tensors(seed=99))
    settings = studio.settings.model_copy(update={"ip_adapter_folder": other})
    with pytest.raises(BadInput, match="bundle_of_another_ip_adapter"):
        redraw_bundle(Studio(settings), tmp_path / "a.zip", run_directly)


def test_dials_that_a_way_does_not_have_are_said(studio: Studio, asked: PostRequest, tmp_path: Path) -> None:
    every = dials(studio, asked, tmp_path)
    kept = asked.scene.model_copy(update={"landmark": every.weights})
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"blocks": "0"}, "blocks_need_ip_adapter"),
        ({"inject": "ip-adapter", "dials": every}, "dials_need_redux"),
        ({"inject": "references", "dials": every}, "dials_need_redux"),
        ({"inject": "ip-adapter", "blocks": "7"}, "blocks_invalid"),
        ({"inject": "ip-adapter", "scale": 2.5}, "scale, limit=≤ 2"),
        ({"scale": 1.5}, "scale_too_large"),
        ({"scale": float("nan")}, "scale"),
        ({"inject": "ip-adapter", "scale": -1.0}, "scale, limit=≥ 0"),
        ({"inject": "ip-adapter", "keep": "fill", "scene": kept}, "fill_with_ip_adapter"),
    ]
    for ways, words in wrong:
        with pytest.raises(BadInput, match=words):
            draw(studio, asked.changed(**ways))
    for dial in ({"pool": 0}, {"merge": 3.0}):
        with pytest.raises(BadInput, match="request_invalid"):
            dials(studio, asked, tmp_path, **dial)


def test_a_photo_of_nothing_but_a_person_is_refused() -> None:
    image, person = np.zeros((96, 64, 3), np.uint8), np.ones((96, 64), np.bool_)
    with pytest.raises(BadInput, match="reference_without_background"):
        clear_person(image, person)
    assert not clear_person(image, person & False).any()


def test_weights_of_the_scenes_shape_are_scaled(tmp_path: Path) -> None:
    small = np.repeat(np.array([[0, 255]], np.uint8), 64, axis=1).repeat(192, axis=0)  # 192×128
    Image.fromarray(small).save(tmp_path / "w.png")
    weights = load_weights(tmp_path / "w.png", (96, 64))
    assert weights.shape == (96, 64)
    assert (weights[:, :30].max(), weights[:, 34:].min()) == (0, 255)
    Image.fromarray(small[:128]).save(tmp_path / "w.png")
    with pytest.raises(BadPicture, match=r"mask_of_other_shape.*128"):
        load_weights(tmp_path / "w.png", (96, 64))
    Image.fromarray(small * 0).save(tmp_path / "w.png")
    with pytest.raises(BadPicture, match="weights_all_black"):
        load_weights(tmp_path / "w.png", (96, 64))


def test_the_miniature_says_that_it_has_no_adapter(asked: PostRequest, studio: Studio) -> None:
    backbone = Studio(Settings(data=studio.settings.data, backbone=studio.settings.backbone))
    with pytest.raises(ModelMissing, match="ip_adapter_missing"):
        draw(backbone, asked.changed(inject="ip-adapter"))
