"""Clauses of a comment: what each speaks of, and the words beside it that say how it is meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise

from personas.taste.tokens import Token

__all__ = ["COMPARISONS", "Clause", "Group", "clauses_of"]

COMPARISONS = ("than", "compared", "compared_to", "swap", "better_than", "worse_than", "exchange")
_SAYS_NOTHING = ("filler", "joint", "very")
_VERDICTS = ("good", "bad")
_AMOUNTS = ("more", "less", "too", "lack", "dislike")
_ARTICLES = ("and", "with", "a", "an", "the", "but", "or", "some", "have", "has", "got", "such a")
_SUFFIXES = ("一点", "点", "些", "一些", "大些", "了点", "了一点", "了些", "吧", "嘛")
_PARTING = ("to", "for", "with", "into", "by")  # of "change this to that"
_LATE = ("though", "tho")  # say nothing at a clause's end
_INNER = ("却", "倒是", "反而")  # stand behind what they are said of: "裙子却很丑"
_QUALITIES = ("tone", "finish", "mood", "composition")
_TRANSITIVE = ("flatters", "suits", "adds", "brings", "kills", "ruins", "spoils", "helps", "elevates", "complements")
_CONTEXT = ("of", "of the", "的")


@dataclass
class Group:
    """Values and aspects that are spoken of together; `left` and `right` are the opinion words that go with them."""

    tokens: list[Token]
    left: list[Token] = field(default_factory=list)
    right: list[Token] = field(default_factory=list)

    @property
    def values(self) -> list[Token]:
        return [t for t in self.tokens if t.kind == "value"]

    @property
    def start(self) -> int:
        return min(t.start for t in (*self.left, *self.tokens, *self.right))

    @property
    def end(self) -> int:
        return max(t.end for t in (*self.left, *self.tokens, *self.right))


@dataclass
class Clause:
    """A part of a sentence between its commas. `sentence` numbers them; `turns` where it begins with "but".

    `ops` are opinion words that go with no group, `unknown` how many words no list knows, `person` whether it speaks of
    hair, a face and the like.
    """

    sentence: int
    turns: bool
    tokens: tuple[Token, ...]
    groups: list[Group] = field(default_factory=list)
    ops: list[Token] = field(default_factory=list)
    unknown: int = 0
    person: bool = False


def clauses_of(tokens: Sequence[Token]) -> list[Clause]:
    """Return the clauses in their order, their groups and opinion words found."""
    found = _join_comparisons([c for c in _cut(tokens) if c.tokens])
    about: str = ""  # what the last aspect of the sentence was of
    last = -1
    for clause in found:
        about = about if clause.sentence == last else ""
        last = clause.sentence
        clause.tokens = _choose_values(clause.tokens, about)
        clause.unknown = sum(1 for t in clause.tokens if t.kind == "unknown")
        clause.person = any(t.kind == "person" for t in clause.tokens)
        _group(clause)
        about = next((t.fields[0] for t in reversed(clause.tokens) if t.kind == "aspect"), about)
    return found


def _cut(tokens: Sequence[Token]) -> Iterator[Clause]:
    sentence, turns, part = 0, False, list[Token]()
    for token in tokens:
        if token.text in _INNER and any(t.kind in ("value", "aspect") for t in part):
            turns = True
        elif token.kind in ("end", "comma") or (token.kind == "contrast" and (token.text not in _LATE or not part)):
            yield Clause(sentence, turns, tuple(part))
            turns = token.kind == "contrast" or (turns and not part)
            part = []
            sentence += token.kind == "end"
        else:
            part.append(token)
    yield Clause(sentence, turns, tuple(part))


def _join_comparisons(clauses: list[Clause]) -> list[Clause]:
    """Return the clauses with "instead of this, that" in one."""
    found: list[Clause] = []
    for clause in clauses:
        before = found[-1] if found else None
        if before is not None and before.sentence == clause.sentence and not clause.turns and _waits(before):
            comma = Token("comma", before.tokens[-1].end, before.tokens[-1].end, ",")
            before.tokens += (comma, *clause.tokens)
        else:
            found.append(clause)
    return found


def _waits(clause: Clause) -> bool:
    """Whether a clause names what something is compared to, and not yet what."""
    first = next((t for t in clause.tokens if t.kind not in _SAYS_NOTHING), None)
    runs = [key for key, _ in groupby(clause.tokens, lambda t: t.kind in ("value", "aspect"))]
    return first is not None and first.kind == "compared_to" and runs.count(True) <= 1


def _choose_values(tokens: Sequence[Token], about: str) -> tuple[Token, ...]:
    """Return the tokens with one attribute a value: which of several is meant, and which end of a dimension."""
    towards = [t for t in tokens if t.kind in ("high", "low")]
    measured = any(t.dimension for t in tokens)
    chosen: list[Token] = []
    tokens = [_as_verdict(tokens, at) for at in range(len(tokens))]
    tokens = [t for at, t in enumerate(tokens) if not _describes(t, tokens[at + 1 :])]
    for at, token in enumerate(tokens):
        if token.kind in ("high", "low"):
            if not measured:
                chosen.append(replace(token, kind="unknown"))
            continue
        if token.dimension is not None and towards:
            chosen.append(replace(token, kind="value", ids=(token.dimension[towards[0].kind == "low"],)))
        elif token.kind == "value" and len(token.ids) > 1:
            chosen.append(replace(token, ids=(_meant(tokens, at, about),)))
        else:
            chosen.append(token)
    return tuple(chosen)


def _as_verdict(tokens: Sequence[Token], at: int) -> Token:
    """Return the word; "pretty" is a verdict where it stands before nothing that it could say the degree of."""
    token, after = tokens[at], tokens[at + 1 : at + 2]
    alone = not after or after[0].kind in ("unknown", "person", "aspect", "joint") or _is_thing(after[0])
    return replace(token, kind="good") if token.text == "pretty" and alone else token


def _describes(token: Token, after: Sequence[Token]) -> bool:
    """Whether a quality of pictures only says what sort of thing is meant: "a simple tee", "简单的短袖"."""
    told = next((t for t in after if t.text != "的"), None)
    if token.kind != "value" or told is None or not _is_thing(told):
        return False
    names = [one.partition(".")[0] for one in token.ids]
    return names[0] == "composition" or ("composition" in names and told.ids[0].startswith("setting."))


def _is_thing(token: Token) -> bool:
    return token.kind == "value" and token.ids[0].partition(".")[0] in ("outfit", "goods", "setting", "framing")


def _meant(tokens: Sequence[Token], at: int, about: str) -> str:
    """Return which of its attributes a word means: that of the aspect, or the garment, that stands nearest to it."""
    ids = tokens[at].ids
    by_field = {one.partition(".")[0]: one for one in reversed(ids)}
    near = sorted((n for n in range(len(tokens)) if n != at), key=lambda n: abs(n - at - 0.25))
    for n in near:
        other = tokens[n]
        if other.kind == "aspect":
            fields = (*other.fields, *(("outfit_colour",) if "outfit" in other.fields else ()))
        elif other.kind == "value" and other.ids[0].startswith("outfit."):
            fields = ("outfit_colour",)
        else:
            continue
        match = next((by_field[name] for name in fields if name in by_field), None)
        if match is not None:
            return match
    return by_field.get(about, ids[0])


def _group(clause: Clause) -> None:
    """Find the groups of a clause, and give each the opinion words that go with it."""
    runs: list[tuple[bool, list[Token]]] = []
    parts = _PARTING if any(t.kind == "exchange" for t in clause.tokens) else ()
    for token in clause.tokens:
        is_spoken_of = token.kind in ("value", "aspect")
        if token.text in parts:
            token = replace(token, kind="swallow")
        goes_on = bool(runs) and runs[-1][0] == is_spoken_of and not _says_of(runs[-1][1], token)
        says_nothing = token.kind in _SAYS_NOTHING and (token.kind != "very" or not runs)
        if runs and (goes_on or says_nothing):
            runs[-1][1].append(token)
        else:
            runs.append((is_spoken_of, [token]))
    runs = _without_context(runs)
    clause.groups = [Group([t for t in told if t.kind in ("value", "aspect")]) for is_group, told in runs if is_group]
    at = -1
    for number, (is_group, told) in enumerate(runs):
        if is_group:
            at += 1
            continue
        ops = [t for t in told if t.kind not in ("unknown", "person", "swallow", "joint", "comma")]
        before = clause.groups[at] if at >= 0 else None
        after = clause.groups[at + 1] if at + 1 < len(clause.groups) else None
        if before is not None and after is not None:
            tail = runs[number - 1][1]
            _share(before, after, _trailing(tail) + ops)
        elif after is not None:
            after.left += _opinions(ops)
        elif before is not None:
            before.right += _opinions(ops)
        else:
            clause.ops += _opinions(ops)


def _says_of(told: Sequence[Token], token: Token) -> bool:
    """Whether a quality is said of the thing before it: "耳环反光", "the dress is dreamy"."""
    if token.kind != "value" or token.ids[0].partition(".")[0] not in _QUALITIES:
        return False
    before = next((t for t in reversed(told) if t.kind != "filler"), None)
    return before is not None and _is_thing(before)


def _opinions(ops: Sequence[Token]) -> list[Token]:
    return [t for t in ops if t.kind != "filler"]


def _trailing(told: Sequence[Token]) -> list[Token]:
    """Return the fillers behind the last word of a group, which belong to what comes next."""
    last = max(n for n, t in enumerate(told) if t.kind in ("value", "aspect"))
    return [t for t in told[last + 1 :] if t.kind == "filler"]


def _without_context(runs: Sequence[tuple[bool, list[Token]]]) -> list[tuple[bool, list[Token]]]:
    """Return the runs; what an aspect is only said to be of (the dress's colour) is no value of its own."""
    found = []
    for is_group, told in runs:
        found.append((is_group, _bare_aspect(told) if is_group else told))
    return found


def _bare_aspect(told: list[Token]) -> list[Token]:
    """Return a group without the garment, thing or place that an aspect is said to be of: "裙子的颜色"."""
    spoken = [t for t in told if t.kind in ("value", "aspect")]
    for one, two in pairwise(spoken):
        between = told[told.index(one) + 1 : told.index(two)]
        of = all(t.text in _CONTEXT or t.text in ("the", "her", "his") for t in between)
        english = one.is_english and two.is_english
        if _is_thing(one) and two.kind == "value" and two.text.startswith("颜色"):
            return [t for t in told if t is not one]
        holder, aspect = (two, one) if english and any(t.text.startswith("of") for t in between) else (one, two)
        if of and holder.kind == "value" and aspect.kind == "aspect" and _holds(holder, aspect):
            return [t for t in told if t is not holder]
    return told


def _holds(holder: Token, aspect: Token) -> bool:
    """Whether a thing has this aspect: a garment its colour, a place its light."""
    name = holder.ids[0].partition(".")[0]
    return name in ("outfit", "goods", "setting") and name not in aspect.fields


def _share(before: Group, after: Group, ops: Sequence[Token]) -> None:
    """Give the opinion words between two groups to the one that each goes with."""
    cut = next((n for n, t in enumerate(ops) if t.kind in COMPARISONS), None)
    if cut is not None:
        before.right += _opinions(ops[:cut])
        after.left += _opinions(ops[cut:])
        return
    last = 0
    for n, op in enumerate(ops):
        if op.text in _TRANSITIVE:
            last = n + 1
            after.left += [op] if op.kind == "good" else []
        elif (op.kind in _VERDICTS and not _goes_before(ops, n)) or (op.text in _SUFFIXES and n == last):
            last = n + 1
    if not last and not before.left and _is_quantity(ops):
        last = len(ops)
    before.right += _opinions(ops[:last])
    after.left += _opinions(ops[last:])


def _goes_before(ops: Sequence[Token], n: int) -> bool:
    """Whether a verdict stands before what it is of: "nice light", "好看的裙子"."""
    if not ops[n].is_english:
        return n + 1 < len(ops) and ops[n + 1].text == "的"
    if n + 1 < len(ops) and ops[n + 1].kind == "filler":
        return False
    lead = [t for t in ops[:n] if t.kind not in ("very", "too", "hedge")]
    return lead[-1].text in _ARTICLES if lead else n + 1 == len(ops)


def _is_quantity(ops: Sequence[Token]) -> bool:
    """Whether the words say only how much: "红少一点 蓝多一点"."""
    told = [t for t in ops if t.kind not in _SAYS_NOTHING]
    return len(told) == 1 and told[0].kind in _AMOUNTS and not told[0].is_english and len(told[0].text) > 1
