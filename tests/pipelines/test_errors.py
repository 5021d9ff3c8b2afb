"""The hierarchy of errors: stable codes, and a message that survives a journey."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from pipelines import errors
from pipelines.errors import BadLora, OutOfDisk, StudioError
from pipelines.progress import SILENT, TrainingStep

SUBCLASSES: list[type[StudioError]] = [
    kind for name in errors.__all__ if isinstance(kind := getattr(errors, name), type)
]


@pytest.mark.parametrize("kind", SUBCLASSES)
def test_an_error_is_its_code_and_its_fields(kind: type[StudioError]) -> None:
    error = kind("it_broke", name="a.png", count=2)
    assert str(error) == "it_broke(name=a.png, count=2)"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.code, again.fields) == (kind, "it_broke", {"name": "a.png", "count": 2})


def test_silence_never_stops() -> None:
    SILENT.tell(TrainingStep(1, 2, 0.5))
    SILENT.check_cancelled()


def test_light_modules_do_not_import_torch() -> None:
    light = "pipelines.errors, pipelines.progress, personas.looks, personas.shots"
    code = f"import sys, {light}; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_a_coded_error_survives_pickling_and_json() -> None:
    error = BadLora("lora_misfit", model="m", cause=OutOfDisk("disk_full", needed=3))
    for again in (pickle.loads(pickle.dumps(error)), errors.error_from_json(error.as_json())):
        assert (type(again), again.code, again.fields["model"]) == (BadLora, "lora_misfit", "m")
        assert isinstance(again.fields["cause"], OutOfDisk)
        assert again.fields["cause"].fields == {"needed": 3}
