"""A post set as a person arranged it: order, what is left out, captions, and which take of each post is shown.

Nothing that was drawn is ever changed: a take is a drawing of its own, and what a person said lies in the set's marks
as an Arrangement. A take is named "job:number", "" is the first one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import Field

from studio.domain.posts import Drawing, Post, PostSet
from studio.domain.scores import is_weaker, weak_scores
from studio.domain.takes import FixTake, VaryTake
from studio.domain.values import Value

__all__ = [
    "Arranged", "Arrangement", "Slot", "TakeJobs", "add_take", "arrange", "close_choices", "compose", "move",
    "step_back", "weak_slots",
]  # fmt: skip

TakeJobs = Mapping[str, VaryTake | FixTake | None]
"""Jobs that draw takes: a finished one's result, None while it waits or runs, absent if it failed."""


class Arrangement(Value):
    """A person's arrangement. `order` and `left_out` hold posts' numbers in the set as it was drawn, which are,
    written out, the keys of the others: own captions, takes on top of each other (the last is shown), takes put aside,
    and jobs whose takes are offered to choose from. `turns` counts the takes that were asked for. Of the takes, those
    that are `compared` are shown only where they are no weaker than what they would replace: nobody chose them.
    """

    order: tuple[int, ...] = ()
    left_out: tuple[int, ...] = ()
    captions: Mapping[str, str] = Field(default_factory=dict)
    takes: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    undone: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    choices: Mapping[str, str] = Field(default_factory=dict)
    turns: int = 0
    compared: tuple[str, ...] = ()

    def as_marks(self) -> dict[str, object]:
        """Return the arrangement as JSON, for the set's marks."""
        return self.model_dump(mode="json")

    def jobs_of(self, number: int) -> frozenset[str]:
        """Return the jobs that draw takes of a post."""
        names = {take.rpartition(":")[0] for take in self.takes.get(str(number), ())}
        return frozenset(names | {self.choices.get(str(number), "")}) - {""}


@dataclass(frozen=True)
class Slot:
    """A place in the set: `number` is the post's in the set as it was drawn, `post` the take that is shown.

    `waiting` are jobs that draw another take, `choices` finished variants to choose from as (take, post), and `weaker`
    the last take that was compared with the shown one and came out weaker.
    """

    number: int
    post: Post
    caption: str
    left_out: bool
    take: str = ""
    can_undo: bool = False
    can_redo: bool = False
    waiting: tuple[str, ...] = ()
    choices: tuple[tuple[str, Post], ...] = ()
    weaker: tuple[str, Post] | None = None


@dataclass(frozen=True)
class Arranged:
    """All slots in the order of the set."""

    slots: tuple[Slot, ...]

    @property
    def shown(self) -> tuple[Slot, ...]:
        return tuple(slot for slot in self.slots if not slot.left_out)


def weak_slots(arranged: Arranged, least_identity: float) -> tuple[Slot, ...]:
    """Return those of the shown posts that have a weak score and that nobody is drawing again yet."""
    return tuple(s for s in arranged.shown if weak_scores(s.post.scores, least_identity) and not s.waiting)


def arrange(post_set: PostSet, said: Arrangement, jobs: TakeJobs, least_identity: float = -1.0) -> Arranged:
    """Return the set's posts as a person arranged them; `least_identity` as in `weak_scores`."""
    slots = []
    for number in _order(post_set, said):
        key = str(number)
        take, post, weaker = "", post_set.posts[number], None
        for other in said.takes.get(key, ()):
            if not _is_done(other, jobs):
                continue
            drawn = _post(post_set, number, other, jobs)
            if other in said.compared and is_weaker(drawn.scores, post.scores, least_identity):
                weaker = (other, drawn)
            else:
                take, post, weaker = other, drawn, None
        chosen = said.choices.get(key, "")
        offered = jobs.get(chosen)
        variants = () if offered is None else offered.posts
        waiting = said.jobs_of(number) & {job for job, result in jobs.items() if result is None}
        slots.append(
            Slot(
                number, post, said.captions.get(key, post.caption), number in said.left_out, take, bool(take),
                bool(said.undone.get(key)), tuple(sorted(waiting)),
                tuple((f"{chosen}:{i}", variant) for i, variant in enumerate(variants)), weaker,
            )
        )  # fmt: skip
    return Arranged(tuple(slots))


def compose(post_set: PostSet, said: Arrangement, jobs: TakeJobs, least_identity: float = -1.0) -> PostSet:
    """Return the set as it is exported: shown takes in order, and all drawings that they are from (its own first)."""
    slots = arrange(post_set, said, jobs, least_identity).shown
    posts = tuple(slot.post.model_copy(update={"caption": slot.caption}) for slot in slots)
    takes = [take for take in jobs.values() if isinstance(take, VaryTake)]
    known = {one.id: one for one in post_set.all_drawings}
    known |= {take.id: Drawing(id=take.id, posts=take.posts, batches=take.batches) for take in takes}
    used = dict.fromkeys([post_set.id, *(post.origin[0] for post in posts)])
    drawings = tuple(known[key] for key in used)
    return post_set.model_copy(update={"posts": posts, "drawings": drawings})


def move(post_set: PostSet, said: Arrangement, number: int, to: int) -> Arrangement:
    """Return the arrangement with a post moved to the place `to`; beyond an end is the end."""
    order = [n for n in _order(post_set, said) if n != number]
    order.insert(max(0, min(to, len(order))), number)
    return said.model_copy(update={"order": tuple(order)})


def add_take(said: Arrangement, number: int, take: str, *, compare: bool = False) -> Arrangement:
    """Return the arrangement with one more take on top; what was undone before is forgotten. A person chose it, unless
    its scores `compare` it.
    """
    key = str(number)
    stack = (*(t for t in said.takes.get(key, ()) if t != take), take)
    compared = (*(t for t in said.compared if t != take), *([take] if compare else []))
    takes, undone = {**said.takes, key: stack}, {**said.undone, key: ()}
    return said.model_copy(update={"takes": takes, "undone": undone, "compared": compared})


def step_back(said: Arrangement, number: int, jobs: TakeJobs, *, forward: bool = False, shown: str = "") -> Arrangement:
    """Return the arrangement with the `shown` take ("": the last that is done) put aside, or, `forward`, the one that
    was taken up again: a person chose it then. One that is still drawn stays.
    """
    key, compared = str(number), said.compared
    takes, undone = list(said.takes.get(key, ())), list(said.undone.get(key, ()))
    if forward and undone:
        takes.append(undone.pop())
        compared = tuple(take for take in compared if take != takes[-1])
    elif not forward and (done := [t for t in takes if _is_done(t, jobs)]):
        aside = shown if shown in done else done[-1]
        takes.remove(aside)
        undone.append(aside)
    kept = {"takes": {**said.takes, key: tuple(takes)}, "undone": {**said.undone, key: tuple(undone)}}
    return said.model_copy(update=kept | {"compared": compared})


def close_choices(said: Arrangement, number: int) -> Arrangement:
    """Return the arrangement without variants to choose from."""
    return said.model_copy(update={"choices": {k: v for k, v in said.choices.items() if k != str(number)}})


def _order(post_set: PostSet, said: Arrangement) -> list[int]:
    every = range(len(post_set.posts))
    order = [n for n in dict.fromkeys(said.order) if n in every]
    return order + [n for n in every if n not in order]


def _is_done(take: str, jobs: TakeJobs) -> bool:
    return jobs.get(take.rpartition(":")[0]) is not None


def _post(post_set: PostSet, number: int, take: str, jobs: TakeJobs) -> Post:
    job, _, which = take.rpartition(":")
    drawn = jobs.get(job)
    return post_set.posts[number] if drawn is None else drawn.posts[int(which)]
