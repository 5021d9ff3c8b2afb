"""A wheel carries everything, and works where there is no checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from personas.gates import CHOOSABLE
from studio.application import Studio
from studio.domain.design import Design
from studio.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("studio", "personas", "pipelines")
# eight pictures alone may be too few for the usual gates
GATES = [
    word for name, gate in CHOOSABLE.items() for word in ("--gate", f"{name}={gate.high if gate.at_most else gate.low}")
]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's contents, built from a copy: a build leaves its own files in the folder."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in (*PACKAGES, "assets"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*command, str(source)], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    shutil.rmtree(source)
    return folder / "site"


def run(installed: Path, folder: Path, *words: str) -> str:
    """What the command prints, run in an empty folder with the wheel's packages before all others."""
    code = (
        "import sys, studio, studio.cli; assert studio.__file__.startswith(sys.argv[1]), studio.__file__;"
        "sys.argv[:2] = ['persona-studio']; studio.cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(installed), *words],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(installed)}, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_every_file_of_the_packages_is_in_it(installed: Path) -> None:
    ours = {
        path.relative_to(ROOT)
        for name in PACKAGES
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert [str(path) for path in sorted(ours) if not (installed / path).is_file()] == []
    assets = [path.relative_to(ROOT / "assets") for path in (ROOT / "assets").rglob("*") if path.is_file()]
    assert [str(path) for path in assets if not (installed / "persona_studio_assets" / path).is_file()] == []


def test_it_examines_itself_and_draws_outside_of_a_checkout(installed: Path, tmp_path: Path) -> None:
    assert "BAD" not in run(installed, tmp_path, "--language", "en", "doctor", "--data", "here")
    run(installed, tmp_path, "design", "sweet", "--candidates", "8", "--data", "here", *GATES)
    studio = Studio(Settings(data=tmp_path / "here"))
    assert len(studio.result_of(Design).pictures) == 8
