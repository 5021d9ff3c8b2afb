"""What a training step sees: a picture to draw, photos of who is in it, and a caption; drawn from pieces by their kind.

self: the picture is its own photo. same: other pictures in the same outfit. other: the words name another outfit than the
photos show, and are right. off: the same, and the outfit is nowhere to be seen in the photos. mixed: face and hair from
a photo of the person, the outfit from a photo of somebody else.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from miniature.captions import caption
from miniature.characters.data import ALIKE, OFF, PEOPLE, SHOTS, WHOLES, Piece, plan_piece
from miniature.characters.learner import References
from miniature.training import DEVICE
from pipelines.adapters.character_layout import STUDIO

_REGIONS = STUDIO.regions
_LOSE = 0.15  # how often each region of each photo is left out
_SILENT = 0.5  # how often words say nothing of an outfit that the photos show
_PHOTOS = (0.5, 0.3, 0.2)  # how often there are one, two, three photos
_HEAD, _OUTFIT = frozenset({"whole", "face", "hair"}), frozenset({"torso", "legs", "shoes", "goods"})


@dataclass(frozen=True)
class Plan:
    """Which picture of a piece is drawn, from which `photos`: their rows, and the regions that each is for. `whole` is
    the place in `OFF` of what is switched off; of fields in `without` the caption says nothing."""

    target: int
    photos: tuple[tuple[int, frozenset[str]], ...]
    whole: int
    without: frozenset[str]


@dataclass(frozen=True)
class Sample:
    """Pictures of one size: `latents` [b, 32, h, w], `share` [b, 2, h, w] of person and face in each cell, `points`
    [b, 20, 3], `who` [b, 128] of the person's OTHER pictures, `person` [b] their row among all people, `traits` [b, 26] theirs."""

    latents: Tensor
    share: Tensor
    shown: References
    texts: tuple[str, ...]
    facts: tuple[Mapping[str, Any], ...]
    points: Tensor
    who: Tensor
    person: Tensor
    traits: Tensor

    def weigh(self, everywhere: float = 1.0, person: float = 1.0, face: float = 1.0) -> Tensor:
        """Return what cells weigh [b, h, w], 1 on average: more where the person is, and still more where the face is."""
        weight = everywhere + person * self.share[:, 0] + face * self.share[:, 1]
        return weight / weight.mean(dim=(1, 2), keepdim=True)


def plan(kind: str, rng: random.Random, people: int = PEOPLE) -> Plan:
    """Return one sample of a kind within a piece of so many people."""
    person = rng.randrange(people)
    first = person * SHOTS
    alike, other = range(first, first + ALIKE), range(first + ALIKE, first + SHOTS)
    silent = frozenset({"outfit", "goods"}) if rng.random() < _SILENT else frozenset[str]()
    every, count = frozenset(_REGIONS), rng.choices((1, 2, 3), _PHOTOS)[0]
    if kind == "self":
        target = rng.randrange(first, first + SHOTS)
        return Plan(target, ((target, every),), 0, silent)
    if kind == "same":
        target, *rest = rng.sample(alike, 1 + count)
        return Plan(target, tuple((row, every) for row in rest), 0, silent)
    if kind == "mixed":
        target = rng.choice(alike)
        own = rng.choice([row for row in (*alike, *other) if row != target])
        garment = rng.randrange((person ^ 1) * SHOTS, (person ^ 1) * SHOTS + ALIKE)
        return Plan(target, ((own, _HEAD), (garment, _OUTFIT)), 2, silent)
    rows = rng.sample(alike, count)
    whole = 0 if kind == "other" else rng.choices((1, 2), (0.6, 0.4))[0]
    return Plan(rng.choice(other), tuple((row, every - set(OFF[whole])) for row in rows), whole, frozenset())


class Pairs:
    """All pieces, by size."""

    def __init__(self, pieces: Sequence[Piece], held: bool = False) -> None:
        self.pieces, self.facts = list(pieces), [json.loads(p["facts"]) for p in pieces]
        self.by_shape: dict[bool, list[int]] = {False: [], True: []}
        for number, piece in enumerate(self.pieces):
            height, width = piece["latents"].shape[3:]
            self.by_shape[height == width].append(number)
        self.first = [0]
        for piece in self.pieces:
            self.first.append(self.first[-1] + len(piece["who"]) // SHOTS)
        means = [F.normalize(p["who"].unflatten(0, (-1, SHOTS)).mean(dim=1)) for p in self.pieces]
        self.people = torch.cat(means).to(DEVICE)
        """The mean unit embedding of everybody, [p, 128]."""
        counts = [len(p["who"]) // SHOTS for p in self.pieces]
        planned = [plan_piece(number, held)[0][::SHOTS][:count] for number, count in enumerate(counts)]
        self.traits = torch.cat(planned).to(DEVICE)
        """The traits of everybody, [p, 26]."""

    def draw(self, kinds: Mapping[str, float], is_square: bool, count: int, rng: random.Random) -> Sample:
        """`count` pictures of one shape, each of a kind as often as `kinds` says."""
        numbers = self.by_shape[is_square] or self.by_shape[not is_square]
        picked = rng.choices(numbers, k=count)
        plans = []
        for number, kind in zip(picked, rng.choices(list(kinds), list(kinds.values()), k=count), strict=True):
            plans.append(plan(kind, rng, len(self.pieces[number]["who"]) // SHOTS))
        rows = [(self.pieces[number], one.target) for number, one in zip(picked, plans, strict=True)]

        def column(name: str) -> Tensor:
            return torch.stack([piece[name][row] for piece, row in rows])

        facts = tuple(self.facts[number][one.target] for number, one in zip(picked, plans, strict=True))
        dice = [rng.random() for _ in plans]
        texts = tuple(
            "" if 0.1 <= die < 0.25 else caption(f | {"look": ""}, rng, without=one.without, named=1.0)
            for f, one, die in zip(facts, plans, dice, strict=True)
        )
        on = torch.tensor([not (die < 0.1 or 0.2 <= die < 0.25) for die in dice])
        stored = column("latents").float()
        people = [one.target // SHOTS for one in plans]
        whos = [
            self.pieces[n]["who"][k * SHOTS : (k + 1) * SHOTS].sum(dim=0) - self.pieces[n]["who"][one.target]
            for n, k, one in zip(picked, people, plans, strict=True)
        ]
        rows_of_all = torch.tensor([self.first[n] + k for n, k in zip(picked, people, strict=True)], device=DEVICE)
        return Sample(
            (stored[:, 0] + stored[:, 1] * torch.randn_like(stored[:, 1])).to(DEVICE),
            column("share").float().to(DEVICE), self._shown(picked, plans, on), texts, facts, column("points"),
            F.normalize(torch.stack(whos)).to(DEVICE),
            rows_of_all, self.traits[rows_of_all],
        )  # fmt: skip

    def faces(self) -> tuple[Tensor, Tensor]:
        """Return the unit embeddings [n, 128] of all faces that are found, and those people's traits [n, 26]."""
        told = [F.normalize(piece["told"][piece["found"]].float()) for piece in self.pieces]
        rows = [
            first + torch.nonzero(p["found"])[:, 0] // SHOTS for first, p in zip(self.first, self.pieces, strict=False)
        ]
        return torch.cat(told), self.traits[torch.cat(rows)]

    def _shown(self, picked: Sequence[int], plans: Sequence[Plan], on: Tensor) -> References:
        most, count = max(len(one.photos) for one in plans), len(plans)
        first = self.pieces[picked[0]]
        shape, regions = (count, most, len(_REGIONS)), len(_REGIONS)
        deep, shallow = (torch.zeros(*shape, *first[name].shape[2:]) for name in ("deep", "shallow"))
        colours, seen = torch.zeros(*shape, first["colours"].shape[2]), torch.zeros(*shape, dtype=torch.bool)
        face = torch.zeros(count, most, *first["face"].shape[1:])
        told = torch.zeros(count, most, first["told"].shape[1])
        found = torch.zeros(count, most, dtype=torch.bool)
        for i, (number, one) in enumerate(zip(picked, plans, strict=True)):
            piece, places = self.pieces[number], list(range(regions))
            places[0] = (0, *WHOLES)[one.whole]
            for j, (row, given) in enumerate(one.photos):
                deep[i, j], shallow[i, j] = piece["deep"][row][places], piece["shallow"][row][places]
                colours[i, j] = piece["colours"][row][places]
                kept = torch.tensor([name in given for name in _REGIONS]) & (torch.rand(regions) >= _LOSE)
                seen[i, j] = piece["seen"][row][places] & kept
                face[i, j], told[i, j] = piece["face"][row], piece["told"][row]
                found[i, j] = piece["found"][row] & kept[_REGIONS.index("face")]
        on = on & seen.flatten(1).any(dim=1)
        both = (deep, shallow, colours, seen, face, told, found, on)
        return References(*(one.to(DEVICE) for one in both))
