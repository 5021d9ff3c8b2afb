"""Settings that a person changed, in the data folder or on the records' server: they outlive the process, and others
see them at once, or in a second.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from pipelines.errors import BadInput, StudioError
from pipelines.files import write_whole
from studio.domain.choice import BackboneChoice, CaptionEndpoint, SavedSettings, Speed, Speeds
from studio.domain.values import Stored
from studio.library.marks import marks_of
from studio.library.records import MarkRecord, Records
from studio.settings import Settings

__all__ = ["SavedFile", "SavedOnServer", "apply_choice", "note_speed", "read_speeds"]

_SETTINGS, _SPEEDS = "settings.json", "speeds.json"
_NOBODY, _MARK = "", "settings"  # where a server's records have them
_FOR_S = 1.0
S = TypeVar("S", bound=Stored)


class SavedFile:
    """The saved settings of one data folder, read again whenever the file has changed."""

    def __init__(self, data: Path) -> None:
        self._path = data / _SETTINGS
        self._read: tuple[object, SavedSettings] = (None, SavedSettings())

    def read(self) -> SavedSettings:
        """Return what is saved; nothing chosen where there is no file. Raises BadInput for a damaged one."""
        try:
            facts = self._path.stat()
        except OSError:
            return SavedSettings()
        stamp = (facts.st_mtime_ns, facts.st_size, facts.st_ino)
        if stamp != self._read[0]:
            self._read = (stamp, _parse(self._path, SavedSettings))
        return self._read[1]

    def write(self, saved: SavedSettings) -> None:
        """Replace what is saved; it may hold a key, so nobody else on this machine may read it. Raises OutOfDisk."""
        write_whole(self._path, saved.model_dump_json(indent=1).encode(), mode=0o600)

    def choose(self, choice: BackboneChoice) -> None:
        """Save the choice; a damaged file is replaced."""
        self.write(self._known().choose(choice))

    def write_captions(self, endpoint: CaptionEndpoint | None) -> None:
        """Save who writes captions, None for nobody; a damaged file is replaced."""
        self.write(self._known().model_copy(update={"captions": endpoint}))

    def _known(self) -> SavedSettings:
        try:
            return self.read()
        except BadInput:
            return SavedSettings()


class SavedOnServer(SavedFile):
    """The saved settings of a studio whose records are on a server: for all its machines, read again each second.

    What a data folder's file says counts as long as nobody saves anything.
    """

    def __init__(self, data: Path, records: Records) -> None:
        super().__init__(data)
        self._records, self._known_until = records, 0.0
        self._last = SavedSettings()

    def read(self) -> SavedSettings:
        if time.monotonic() > self._known_until:
            facts = marks_of(self._records, _NOBODY, _MARK)
            self._last = _check(facts, SavedSettings, _MARK) if facts else super().read()
            self._known_until = time.monotonic() + _FOR_S
        return self._last

    def write(self, saved: SavedSettings) -> None:
        self._records.keep(MarkRecord(id=_MARK, owner=_NOBODY, facts=saved.model_dump(mode="json")))
        self._known_until = 0.0


def apply_choice(settings: Settings, choice: BackboneChoice | None) -> Settings:
    """Return the settings with the chosen backbone; what the environment or an option says of it wins."""
    if choice is None or "backbone" in settings.model_fields_set:
        return settings
    told: dict[str, str | None] = {"backbone": choice.backbone, "base": choice.base}
    if "precision" not in settings.model_fields_set:
        told["precision"] = choice.precision
    return settings.model_copy(update=told)


def read_speeds(data: Path) -> Speeds:
    """Return what was measured; nothing where there is no file, or none that can be read."""
    try:
        return _parse(data / _SPEEDS, Speeds)
    except (StudioError, OSError):
        return Speeds()


def note_speed(data: Path, backbone: str, speed: Speed) -> None:
    """Note one more picture's time, behind those that were drawn alike."""
    known = read_speeds(data).of
    before = known.get(backbone)
    alike = before is not None and before.model_copy(update={"recent": speed.recent}) == speed
    now = before.after(speed.recent[-1]) if before is not None and alike else speed
    others = {name: other for name, other in known.items() if name != backbone}
    write_whole(data / _SPEEDS, Speeds(of={**others, backbone: now}).model_dump_json(indent=1).encode())


def _parse(path: Path, kind: type[S]) -> S:
    try:
        return _check(json.loads(path.read_bytes()), kind, str(path))
    except ValueError as error:
        raise BadInput("saved_settings_damaged", file=str(path), why=str(error).splitlines()[0][:200]) from error


def _check(value: object, kind: type[S], where: str) -> S:
    try:
        return kind.model_validate_json(json.dumps(value))
    except ValidationError as error:
        raise BadInput("saved_settings_damaged", file=where, why=str(error).splitlines()[0][:200]) from error
