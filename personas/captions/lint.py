"""What is wrong with captions before a training learns from them: words of who somebody is, and what all of them say.

A caption that says the person's own hair or eyes ties them to these words and not to the trigger: the trigger alone
then draws somebody else.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from personas.captions.policy import Policy

__all__ = ["Finding", "lint_captions", "strip_identity"]

_OFTEN, _LEAST = 0.8, 5
_SHADES = (
    "black|brown|blonde?|red|auburn|ginger|gr[ea]y|white|silver|dark|light|fair|golden|chestnut|blue|green|hazel|amber"
)
_HAIR = r"hair(?:ed|cut|style)?|ponytail|bangs|bob|braids?|curls|fringe"
_IDENTITY = re.compile(
    rf"\b(?:(?:{_SHADES}|long|short|curly|wavy|straight|shoulder-length|chin-length)[\s-]+)+(?:{_HAIR})\b"
    rf"|\b(?:{_SHADES}|round|almond|narrow|big|large)[\s-]+eye[sd]?\b|\b(?:blonde|brunette|redhead)\b"
    r"|\b(?:pale|fair|dark|tan(?:ned)?|light|olive|brown|freckled)[\s-]+skin(?:ned)?\b|\bfreckles\b"
    r"|\b(?:round|oval|square|heart-shaped|long|thin|narrow)[\s-]+face\b|\b(?:high|sharp)\s+cheekbones\b"
    r"|\b(?:big|small|long|button|straight)\s+nose\b|\b(?:full|thin)\s+lips\b"
    r"|\b\d{1,2}[\s-]*(?:years?[\s-]*old|y/?o)\b|\b(?:teenage|elderly|middle-aged)\b"
    r"|\b(?:asian|caucasian|chinese|japanese|korean|european|african|indian|latina?o?)\b"
    r"|[黑棕褐金红白银灰栗深浅][色]?(?:长|短|卷|直)*[头]?发|(?:长|短|卷|直)发|[黑棕蓝绿褐]色?(?:的)?眼睛|[大小圆]眼睛?"
    r"|(?:圆|方|瓜子|鹅蛋|长)脸|[白黑]皙?皮肤|肤色\S|雀斑|高鼻梁|\d{1,2}岁",
    re.IGNORECASE,
)
_OF_SWITCH = {"hair": re.compile(rf"\b(?:{_HAIR})\b|发", re.IGNORECASE)}
FindingCode = Literal["identity", "repeated", "no_trigger", "alike", "empty"]


@dataclass(frozen=True)
class Finding:
    """`phrase` is said, or for `no_trigger` and `empty` missing, in the captions of `rows`; `stops` a training."""

    code: FindingCode
    phrase: str
    rows: tuple[int, ...]

    @property
    def stops(self) -> bool:
        """Return whether a training should not begin before somebody decides."""
        return self.code in ("identity", "no_trigger", "empty")


def lint_captions(captions: Sequence[str], policy: Policy) -> tuple[Finding, ...]:
    """Return what is wrong, what stops a training first."""
    found: list[Finding] = []
    empty = tuple(i for i, text in enumerate(captions) if not text.strip())
    if empty:
        found.append(Finding("empty", "", empty))
    if policy.trigger:
        without = tuple(i for i, text in enumerate(captions) if text.strip() and policy.trigger not in text)
        if without:
            found.append(Finding("no_trigger", policy.trigger, without))
    if policy.of == "person":
        said: dict[str, list[int]] = {}
        for i, text in enumerate(captions):
            for phrase in _identity_words(text, policy):
                said.setdefault(phrase, []).append(i)
        found += [Finding("identity", phrase, tuple(dict.fromkeys(rows))) for phrase, rows in said.items()]
    if len(captions) >= _LEAST:
        clauses = [{_plain(clause) for clause in _clauses(text, policy)} for text in captions]
        counts = Counter(clause for row in clauses for clause in row if clause)
        for clause, count in counts.most_common():
            if count >= _OFTEN * len(captions):
                found.append(Finding("repeated", clause, tuple(i for i, row in enumerate(clauses) if clause in row)))
        if len({text.strip() for text in captions}) == 1:
            found.append(Finding("alike", captions[0].strip(), tuple(range(len(captions)))))
    return tuple(sorted(found, key=lambda one: not one.stops))


def strip_identity(caption: str, policy: Policy) -> str:
    """Return the caption without what it says of who the person is; a clause of which nothing is left goes with it."""
    kept = []
    for clause in re.split(r"\s*[,，]\s*", caption):
        left = clause
        for phrase in _identity_words(clause, policy):
            left = re.sub(re.escape(phrase), " ", left, flags=re.IGNORECASE)
        left = " ".join(left.split())
        left = re.sub(r"\b(?:with|and|has|having)\s*$", "", left, flags=re.IGNORECASE).strip()
        if left and not re.fullmatch(r"(?:with|and|a|an|the|has|having|的|,|\s)+", left, re.IGNORECASE):
            kept.append(left)
    return ", ".join(kept)


@lru_cache(maxsize=20_000)  # of thousands of captions a person changes one at a time
def _identity_words(text: str, policy: Policy) -> tuple[str, ...]:
    allowed = [rule for name, rule in _OF_SWITCH.items() if name in policy.say]
    plain = text.replace(policy.subject, " " * len(policy.subject)) if policy.subject else text
    found = [match.group().strip() for match in _IDENTITY.finditer(plain)]
    return tuple(one.casefold() for one in found if not any(rule.search(one) for rule in allowed))


def _clauses(text: str, policy: Policy) -> list[str]:
    """The clauses of a caption; of the first only what it says beside the trigger, the subject and "photo of"."""
    who = f"{policy.trigger} {policy.subject}".strip()
    told = [re.sub(r"\bof\s*$", "", clause.replace(who, "")).strip() for clause in re.split(r"[,，。.]", text)]
    return [clause for clause in told if clause not in ("", "photo", "a photo")]


def _plain(clause: str) -> str:
    return " ".join(clause.casefold().split())
