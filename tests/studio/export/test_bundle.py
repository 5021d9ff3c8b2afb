"""A bundle holds what its manifest says, in the platform's size, labelled, and its bytes depend on its content only."""

import errno
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from pipelines.errors import BadInput, OutOfDisk
from studio.domain import platforms
from studio.domain.platforms import Platform, find_platform, load_platforms
from studio.export.bundle import BundlePost, pixels_sha256, verify_bundle, write_bundle
from studio.export.framing import frame_picture
from studio.export.manifest import (
    DonorFacts,
    DrawFacts,
    Manifest,
    ManifestPersona,
    SceneFacts,
    parse_manifest,
    read_manifest,
)
from studio.export.pictures import render
from studio.export.provenance import RECIPE_CHUNK, read_label
from studio.workflows.bundling import donor_facts
from tests.studio.domain.values import RECIPE, make_persona


def _posts(count: int = 3) -> list[BundlePost]:
    rng = np.random.default_rng(0)
    return [
        BundlePost(
            rng.integers(0, 255, (256, 192, 3)).astype(np.uint8), f"prompt {i}", f"你好\n{i}", i, 16, 0.0, 2.0,
            {"framing": "close-up"}, {"identity": 0.9, "scene": None}, i == 0,
        )
        for i in range(count)
    ]  # fmt: skip


def _write(path: Path, posts: list[BundlePost], platform: str = "xiaohongshu", **told: Any) -> Manifest:
    return write_bundle(
        path, posts, persona=ManifestPersona(id="p", name="Lin", version=1, lora=""), recipe=RECIPE,
        donors=[DonorFacts(id="d", name="mei", mix_weight=1.0, licence="Apache-2.0", consent="invented")],
        scene=SceneFacts(name="cafe", sha256="0", photo="1", landmark="", scale=1.0),
        draw=DrawFacts(backbone="miniature", backbone_sha256="0", batch_size=8, batches=((0, 1, 2),),
                       dtype="bfloat16", precision="bf16", offload="none", device="cpu", threads=2, height=256,
                       width=192),
        platform=platform, software={"torch": "2.13.0"}, **told,
    )  # fmt: skip


def test_a_bundle_verifies_and_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    manifest = _write(path, _posts())
    assert verify_bundle(path) == ()
    assert read_manifest(path) == manifest
    with zipfile.ZipFile(path) as bundle:
        assert [n for n in bundle.namelist() if n.startswith("pictures/")] == [f"pictures/0{i}.jpg" for i in (1, 2, 3)]
        for name in ("pictures/01.jpg", "pictures/03.jpg"):
            assert Image.open(io.BytesIO(bundle.read(name))).size == (1080, 1440)
        assert bundle.read("captions.txt").decode().splitlines()[1] == "02.jpg\t你好 1"
    assert manifest.posts[1].drawn_sha256 == pixels_sha256(_posts()[1].image)


def test_a_caption_is_no_formula(tmp_path: Path) -> None:
    posts = [
        replace(post, caption=caption)
        for post, caption in zip(_posts(), ("=cmd|' /C calc'!A0", "@shop", "1+1"), strict=True)
    ]
    _write(tmp_path / "a.zip", posts, title="+1", body="-2+3\nplain")
    with zipfile.ZipFile(tmp_path / "a.zip") as bundle:
        lines = bundle.read("captions.txt").decode().splitlines()
    assert lines == [" +1", " -2+3", "plain", "", "01.jpg\t =cmd|' /C calc'!A0", "02.jpg\t @shop", "03.jpg\t1+1"]
    assert [post.caption for post in read_manifest(tmp_path / "a.zip").posts] == [post.caption for post in posts]


def test_a_manifest_names_nobody_who_consented() -> None:
    persona = make_persona()
    persona = persona.model_copy(
        update={"donors": tuple(d.model_copy(update={"consent": "Lea Roth, Bern"}) for d in persona.donors)}
    )
    facts = donor_facts(persona)
    assert [one.id for one in facts] == [one.id for one in persona.donors]
    assert "Lea" not in "".join(one.model_dump_json() for one in facts)


def test_same_content_same_bytes(tmp_path: Path) -> None:
    _write(tmp_path / "a.zip", _posts())
    _write(tmp_path / "b.zip", _posts())
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_archive_is_the_original_and_only_machines_read_its_label(tmp_path: Path) -> None:
    _write(tmp_path / "a.zip", _posts(), "archive")
    with zipfile.ZipFile(tmp_path / "a.zip") as bundle:
        data = bundle.read("pictures/01.png")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), _posts()[0].image)
    record = read_label(data)
    assert record is not None
    assert record["Label"] == "1"
    assert b"compositeWithTrainedAlgorithmicMedia" in data


def test_pictures_and_captions_only_tell_nobody_what_they_were_made_from(tmp_path: Path) -> None:
    told = {"title": "A title", "body": "Words", "tags": ("red dress", "#café")}
    for platform in ("xiaohongshu", "archive"):
        path = tmp_path / f"{platform}.zip"
        manifest = _write(path, _posts(), platform, content="pictures", **(told if platform == "xiaohongshu" else {}))
        assert manifest.persona.name == "Lin"  # the recipe stays at home
        with zipfile.ZipFile(path) as bundle:
            files = {name: bundle.read(name) for name in bundle.namelist()}
        assert {name for name in files if not name.startswith("pictures/")} == {"captions.txt"}
        assert len(files) == 4
        for word in (b"prompt 1", b"mei", b"Lin", RECIPE_CHUNK.encode(), b"donor"):
            assert not any(word in data for data in files.values()), word
        assert all(read_label(data) for name, data in files.items() if name != "captions.txt")
        if platform == "xiaohongshu":
            assert files["captions.txt"].decode().startswith("A title\nWords\n#reddress #café\n\n01.jpg\t")


def test_the_contact_sheet_is_labelled_too(tmp_path: Path) -> None:
    _write(tmp_path / "a.zip", _posts())
    with zipfile.ZipFile(tmp_path / "a.zip") as bundle:
        data = bundle.read("contact_sheet.jpg")
    record = read_label(data)
    assert record is not None
    assert record["Label"] == "1"
    assert b"compositeWithTrainedAlgorithmicMedia" in data
    sheet = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(float)
    below, left = 256, 2 * 192
    assert sheet[-16:-8, -40:-8].mean() < 200  # a dark ground
    assert (sheet[below:, :400] > 240).all()  # below the pictures
    last = _posts()[2].image[-40:-4, -60:-4]
    assert np.abs(sheet[below - 40 : below - 4, left + 132 : left + 188] - last).mean() < 12


def test_published_pictures_carry_labels_but_no_prompt(tmp_path: Path) -> None:
    _write(tmp_path / "a.zip", _posts())
    with zipfile.ZipFile(tmp_path / "a.zip") as bundle:
        first, second = bundle.read("pictures/01.jpg"), bundle.read("pictures/02.jpg")
    label = read_label(second)
    assert label is not None
    assert set(label) == {"Label", "ContentProducer", "ProduceID", "ReservedCode1", "ContentPropagator", "PropagateID",
                          "ReservedCode2"}  # fmt: skip
    assert b"prompt 1" not in second
    assert b"/trainedAlgorithmicMedia" in second
    assert b"/compositeWithTrainedAlgorithmicMedia" in first


def test_a_png_of_a_platform_that_embeds_no_recipe_tells_neither_prompt_nor_donors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = find_platform("archive").model_copy(update={"id": "gallery", "embeds_recipe": False})
    monkeypatch.setattr(platforms, "load_platforms", lambda: (row,))
    _write(tmp_path / "a.zip", _posts(), "gallery")
    with zipfile.ZipFile(tmp_path / "a.zip") as bundle:
        data = bundle.read("pictures/02.png")
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        told = {name: str(value) for name, value in picture.info.items()}
    assert RECIPE_CHUNK not in told
    assert not any(word in text for text in told.values() for word in ("prompt 1", "mei", "Lin"))
    label = read_label(data)
    assert label is not None
    assert label["Label"] == "1"
    with pytest.raises(ValidationError):
        Platform.model_validate(find_platform("gallery").model_dump() | {"format": "JPEG", "embeds_recipe": True})


def test_every_changed_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    _write(path, _posts())
    with zipfile.ZipFile(path) as bundle:
        files = {n: bundle.read(n) for n in bundle.namelist()}
    del files["pictures/01.jpg"]
    files["captions.txt"] += b"x"
    files["extra.txt"] = b""
    with zipfile.ZipFile(path, "w") as bundle:
        for name, data in files.items():
            bundle.writestr(name, data)
    assert sorted(verify_bundle(path)) == [
        "captions.txt was changed.", "extra.txt is not in the manifest.", "pictures/01.jpg is missing.",
    ]  # fmt: skip


WAYS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def _packed(path: Path, how: int, spoilt: str, seed: int) -> None:
    """Pack a bundle anew, this way, with a byte of the packed `spoilt` changed."""
    _write(path, _posts(1))
    with zipfile.ZipFile(path) as bundle:
        files = {name: bundle.read(name) for name in bundle.namelist()}
    with zipfile.ZipFile(path, "w") as bundle:
        for name, data in files.items():
            bundle.writestr(name, data, how)
        entry = bundle.getinfo(spoilt)
    packed, first = bytearray(path.read_bytes()), entry.header_offset + 30 + len(entry.filename)
    last = first + entry.compress_size
    packed[np.random.default_rng(seed).integers(first + 9, last)] ^= 0x55  # LZMA's own first bytes say nothing
    path.write_bytes(packed)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("how", WAYS)
def test_a_damaged_file_was_changed_however_it_is_packed(tmp_path: Path, how: int, seed: int) -> None:
    _packed(tmp_path / "a.zip", how, "captions.txt", seed)
    assert verify_bundle(tmp_path / "a.zip") == ("captions.txt was changed.",)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("how", WAYS)
def test_a_damaged_manifest_is_no_bundle_however_it_is_packed(tmp_path: Path, how: int, seed: int) -> None:
    _packed(tmp_path / "a.zip", how, "manifest.json", seed)
    for read in (read_manifest, verify_bundle):
        with pytest.raises(BadInput, match="not_a_bundle"):
            read(tmp_path / "a.zip")


def test_what_is_no_bundle(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"zip?")
    with pytest.raises(BadInput, match="not_a_bundle"):
        read_manifest(path)
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr("manifest.json", json.dumps({"version": 1, "surprise": True}))
    with pytest.raises(BadInput, match="not_a_bundle"):
        read_manifest(path)


def test_manifest_takes_no_unknown_fields(tmp_path: Path) -> None:
    manifest = _write(tmp_path / "a.zip", _posts())
    values: dict[str, Any] = manifest.model_dump(mode="json")
    assert parse_manifest(json.dumps(values)) == manifest
    with pytest.raises(BadInput) as refused:
        parse_manifest(json.dumps(values | {"version": 2, "more": 1}))
    assert refused.value.code == "bundle_too_new"
    with pytest.raises(ValidationError):
        Manifest.model_validate(values | {"more": 1})


def test_too_many_pictures_for_the_platform(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"platform_picture_count.*most=5"):
        _write(tmp_path / "a.zip", _posts(6), "taobao")
    assert list(tmp_path.iterdir()) == []


def test_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(OutOfDisk, match="no_room_for_file"):
        _write(tmp_path / "a.zip", _posts())
    assert list(tmp_path.iterdir()) == []


def test_platforms_are_all_usable() -> None:
    for platform in load_platforms():
        assert platform.source
        assert platform.date
        picture = render(_posts(1)[0].image, frame_picture(_posts(1)[0].content, platform), platform)
        assert picture.size == ((platform.width, platform.height) if platform.width else (192, 256))
    with pytest.raises(BadInput, match=r"platform_unknown.*myspace.*xiaohongshu"):
        find_platform("myspace")
