"""A grid on a tiny backbone: every cell as a set of one would draw it, bad ones named, gone on with after a stop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from personas.shots import Shot
from pipelines.errors import BadInput, Cancelled, NotEnough
from pipelines.lora import LoraMetadata, write_lora
from pipelines.progress import Event, StageProgress
from studio.application import Studio
from studio.domain.grid import Grid, GridRequest
from studio.domain.persona import Persona, Sample
from studio.domain.posts import PostRequest
from studio.domain.report import LeftOut
from studio.domain.scene import Scene
from studio.domain.values import FileKey
from studio.export.content_credentials import read_credentials
from studio.export.provenance import Label, encode_labelled, read_label
from studio.library.scenes import add_scene
from studio.settings import Settings
from studio.workflows import run_directly
from studio.workflows.grid import _signed, draw_grid
from studio.workflows.post import draw_posts
from studio.workflows.redrawing import redraw_bundle
from tests.exports import export_set
from tests.loras import make_layers
from tests.stored import place_in
from tests.studio.domain.values import key
from tests.studio.workflows.test_ways import BLOCKS, persona


@pytest.fixture(scope="module")
def studio(tiny_flux: Path, tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(Settings(data=tmp_path_factory.mktemp("grid"), backbone=str(tiny_flux), batch_size=2))


@pytest.fixture
def scene(studio: Studio, tmp_path: Path) -> Scene:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (96, 64, 3), dtype=np.uint8)).save(tmp_path / "scene.png")
    return add_scene(studio.library, tmp_path / "scene.png", None, "square")


@pytest.fixture
def lin(studio: Studio, tmp_path: Path) -> Persona:
    """A persona whose training kept one checkpoint, which draws otherwise."""
    end = persona(studio, tmp_path)
    layers = make_layers(studio.backbone.transformer, 8, modules=BLOCKS, alpha=40.0)
    write_lora(tmp_path / "half.safetensors", layers, LoraMetadata("Mira", "ohwx"))
    half = FileKey(studio.store.put((tmp_path / "half.safetensors").read_bytes()))
    samples = (
        Sample(step=60, pictures=(), identity=0.5, lora=half),
        Sample(step=120, pictures=(), identity=0.6, lora=end.lora),
    )
    return end.model_copy(update={"samples": samples})


def ask(lin: Persona, scene: Scene, *others: Persona, **fields: Any) -> GridRequest:
    asked = PostRequest.make(persona=lin, scene=scene, shots=(Shot(framing="close-up"),), scale=0.5)
    return GridRequest.make(asked=asked, others=others, **fields)


def test_a_cell_is_what_a_set_of_one_draws(studio: Studio, lin: Persona, scene: Scene, tmp_path: Path) -> None:
    request = ask(lin, scene, strengths=(0.0, 1.0), checkpoints=(60, 0), seeds=(5, 6))
    grid = draw_grid(studio, request, run_directly)
    assert len({cell.picture for cell in grid.cells if cell.scale}) == 4
    # where the LoRA is off it does not matter which
    assert len({cell.picture for cell in grid.cells if not cell.scale}) == 2
    for cell in grid.cells[:3]:
        one = draw_posts(studio, request.of_cell(cell), run_directly)
        assert one.posts[0].picture == cell.picture
        assert dict(one.posts[0].scores) == dict(cell.scores)
    # a set that is drawn so comes back to the pixel from its bundle alone
    again = draw_posts(studio, request.of_cell(grid.cells[1]), run_directly)
    manifest = export_set(studio, again, tmp_path / "one.zip")
    assert (manifest.persona.lora, manifest.persona.scale) == (lin.samples[0].lora, 1.0)
    half = draw_posts(studio, request.of_cell(grid.cells[1].model_copy(update={"scale": 0.6})), run_directly)
    assert export_set(studio, half, tmp_path / "half.zip").persona.scale == 0.6
    assert redraw_bundle(studio, tmp_path / "half.zip", run_directly) == ()


def test_the_sheets_are_pictures_with_a_label_and_a_signature(studio: Studio, lin: Persona, scene: Scene) -> None:
    grid = draw_grid(studio, ask(lin, scene, strengths=(0.5, 1.0)), run_directly)
    assert set(grid.sheet) == {"en", "zh"}
    for sheet in grid.sheet.values():
        data = studio.store.get(sheet)
        assert read_label(data) is not None
        found = read_credentials(data)
        assert (found.state, found.source) == ("valid", "trainedAlgorithmicMedia")
        with Image.open(place_in(studio.store, sheet)) as image:
            assert image.format == "PNG"
    assert set(grid.sheet.values()) <= grid.file_keys()


def test_a_certificate_that_cannot_be_used_takes_nobody_the_pictures(studio: Studio, tmp_path: Path) -> None:
    broken = Studio(studio.settings.model_copy(update={"c2pa_certificate": tmp_path / "gone.pem"}))
    label = Label("studio", "id", False)
    sheet = encode_labelled(Image.new("RGB", (40, 40)), "PNG", label)
    assert _signed(broken, sheet, label) == sheet
    assert read_credentials(_signed(studio, sheet, label)).state == "valid"


def test_one_bad_cell_does_not_sink_the_others(studio: Studio, lin: Persona, scene: Scene) -> None:
    bad = lin.model_copy(
        update={"id": "bad", "name": "Bad", "lora": FileKey(studio.store.put(b"no LoRA")), "samples": ()}
    )
    told: list[Event] = []

    class Told:
        def tell(self, event: Event) -> None:
            told.append(event)

        def check_cancelled(self) -> None:
            pass

    grid = draw_grid(studio, ask(lin, scene, bad, seeds=(1, 2)), run_directly, Told())
    assert [cell.picture is None for cell in grid.cells] == [False, False, True, True]
    assert isinstance(grid.cells[2].error, BadInput)
    (left_out,) = [event for event in told if isinstance(event, LeftOut)]
    assert len(left_out.reasons) == 2
    assert Grid.model_validate_json(grid.model_dump_json()) == grid
    with pytest.raises(NotEnough) as raised:
        draw_grid(studio, ask(bad, scene, seeds=(1, 2)), run_directly)
    assert raised.value.code == "no_cell_drawn"
    with pytest.raises(BadInput):
        draw_grid(studio, ask(bad, scene), run_directly)


def test_a_file_that_is_gone_is_said(studio: Studio, lin: Persona, scene: Scene) -> None:
    gone = lin.model_copy(update={"id": "gone", "lora": key("gone"), "samples": ()})
    grid = draw_grid(studio, ask(lin, scene, gone), run_directly)
    assert [cell.raised is None for cell in grid.cells] == [True, False]


def test_what_was_drawn_is_not_drawn_again(studio: Studio, lin: Persona, scene: Scene) -> None:
    request = ask(lin, scene, seeds=(1, 2, 3))
    done: dict[str, Any] = {}

    def run(name: str, step: Any) -> Any:
        if name not in done:
            done[name] = json.loads(json.dumps(step()))
        return done[name]

    class Stop:
        def tell(self, event: Event) -> None:
            self.stopped = isinstance(event, StageProgress) and event.done == 2

        def check_cancelled(self) -> None:
            if self.stopped:
                raise Cancelled("job_stopped")

    with pytest.raises(Cancelled):
        draw_grid(studio, request, run, Stop())
    assert list(done) == ["cell-0", "cell-1"]
    first = dict(done)
    grid = draw_grid(studio, request, run)
    assert [cell.picture for cell in grid.cells[:2]] == [first[name]["picture"] for name in first]
    again = draw_grid(studio, request, run_directly)
    assert grid == again.model_copy(update={"sheet": grid.sheet})  # but for signatures, of which no two are the same
    for language, sheet in grid.sheet.items():
        one, two = (studio.store.get_picture(key) for key in (sheet, again.sheet[language]))
        assert np.array_equal(one, two)
