"""Folders of pictures as people have them: what is used, what is left out, and why."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.errors import BadInput, NotEnough
from studio.application import Studio
from studio.datasets.pairs import bring_folder
from studio.library.library import Library
from studio.library.picture_folders import list_pictures, load_pictures
from studio.settings import Settings
from tests.data import need


def _pictures(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        image = Image.fromarray(np.full((80, 96, 3), 10 * number, np.uint8))
        image.save(folder / name, "JPEG")
    return folder


def _unpack(case: str, name: str, folder: Path) -> Path:
    with zipfile.ZipFile(need(f"cases/{case}") / name) as packed:
        packed.extractall(folder)
    return folder


def test_hidden_files_and_those_of_systems_are_out_without_a_word(tmp_path: Path) -> None:
    folder = _pictures(tmp_path, "a.jpg", "B.JPG", "c", "d.jpeg")
    for name in ("._a.jpg", ".DS_Store", "Thumbs.db", "desktop.ini", ".hidden.png"):
        (folder / name).write_bytes(b"\0\5\x16\7 no picture")
    _pictures(folder / "__MACOSX", "x.jpg")
    found = list_pictures(folder)
    assert [p.name for p in found.pictures] == ["B.JPG", "a.jpg", "c", "d.jpeg"]
    assert found.left_out == ()


def test_all_else_is_named(tmp_path: Path) -> None:
    folder = _pictures(tmp_path, "a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg")
    (folder / "e.jpg").write_bytes((folder / "e.jpg").read_bytes()[:300])
    (folder / "f.tif").write_bytes(b"II*\0" + b"\0" * 90)
    (folder / "g.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 60)
    (folder / "a.txt").write_text("words")
    (folder / "z.txt").write_text("words of nothing")
    (folder / "metadata.jsonl").write_text("{}")
    _pictures(folder / "more", "x.jpg", "y.jpg")
    loaded, left_out = load_pictures(list_pictures(folder), 4)
    assert [p.path.name for p in loaded] == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert [(e.code, e.fields.get("name") or e.fields.get("file")) for e in left_out] == [
        ("picture_not_readable", "f.tif"), ("subfolder_left_out", "more"), ("caption_without_picture", "z.txt"),
        ("picture_damaged", "e.jpg"), ("picture_heic", "g.HEIC"),
    ]  # fmt: skip


def test_too_few_say_what_a_person_sees_instead(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no_folder"):
        list_pictures(tmp_path / "nowhere")
    few = list_pictures(_pictures(tmp_path / "few", "a.jpg"))
    with pytest.raises(NotEnough, match=r"donor_pictures_too_few.*count=1"):
        few.check_enough(4)
    (tmp_path / "few" / "b.bmp").write_bytes(b"BM" + b"\0" * 80)
    with pytest.raises(NotEnough, match=r"folder_usable_too_few.*count=1, total=2.*b\.bmp"):
        list_pictures(tmp_path / "few").check_enough(4)
    _pictures(tmp_path / "outer" / "10_ohwx woman", "a.jpg", "b.jpg")
    with pytest.raises(NotEnough, match=r"pictures_in_subfolders.*count=2.*10_ohwx woman"):
        list_pictures(tmp_path / "outer").check_enough(4)


@pytest.fixture
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Studio(Settings(data=tmp_path_factory.mktemp("data"))).library


@pytest.mark.parametrize("name", ["a.txt", "a.TXT", "a.jpg.txt", "a.caption"])
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
def test_captions_are_read_in_their_usual_names_and_encodings(
    library: Library, tmp_path: Path, name: str, coding: str
) -> None:
    folder = _pictures(tmp_path, "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    (folder / name).write_bytes("“ohwx 小红，\u00a0smiling”\r\n".encode(coding))
    pictures, _ = bring_folder(library, folder, "me")
    assert [picture.caption for picture in pictures] == ["ohwx 小红， smiling", "", "", ""]


def test_a_caption_of_unknown_encoding_is_named_and_its_picture_is_taken(library: Library, tmp_path: Path) -> None:
    folder = _pictures(tmp_path, "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    (folder / "a.txt").write_bytes("小红".encode("gbk"))
    pictures, left_out = bring_folder(library, folder, "me")
    assert [(error.code, error.fields["file"]) for error in left_out] == [("text_not_utf8", "a.txt")]
    assert [picture.caption for picture in pictures] == [""] * 4
    (folder / "a.txt").write_bytes(b" \r\n")
    assert bring_folder(library, folder, "me")[1] == ()


def test_a_real_folder_from_a_mac(library: Library, tmp_path: Path) -> None:
    pictures, left_out = bring_folder(library, _unpack("dataset-appledouble", "pictures.zip", tmp_path), "me")
    assert (len(pictures), left_out) == (4, ())


def test_a_real_folder_of_all_kinds(library: Library, tmp_path: Path) -> None:
    pictures, left_out = bring_folder(library, _unpack("dataset-left-out-silently", "mixed.zip", tmp_path), "me")
    assert len(pictures) == 5  # the AVIF is one of them
    assert [e.fields["name"] for e in left_out] == ["IMG_5.tif", "IMG_6.gif", "IMG_7.bmp"]


def test_real_folders_in_which_a_person_sees_pictures(library: Library, tmp_path: Path) -> None:
    with pytest.raises(NotEnough, match=r"folder_of_heic.*count=6"):
        bring_folder(library, _unpack("dataset-left-out-silently", "phone.zip", tmp_path / "a"), "me")
    with pytest.raises(NotEnough, match=r"pictures_in_subfolders.*10_ohwx woman"):
        bring_folder(library, _unpack("dataset-left-out-silently", "kohya.zip", tmp_path / "b"), "me")
