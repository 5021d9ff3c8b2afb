"""Other ways to say what a shot says, in English and Chinese, for the miniature's captions.

`personas.shots` says everything in one wording; merchants type their own. Each entry lists what a field's word may be
called; `{who}` and `{colour}` are filled in. A space before `{who}` in Chinese makes a trigger there the same token as
elsewhere.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from personas.shots import Shot

Table = Mapping[str, tuple[str, ...]]

_ENGLISH: dict[str, Table] = {
    "framing": {
        "close-up": ("close-up of {who}", "portrait of {who}", "a close-up photo of {who}", "headshot of {who}"),
        "half-body": ("half-body photo of {who}", "upper body shot of {who}", "medium shot of {who}"),
        "full-body": ("full-body photo of {who}", "full length shot of {who}", "{who} from head to toe"),
    },
    "view": {
        "front": ("front view", "looking at the camera"),
        "left": ("looking left", "facing left"),
        "right": ("looking right", "facing right"),
    },
    "expression": {
        "neutral": ("neutral expression", "relaxed face"),
        "smiling": ("with a smile", "happy"),
        "laughing": ("laughing", "with a big laugh"),
        "serious": ("serious", "with a serious face", "frowning"),
    },
    "outfit": {
        "t-shirt": ("in a {colour} t-shirt", "wearing a {colour} tee"),
        "hoodie": ("in a {colour} hoodie", "dressed in a {colour} hoodie"),
        "dress": ("in a {colour} dress", "dressed in a {colour} dress"),
        "suit": ("in a {colour} suit", "dressed in a {colour} suit"),
        "coat": ("in a {colour} coat", "dressed in a {colour} long coat"),
    },
    "pose": {
        "relaxed": ("standing", "standing relaxed"),
        "waving": ("waving", "greeting with a raised hand"),
        "hand on hip": ("hand on hip", "with a hand on the hip"),
    },
    "goods": {
        "bottle": ("with a bottle in the hand", "showing a bottle"),
        "cup": ("with a mug in the hand", "holding a cup of coffee", "showing a cup"),
        "book": ("with a book in the hand", "showing a book"),
        "bag": ("with a bag in the hand", "showing a handbag", "holding a bag"),
    },
    "setting": {
        "studio": ("studio background", "in the studio"),
        "cafe": ("in a coffee shop", "at a cafe"),
        "street": ("in the street", "city street"),
        "beach": ("by the sea", "at the beach"),
        "park": ("in the park", "under green trees"),
        "bedroom": ("in the bedroom", "at home in the bedroom"),
        "kitchen": ("in the kitchen", "at home in the kitchen"),
        "shop": ("in a store", "inside a shop"),
        "office": ("at the office", "in the office"),
        "gym": ("at the gym", "in a fitness studio"),
    },
    "light": {
        "day": ("daylight", "daytime", "on a bright day"),
        "dusk": ("sunset light", "in the evening"),
        "night": ("night", "at night time"),
    },
}

_CHINESE: dict[str, Table] = {
    "framing": {
        "close-up": ("{who}的特写", "{who}的面部特写", "特写， {who}"),
        "half-body": ("{who}的半身照", "半身照， {who}", "{who}的上半身"),
        "full-body": ("{who}的全身照", "全身照， {who}"),
    },
    "view": {
        "front": ("面向镜头", "正面", "看着镜头"),
        "left": ("朝左", "面向左侧", "向左看"),
        "right": ("朝右", "面向右侧", "向右看"),
    },
    "expression": {
        "neutral": ("表情平静", "神情自然"),
        "smiling": ("微笑", "面带微笑"),
        "laughing": ("大笑", "开怀大笑"),
        "serious": ("表情严肃", "皱眉"),
    },
    "outfit": {
        "t-shirt": ("穿着{colour}T恤", "身穿{colour}T恤"),
        "hoodie": ("穿着{colour}卫衣", "身穿{colour}连帽衫"),
        "dress": ("穿着{colour}连衣裙", "身穿{colour}裙子"),
        "suit": ("穿着{colour}西装", "身穿{colour}西服"),
        "coat": ("穿着{colour}大衣", "身穿{colour}外套"),
    },
    "pose": {
        "relaxed": ("双臂自然下垂", "自然站立"),
        "waving": ("挥手", "挥手打招呼"),
        "hand on hip": ("单手叉腰", "叉腰"),
    },
    "goods": {
        "bottle": ("拿着瓶子", "手持一个瓶子"),
        "cup": ("拿着杯子", "手持一个杯子", "端着咖啡杯"),
        "book": ("拿着书", "手持一本书"),
        "bag": ("拎着包", "手拎一个包包", "拿着包"),
    },
    "setting": {
        "studio": ("在摄影棚", "影棚背景"),
        "cafe": ("在咖啡馆", "在咖啡厅里"),
        "street": ("在街上", "在街头"),
        "beach": ("在海滩", "在海边"),
        "park": ("在公园", "在公园里"),
        "bedroom": ("在卧室", "在卧室里"),
        "kitchen": ("在厨房", "在厨房里"),
        "shop": ("在商店", "在店里"),
        "office": ("在办公室", "在办公室里"),
        "gym": ("在健身房", "在健身房里"),
    },
    "light": {
        "day": ("白天", "日光下"),
        "dusk": ("黄昏", "傍晚"),
        "night": ("夜晚", "晚上"),
    },
}
_COLOURS_ZH = {
    "red": "红色", "orange": "橙色", "yellow": "黄色", "green": "绿色", "blue": "蓝色",
    "purple": "紫色", "pink": "粉色", "white": "白色", "black": "黑色", "brown": "棕色",
}  # fmt: skip
PEOPLE_ZH = {
    "a young woman": "年轻女子", "an elegant woman": "优雅女士", "a confident man": "自信男士",
    "a young man": "年轻男子", "a woman": "女人", "a man": "男人", "a person": "人物",
}  # fmt: skip
_ORDER = ("framing", "view", "expression", "outfit", "pose", "goods", "setting", "light")


@dataclass(frozen=True)
class Clause:
    """What a caption says about one field of a shot."""

    field: str
    text: str


def clauses(shot: Shot, subject: str, trigger: str, rng: random.Random, *, chinese: bool) -> list[Clause]:
    """The shot in a wording of the moment; `subject` as in `personas.looks`, `trigger` may be empty."""
    table = _CHINESE if chinese else _ENGLISH
    who = f"{trigger} {PEOPLE_ZH[subject] if chinese else subject}".strip()
    colour = _COLOURS_ZH[shot.outfit_colour] if chinese else shot.outfit_colour
    return [
        Clause(field, rng.choice(words).format(who=who, colour=colour))
        for field in _ORDER
        if (words := table[field].get(getattr(shot, field)))
    ]


def chinese_words() -> Iterator[str]:
    """Every Chinese word of the tables, whole; for a tokenizer's vocabulary."""
    yield from _COLOURS_ZH.values()
    yield from PEOPLE_ZH.values()
    for table in _CHINESE.values():
        for words in table.values():
            for text in words:
                yield from text.replace("{who}", " ").replace("{colour}", " ").replace("，", " ").split()
