"""Words of a pasted shot: what may be said in both languages, and a line cut into such words.

The lists of `personas.shots`, the merchants' words of `studio/texts/english.json`, and the little words between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Literal

from personas import shots as words
from personas.shots import FREE
from studio.texts.english import field_words
from studio.texts.texts import LANGUAGES, Texts

__all__ = ["CHOICES", "COLUMNS", "HEADERS", "JOINING", "NumberSaid", "Token", "spaced", "tokens"]

COLUMNS = ("framing", "view", "expression", "outfit", "outfit_colour", "pose", "goods", "light")
HEADERS = (*COLUMNS, "seed", "caption")
CHOICES = {
    "framing": words.FRAMINGS, "view": words.VIEWS, "expression": words.EXPRESSIONS, "outfit": words.OUTFITS,
    "outfit_colour": words.OUTFIT_COLOURS, "pose": words.POSES, "goods": words.GOODS, "light": words.LIGHTS,
}  # fmt: skip
JOINING = "的和色"
Kind = Literal["listed", "named", "verb", "act", "prep", "and", "article", "filler", "hand", "deny", "unknown", "end"]

_ALSO = {
    "framing": {
        "close-up": "closeup portrait|headshot|head shot|近景|脸部特写|头像|大头照",
        "half-body": "half length|upper body|waist up|medium shot|half body shot|半身照|上半身|中景|半身像",
        "full-body": "full length|head to toe|full body shot|wide shot|全身照|全景|全身像",
    },
    "view": {
        "front": "facing the camera|facing front|front view|from the front|正脸|面对镜头|面向镜头|正对镜头",
        "left": "turned to the left|turned left|facing left|left side view|left profile|朝左|左侧面|面向左"
        "|侧面|侧身|侧脸|半侧面|侧面朝左|侧面向左|侧身朝左|侧身向左|侧脸朝左|侧脸向左"
        "|朝左侧面|向左侧面|朝左侧身|向左侧身|朝左侧脸|向左侧脸|左侧身|左侧脸",
        "right": "turned to the right|turned right|facing right|right side view|right profile|朝右|右侧面|面向右"
        "|侧面朝右|侧面向右|侧身朝右|侧身向右|侧脸朝右|侧脸向右"
        "|朝右侧面|向右侧面|朝右侧身|向右侧身|朝右侧脸|向右侧脸|右侧身|右侧脸",
    },
    "expression": {
        "neutral": "calm face|calm|neutral face|neutral expression|expressionless|无表情|面无表情|淡定|冷静",
        "smiling": "smile|smiles|smiling face|笑容|笑|笑着|微笑着|面带微笑|面带笑容",
        "laughing": "laugh|laughs|laughing face|laughing with open mouth|大笑着|开怀大笑|哈哈大笑",
        "serious": "serious face|serious expression|serious frown|frowning|认真|皱眉",
    },
    "light": {
        "day": "daylight|in daylight|daytime|by day|during the day|白昼|日间|大白天",
        "dusk": "at dusk|sunset|at sunset|golden hour|evening light|傍晚|日落时分|夕阳下|黄昏时分",
        "night": "at night|by night|nighttime|night time|晚上|夜里|夜间|夜晚时分|深夜",
    },
    "outfit": {"t-shirt": "tee|tee shirt", "dress": "frock", "coat": "overcoat", "suit": "business suit"},
    "goods": {"nothing": "empty hands|no goods"},
}
_ARTICLES = (
    "a", "an", "her", "his", "my", "the", "their", "some", "this", "一个", "一本", "一件", "一条", "一双", "一顶",
    "一支", "一只", "一把", "一张", "一款", "一身", "一套", "一台", "一部", "一副", "这个", "这件", "这款",
)  # fmt: skip
_FILLERS = (
    "hand", "hands", "color", "colors", "colour", "colours", "image", "nr", "number", "outfit color", "photo",
    "portrait", "picture", "post", "shot", "is", "are", "who", "手", "里", "着", "正在", "图", "图片", "序号", "编号",
    "镜头", "一位", "一名", "穿搭", "今日穿搭", "照片", "颜色", "人像", "上身", "下身",
)  # fmt: skip
_IN_HAND = tuple(
    " ".join(f"{word} {whose} {hand}".split())
    for word, whose, hand in product(
        ("in", "with"),
        ("", "her", "his", "one", "the", "both", "both her", "each", "her left", "her right", "the left", "the right"),
        ("hand", "hands"),
    )
)
_PEOPLE = (
    "woman", "women", "girl", "girls", "lady", "ladies", "female", "man", "men", "boy", "guy", "male", "person",
    "model", "she", "he", "influencer", "女孩", "女孩子", "女生", "女人", "女子", "女性", "女士", "少女", "美女",
    "小姐姐", "姑娘", "男孩", "男生", "男人", "男士", "男子", "男性", "帅哥", "模特", "人物", "主播", "博主",
)  # fmt: skip
_LIKE = (
    "young", "beautiful", "pretty", "attractive", "asian", "chinese", "korean", "japanese", "european", "fashion",
    "black", "white", "beautiful young", "young asian", "年轻", "年轻的", "漂亮", "漂亮的", "美丽", "美丽的", "可爱的",
    "亚洲", "中国", "一个", "一个年轻", "一位年轻", "一名年轻",
)  # fmt: skip
_VERBS = {
    "outfit": (
        "wearing", "wears", "dressed in", "trying on", "putting on", "modeling", "modelling", "试穿", "穿", "穿着",
        "穿上", "身穿", "身着", "戴", "戴着", "戴上", "佩戴", "头戴", "脚穿", "脚踩",
    ),
    "goods": (
        "carrying", "carries", "holding", "holds", "showing", "手持", "手拎", "拎着", "提着", "拿", "拿着", "手拿",
        "手捧", "手握", "手提", "端着", "捧着", "举着", "握着", "展示", "展示着",
    ),
}  # fmt: skip
_CARRYING = ("背着", "抱着", "撑着", "打着", "挎着", "牵着", "举起", "斜挎")  # goods too, and say how they are held
_PREPS = (
    "in", "on", "at", "with", "by", "under", "near", "inside", "outside", "behind", "beside", "against", "over",
    "through", "along", "from", "into", "to", "of", "for", "around", "across", "down", "up", "between", "among",
    "beneath", "above", "below", "towards", "toward", "onto", "off", "out", "before", "after", "during", "amid",
    "next to", "in front of", "front of", "on top of", "close to", "out of", "在",
)  # fmt: skip
_AND = ("and", "&", "plus", "搭配", "外搭", "内搭", "搭", "配", "配上", "与", "及", "加")
_DENY = ("not", "without", "never", "neither", "nor", "none", "cannot", "没有")
_HANDS = ("左手", "右手", "双手", "单手", "一手", "手上", "手中", "手里", "手里面")
_SIDES = ("hand", "hands", "arm", "leg", "foot", "shoulder", "side", "eye", "knee", "ear", "wrist", "cheek", "pocket")
_WHOLE = (  # words that are not what they begin or end with
    "front door", "front row", "front seat", "front desk", "front yard", "holding hands", "night stand", "穿过", "穿越",
    "向左看", "向右看", "存在", "现在", "实在", "自在",
    "不透明",
)  # fmt: skip
_FROM = ("from behind", "from above", "from below", "from the side")
_SMILES = ("big", "bright", "friendly", "gentle", "happy", "little", "slight", "soft", "sweet", "warm", "wide")
_ALWAYS = "在穿戴拿她他"  # letters that are a word wherever they stand, but in longer words
_DENIED = {"不": "笑看戴穿拿要用带坐站是能许可想", "没": "有笑看戴穿拿带", "别": "笑看戴穿拿动坐站", "勿": "", "无": ""}


class NumberSaid(ValueError):
    """A line says a number, which is no word of a shot; `args[0]` is where."""


@dataclass(frozen=True)
class Token:
    """A piece of a line, `text` = line[first:last]. `listed` is a word of CHOICES, `value` its cell; `named` one that
    is known to be said in a field ("place": of a shot's surroundings; "": with words of any); `end` parts what belongs
    together.
    """

    kind: Kind
    first: int
    last: int
    text: str
    field: str = ""
    value: str = ""

    @property
    def is_english(self) -> bool:
        return self.text.isascii()


def tokens(line: str) -> Iterator[Token]:
    """Yield the words of a line in small letters, and what parts them. Raises NumberSaid."""
    at, unknown_to = 0, -1  # behind the last unknown word
    while at < len(line):
        said = _known_at(line, at, unknown_to)
        if said is not None:
            kind, field, value = _vocabulary()[said]
            yield Token(kind, at, at + len(said), said, field, value)
            at += len(said)
        elif line[at].isalpha() and line[at] not in JOINING:
            last = at + 1
            while line[at].isascii() and last < len(line) and _goes_on(line, last):
                last += 1
            text = line[at:last]
            usual: Kind = "filler" if text == "no" else "unknown"  # No. 1
            yield Token("deny" if _denies(line, at, text) else usual, at, last, text)
            at = unknown_to = last
        elif line[at].isalnum() and line[at] not in JOINING:
            raise NumberSaid(at)
        else:
            if line[at] not in JOINING and not (line[at] == " " and _joins(line, at)):
                yield Token("end", at, at + 1, line[at])
            at += 1


def spaced(name: str) -> str:
    """Return a name in small letters, a space for each hyphen or the like."""
    return " ".join(re.split(r"[-_\s]+", name.casefold()))


def _known_at(line: str, at: int, unknown_to: int) -> str | None:
    """Return the longest word of the vocabulary that begins here.

    One Chinese letter is a word only by itself, or before another word: else it is a part of one that is not known.
    """
    for word in _beginning(line[at]):
        last = at + len(word)
        if not line.startswith(word, at) or not _ends(line, last, word):
            continue
        if len(word) > 1 or word.isascii() or word in _ALWAYS:
            return word
        alone = last >= len(line) or not line[last].isalpha() or line[last] in JOINING
        if at != unknown_to and (alone or _known_at(line, last, -1) is not None):
            return word
    return None


def _denies(line: str, at: int, word: str) -> bool:
    """Whether a word that is not known says that something is not to be seen."""
    if word.isascii():
        return word.endswith("n't") or (word == "no" and _known_kind(line, at + 3) not in ("filler", "end"))
    if word not in _DENIED or (word == "别" and line[max(at - 1, 0) : at].isalpha()):  # 特别
        return False
    return line[at + 1 : at + 2] in [*_DENIED[word]] or _known_kind(line, at + 1) in ("listed", "named", "verb", "act")


def _known_kind(line: str, at: int) -> str:
    """Return the kind of the word that begins here: "end" where none does, "unknown" where it is not known."""
    if at >= len(line) or not line[at].isalpha() or not line[at - 1 : at].replace(" ", "a").isalpha():
        return "end"
    said = _known_at(line, at, -1)
    return "unknown" if said is None else _vocabulary()[said][0]


def _goes_on(line: str, at: int) -> bool:
    """Whether an English word goes on with this letter; an apostrophe is one between letters."""
    return line[at].isascii() and (line[at].isalnum() or (line[at] == "'" and line[at + 1 : at + 2].isalpha()))


def _joins(line: str, at: int) -> bool:
    """Whether a space stands between English words: Chinese ones need none, so that it parts them."""
    return line[at - 1 : at].isascii() and line[at + 1 : at + 2].isascii()


def _ends(line: str, at: int, word: str) -> bool:
    """English words end where the next letter is none."""
    return at >= len(line) or not (word[-1].isascii() and line[at].isascii() and line[at].isalnum())


@cache
def _beginning(letter: str) -> tuple[str, ...]:
    """Return the words of the vocabulary that begin with a letter, longest first."""
    return tuple(word for word in _vocabulary() if word[0] == letter)


@cache
def _vocabulary() -> Mapping[str, tuple[Kind, str, str]]:
    """Return what may be said in both languages, longest first, as the kind, field and value of its token."""
    texts = [Texts(language) for language in LANGUAGES]
    found: dict[str, tuple[Kind, str, str]] = {}
    for field, rows in field_words().items():
        for chinese, english in rows.items():
            is_listed = english in CHOICES.get(field, ())
            is_act = field == "" and english.split()[0].endswith("ing")
            kind: Kind = "listed" if is_listed else "act" if is_act else "named"
            told = (kind, field, english if is_listed else "")
            found |= {spaced(chinese): told} if field in (*FREE, "place", "") else {}
            if field and not is_listed:
                found[spaced(english)] = told
    for kind, said in _little_words():
        found |= dict.fromkeys(said, (kind, "", ""))
    found |= dict.fromkeys((spaced(text(f"column.{c}")) for c in HEADERS for text in texts), ("filler", "", ""))
    found |= dict.fromkeys((spaced(column) for column in HEADERS), ("filler", "", ""))
    for field, verbs in _VERBS.items():
        found |= dict.fromkeys(verbs, ("verb", field, ""))
    found |= dict.fromkeys(_CARRYING, ("verb", "goods", "kept"))
    found |= dict.fromkeys((f"{kind} smile" for kind in _SMILES), ("listed", "expression", "smiling"))
    found |= dict.fromkeys(_FROM, ("named", "pose", ""))
    found |= {f"{side} hand on hip": ("named", "pose", "") for side in ("left", "right")}
    for column, rows in _ALSO.items():
        for word, others in rows.items():
            found |= dict.fromkeys((spaced(other) for other in others.split("|")), ("listed", column, word))
    for column, choices in CHOICES.items():
        for word in choices:
            for name in (word, *(text.word(word) for text in texts)):
                found[spaced(name)] = ("listed", column, word)
                if "-" in name:
                    found[spaced(name).replace(" ", "")] = ("listed", column, word)
    return dict(sorted(found.items(), key=lambda item: -len(item[0])))


def _little_words() -> Iterator[tuple[Kind, tuple[str, ...]]]:
    yield "unknown", (*_WHOLE, *(f"{side} {part}" for side in ("left", "right") for part in _SIDES))
    yield "filler", (*_FILLERS, *_IN_HAND, *_PEOPLE, "她", "他")
    yield "filler", tuple(f"{like}{' ' * like.isascii()}{who}" for like in _LIKE for who in _PEOPLE
                          if like.isascii() == who.isascii())  # fmt: skip
    yield "article", _ARTICLES
    yield "prep", _PREPS
    yield "and", _AND
    yield "deny", _DENY
    yield "hand", _HANDS
