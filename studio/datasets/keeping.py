"""What a person says of a data set, kept beside it: nothing that was measured or said before is ever lost by it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from personas.captions.policy import Switch
from personas.datasets.limits import Limits
from pipelines.errors import BadInput, StudioError
from studio.domain.dataset import DataSet, DatasetEdits
from studio.domain.migration import read_stored
from studio.library.library import Library
from studio.library.records import DraftRecord, content_id

__all__ = ["decide", "edits_of", "set_limits", "set_words", "write_captions"]

_LIMITS = frozenset(Limits.model_fields)


def edits_of(library: Library, owner: str, dataset: DataSet) -> DatasetEdits:
    """Return what was said so far; nothing where another version wrote it."""
    row = library.records.get(DraftRecord, _key(dataset), owner)
    if row is None:
        return DatasetEdits()
    try:
        return read_stored(DatasetEdits, row.facts)
    except StudioError:
        return DatasetEdits()


def set_limits(library: Library, owner: str, dataset: DataSet, limits: Mapping[str, float]) -> None:
    """Judge by other limits; {} is the usual ones. Raises BadInput for a limit that is none, or beyond its range."""
    if unknown := sorted(set(limits) - _LIMITS):
        raise BadInput("dataset_limit_unknown", name=unknown[0][:40], known=sorted(_LIMITS))
    try:
        Limits.model_validate(dataset.limits.model_dump() | dict(limits))
    except ValueError as error:
        raise BadInput("dataset_limit_invalid", name=", ".join(sorted(limits))[:80]) from error
    _keep(library, owner, dataset, limits=dict(limits))


def decide(library: Library, owner: str, dataset: DataSet, rows: Iterable[int], kept: bool | None) -> None:
    """Keep pictures whatever is measured (True), leave them out (False), or let the measures decide (None). Raises
    BadInput for a number that no picture has.
    """
    chosen = sorted(set(rows))
    count = len(dataset.request.pictures)
    if wrong := next((row for row in chosen if not 0 <= row < count), None):
        raise BadInput("dataset_picture_unknown", number=wrong + 1, count=count)
    now = edits_of(library, owner, dataset)
    held, dropped = set(now.held) - set(chosen), set(now.dropped) - set(chosen)
    if kept is not None:
        (held if kept else dropped).update(chosen)
    _keep(library, owner, dataset, held=tuple(sorted(held)), dropped=tuple(sorted(dropped)))


def write_captions(library: Library, owner: str, dataset: DataSet, captions: Mapping[int, str]) -> None:
    """Write captions by hand; "" takes one back. Raises BadInput for a number that no picture has, or a long one."""
    now = dict(edits_of(library, owner, dataset).captions)
    for row, text in captions.items():
        if not 0 <= row < len(dataset.request.pictures):
            raise BadInput("dataset_picture_unknown", number=row + 1, count=len(dataset.request.pictures))
        said = " ".join(text.split())
        if said:
            now[str(row)] = said
        else:
            now.pop(str(row), None)
    _keep(library, owner, dataset, captions=now)


def set_words(
    library: Library, owner: str, dataset: DataSet, say: Iterable[Switch] | None = None, trigger: str | None = None
) -> None:
    """Change what captions say of the person, or the word that stands for them. Raises BadInput."""
    changed: dict[str, object] = {}
    if say is not None:
        changed["say"] = tuple(dict.fromkeys(say))
    if trigger is not None:
        changed["trigger"] = " ".join(trigger.split())
    _keep(library, owner, dataset, **changed)


def _keep(library: Library, owner: str, dataset: DataSet, **changed: object) -> None:
    now = edits_of(library, owner, dataset)
    edits = DatasetEdits.make(**({name: getattr(now, name) for name in DatasetEdits.model_fields} | changed))
    row = DraftRecord(id=_key(dataset), owner=owner, facts=edits.model_dump(mode="json"), keys=[])
    library.records.keep(row)


def _key(dataset: DataSet) -> str:
    """The same for all data sets of a name with the same pictures: what a person said outlives a new description."""
    of = [dataset.request.name, [one.picture for one in dataset.request.pictures]]
    return f"dataset:{content_id(of)}"
