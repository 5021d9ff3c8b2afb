"""The hierarchy of errors: stable codes, and a message that survives a journey."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from pipelines import errors
from pipelines.errors import BadLora, Cancelled, OutOfDisk, StudioError
from pipelines.progress import SILENT

SUBCLASSES: list[type[StudioError]] = [
    kind for name in errors.__all__ if isinstance(kind := getattr(errors, name), type)
]


@pytest.mark.parametrize("kind", SUBCLASSES)
def test_error_says_what_and_what_to_do(kind: type[StudioError]) -> None:
    error = kind("It broke.", "Mend it.")
    assert str(error) == "It broke. Mend it."
    assert str(kind("It broke.")) == "It broke."
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.code, again.message, again.advice) == (
        kind,
        kind.default_code,
        "It broke.",
        "Mend it.",
    )


def test_codes_are_stable_and_unlike() -> None:
    codes = [kind.default_code for kind in SUBCLASSES]
    assert len(set(codes)) == len(codes)
    assert (BadLora.default_code, OutOfDisk.default_code, Cancelled.default_code) == (
        "bad_lora",
        "out_of_disk",
        "cancelled",
    )
    assert BadLora("x", code="bad_lora_pickle").code == "bad_lora_pickle"


def test_silence_never_stops() -> None:
    SILENT.step("draw", 1, 2, loss=0.5)
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
