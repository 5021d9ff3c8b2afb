"""Shots pasted as sentences: a place is no garment, two garments are both worn, and what is denied is not drawn."""

from __future__ import annotations

import itertools
import random
from dataclasses import asdict

import pytest

from personas.shots import EXPRESSIONS, FRAMINGS, FREE, GOODS, OUTFIT_COLOURS, OUTFITS, POSES, Shot
from pipelines.errors import BadInput
from studio.domain.shot_lines import paste_shots
from studio.texts.texts import LANGUAGES, Language, Texts

_USUAL = asdict(Shot())
PLACES = {
    "en": (
        "in the kitchen", "in sunlight", "at the beach", "in a coffee shop", "on a snowy street", "in the park",
        "in front of the Eiffel Tower", "against a pink background", "in the rain", "by the window", "at home",
        "in a flower shop", "next to a blue car", "in the dress shop", "in a book store", "under neon lights",
        "on the green grass", "in a good mood", "in the mirror", "with long hair", "with red hair", "at the office",
        "in front of a white wall", "on the left", "over the shoulder", "from behind", "in summer", "with friends",
        "white studio background", "modern kitchen", "cozy bedroom in the morning",
    ),
    "zh": (
        "在咖啡馆里", "在厨房", "在海边", "在花店里", "在书店", "在阳光下", "在雪地里", "在街头", "在白色背景前",
        "在红色的墙前面",
        "站在窗边", "在粉色背景下", "在白色沙发旁", "在衣架旁", "在包店", "在书架前", "在床上", "在家里",
        "坐在红色沙发上", "在桌子旁边",
        "在商场", "在奶茶店门口", "在图书馆的书架前", "海边", "户外", "黑色长发", "红唇",
    ),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES["en"])
def test_a_place_is_no_garment_in_english(place: str) -> None:
    for outfit, colour in zip(OUTFITS, OUTFIT_COLOURS, strict=False):
        for line in (f"{place}, {colour} {outfit}", f"a woman in a {colour} {outfit}, {place}"):
            (shot,) = paste_shots(line)
            assert (shot.outfit, shot.outfit_colour, shot.goods) == (outfit, colour, "nothing"), line
            assert place.casefold() in shot.pose, line
    if place.split()[0] not in ("white", "modern", "cozy"):
        (shot,) = paste_shots(f"close-up, smiling woman in a red dress holding a cup {place}")
        assert (shot.outfit, shot.outfit_colour, shot.goods, shot.pose) == ("dress", "red", "cup", place.casefold())


@pytest.mark.parametrize("place", PLACES["zh"])
def test_a_place_is_no_garment_in_chinese(place: str) -> None:
    t = Texts("zh")
    for outfit, colour in zip(OUTFITS, OUTFIT_COLOURS, strict=False):
        worn = f"{t.word(colour)}色{t.word(outfit)}"
        for line in (f"{place}，{worn}", f"女孩穿着{worn}，{place}", f"{place}，拿着杯子，{worn}"):
            (shot,) = paste_shots(line)
            assert (shot.outfit, shot.outfit_colour) == (outfit, colour), line
            assert shot.goods == ("cup" if "杯" in line else "nothing"), line
            assert place in shot.pose, line


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("full-body, red dress, in the kitchen",
         {"framing": "full-body", "outfit": "dress", "outfit_colour": "red", "pose": "in the kitchen"}),
        ("a girl in a red dress at the beach", {"outfit": "dress", "outfit_colour": "red", "pose": "at the beach"}),
        ("white t-shirt and jeans", {"outfit": "t-shirt and jeans"}),
        ("red dress, black hat", {"outfit": "red dress and black hat", "outfit_colour": "red"}),
        ("a man in a suit with a tie", {"outfit": "suit and tie"}),
        ("coat over a dress", {"outfit": "coat and dress"}),
        ("coat over a chair", {"outfit": "coat", "pose": "over a chair"}),
        ("beige trousers and grey shirt", {"outfit": "beige trousers and grey shirt", "outfit_colour": "beige"}),
        ("black and white dress", {"outfit": "dress", "outfit_colour": "black and white"}),
        ("dark red dress", {"outfit": "dress", "outfit_colour": "dark red"}),
        ("long red dress", {"outfit": "long red dress", "outfit_colour": "red"}),
        ("a woman wearing a red dress with pockets",
         {"outfit": "dress", "outfit_colour": "red", "pose": "with pockets"}),
        ("running shoes, hoodie", {"outfit": "running shoes and hoodie"}),
        ("white t-shirt, holding a red cup", {"goods": "red cup"}),
        ("with red lipstick, black dress", {"outfit": "dress", "outfit_colour": "black", "goods": "red lipstick"}),
        ("holding a cup and a book", {"goods": "cup and book"}),
        ("holding a cup and red coat", {"outfit": "coat", "outfit_colour": "red", "goods": "cup"}),
        ("holding a cup and a hat", {"goods": "cup and hat"}),
        ("in a yellow suit and book in her hand", {"outfit": "suit", "outfit_colour": "yellow", "goods": "book"}),
        ("in the park and cup in her hand", {"pose": "in the park", "goods": "cup"}),
        ("suit in blue bag", {"outfit": "suit", "outfit_colour": "blue", "goods": "bag"}),
        ("against a white wall hoodie in yellow",
         {"outfit": "hoodie", "outfit_colour": "yellow", "pose": "against a white wall"}),
        ("holding a cup of coffee, blue hoodie",
         {"outfit": "hoodie", "outfit_colour": "blue", "goods": "cup of coffee"}),
        ("holding an orange juice", {"goods": "orange juice"}),
        ("holding a cup in her left hand, red dress", {"outfit": "dress", "outfit_colour": "red", "goods": "cup"}),
        ("smelling a book", {"pose": "smelling a book", "goods": "book"}),
        ("adjusting her red dress", {"outfit": "dress", "outfit_colour": "red", "pose": "adjusting her red dress"}),
        ("trying on a red dress", {"outfit": "dress", "outfit_colour": "red"}),
        ("waving a red flag, suit", {"outfit": "suit", "pose": "waving a red flag"}),
        ("waving, hand on hip", {"pose": "waving, hand on hip"}),
        ("watching the sunset, suit", {"outfit": "suit", "pose": "watching the sunset", "light": "dusk"}),
        ("left hand on hip, looking left", {"pose": "left hand on hip, looking left"}),
        ("with a big smile, at night, tee", {"expression": "smiling", "light": "night"}),
        ("smiling, laughing", {"expression": "smiling, laughing"}),
        ("red dress beach sunset", {"outfit": "dress", "outfit_colour": "red", "pose": "beach", "light": "dusk"}),
        ("full body shot of a woman walking her dog in the park, wearing a yellow coat",
         {"framing": "full-body", "outfit": "coat", "outfit_colour": "yellow", "pose": "walking her dog in the park"}),
        ("No.\tclose-up\tqipao\tred\ttall",
         {"framing": "close-up", "outfit": "qipao", "outfit_colour": "red", "pose": "tall"}),
        ("穿白色T恤和蓝色牛仔裤，拿着红色杯子", {"outfit": "白色T恤和蓝色牛仔裤", "goods": "红色杯子"}),
        ("红色连衣裙外搭黑色大衣", {"outfit": "红色连衣裙和黑色大衣", "outfit_colour": "red"}),
        ("上身白色T恤下身牛仔裤", {"outfit": "T恤和牛仔裤"}),
        ("黑白连衣裙", {"outfit": "dress", "outfit_colour": "黑白"}),
        ("红色包，白色连衣裙", {"outfit": "dress", "goods": "红色包"}),
        ("左手拿着书，红色连衣裙", {"outfit": "dress", "outfit_colour": "red", "goods": "book"}),
        ("拿着杯子和书", {"goods": "杯子和书"}),
        ("女孩穿着红色连衣裙站在海边看日落", {"outfit": "dress", "outfit_colour": "red", "pose": "站在海边看日落"}),
        ("在海边穿红色连衣裙", {"outfit": "dress", "outfit_colour": "red", "pose": "在海边"}),
        ("在海边红色连衣裙", {"outfit": "dress", "outfit_colour": "red", "pose": "在海边"}),
        ("背着双肩包，白色卫衣", {"outfit": "hoodie", "goods": "背着双肩包"}),
        ("涂着红色口红，黑色大衣", {"outfit": "coat", "outfit_colour": "black", "pose": "涂着红色口红"}),
        ("一个年轻女孩面带微笑，面对镜头，晚上", {"expression": "smiling", "light": "night"}),
        ("特写，无表情，无袖连衣裙", {"framing": "close-up", "outfit": "无袖连衣裙"}),
        ("不锈钢保温杯，特别可爱", {"goods": "不锈钢保温杯", "pose": "特别可爱"}),
    ],
)  # fmt: skip
def test_all_that_a_line_says_is_in_its_shot(line: str, told: dict[str, str]) -> None:
    (shot,) = paste_shots(line)
    assert {name: said for name, said in asdict(shot).items() if said != _USUAL[name]} == told


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("close-up, not smiling", "not smiling"), ("never smiling, suit", "never smiling"), ("no hat", "no hat"),
        ("neither smiling nor laughing", "neither smiling nor laughing"), ("doesn’t smile", "doesn't smile"),
        ("red dress without sleeves", "without sleeves"), ("with no bag, suit", "no bag"),
        ("red dress no makeup", "no makeup"),
        ("isn't waving", "isn't waving"), ("wearing no coat", "no coat"),
        ("不笑，红色连衣裙", "不笑"), ("特写 别笑", "别笑"), ("没有戴帽子，大衣", "没有戴帽子"), ("没拿包", "没拿包"),
        ("不要微笑", "不要微笑"),
        ("不看镜头，西装", "不看镜头"), ("没穿大衣", "没穿大衣"), ("无帽子，西装", "无帽子"), ("不戴眼镜", "不戴眼镜"),
        ("没有包", "没有包"),
    ],
)  # fmt: skip
def test_what_is_denied_is_refused_by_its_phrase(line: str, said: str) -> None:
    with pytest.raises(BadInput, match="shot_denied") as refused:
        paste_shots(f"smiling\n{line}")
    assert refused.value.fields == {"line": 2, "said": said}
    for language in LANGUAGES:
        assert said in Texts(language).error(refused.value)


@pytest.mark.parametrize(
    ("line", "code"),
    [("close-up, full-body", "shot_said_twice"), ("特写 全身", "shot_said_twice"), ("day, at night", "shot_said_twice"),
     ("front, turned to the left", "shot_said_twice"), (f"in the park {'very ' * 20}tall", "shot_too_long")],
)  # fmt: skip
def test_what_no_picture_can_show_is_refused(line: str, code: str) -> None:
    with pytest.raises(BadInput, match=code) as refused:
        paste_shots(line)
    for language in LANGUAGES:
        assert "  " not in Texts(language).error(refused.value)


@pytest.mark.parametrize("language", LANGUAGES)
def test_two_listed_words_of_a_field_are_both_said(language: Language) -> None:
    t = Texts(language)
    comma = "，" if language == "zh" else ", "
    for field, listed in (("outfit", OUTFITS), ("goods", GOODS[1:])):
        for one, other in itertools.permutations(listed, 2):
            (shot,) = paste_shots(f"{t.word(one)}{comma}{t.word(other)}")
            said = getattr(shot, field)
            assert t.word(one) in said, (one, other)
            assert t.word(other) in said, (one, other)
            assert set(shot.free) == {field} <= {*FREE}


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_listed_is_lost_in_any_order(language: Language) -> None:
    t, rng = Texts(language), random.Random(5)
    ways = {
        "en": (("{c} {g}", "wearing a {c} {g}", "in a {c} {g}", "a woman in a {c} {g}", "{g} in {c}"),
               ("{t}", "holding a {t}", "with a {t}", "{t} in her hand", "carrying her {t}")),
        "zh": (("{c}色{g}", "穿着{c}色{g}", "女孩穿{c}色的{g}", "身穿{c}色{g}"),
               ("{t}", "拿着{t}", "手里拿着一个{t}", "手持{t}", "左手拎着{t}")),
    }  # fmt: skip
    garments, things = ways[language]
    for _ in range(500):
        asked = {
            "outfit": rng.choice(OUTFITS), "outfit_colour": rng.choice(OUTFIT_COLOURS), "goods": rng.choice(GOODS[1:]),
            "pose": rng.choice(POSES[1:]), "expression": rng.choice(EXPRESSIONS[1:]), "framing": rng.choice(FRAMINGS),
        }  # fmt: skip
        g, c, thing = (t.word(asked[name]) for name in ("outfit", "outfit_colour", "goods"))
        place = rng.choice(PLACES[language])
        parts = [rng.choice(garments).format(g=g, c=c), rng.choice(things).format(t=thing), place]
        parts += [t.word(asked[name]) for name in ("pose", "expression", "framing")]
        rng.shuffle(parts)
        line = ("，" if language == "zh" else ", ").join(parts)
        (shot,) = paste_shots(line)
        seen = {name: getattr(shot, name) for name in asked}
        assert asked["pose"] in seen["pose"] or t.word(asked["pose"]) in seen["pose"], line
        assert place.casefold() in seen["pose"], line
        assert seen | {"pose": asked["pose"]} == asked, line
