"""The measured times of jobs, in the records: the machine's, whoever asked for them."""

from __future__ import annotations

import json

from pipelines.models.sources import MINIATURE
from studio.domain.choice import BackboneChoice
from studio.domain.times import JobSize, JobTime
from studio.library.records import Records, TimeRecord

__all__ = ["name_backbone", "note_time", "read_times"]

_MACHINE = ""  # the owner of what is nobody's
_MOST = 30


def name_backbone(choice: BackboneChoice) -> str:
    """Return one text for a backbone as it was chosen: another precision takes another time."""
    return MINIATURE if choice.backbone == MINIATURE else json.dumps([choice.backbone, choice.base, choice.precision])


def note_time(records: Records, job: str, kind: str, choice: BackboneChoice, time: JobTime) -> None:
    """Keep a job's time by its id."""
    facts = {"units": time.size.units, "like": time.size.like}
    row = TimeRecord(
        id=job, owner=_MACHINE, kind=kind, backbone=name_backbone(choice), seconds=time.seconds, facts=facts
    )
    records.keep(row)


def read_times(records: Records, kind: str, choice: BackboneChoice) -> list[JobTime]:
    """Return the last times of a kind of job with a backbone, the newest first."""
    rows = records.newest(TimeRecord, _MACHINE, _MOST, kind=kind, backbone=name_backbone(choice))
    return [JobTime(size=JobSize(**row.facts), seconds=row.seconds) for row in rows]
