"""What is said of a training before anybody asks for one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from studio.domain.training import training_refusal
from studio.settings import Settings
from tests.siblings import write_pair
from tests.tiny_flux2 import write_klein


def _code(folder: Path | str) -> str:
    why = training_refusal(Settings(models=Path("nowhere"), backbone=str(folder)))
    return "" if why is None else why.code


def test_a_distilled_backbone_without_its_sibling_is_told_of(tmp_path: Path) -> None:
    klein = write_klein(tmp_path / "quick", distilled=True)
    assert _code(klein) == "training_model_missing"
    base = write_klein(tmp_path / "FLUX.2-klein-base-4B")
    assert _code(klein) == ""
    assert _code(base) == ""


def test_the_folders_own_settings_name_the_sibling(tmp_path: Path, tiny_flux: Path) -> None:
    assert _code(write_pair(tmp_path)) == ""
    assert _code(tiny_flux) == ""
    named = Settings(backbone=str(write_klein(tmp_path / "k", distilled=True)), training_folder=tmp_path / "gone")
    why = training_refusal(named)
    assert why is not None
    assert why.code == "training_model_folder_missing"
    other = named.model_copy(update={"training_folder": tiny_flux})
    why = training_refusal(other)
    assert why is not None
    assert why.code == "training_model_of_other_family"


def test_no_backbone_is_none_to_speak_of() -> None:
    assert _code("nothing/here") == ""


def test_it_needs_no_torch(tmp_path: Path) -> None:
    write_klein(tmp_path / "FLUX.2-klein-base-4B")
    klein = write_klein(tmp_path / "quick", distilled=True)
    code = (
        "import sys; from studio.domain.training import training_refusal; from studio.settings import Settings;"
        f"print(training_refusal(Settings(backbone={str(klein)!r})), 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "None False"
