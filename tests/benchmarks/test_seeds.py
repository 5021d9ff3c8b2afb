"""What the table over seeds calls held and missed."""

from typing import Any

import pytest

from benchmarks.seeds import DEMANDS, gap_closed, judge


def _report(**changes: Any) -> dict[str, Any]:
    faces = {"fused": 0.4, "persona": 0.65, "renders": 0.8}
    post = {"identity": 0.5, "scene": 0.8, "scene_without": 0.3, "prompt": 1.0}
    return {
        "seed": 1,
        "seconds": {"design": 40.0, "consolidate": 60.0},
        "pairwise_face": faces,
        "pairwise_face_second": dict(faces),
        "shots_obeyed": {"fused": 0.9, "persona": 0.88},
        "cross_face": 0.1,
        "novelty_ceiling": 0.5,
        "novelty_max": 0.4,
        "fusion_error": 1e-7,
        "landmark_exact": True,
        "posts": [dict(post) for _ in range(9)],
    } | changes


def _missed(*reports: dict[str, Any]) -> list[str]:
    return [row["name"] for row in judge(reports) if not row["holds"]]


def test_good_reports_hold_all_demands() -> None:
    assert _missed(_report(), _report()) == []


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"seconds": {"design": 721.0}}, "seconds of the whole job"),
        ({"pairwise_face": {"fused": 0.4, "persona": 0.55, "renders": 0.8}}, "gap closed, recogniser one"),
        ({"shots_obeyed": {"fused": 0.9, "persona": 0.84}}, "shots obeyed, persona - fused"),
        ({"cross_face": 0.4}, "persona - another category"),
        ({"novelty_max": 0.51}, "novelty below ceiling by"),
        ({"fusion_error": 2e-6}, "fusion error"),
        ({"landmark_exact": False}, "landmark exact"),
    ],
)
def test_each_demand_can_be_missed(changes: dict[str, Any], name: str) -> None:
    assert name in _missed(_report(**changes))


def test_posts_are_counted_one_by_one() -> None:
    report = _report()
    report["posts"][0] |= {"scene": 0.2, "prompt": 0.5, "identity": None}
    assert _missed(report) == ["posts: identity above another category"]
    report["posts"][1] |= {"scene": 0.2}
    report["posts"][1]["prompt"] = report["posts"][2]["prompt"] = 0.5
    assert len(_missed(report)) == 3


def test_identity_is_judged_by_the_mean_and_promises_by_every_seed() -> None:
    weak = _report(pairwise_face={"fused": 0.4, "persona": 0.58, "renders": 0.8})
    strong = _report(pairwise_face={"fused": 0.4, "persona": 0.75, "renders": 0.8})
    assert _missed(weak, strong) == []
    assert "landmark exact" in _missed(_report(landmark_exact=False), *[_report()] * 9)


def test_a_small_gap_asks_only_not_to_fall_behind() -> None:
    assert gap_closed({"fused": 0.78, "persona": 0.775, "renders": 0.8}) == 1
    assert gap_closed({"fused": 0.78, "persona": 0.7, "renders": 0.8}) == 0
    assert len({d.name for d in DEMANDS}) == len(DEMANDS)
