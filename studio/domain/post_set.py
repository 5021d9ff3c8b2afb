"""A post set as a person arranged it: order, what is left out, captions, and which take of each post is shown.

Nothing that was drawn is ever changed: a take is a drawing of its own, and what a person said lies in the set's marks
as {"order", "left_out", "captions", "takes", "undone", "choices"}. A take is named "job:number", "" is the first one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from studio.domain.requests import PostRequest
from studio.domain.scores import weak_scores

__all__ = [
    "Arranged", "Slot", "add_take", "arrange", "compose", "drop_job", "move", "request_of", "step_back",
    "weak_slots",
]  # fmt: skip

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Slot:
    """A place in the set: `number` is the post's in the set as it was drawn, `post` the take that is shown.

    `waiting` are jobs that draw another take, `choices` finished variants to choose from as (take, post).
    """

    number: int
    post: dict[str, Any]
    caption: str
    left_out: bool
    take: str = ""
    can_undo: bool = False
    can_redo: bool = False
    waiting: tuple[str, ...] = ()
    choices: tuple[tuple[str, dict[str, Any]], ...] = field(default=())


@dataclass(frozen=True)
class Arranged:
    """All slots in the order of the set."""

    slots: tuple[Slot, ...]

    @property
    def shown(self) -> tuple[Slot, ...]:
        return tuple(slot for slot in self.slots if not slot.left_out)


def weak_slots(arranged: Arranged, least_identity: float) -> tuple[Slot, ...]:
    """Those of the shown posts that have a weak score and that nobody is drawing again yet."""
    return tuple(s for s in arranged.shown if weak_scores(s.post["scores"], least_identity) and not s.waiting)


def request_of(post_set: Mapping[str, Any]) -> PostRequest:
    """What the set was asked for: every field, so that a new take differs in nothing but what is changed."""
    # a set of an older version has not yet every field
    return PostRequest(**{f.name: post_set[f.name] for f in fields(PostRequest) if f.name in post_set})


def arrange(post_set: Mapping[str, Any], facts: Facts, jobs: Mapping[str, Mapping[str, Any] | None]) -> Arranged:
    """`jobs` are the set's drawings: a finished one's result, None while it waits or runs, absent if it failed."""
    slots = []
    for number in _order(post_set, facts):
        key = str(number)
        stack = [take for take in facts.get("takes", {}).get(key, ()) if _is_done(take, jobs)]
        take = stack[-1] if stack else ""
        post = _post(post_set, number, take, jobs)
        chosen = str(facts.get("choices", {}).get(key, ""))
        variants = (jobs.get(chosen) or {}).get("posts", ())
        waiting = {*_jobs_of(facts, key), chosen} & {job for job, result in jobs.items() if result is None}
        slots.append(
            Slot(
                number, post, str(facts.get("captions", {}).get(key, post["caption"])),
                number in facts.get("left_out", ()), take, bool(stack), bool(facts.get("undone", {}).get(key)),
                tuple(sorted(waiting)), tuple((f"{chosen}:{i}", variant) for i, variant in enumerate(variants)),
            )
        )  # fmt: skip
    return Arranged(tuple(slots))


def compose(post_set: Mapping[str, Any], facts: Facts, jobs: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Any]:
    """The set as it is exported: chosen takes in order, and all drawings that they are from (the set's own first)."""
    posts = [slot.post | {"caption": slot.caption} for slot in arrange(post_set, facts, jobs).shown]
    results = {str(post_set["id"]): post_set} | {str(r["id"]): r for r in jobs.values() if r and r["kind"] == "vary"}
    used = list(dict.fromkeys([str(post_set["id"]), *(str(p["origin"][0]) for p in posts)]))
    drawings = [{"posts": results[key]["posts"], "batches": results[key]["batches"]} for key in used]
    placed = [post | {"origin": [used.index(str(post["origin"][0])), post["origin"][1]]} for post in posts]
    return dict(post_set) | {"posts": placed, "drawings": drawings}


def move(post_set: Mapping[str, Any], facts: Facts, number: int, to: int) -> dict[str, Any]:
    """The facts with a post moved to the place `to`; beyond an end is the end."""
    order = [n for n in _order(post_set, facts) if n != number]
    order.insert(max(0, min(to, len(order))), number)
    return dict(facts) | {"order": order}


def add_take(facts: Facts, number: int, take: str) -> dict[str, Any]:
    """The facts with one more take on top; what was undone before is forgotten."""
    takes, key = dict(facts.get("takes", {})), str(number)
    takes[key] = [t for t in takes.get(key, ()) if t != take] + [take]
    return dict(facts) | {"takes": takes, "undone": dict(facts.get("undone", {})) | {key: []}}


def step_back(facts: Facts, number: int, jobs: Mapping[str, Any], *, forward: bool = False) -> dict[str, Any]:
    """The facts with the shown take put aside (or, `forward`, taken up again). One that is still drawn stays."""
    key = str(number)
    takes, undone = list(facts.get("takes", {}).get(key, ())), list(facts.get("undone", {}).get(key, ()))
    if forward and undone:
        takes.append(undone.pop())
    elif not forward and (done := [t for t in takes if _is_done(t, jobs)]):
        takes.remove(done[-1])
        undone.append(done[-1])
    return dict(facts) | {
        "takes": dict(facts.get("takes", {})) | {key: takes}, "undone": dict(facts.get("undone", {})) | {key: undone}
    }  # fmt: skip


def drop_job(facts: Facts, number: int) -> dict[str, Any]:
    """The facts without variants to choose from."""
    return dict(facts) | {"choices": {k: v for k, v in facts.get("choices", {}).items() if k != str(number)}}


def _order(post_set: Mapping[str, Any], facts: Facts) -> list[int]:
    every = range(len(post_set["posts"]))
    said = [n for n in dict.fromkeys(facts.get("order", ())) if n in every]
    return said + [n for n in every if n not in said]


def _is_done(take: str, jobs: Mapping[str, Any]) -> bool:
    return bool(jobs.get(take.rpartition(":")[0]))


def _jobs_of(facts: Facts, key: str) -> list[str]:
    return [take.rpartition(":")[0] for take in facts.get("takes", {}).get(key, ())]


def _post(post_set: Mapping[str, Any], number: int, take: str, jobs: Mapping[str, Any]) -> dict[str, Any]:
    if not take:
        return dict(post_set["posts"][number])
    job, _, which = take.rpartition(":")
    return dict(jobs[job]["posts"][int(which)])
