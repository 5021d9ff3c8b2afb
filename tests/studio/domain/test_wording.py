"""Own words in prompts: Chinese reaches a model that reads none in English, and what it may not know is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from personas.shots import Shot
from pipelines.families.vocabulary import Vocabulary
from studio.domain.capabilities import vocabulary_of
from studio.domain.shot_lines import known_word
from studio.domain.wording import PLAIN_GOODS, Doubt, doubts, say_doubts, tell_goods, tell_shot
from studio.settings import Settings
from studio.texts.english import field_words, in_english
from studio.texts.texts import LANGUAGES, Texts
from tests.data import need


def _miniature(tmp_path: Path) -> Vocabulary:
    found = vocabulary_of(Settings(data=tmp_path))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("玫瑰红陶瓷马克杯", "a rose red ceramic mug"), ("保温杯", "thermos"),
        ("兰蔻精华", "a serum"),
        ("哈哈牌", PLAIN_GOODS), ("猫粮", "a cat food"), ("猫抓板", PLAIN_GOODS), ("金属杯", "a cup"),
        ("红唇", PLAIN_GOODS),
        ("包子铺", PLAIN_GOODS), ("茶几", PLAIN_GOODS), ("手机膜", PLAIN_GOODS), ("兰蔻包", "a bag"),
        ("花盆", PLAIN_GOODS),
        ("面膜贴", PLAIN_GOODS), ("书签", PLAIN_GOODS), ("咖啡豆", PLAIN_GOODS), ("一个杯子", "a cup"),
        ("小红书", "a small red book"),
        ("a red tin", "a red tin"), ("Rose serum 30ml", "Rose serum 30ml"), ("Nike 运动鞋", "Nike sneakers"),
    ],
)  # fmt: skip
def test_goods_are_named_in_english_where_no_chinese_is_read(tmp_path: Path, name: str, said: str) -> None:
    assert tell_goods(name, _miniature(tmp_path)) == said
    assert tell_goods(name, Vocabulary(need("tokenizers/t5") / "tokenizer.json", whole=False)) == said


def test_shots_keep_the_words_of_the_lists(tmp_path: Path) -> None:
    words = _miniature(tmp_path)
    assert tell_shot(Shot(), words) == Shot()
    told = tell_shot(Shot(outfit="红色旗袍", pose="坐在沙发上喝咖啡", goods="Mug", expression="嘻嘻"), words)
    assert told == Shot(outfit="red qipao", pose="sitting on sofa drinking coffee", goods="mug", expression="嘻嘻")
    assert "wearing a red qipao, sitting on sofa drinking coffee, holding a mug" in told.prompt("a woman")


def test_words_of_which_a_list_knows_a_part_are_no_word_of_the_list() -> None:
    t = Texts("zh")
    for field, said in (("outfit", "仙女连衣裙"), ("goods", "兰蔻包"), ("outfit", "小雏菊连衣裙"), ("goods", "金属杯")):
        assert known_word(field, said, t) is None
    for field, said, word in (
        ("goods", "一个杯子", "cup"),
        ("outfit", "连衣裙", "dress"),
        ("outfit_colour", "红色", "red"),
    ):
        assert known_word(field, said, t) == word


def test_a_thing_that_is_not_known_is_not_called_by_what_stands_before_it(tmp_path: Path) -> None:
    told = tell_shot(Shot(goods="咖啡豆", outfit="牛仔斗笠", pose="坐在仙女椅上"), _miniature(tmp_path))
    assert (told.goods, told.outfit) == ("咖啡豆", "牛仔斗笠")
    assert told.pose == "sitting on"


def test_doubts_name_the_place(tmp_path: Path) -> None:
    shots = [Shot(outfit="旗袍"), Shot(goods="马克杯"), Shot(outfit="旗袍", pose="holding coffee")]
    found = doubts(shots, "玫瑰精华", _miniature(tmp_path))
    assert found == (
        Doubt(row=1, field="outfit", words="旗袍"), Doubt(row=3, field="outfit", words="旗袍"),
        Doubt(row=0, field="goods", words="玫瑰精华"),
    )  # fmt: skip
    for language in LANGUAGES:
        said = say_doubts(found, Texts(language))
        assert "旗袍" in said
        assert "玫瑰精华" in said
    assert doubts(shots, PLAIN_GOODS, None) == ()
    assert say_doubts((), Texts("en")) == ""


def test_every_word_of_the_dictionary_is_english_once() -> None:
    rows = [row for words in field_words().values() for row in words.items()]
    assert len({chinese for chinese, _ in rows}) == len(rows)
    for chinese, english in rows:
        assert english.isascii()
        assert in_english(chinese) == (english, ())
