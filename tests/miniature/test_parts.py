"""Eyes, mouths and hands: faults are where they were asked for, cut-outs show the parts, judges can learn from them."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from miniature.parts import (
    KINDS,
    SIDES,
    PartJudge,
    cut,
    cut_parts,
    degrade,
    draw_faults,
    find_parts,
    held_out,
    load_judges,
    part_loss,
    train,
)
from miniature.renders import people
from miniature.world import World, render, sample_scenes
from miniature.world.faults import NO_EYE, NO_IRIS, NO_PUPIL, PAW, STUMP, WHOLE, Faults, no_faults
from personas.shots import Shot

SHOTS = (Shot("close-up", setting="beach"), Shot(pose="waving"), Shot("full-body", pose="waving", goods="cup"))


def _drawn(faults: Faults | None) -> dict[str, Tensor]:
    """Cut-outs of the same three people, as floats."""
    identity, _ = people(3, 21)
    scenes = sample_scenes([s.setting for s in SHOTS], [1, 2, 3])
    drawn = render(World(identity, SHOTS, scenes, 4, faults=faults))
    return {k: x.float() for k, x in cut_parts(drawn.images, find_parts(drawn.keypoints, 256, 192)).items()}


def _without() -> Faults:
    return no_faults(people(3, 21)[0])


def test_no_fault_changes_nothing_and_a_fault_only_its_part() -> None:
    plain, whole = _drawn(None), _drawn(_without())
    assert all(torch.equal(plain[kind], whole[kind]) for kind in KINDS)
    faults = _without()
    faults.eyes[:, 0] = torch.tensor([NO_PUPIL, NO_IRIS, NO_EYE])
    faults.fingers[:, 1] = torch.tensor([PAW, PAW, STUMP])
    wrong = _drawn(faults)
    apart = {kind: (wrong[kind] - plain[kind]).abs().mean(dim=(2, 3, 4)) for kind in KINDS}
    assert (apart["eyes"][:, 0] > 1).all()
    assert (apart["eyes"][:, 1] < 1).all()
    assert (wrong["mouth"] - plain["mouth"])[..., 14:, 8:24].abs().max() == 0  # above, a mouth's cut-out shows eyes
    assert (apart["hands"][1:, 1] > 1).all()
    assert (apart["hands"][1:, 0] == 0).all()


def test_a_mouth_slips_as_far_as_it_is_told() -> None:
    faults = _without()
    faults.mouth[:, 0] = 0.2
    side, plain = SIDES["mouth"], _drawn(None)["mouth"][:, 0]
    slipped = _drawn(faults)["mouth"][:, 0]
    changed = (slipped - plain).abs().mean(dim=1)[:, 12:]
    assert (changed[:, :, side // 2 :].sum(dim=(1, 2)) > changed[:, :, : side // 2].sum(dim=(1, 2))).all()
    faults = _without()
    faults.mouthless[:] = 1
    assert (_drawn(faults)["mouth"][:, 0] - plain).abs().mean() > 2


def test_a_cut_out_is_the_square_around_its_centre() -> None:
    picture = torch.arange(64.0).view(1, 1, 8, 8).expand(1, 3, 8, 8)
    found = cut(picture, torch.tensor([[4.0, 3.0]]), torch.tensor([4.0]), 4)
    assert torch.allclose(found, picture[:, :, 1:5, 2:6])


def test_hands_outside_the_picture_are_not_seen() -> None:
    identity, _ = people(2, 21)
    shots = (Shot("close-up"), Shot("half-body", pose="waving"))
    drawn = render(World(identity, shots, sample_scenes(["studio", "studio"], [1, 1]), 4))
    places = find_parts(drawn.keypoints, 256, 192)
    assert not places["hands"].seen[0].any()
    assert places["hands"].seen[1].all()
    assert places["eyes"].seen.all()
    assert places["mouth"].seen.all()


def test_judges_tell_faults_apart_and_are_read_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(2, 8, tmp_path, batch=4)
    assert '"kind": "hands"' in capsys.readouterr().out
    assert len(load_judges(tmp_path / "parts.pt")) == 2
    cuts, truth = (torch.load(tmp_path / "faults.pt", weights_only=True)[k]["eyes"] for k in (0, 1))
    torch.manual_seed(1)
    judge = PartJudge("eyes")
    optimizer = torch.optim.AdamW(judge.parameters(), 2e-3)
    for _ in range(60):
        loss = part_loss("eyes", judge(cuts.float() / 127.5 - 1), truth).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    found = held_out("eyes", judge, cuts, truth)
    assert found["right"] > 0.9
    assert found["off"] < 0.3
    assert degrade(cuts.float() / 127.5 - 1).shape == cuts.shape


def test_the_truth_of_faults_says_what_is_drawn() -> None:
    cuts, truth = next(draw_faults(4, 77))
    assert {kind: len(cuts[kind]) for kind in KINDS} == {kind: len(truth[kind]) for kind in KINDS}
    assert truth["eyes"].shape[1] == 4
    assert set(truth["eyes"][:, 0].tolist()) <= {WHOLE, NO_PUPIL, NO_IRIS, NO_EYE}
