"""What the words of a pasted shot say together: which of them are a garment, a thing, a place, an action.

A noun ends a group of words ("a long red dress", "红色的连衣裙") and decides what the group is; the word that leads to
it ("in", "with", "wearing", "在") decides where it goes. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from studio.domain.shot_words import Token

__all__ = ["Cells", "Garment", "NothingDenied", "read_tokens"]

_MOST_SAID = 40
_PLACE_ENDS = "店馆厅室院场园房街路巷吧屋墙架柜摊海丛田市楼台间"  # 花店, 书架: of goods, but none
_BEHIND = "里上下旁边前后中内外间"  # 在沙发上
_ADVERBS = ("outside", "inside", "down", "up", "off", "out", "around")
_NOUNS = ("outfit", "goods", "place")
Lead = Literal["", "outfit", "goods", "in", "with", "prep", "act"]


class NothingDenied(ValueError):
    """A line says what is not to be seen; `args[0]` is how."""


@dataclass(frozen=True)
class Garment:
    """`words` are those beside its `colour` ("" where it has none), `whole` both; `listed` the list's word for it."""

    words: str
    colour: str
    whole: str
    listed: str = ""


@dataclass
class Cells:
    """What a line says: garments as they are worn, all other fields' words, and listed goods that are `handled`."""

    garments: list[Garment] = field(default_factory=list)
    others: dict[str, list[str]] = field(default_factory=dict)
    handled: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Noun:
    """A group of words that a noun ends, up to the token `last`. `head` is the noun's field: "colour" where all are
    colours, "" where no list knows it.
    """

    last: int
    words: Sequence[Token]
    head: str
    has_article: bool
    is_hers: bool


def read_tokens(line: str, words: Sequence[Token]) -> Cells:
    """Return what a line's tokens say. Raises NothingDenied."""
    return _Reader(line, words).read()


class _Reader:
    def __init__(self, line: str, words: Sequence[Token]) -> None:
        self.line, self.words, self.cells, self.at = line, words, Cells(), 0
        self.lead: Lead = ""  # what leads to the next noun, and the token that it begins with
        self.led = 0
        self.and_lead: Lead = ""  # what led to the last noun, and leads to one behind "and"
        self.is_joined = False  # whether such an "and" was just read
        self.has_article = False  # whether the noun that is read has one
        self.kept = ""  # a carrying verb, which goes with what is carried
        self.worn_to = -1  # the letter behind the last garment in own words that is said to be worn
        self.poses: list[list[int]] = []  # [first, last) letters of actions in own words
        self.said: list[str | int] = []  # actions in their order: a list's word, or which of `poses`
        self.is_open = False  # whether the last action in own words may go on

    def read(self) -> Cells:
        while self.at < len(self.words):
            self._step(self.words[self.at])
        poses = [one if isinstance(one, str) else self.line[slice(*self.poses[one])] for one in self.said]
        self.cells.others["pose"] = poses
        return self.cells

    def _step(self, word: Token) -> None:
        if word.kind == "deny":
            raise NothingDenied(self._phrase(word))
        if word.kind == "end":
            self._leads("")
            self.is_open = False
            self.at += 1
        elif word.kind == "verb":
            self._leads("outfit" if word.field == "outfit" else "goods")
            self.kept, self.is_open = (word.text if word.value else ""), False
            self.at += 1
        elif word.kind == "prep":
            self._prep(word)
        elif word.kind == "and":
            self.lead, self.is_joined = self.and_lead, True
            self.at += 1
        elif word.kind == "filler" or (word.kind == "hand" and self._kind(self.at + 1) == "verb"):
            self.at += 1
        elif word.kind == "listed" and word.field in ("framing", "view", "expression", "light", "pose"):
            self._listed(word)
        elif word.kind == "named" and word.field == "expression":
            self._other("expression", word.text)
            self.at += 1
        elif self._is_act(self.at):
            self._act(word)
        else:
            self._say_noun()

    def _leads(self, lead: Lead) -> None:
        self.lead, self.led, self.and_lead, self.kept, self.is_joined = lead, self.at, "", "", False

    def _kind(self, at: int) -> str:
        return self.words[at].kind if 0 <= at < len(self.words) else "end"

    def _phrase(self, word: Token) -> str:
        last = next((w.first for w in self.words if w.kind == "end" and w.first > word.first), len(self.line))
        return self.line[word.first : last].strip()[:_MOST_SAID]

    def _listed(self, word: Token) -> None:
        is_object = self._kind(self.at - 1) == "article" and self.is_open
        led = self.words[self.led]
        aside = word.field == "view" and (
            self.lead == "prep" or (self.lead == "act" and led.kind in ("act", "unknown"))
        )
        if aside:  # looking left, on the left
            self._pose(led.first if self.lead == "prep" else word.first, word.last)
        elif word.field == "pose":
            self.said.append(word.value)
            self._leads("act")
            self.is_open = False
        else:
            if is_object:  # watching the sunset
                self._pose(word.first, word.last)
            self._other(word.field, word.value)
        self.at += 1

    def _other(self, name: str, value: str) -> None:
        self.cells.others.setdefault(name, []).append(value)
        self.is_open = False
        self._leads("")

    def _is_act(self, at: int) -> bool:
        """Whether a word says what somebody does: in English "-ing", but not right before the garment it tells of."""
        word = self.words[at]
        if word.kind == "act" or (word.kind == "named" and word.field == "pose"):
            return True
        if word.kind != "unknown":
            return False
        following = self.words[at + 1] if at + 1 < len(self.words) else None
        if not word.is_english:  # one letter before a thing, as in 浇花
            alone = self._kind(at - 1) != "unknown" and self.lead in ("", "act")
            return alone and following is not None and following.field == "goods" and following.first == word.last
        tells = ["outfit"]
        if self.lead in ("outfit", "in", "with") or self._kind(at - 1) == "article":
            tells += ["outfit_colour", "goods"]  # a flowing red dress
        return word.text.endswith("ing") and (following is None or following.field not in tells)

    def _act(self, word: Token) -> None:
        self._pose(word.first, word.last)
        self._leads("prep" if word.text.endswith((" on", " at")) else "act")
        self.at += 1
        if word.text.endswith("在"):
            self._place_behind(word.first)

    def _pose(self, first: int, last: int) -> None:
        """Add own words to what somebody does; they go on with those just before."""
        if self.is_open and self.poses:
            self.poses[-1][1] = last
        else:
            self.said.append(len(self.poses))
            self.poses.append([first, last])
        self.is_open = True

    def _prep(self, word: Token) -> None:
        over = word.text in ("over", "under") and self.at > 0 and self.words[self.at - 1].field == "outfit"
        self._leads("in" if word.text == "in" or over else "with" if word.text == "with" else "prep")
        self.at += 1
        if word.text == "在":
            self._place_behind(word.first)
        elif word.text in _ADVERBS and self._kind(self.at) not in ("article", "unknown", "named", "listed", "prep"):
            self._pose(word.first, word.last)  # looking up
            self._leads("")

    def _place_behind(self, first: int) -> None:
        """Read a Chinese place, as in 在白色沙发上: to the letter that ends it, else to a word for a place."""
        last = self.at
        while last < len(self.words) and self._is_of_place(self.words[last]):
            last += 1
        reach = self.words[self.at : last]
        count = next((n + 1 for n in range(len(reach)) if self._ends_place(reach, n)), 0)
        if not count:
            nouns = (n for n, word in enumerate(reach) if word.field in ("outfit", "outfit_colour", "goods"))
            count = next((n for n in nouns if n), len(reach))
        if count:
            self._pose(first, reach[count - 1].last)
            self.at += count
        self._leads("")

    def _is_of_place(self, word: Token) -> bool:
        return word.kind in ("unknown", "named", "listed", "filler", "article", "hand") and word.field not in (
            "pose", "expression", "framing", "view", "light")  # fmt: skip

    def _ends_place(self, reach: Sequence[Token], at: int) -> bool:
        """Whether a place ends with this word: no 的 joins it to more, and no letter goes on with it."""
        word, more = reach[at], reach[at + 1] if at + 1 < len(reach) else None
        if (word.text not in _BEHIND and word.field != "place") or (at == 0 and word.text in _BEHIND):
            return False
        if more is None:
            return True
        if more.first != word.last:
            return self.line[word.last] != "的"
        return not (more.text in _BEHIND or more.field == "place" or (word.text in _BEHIND and more.kind == "unknown"))

    def _say_noun(self) -> None:
        noun = self._read_noun()
        if noun is None:  # an article before something else
            self.at += 1
            return
        self.at = noun.last
        first, last = noun.words[0], noun.words[-1]
        led: Lead = self.lead if self.lead in ("outfit", "goods", "in", "with") else ""
        if self._goes_to_pose(noun):
            self._noun_to_pose(noun)
            led = ""
        elif noun.head == "colour":
            self._other("outfit_colour", self._colour(noun.words))
        elif self._is_worn(noun):
            garment = self._garment(noun.words)
            self.cells.garments.append(garment)
            is_own = self.lead == "outfit" and last.kind != "listed"
            self.worn_to, self.is_open = (last.last if is_own else -1), False
        else:
            is_listed = len(noun.words) == 1 and first.kind == "listed"
            self.cells.others.setdefault("goods", []).append(
                first.value if is_listed else self.kept + self.line[first.first : last.last]
            )
            self.is_open = False
        self.lead, self.and_lead, self.kept, self.is_joined = "", led, "", False

    def _is_worn(self, noun: _Noun) -> bool:
        """Whether a noun is a garment: it is called one and not held, or is said to be worn."""
        if noun.head == "outfit":
            return self.lead != "goods" or (self.is_joined and not noun.has_article)
        return noun.head != "goods" and self.lead == "outfit"

    def _goes_to_pose(self, noun: _Noun) -> bool:
        if self.lead in ("outfit", "goods"):
            return self.is_joined and noun.head == "place"
        if self.lead == "act":
            complete = self.words[self.led].kind in ("listed", "named")  # waving: needs no object
            return noun.has_article or noun.head in ("", "place") or (noun.head == "goods" and not complete)
        if self.lead == "in":
            return noun.head in ("", "place") or (noun.head == "goods" and not self.is_joined)
        return self.lead == "prep" or noun.head in ("", "place")

    def _noun_to_pose(self, noun: _Noun) -> None:
        led, first, last = self.words[self.led], noun.words[0].first, noun.words[-1].last
        if self.lead in ("in", "with", "prep") and led.kind == "prep" and led.text != "of":
            first = led.first
        if self.lead == "with" and self.worn_to >= 0 and not self.line[self.worn_to : first].strip():
            worn, longer = self.cells.garments[-1], self.line[self.worn_to : last]  # a hat with feathers
            self.cells.garments[-1] = Garment(worn.words + longer, worn.colour, worn.whole + longer)
            return
        if self.lead == "act":
            if led.kind == "listed" and self.said[-1:] == [led.value]:  # waving a flag
                self.said.pop()
                first = led.first
            self.cells.handled += [w.value for w in noun.words if (w.kind, w.field) == ("listed", "goods")]
            if noun.head == "outfit" and noun.is_hers:  # adjusting her dress
                self.cells.garments.append(self._garment(noun.words))
        self._pose(first, last)

    def _read_noun(self) -> _Noun | None:
        at, articles = self.at, list[str]()
        while self._kind(at) == "article":
            articles.append(self.words[at].text)
            at += 1
        self.has_article = bool(articles)
        got: list[Token] = []
        while at < len(self.words) and self._goes_on(got, at):
            got.append(self.words[at])
            at += 1
        if not got:
            return None
        known = [w.field for w in got if w.field in _NOUNS]
        if _are_colours(got):
            head = "colour"
        elif any(w.text == "of" for w in got):
            head = known[-1] if known else ""
        else:
            head = got[-1].field if got[-1].field in _NOUNS else ""
        is_hers = not {"her", "his", "my", "their"}.isdisjoint(articles)
        return _Noun(at, got, head, bool(articles), is_hers)

    def _goes_on(self, got: Sequence[Token], at: int) -> bool:
        """Whether a word belongs to the noun of those before it."""
        word, following = self.words[at], self.words[at + 1] if at + 1 < len(self.words) else None
        known = next((w.field for w in reversed(got) if w.field in _NOUNS), "")
        colours = _are_colours(got)
        if word.kind == "and":  # black and white
            return bool(got) and colours and following is not None and following.field == "outfit_colour"
        if word.text == "of":
            told = following is not None and following.kind in ("unknown", "named", "listed")
            return bool(got) and not colours and known != "place" and told
        if word.text == "light":
            return bool(got) and not colours and not known
        if word.kind not in ("unknown", "named", "listed", "hand") or (got and self._is_act(at)):
            return False
        if word.field in ("pose", "expression", "framing", "view", "light"):
            return False
        if word.field == "outfit_colour":
            return not known and (colours or self.lead != "prep")
        if self.lead == "in" and not self.has_article and got and colours and word.field == "goods":
            return False  # in red, a cup
        return not known or got[-1].text == "of" or self._is_compound(got[-1], known, word)

    def _is_compound(self, before: Token, known: str, word: Token) -> bool:
        """Whether a word behind a noun makes another noun of it: "coffee shop", 花店."""
        touches = before.last == word.first
        if word.field == known:
            return True
        if word.field in ("outfit", "goods"):
            if known == "place":  # a beach dress, but in the kitchen a cup
                return word.is_english and self.lead not in ("prep", "in")[: 1 + (word.field == "goods")]
            return self.lead == "prep"
        if word.is_english:  # of a listed word nothing else is made, but after a word that leads to places
            leads = ("prep", "in", "with") if word.field == "place" else ("prep",)
            return self.lead in leads or (self.lead in ("outfit", "goods") and before.kind != "listed")
        if word.field == "place":
            return known == "goods" and touches
        return known == "goods" and touches and word.text in _PLACE_ENDS

    def _colour(self, words: Sequence[Token]) -> str:
        if len(words) == 1 and words[0].kind == "listed":
            return words[0].value
        return self.line[words[0].first : words[-1].last] if words else ""

    def _garment(self, words: Sequence[Token]) -> Garment:
        count = next(n for n in range(len(words)) if not _are_colours(words[: n + 1]))
        rest, first, last = words[count:], words[0].first, words[-1].last
        listed = rest[0].value if len(rest) == 1 else ""
        colours = words[:count] or [w for w in words if w.field == "outfit_colour"][:1]
        said = listed if listed and rest[0].is_english else self.line[rest[0].first : last].replace("t恤", "T恤")
        return Garment(said, self._colour(colours), self.line[first : rest[0].first] + said, listed)


def _are_colours(words: Sequence[Token]) -> bool:
    return all(word.field == "outfit_colour" or word.kind == "and" for word in words)
