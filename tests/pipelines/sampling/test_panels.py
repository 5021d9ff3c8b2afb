"""Panels: n shots as one picture give n pictures of exact size; given panels and landmarks keep their pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipelines.backbones import Backbone
from pipelines.errors import BadInput
from pipelines.references.landmark import Landmark
from pipelines.references.redux import ReduxReference
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.panels import GRIDS, join_panels, plan_panels, split_panels
from pipelines.sampling.request import DrawRequest, request_from


def requests(backbone: Backbone, count: int) -> list[DrawRequest]:
    return [request_from(backbone.spec, f"shot {i} of a woman", i) for i in range(count)]


def test_a_set_is_cut_into_joint_pictures_that_share_its_first_shot() -> None:
    assert plan_panels(4, 4) == ((0, 1, 2, 3),)
    assert plan_panels(9, 4) == ((0, 1, 2, 3), (4, 5, 6), (7, 8))
    assert plan_panels(9, 9) == (tuple(range(9)),)
    assert plan_panels(5, 4) == ((0, 1, 2, 3), (4,))
    for count in range(2, 36):
        for panels in GRIDS:
            groups = plan_panels(count, panels)
            assert [i for group in groups for i in group] == list(range(count))
            assert all(len(group) + (k > 0) in GRIDS for k, group in enumerate(groups))
    with pytest.raises(BadInput, match=r"panels_fit_no_grid.*panels=5"):
        plan_panels(9, 5)
    with pytest.raises(BadInput, match="panels_of_one_shot"):
        plan_panels(1, 4)


def test_the_joint_caption_names_every_panel(tiny_backbone: Backbone) -> None:
    joint = join_panels(requests(tiny_backbone, 4))
    assert joint.prompt.startswith("[FOUR-PANEL]")
    order = [joint.prompt.index(f"[{name}] shot {i}")
             for i, name in enumerate(("TOP-LEFT", "TOP-RIGHT", "BOTTOM-LEFT", "BOTTOM-RIGHT"))]  # fmt: skip
    assert order == sorted(order)
    assert (joint.height, joint.width, joint.landmark) == (192, 128, None)


@pytest.mark.parametrize("count", GRIDS)
def test_n_panels_are_n_pictures_of_exact_size(tiny_backbone: Backbone, count: int) -> None:
    members = requests(tiny_backbone, count)
    (joint,) = draw_batch(tiny_backbone, [join_panels(members)])
    panels = split_panels(joint, members)
    assert [p.shape for p in panels] == [(96, 64, 3)] * count
    rows, columns = GRIDS[count]
    again = np.concatenate([np.concatenate(panels[r * columns : (r + 1) * columns], 1) for r in range(rows)], 0)
    np.testing.assert_array_equal(again, joint)


def test_a_given_panel_stays_and_changes_what_is_drawn_beside_it(tiny_backbone: Backbone) -> None:
    members = requests(tiny_backbone, 3)
    given = [np.random.default_rng(s).integers(0, 256, (96, 64, 3), dtype=np.uint8) for s in (0, 1)]
    drawn = [split_panels(draw_batch(tiny_backbone, [join_panels(members, [g])])[0], members, [g]) for g in given]
    for g, panels in zip(given, drawn, strict=True):
        np.testing.assert_array_equal(panels[0], g)
    assert np.abs(drawn[0][2].astype(int) - drawn[1][2]).mean() > 1


def test_a_landmark_is_exact_in_its_own_panel(tiny_backbone: Backbone) -> None:
    scene = np.random.default_rng(3).integers(0, 256, (96, 64, 3), dtype=np.uint8)
    mask = np.zeros((96, 64), np.bool_)
    mask[10:50, 40:64] = True
    members = [replace(r, references=(Landmark(scene, mask),)) for r in requests(tiny_backbone, 2)]
    panels = split_panels(draw_batch(tiny_backbone, [join_panels(members)])[0], members)
    for panel in panels:
        np.testing.assert_array_equal(panel[mask], scene[mask])
    assert np.abs(panels[0].astype(int) - panels[1])[~mask].mean() > 1


def test_what_cannot_be_one_picture_is_refused(tiny_backbone: Backbone) -> None:
    one, two = requests(tiny_backbone, 2)
    photo = ReduxReference(np.zeros((32, 32, 3), np.uint8))
    for other in (replace(two, height=64), replace(two, num_inference_steps=1), replace(two, references=(photo,))):
        with pytest.raises(BadInput, match="panels_differ"):
            join_panels([one, other])
    with pytest.raises(BadInput, match=r"panels_fit_no_grid.*panels=5"):
        join_panels(requests(tiny_backbone, 5))
    with pytest.raises(BadInput, match="panels_all_given"):
        join_panels([one, two], [np.zeros((96, 64, 3), np.uint8)] * 2)
