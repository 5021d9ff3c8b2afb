"""A copy without the label that is seen leaves by the user's recorded word alone; machines still read what it is."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.errors import BadInput
from studio.application import Studio
from studio.domain.album_export import AlbumExportRequest
from studio.domain.bundle import CheckRequest, ExportRequest
from studio.domain.posts import DrawnWith, PostSet
from studio.export.content_credentials import read_credentials
from studio.export.provenance import find_stamp, read_label
from studio.library.records import BundleRecord, RightsRecord
from studio.settings import Settings
from studio.workflows.bundling import export_bundle
from tests.library import keep_cafe, keep_persona, keep_posts

DRAWN = DrawnWith(
    backbone="miniature", backbone_sha256="0", batch_size=8, dtype="bfloat16", precision="bf16", offload="none",
    device="cpu", threads=2, height=256, width=192,
)  # fmt: skip


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path / "data", threads=1))


@pytest.fixture
def post_set(studio: Studio) -> PostSet:
    keep_persona(studio)
    return keep_posts(studio, 1, keep_cafe(studio), drawn_with=DRAWN)


def test_originals_need_the_word_wherever_they_are_asked_for(studio: Studio, post_set: PostSet, tmp_path: Path) -> None:
    asked = ExportRequest.make(post_set=post_set, platform="archive")
    album = AlbumExportRequest.make(name="a", sets=(post_set,), platforms=("archive",))
    with pytest.raises(BadInput, match="unlabelled_without_word"):
        asked.check_before()
    with pytest.raises(BadInput, match="unlabelled_without_word"):
        album.check_before()
    with pytest.raises(BadInput, match="unlabelled_without_word"):
        export_bundle(studio, asked, tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()
    assert not studio.records.find(RightsRecord, "me")
    CheckRequest.make(post_set=post_set, platform="archive").check_before()  # a look leaves the studio with nobody
    asked.changed(unlabelled=True).check_before()
    album.changed(unlabelled=True).check_before()


def test_the_word_is_kept_with_day_and_owner_and_machines_still_read_the_label(
    studio: Studio, post_set: PostSet, tmp_path: Path
) -> None:
    asked = ExportRequest.make(post_set=post_set, platform="xiaohongshu", finish=False, unlabelled=True)
    manifest = export_bundle(studio, asked, tmp_path / "a.zip")
    assert manifest is not None
    assert manifest.posts[0].label == ""
    with zipfile.ZipFile(tmp_path / "a.zip") as bundle:
        data = bundle.read(manifest.posts[0].file)
    assert find_stamp(np.asarray(Image.open(io.BytesIO(data)))) is None
    assert read_label(data)
    assert read_credentials(data).state == "valid"
    (row,) = studio.records.find(RightsRecord, "me")
    (written,) = studio.records.find(BundleRecord, "me")
    assert (row.kind, row.thing) == ("unlabelled", f"posts:{post_set.id}")
    assert row.facts["bundle"] == written.sha256
    assert row.facts["pictures"] == [manifest.posts[0].drawn_sha256]
    assert set(row.facts["said"]) == {"zh", "en"}
    assert abs(datetime.now(UTC) - row.created) < timedelta(minutes=10)


def test_what_is_asked_for_as_before_keeps_its_meaning(post_set: PostSet) -> None:
    asked = ExportRequest.make(post_set=post_set, platform="xiaohongshu")
    assert "unlabelled" not in asked.model_dump(mode="json")
    assert asked.target.label == "visible"
