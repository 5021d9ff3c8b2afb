"""A data set as it stands now: its facts judged by today's limits, its captions by today's words."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Lock

from pydantic import TypeAdapter

from personas.captions.compose import compose
from personas.captions.fusion import Fused, fuse
from personas.captions.lint import Finding, lint_captions
from personas.captions.measured import describe
from personas.captions.policy import Policy
from personas.captions.schema import CaptionFacts
from personas.datasets.facts import PictureFacts
from personas.datasets.limits import Limits
from personas.datasets.verdicts import Judged, judge
from personas.looks import find_category
from pipelines.errors import StudioError, error_from_json
from studio.datasets.keeping import edits_of
from studio.domain.dataset import MOST_PICTURES, DataSet, DatasetEdits
from studio.library.library import Library

__all__ = ["OpenedDataset", "open_dataset"]

_FACTS = TypeAdapter(tuple[PictureFacts, ...])


@dataclass(frozen=True, eq=False)
class OpenedDataset:
    """`facts`, `told` (None: not asked) and `failed` go with the data set's pictures."""

    dataset: DataSet
    edits: DatasetEdits
    facts: tuple[PictureFacts, ...]
    told: tuple[CaptionFacts | None, ...]
    failed: Mapping[int, StudioError]

    @property
    def limits(self) -> Limits:
        """Return the limits that pictures are judged by now."""
        return Limits.model_validate(self.dataset.limits.model_dump() | dict(self.edits.limits))

    @property
    def policy(self) -> Policy:
        """Return what captions say and leave out."""
        subject = find_category(self.dataset.request.category).subject
        return Policy(trigger=self.edits.trigger, subject=subject, say=self.edits.say)

    @cached_property
    def judged(self) -> Judged:
        """Return the verdicts."""
        defects = [None if one is None else one.defects for one in self.told]
        return judge(self.facts, self.limits, self.dataset.pixels, self.edits.held, self.edits.dropped, defects=defects)

    @cached_property
    def fused(self) -> tuple[Fused, ...]:
        """Return what is known of each picture."""
        return tuple(fuse(describe(one), said) for one, said in zip(self.facts, self.told, strict=True))

    @cached_property
    def captions(self) -> tuple[str, ...]:
        """Return each picture's caption: what was written by hand, what lay beside it, else what is known of it."""
        policy, found = self.policy, []
        for i, fused in enumerate(self.fused):
            if written := self._written(i):
                found.append(written if policy.trigger in written else f"{policy.trigger} {written}")
            else:
                found.append(compose(fused.facts, policy))
        return tuple(found)

    def is_written(self, row: int) -> bool:
        """Return whether a picture's caption was written by hand, or lay beside it."""
        return bool(self._written(row))

    def _written(self, row: int) -> str:
        return self.edits.captions.get(str(row), self.dataset.request.pictures[row].caption).strip()

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """Return what is wrong with the captions of the kept pictures; rows are the data set's."""
        kept = self.judged.kept
        found = lint_captions([self.captions[i] for i in kept], self.policy)
        return tuple(Finding(one.code, one.phrase, tuple(kept[row] for row in one.rows)) for one in found)

    @property
    def writer(self) -> str:
        """Return whose words they are: "measured" or "endpoint"."""
        return self.dataset.request.writer


def open_dataset(library: Library, owner: str, dataset: DataSet, edits: DatasetEdits | None = None) -> OpenedDataset:
    """Return the data set with what was measured and said; `edits` are others than those of today. What was opened last
    is kept in memory, so that a click on it reads nothing again. Raises BadInput where a file of it is gone.
    """
    said = edits_of(library, owner, dataset) if edits is None else edits
    return _KEPT.open(library, dataset, said)


class _Kept:
    """The data sets that were opened last, of so many pictures together: their facts, by the files' own names, which
    follow from their content; and each as it was judged last.
    """

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, Lock()
        self._opened: OrderedDict[tuple[str, str | None], OpenedDataset] = OrderedDict()

    def open(self, library: Library, dataset: DataSet, edits: DatasetEdits) -> OpenedDataset:
        key = dataset.facts, dataset.told
        with self._lock:
            before = self._opened.get(key)
        if before is None:
            found = _read(library, dataset, edits)
        elif before.edits == edits and before.dataset == dataset:
            found = before
        else:
            found = replace(before, dataset=dataset, edits=edits)
            vars(found)["fused"] = before.fused  # which no edit changes
        with self._lock:
            self._opened[key] = found
            self._opened.move_to_end(key)
            while len(self._opened) > 1 and sum(len(one.facts) for one in self._opened.values()) > self._most:
                self._opened.popitem(last=False)
        return found


_KEPT = _Kept(MOST_PICTURES + 1000)


def _read(library: Library, dataset: DataSet, edits: DatasetEdits) -> OpenedDataset:
    facts = _FACTS.validate_json(library.store.get(dataset.facts))
    rows = [] if dataset.told is None else library.store.get_json(dataset.told)
    told = tuple(None if row["told"] is None else CaptionFacts.model_validate(row["told"]) for row in rows)
    failed = {i: error_from_json(row["failed"]) for i, row in enumerate(rows) if row["failed"] is not None}
    return OpenedDataset(dataset, edits, facts, told or (None,) * len(facts), failed)
