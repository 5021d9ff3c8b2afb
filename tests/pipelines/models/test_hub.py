"""Fetching from a hub, against a small server on this machine that answers as the hub's pages and files do."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest

from pipelines.backbones import load_backbone, resolve_backbone
from pipelines.errors import BadInput, Cancelled, ModelMissing, OutOfDisk
from pipelines.families.sources import find_source
from pipelines.models.hub import HubFile, choose_files, fetch_model
from pipelines.models.sources import FETCHED
from pipelines.progress import Event, Fetching, PipelineStage, Stage, StageProgress
from studio.texts.errors import say_error
from studio.texts.texts import Texts

REPO = "someone/tiny-flux"
REVISION = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """`files` are served; `gated` asks for a token; `spoil` changes a file on its way; `cut` breaks off after bytes."""

    files: dict[str, bytes]
    asked: list[tuple[str, str | None]]
    gated = False
    spoil = ""
    cut = 0

    def do_GET(self) -> None:
        if self.gated:
            self._answer(401, b"{}", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted."})
        elif self.path.startswith(f"/api/models/{REPO}"):
            self._answer(200, json.dumps(self._card()).encode(), {"Content-Type": "application/json"})
        elif self.path.startswith(f"/{REPO}/resolve/{REVISION}/"):
            self._file(self.path.split(f"/resolve/{REVISION}/")[1])
        else:
            self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _file(self, name: str) -> None:
        data = self.files[name]
        data = bytes(reversed(data)) if self.spoil == name else data
        wanted = self.headers.get("Range")
        self.asked.append((name, wanted))
        start = int(wanted.split("=")[1].rstrip("-")) if wanted else 0
        body = data[start:]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.cut and len(body) > self.cut:
            self.wfile.write(body[: self.cut])
            self.close_connection = True
            return
        self.wfile.write(body)

    def _card(self) -> dict[str, object]:
        siblings: list[dict[str, object]] = []
        for name, data in self.files.items():
            entry: dict[str, object] = {"rfilename": name, "size": len(data)}
            if name.endswith(".safetensors"):
                sha256 = hashlib.sha256(data).hexdigest()
                entry["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 134}
            entry["blobId"] = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            siblings.append(entry)
        return {"_id": "1", "id": REPO, "modelId": REPO, "sha": REVISION, "siblings": siblings, "private": False,
                "downloads": 0, "likes": 0, "tags": []}  # fmt: skip

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


class Watch:
    def __init__(self, stop_after: int = 0) -> None:
        self.steps: list[tuple[int, int]] = []
        self._left = stop_after

    def tell(self, event: Event) -> None:
        if isinstance(event, Fetching):
            self.steps.append((event.done_mib, event.total_mib))
        else:
            assert isinstance(event, StageProgress)
            assert event.stage == Stage(PipelineStage.FETCH)
            self.steps.append((event.done, event.total))

    def check_cancelled(self) -> None:
        if self._left and len(self.steps) >= self._left:
            raise Cancelled("Stopped.")


@pytest.fixture
def hub(tiny_flux: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[type[Hub], str]]:
    """A repository with a FLUX folder, a pickle, and the same weights a second time; and its address."""
    files = {str(p.relative_to(tiny_flux)): p.read_bytes() for p in sorted(tiny_flux.rglob("*")) if p.is_file()}
    files |= {"README.md": b"---\nlicense: mit\n---\n", "flux1-tiny.safetensors": b"x" * 100, "a/model.bin": b"PK"}

    class Served(Hub):
        pass

    Served.files, Served.asked = files, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Served)
    threading.Thread(target=partial(server.serve_forever, poll_interval=0.02), daemon=True).start()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    yield Served, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_model_is_fetched_verified_and_loads(hub: tuple[type[Hub], str], tmp_path: Path) -> None:
    served, address = hub
    watch = Watch()
    folder = fetch_model(REPO, tmp_path, progress=watch, endpoint=address)
    assert folder == tmp_path / REPO
    assert not (folder / "flux1-tiny.safetensors").exists()  # the same weights a second time
    assert not (folder / "a").exists()  # a pickle
    assert watch.steps[-1][0] == watch.steps[-1][1]
    assert [done for done, _ in watch.steps] == sorted(done for done, _ in watch.steps)
    spec = resolve_backbone(REPO, models=tmp_path)
    assert spec.folder == folder
    assert load_backbone(spec, "cpu").transformer.config.num_layers == 2
    served.asked.clear()
    fetch_model(REPO, tmp_path, endpoint=address)
    assert not served.asked  # all of it is there, and known to be whole


def test_a_fetch_goes_on_where_it_stopped(hub: tuple[type[Hub], str], tmp_path: Path) -> None:
    served, address = hub
    served.cut = 5000
    with pytest.raises(ModelMissing, match="hub_unreachable") as broken:
        fetch_model(REPO, tmp_path, endpoint=address)
    assert "what has come stays" in say_error(broken.value, Texts("en"))[1]
    with pytest.raises(ModelMissing, match="model_fetched_in_part"):
        find_source(REPO, models=tmp_path)
    (part,) = (tmp_path / REPO).rglob("*.safetensors.part")
    assert part.stat().st_size == 5000
    done = {name for name, _ in served.asked[:-1]}
    served.cut = 0
    served.asked.clear()
    fetch_model(REPO, tmp_path, endpoint=address)
    assert (str(part.relative_to(tmp_path / REPO)).removesuffix(".part"), "bytes=5000-") in served.asked
    assert not done & {name for name, _ in served.asked}
    assert (tmp_path / REPO / FETCHED).is_file()


def test_a_stopped_fetch_keeps_what_came(hub: tuple[type[Hub], str], tmp_path: Path) -> None:
    _, address = hub
    with pytest.raises(Cancelled):
        fetch_model(REPO, tmp_path, progress=Watch(stop_after=3), endpoint=address)
    assert fetch_model(REPO, tmp_path, endpoint=address) == tmp_path / REPO


@pytest.mark.parametrize("name", ["vae/diffusion_pytorch_model.safetensors", "model_index.json"])
def test_a_file_that_changed_on_its_way_is_not_kept(hub: tuple[type[Hub], str], tmp_path: Path, name: str) -> None:
    served, address = hub
    served.spoil = name
    with pytest.raises(ModelMissing, match=rf"hub_file_not_whole.*{name}"):
        fetch_model(REPO, tmp_path, endpoint=address)
    assert not list((tmp_path / REPO).rglob(f"{Path(name).name}.part"))
    served.spoil = ""
    assert fetch_model(REPO, tmp_path, endpoint=address)


def test_a_gated_model_says_how_to_get_in(
    hub: tuple[type[Hub], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, address = hub
    served.gated = True
    with pytest.raises(ModelMissing, match="hub_licence_not_accepted") as gated:
        fetch_model(REPO, tmp_path, endpoint=address)
    assert "HF_TOKEN" in say_error(gated.value, Texts("en"))[1]
    assert f"https://huggingface.co/{REPO}" in say_error(gated.value, Texts("en"))[1]
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_x")
    with pytest.raises(ModelMissing, match="hub_token_without_access"):
        fetch_model(REPO, tmp_path, endpoint=address)


def test_no_network_no_model_no_room(
    hub: tuple[type[Hub], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, address = hub
    with pytest.raises(ModelMissing, match=r"hub_model_unknown.*someone/else"):
        fetch_model("someone/else", tmp_path, endpoint=address)
    with pytest.raises(ModelMissing, match="hub_unreachable"):
        fetch_model(REPO, tmp_path, endpoint="http://127.0.0.1:9")
    monkeypatch.setattr("pipelines.models.hub._free_bytes", lambda path: 10)
    with pytest.raises(OutOfDisk, match="no_room_for_model"):
        fetch_model(REPO, tmp_path, endpoint=address)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelMissing, match="hub_offline") as offline:
        fetch_model(REPO, tmp_path)
    assert "copy the model's folder here" in say_error(offline.value, Texts("en"))[1]


def test_what_a_repository_is_asked_for() -> None:
    def files(*names: str) -> list[HubFile]:
        return [HubFile(name, 1, None, "0") for name in names]

    folder = files("model_index.json", "flux1-dev.safetensors", "transformer/config.json", "ae.safetensors",
                   "transformer/diffusion_pytorch_model-00001-of-00003.safetensors", "README.md", "LICENSE.md",
                   "tokenizer_2/spiece.model", "tokenizer/chat_template.jinja", "dev_grid.jpg",
                   "transformer/onnx/model.onnx")  # fmt: skip
    assert [f.path for f in choose_files("a/b", folder)] == [
        "model_index.json", "transformer/config.json", "transformer/diffusion_pytorch_model-00001-of-00003.safetensors",
        "tokenizer_2/spiece.model", "tokenizer/chat_template.jinja", "README.md", "LICENSE.md",
    ]  # fmt: skip
    several = files("flux1-dev-Q4_K_S.gguf", "flux1-dev-Q8_0.gguf", "README.md")
    with pytest.raises(BadInput, match=r"hub_file_to_choose.*count=2") as unclear:
        choose_files("a/b", several)
    assert "--file: flux1-dev-Q4_K_S.gguf, flux1-dev-Q8_0.gguf" in say_error(unclear.value, Texts("en"))[1]
    assert [f.path for f in choose_files("a/b", several, "flux1-dev-Q8_0.gguf")] == ["flux1-dev-Q8_0.gguf", "README.md"]
    with pytest.raises(BadInput, match=r"hub_file_unknown.*file=other"):
        choose_files("a/b", several, "other.gguf")
    with pytest.raises(BadInput, match="hub_no_model"):
        choose_files("a/b", files("pytorch_model.bin"))
    with pytest.raises(BadInput, match="hub_model_is_pickles"):
        choose_files("a/b", files("model_index.json", "unet/diffusion_pytorch_model.bin"))


@pytest.mark.parametrize("name", ["just-a-name", "../../etc/passwd", "FLUX.3-klein", "miniature"])
def test_what_is_no_hub_id_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        fetch_model(name, tmp_path)
