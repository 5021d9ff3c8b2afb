"""The character adapter's pairs are what they say, what learns is what draws, and stages go on where they were."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from miniature.characters import train as training
from miniature.characters.data import ALIKE, OFF, PEOPLE, SHOTS, draw_pieces, load_pieces, look_at, plan_piece
from miniature.characters.data import Eyes as DataEyes
from miniature.characters.learner import Learner, References, sizes_for
from miniature.characters.pairs import Pairs, plan
from miniature.characters.train import STAGES, STEPS, export, rate_at, stage_at, train
from miniature.world import World, render, sample_identities, sample_scenes
from personas.body_regions import PARTS, body_regions
from personas.measures.regions import LABELS, RegionReader
from personas.shots import Shot, vary_shots
from pipelines.adapters.character import encode_character, load_character
from pipelines.adapters.character_layout import STUDIO
from pipelines.adapters.character_photos import CharacterPhoto
from pipelines.backbones import load_backbone, resolve_backbone
from pipelines.references.character import CharacterReference
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.request import request_from
from studio.settings import ASSETS
from tests.tiny import scramble


def somebody(**told: str) -> np.ndarray:
    g = torch.Generator().manual_seed(3)
    shot = Shot(**({"framing": "full-body", "outfit": "t-shirt", "outfit_colour": "red"} | told))
    return render(World(sample_identities(1, g), (shot,), sample_scenes([shot.setting], [5]), 4)).images[0].numpy()


def test_four_pictures_of_a_person_and_four_of_their_neighbour_show_one_outfit() -> None:
    identity, looks, shots, wear = plan_piece(3)
    assert (identity.shape, len(looks), len(shots)) == ((PEOPLE * SHOTS, 26), PEOPLE * SHOTS, PEOPLE * SHOTS)
    for pair in range(PEOPLE // 2):
        alike = [(2 * pair + k) * SHOTS + shot for k in (0, 1) for shot in range(ALIKE)]
        assert len({(shots[r].outfit, shots[r].outfit_colour, shots[r].goods) for r in alike}) == 1
        for colour in (wear.bottom_rgb, wear.shoe_rgb, wear.goods_rgb):
            assert (colour[alike] == colour[alike[0]]).all()
            assert not torch.equal(colour[alike[0]], colour[alike[0] + ALIKE])
        assert len({shots[r].setting for r in alike}) > 1
    assert torch.equal(identity[0], identity[SHOTS - 1])
    assert not torch.equal(identity[0], identity[SHOTS])
    held, _, _, _ = plan_piece(3, held=True)
    assert not (held[:, None] == identity[None]).all(dim=2).any()


def test_parts_lie_in_the_person_and_not_in_each_other() -> None:
    (read,) = RegionReader(ASSETS / "reader").read([somebody(goods="bag")])
    whole, parts = body_regions(read)
    assert set(parts) == set(PARTS)
    assert np.sum([mask & whole for mask in parts.values()], axis=0).max() == 1
    middle = {name: np.flatnonzero(mask.any(axis=1)).mean() for name, mask in parts.items()}
    assert middle["hair"] < middle["torso"] < middle["legs"] < middle["shoes"]
    (near,) = RegionReader(ASSETS / "reader").read([somebody(framing="close-up")])
    assert not {"legs", "shoes"} & set(body_regions(near)[1])
    nobody = replace(near, labels=np.full_like(near.labels, LABELS.index("background")))
    assert body_regions(nobody)[1] == {}


def test_plans_are_of_their_kind() -> None:
    rng = random.Random(1)
    for _ in range(50):
        for kind in ("self", "same", "other", "off", "mixed"):
            one = plan(kind, rng)
            person, rows = one.target // SHOTS, [row for row, _ in one.photos]
            is_alike = one.target % SHOTS < ALIKE
            if kind == "self":
                assert rows == [one.target]
                continue
            assert one.target not in rows
            if kind == "mixed":
                (own, head), (garment, outfit) = one.photos
                assert (own // SHOTS, garment // SHOTS) == (person, person ^ 1)
                assert is_alike
                assert garment % SHOTS < ALIKE
                assert not head & outfit
                assert set(OFF[one.whole]) == outfit
                continue
            assert {row // SHOTS for row in rows} == {person}
            assert all(row % SHOTS < ALIKE for row in rows)
            assert is_alike == (kind == "same")
            assert (one.whole > 0) == (kind == "off")
            assert all(not given & set(OFF[one.whole]) for _, given in one.photos)
            assert not one.without or kind == "same"


def test_stages_follow_each_other_and_rates_fall() -> None:
    ends = np.cumsum([stage.steps for stage in STAGES])
    assert [stage.id for stage in STAGES] == ["names", "S1", "S2", "S3"]
    for stage, end in zip(STAGES, ends, strict=True):
        assert [stage_at(int(step)) for step in (end - stage.steps, end - 1)] == [(stage, 0), (stage, stage.steps - 1)]
    assert stage_at(STEPS) == (STAGES[-1], STAGES[-1].steps)
    for stage in STAGES:
        assert rate_at(stage, 0) == pytest.approx(stage.first / (stage.warm or 1))
        assert rate_at(stage, stage.steps) == pytest.approx(stage.last)
    for stage in STAGES:
        assert sum(stage.kinds.values()) == pytest.approx(1)


@pytest.fixture(scope="module")
def assets(tiny_flux: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny FLUX with the shipped encoders beside it."""
    root = tmp_path_factory.mktemp("assets")
    (root / "flux").symlink_to(tiny_flux)
    for name in ("reader", "faces"):
        (root / name).symlink_to(ASSETS / name)
    return root


def write_pieces(folder: Path, eyes: DataEyes) -> None:
    """Pieces of two people whose latents are noise, and whose photo is one render; one piece of squares."""
    folder.mkdir(parents=True)
    row, count = look_at(somebody(goods="bag"), eyes, np.random.default_rng(1)), 2 * SHOTS
    facts = [asdict(shot) | {"look": "", "masculine": False} for shot in vary_shots(count, 1)]
    five = torch.tensor([[22.0, 30], [42, 30], [32, 42], [24, 52], [40, 52]])
    for number, (height, width) in enumerate(((6, 4), (6, 6))):
        torch.manual_seed(number)
        points = torch.zeros(count, 20, 3)
        points[:, :5, :2] = five
        piece = {name: tensor[None].repeat_interleave(count, 0) for name, tensor in row.items()} | {
            "latents": torch.rand(count, 2, 8, height, width).half(), "points": points, "facts": json.dumps(facts),
            "share": torch.rand(count, 2, height, width).round().half(),
            "who": torch.nn.functional.normalize(torch.randn(count, 128)),
        }  # fmt: skip
        torch.save(piece, folder / f"{number:04d}.pt")


@pytest.mark.filterwarnings("ignore:Mismatch dtype")  # of autocast, which the recipes run under
def test_all_stages_train_go_on_and_are_exported(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pieces(tmp_path / "pieces", DataEyes(assets))
    small = tuple(replace(stage, steps=2, micros=1, warm=0, first=1e-2) for stage in STAGES)
    monkeypatch.setattr(training, "STAGES", small)
    monkeypatch.setattr(training, "STEPS", 8)
    monkeypatch.setattr(training, "_MICRO", 4)
    monkeypatch.setattr(training, "_LOG_EVERY", 1)
    train(tmp_path, assets, 3)
    at_three = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert at_three["step"] == 3
    train(tmp_path, assets)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert (state["step"], [row["step"] for row in state["log"]]) == (8, [1, 2, 3, 4, 5, 6, 7, 8])
    assert "identity" in state["log"][-1]
    assert {p.name for p in tmp_path.glob("checkpoint-*.pt")} == {f"checkpoint-{s}.pt" for s in ("names", "S1", "S2")}
    assert all(np.isfinite(list(row.values())).all() for row in state["log"])
    assert not torch.equal(state["module"]["blocks.3.to_v_ip.weight"], at_three["module"]["blocks.3.to_v_ip.weight"])

    export(tmp_path, assets)
    spec = replace(resolve_backbone(assets / "flux"), companions={"character": assets / "character"})
    backbone = load_backbone(spec, "cpu", torch.float32)
    (read,) = RegionReader(ASSETS / "reader").read([somebody()])
    reference = CharacterReference((CharacterPhoto(somebody(), *body_regions(read)),), strength=1.5)
    shown, bare = (draw_batch(backbone, [request_from(spec, "a", 1, references=r)])[0] for r in ((reference,), ()))
    assert not np.array_equal(shown, bare)


@torch.no_grad()
def test_what_learns_reads_photos_as_what_draws_does(assets: Path, tmp_path: Path) -> None:
    """One person with two photos, one of them without a face: the same tokens, weights and name, at one time."""
    backbone = load_backbone(resolve_backbone(assets / "flux"), "cpu", torch.float32)
    learner = Learner(sizes_for(backbone.transformer)).eval()
    scramble(learner, 7)
    torch.save({"average": learner.state_dict(), "step": 1, "spent": 1.0}, tmp_path / "checkpoint.pt")
    own = tmp_path / "assets"
    own.mkdir()
    for name in ("flux", "reader", "faces"):
        (own / name).symlink_to((assets / name).resolve())
    export(tmp_path, own)
    adapter = load_character(own / "character", backbone.transformer, torch.device("cpu"), torch.float32)
    (read,) = RegionReader(ASSETS / "reader").read([somebody()])
    whole, parts = body_regions(read)
    photos = [
        CharacterPhoto(somebody(), whole, parts, read.keypoints[:5, :2]),
        CharacterPhoto(somebody(), whole, {"torso": parts["torso"]}),
    ]
    encoded = encode_character(adapter, photos, {})
    time = torch.tensor([500.0])
    drawn = adapter.resampler.resample_rows(encoded.tokens, encoded.regions, time)

    shape = (1, 2, len(STUDIO.regions))
    deep, shallow = torch.zeros(*shape, 16, 128), torch.zeros(*shape, 16, 128)
    colours, seen = torch.zeros(*shape, 7), torch.zeros(*shape, dtype=torch.bool)
    face, told = torch.zeros(1, 2, 16, 128), torch.zeros(1, 2, 128)
    from pipelines.adapters.character_photos import lay_out

    for k, photo in enumerate(photos):
        laid = lay_out(photo, STUDIO, 128, (), 112)
        numbers = list(laid.regions)
        deep[0, k, numbers], shallow[0, k, numbers] = adapter.encoders.look(list(laid.regions.values()))
        colours[0, k, numbers] = torch.stack([torch.from_numpy(laid.colours[n]) for n in numbers])
        seen[0, k, numbers] = True
        if laid.face is not None:
            (face[0, k],), (told[0, k],) = adapter.encoders.look_at_faces([laid.face])  # type: ignore[attr-defined]
    shown = References(
        deep, shallow, colours, seen, face, told, torch.tensor([[True, False]]), torch.tensor([True])
    )  # fmt: skip
    tokens, bias = learner(shown, time)
    said = learner.name_of(shown)
    by_row = tokens[0].unflatten(0, (2, len(STUDIO.regions), -1))
    views = {n: [k for k in (0, 1) if seen[0, k, n]] for n in range(len(STUDIO.regions))}
    rows = [(n, k) for n in views for k in views[n]]
    assert [n for n, _ in rows] == encoded.regions.tolist()
    for row, (n, k) in enumerate(rows):
        assert torch.allclose(by_row[k, n], drawn[row], atol=0.02)  # half precision
        weight = bias[0].unflatten(0, (2, len(STUDIO.regions), -1))[k, n, 0].exp()
        assert float(weight) == pytest.approx(encoded.weights[row])
    assert encoded.name is not None
    assert torch.allclose(said[0], encoded.name, atol=0.01)


@torch.no_grad()
def test_a_face_is_named_as_the_traits_that_a_line_reads_in_it(assets: Path) -> None:
    """Where traits are a line through embeddings the name of a face is that of its person."""
    learner = Learner(sizes_for(load_backbone(resolve_backbone(assets / "flux"), "cpu", torch.float32).transformer))
    scramble(learner, 3)
    torch.manual_seed(0)
    told = torch.nn.functional.normalize(torch.randn(4000, 128))
    traits = told @ torch.randn(128, 26) + 0.3
    learner.name_faces(told, traits)
    on, zeros = torch.ones(5, dtype=torch.bool), torch.zeros(5, 1, 1)
    shown = References(
        zeros, zeros, zeros, zeros.bool(), zeros, told[:5, None], torch.ones(5, 1, dtype=torch.bool), on
    )  # fmt: skip
    named, wanted = learner.name_of(shown), learner.name_people(traits[:5], on)
    assert ((named - wanted).square().mean() / wanted.var()).sqrt() < 0.1


def test_pieces_that_are_there_stay(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from miniature.characters import data

    monkeypatch.setattr(data, "draw_piece", lambda number, *_: {"number": number})
    torch.save({"number": -1}, tmp_path / "0000.pt")
    (tmp_path / "0002.part").write_bytes(b"half of one")
    draw_pieces(tmp_path, 2, ASSETS)
    assert [p["number"] for p in load_pieces(tmp_path)] == [-1, 1]
    (tmp_path / "encoders.json").write_text(json.dumps({"reader": "0", "recogniser": "0"}))
    with pytest.raises(SystemExit, match="another reader"):
        draw_pieces(tmp_path, 2, ASSETS)


def test_a_caption_is_silent_about_what_the_photos_show(assets: Path, tmp_path: Path) -> None:
    write_pieces(tmp_path / "pieces", DataEyes(assets))
    pairs = Pairs(load_pieces(tmp_path / "pieces"))
    sample = pairs.draw({"other": 1.0}, False, 40, random.Random(2))
    assert any(not text for text in sample.texts)
    assert len(sample.texts) == len(sample.shown.seen) == 40
    assert 0 < (~sample.shown.on).sum() < 20
    assert pairs.draw({"self": 1.0}, True, 2, random.Random(2)).latents.shape[2:] == (6, 6)
