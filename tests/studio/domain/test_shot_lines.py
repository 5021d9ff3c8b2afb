"""Lists of shots as merchants paste them: numbers, bullets, quotes, widths and spaces say nothing."""

from __future__ import annotations

import json

import pytest

from personas.shots import Shot
from pipelines.errors import BadInput
from studio.domain.shot_lines import paste_shots
from tests.data import need

RED = Shot(framing="close-up", expression="smiling", outfit="dress", outfit_colour="red")


def test_real_pasted_lists() -> None:
    for row in json.loads((need("cases/shots-pasted") / "lines.json").read_text(encoding="utf-8")):
        shots = [[s.framing, s.expression, s.outfit, s.outfit_colour] for s in paste_shots(row["pasted"])]
        assert shots == row["shots"], row["pasted"]


@pytest.mark.parametrize(
    "line",
    [
        "1、close-up, smiling, red dress", "(1) close-up smiling red dress", "[2] close-up smiling red dress",
        "#3 close-up smiling red dress", "No. 4: close-up smiling red dress", "Shot 5 - close-up, smiling, red dress",
        "a) close-up; smiling; red dress", "iv. close-up; smiling; red dress", "- [x] close-up, smiling, red dress",
        "> close-up, smiling, red dress", "✅ close-up, smiling, red dress", "1️⃣ close-up, smiling, red dress",
        "第一张：特写，微笑，红色连衣裙", "镜头2：特写、微笑、红色连衣裙", "一、特写 微笑 红色连衣裙",
        "【特写】微笑｜红色连衣裙",
        "㈠ 特写 微笑 红色连衣裙", "《特写》「微笑」『红色连衣裙』", "特写…微笑……红色连衣裙",
        "10．特写　微笑　红色连衣裙",
        "| close-up | smiling | red dress |", "close_up, smiling, red_dress", "CLOSEUP; SMILING; RED DRESS",
        "framing: close-up, expression: smiling, outfit: dress, colour: red", "close−up, smiling, red dress",
        "取景：特写；表情：微笑；穿着：连衣裙；颜色：红", "((close-up)), {smiling:1.05}, red dress:1.3",
        "“close-up, smiling, red dress”", "'close-up', 'smiling', 'red dress'", "close-up / smiling / red / dress",
        "ｃｌｏｓｅ－ｕｐ，ｓｍｉｌｉｎｇ，ｒｅｄ　ｄｒｅｓｓ", "\u2003close-up\u2003smiling\u2060 red dress\u200e",
    ],
)  # fmt: skip
def test_marks_of_lists_and_prompts_say_nothing(line: str) -> None:
    assert paste_shots(line) == [RED]


def test_headers_rules_and_empty_lines_are_no_shots() -> None:
    table = "| No. | Framing | Expression | Outfit | Colour |\n|---|:---:|---|---|---|\n"
    table += "| 1 | close-up | smiling | dress | red |"
    assert paste_shots(f"\n{table}\n----\n2.\n\n") == [RED]
    assert paste_shots("序号\t取景\t表情\t穿着\t颜色\n1\t特写\t微笑\t连衣裙\t红") == [RED]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [("close-up\n2. red 42", 2, "42"), ("close-up 42", 1, "42"), ("<lora:mira:0.8>, close-up", 1, "lora")],
)  # fmt: skip
def test_what_is_no_word_is_named_with_its_line(text: str, line: int, said: str) -> None:
    with pytest.raises(BadInput, match="bad_shot_word") as refused:
        paste_shots(text)
    assert refused.value.fields["line"] == line
    assert str(refused.value.fields["said"]).startswith(said)


@pytest.mark.parametrize(
    ("line", "own"),
    [
        ("1. close-up, wearing a qipao, drinking coffee", {"outfit": "qipao", "pose": "drinking coffee"}),
        ("close-up smiling red qipao drinking coffee", {"outfit": "qipao", "pose": "drinking coffee"}),
        ("特写 微笑 红色旗袍 喝咖啡", {"outfit": "旗袍", "pose": "喝咖啡"}),
        ("半身，穿着墨绿旗袍，拿着口红", {"outfit": "墨绿旗袍", "goods": "口红"}),
        ("坐在沙发上喝咖啡，米色风衣", {"pose": "坐在沙发上喝咖啡", "outfit_colour": "米色", "outfit": "风衣"}),
        ("reddish dress", {"outfit": "reddish dress"}), ("flying carpet", {"pose": "flying carpet"}),
        ("特写 倒立", {"pose": "倒立"}), ("with a parasol, in a sari", {"goods": "parasol", "outfit": "sari"}),
        ("wearing a hat with feathers", {"outfit": "hat with feathers"}), ("蓝牙耳机", {"goods": "蓝牙耳机"}),
        ("jumping over a fence, denim jacket and jeans",
         {"pose": "jumping over a fence", "outfit": "denim jacket and jeans"}),
        ("waving, drinking coffee", {"pose": "waving, drinking coffee"}), ("浇花", {"pose": "浇花"}),
        ("tall", {"pose": "tall"}),
        ("（眨眼），bluetooth headphones", {"expression": "眨眼", "goods": "bluetooth headphones"}),
    ],
)  # fmt: skip
def test_words_that_no_list_has_are_kept_in_their_field(line: str, own: dict[str, str]) -> None:
    (shot,) = paste_shots(line)
    assert shot.free == own


def test_a_list_of_marks_alone_has_no_shots() -> None:
    with pytest.raises(BadInput, match=r"bad_count.*count=0"):
        paste_shots("1.\n- \n“”\nframing, view")


@pytest.mark.parametrize(
    ("said", "view"),
    [
        ("半身 侧面 白色T恤", "left"),
        ("侧身 挥手", "left"),
        ("侧面朝右", "right"),
        ("向右侧身", "right"),
        ("右侧脸", "right"),
    ],
)
def test_a_side_view_is_a_view_and_no_pose(said: str, view: str) -> None:
    (shot,) = paste_shots(said)
    assert (shot.view, shot.pose in ("relaxed", "waving")) == (view, True)
