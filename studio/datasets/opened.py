"""A data set as it stands now: its facts judged by today's limits, its captions by today's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

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
from studio.domain.dataset import DataSet, DatasetEdits
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
        for i, (given, fused) in enumerate(zip(self.dataset.request.pictures, self.fused, strict=True)):
            written = self.edits.captions.get(str(i), given.caption).strip()
            if written:
                found.append(written if policy.trigger in written else f"{policy.trigger} {written}")
            else:
                found.append(compose(fused.facts, policy))
        return tuple(found)

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
    """Return the data set with what was measured and said; `edits` are others than those of today. Raises BadInput
    where a file of it is gone.
    """
    facts = _FACTS.validate_json(library.store.get(dataset.facts))
    rows = [] if dataset.told is None else library.store.get_json(dataset.told)
    told = tuple(None if row["told"] is None else CaptionFacts.model_validate(row["told"]) for row in rows)
    failed = {i: error_from_json(row["failed"]) for i, row in enumerate(rows) if row["failed"] is not None}
    said = edits_of(library, owner, dataset) if edits is None else edits
    return OpenedDataset(dataset, said, facts, told or (None,) * len(facts), failed)
