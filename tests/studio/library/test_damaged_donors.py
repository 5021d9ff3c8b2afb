"""One damaged donor of anybody's stops neither the studio nor the other donors, and everybody sees what is wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from studio.application import Studio
from studio.cli import main
from studio.jobs.queue import Queue
from studio.settings import ASSETS, Settings
from studio.texts.texts import LANGUAGES, Texts
from studio.ui.context import Ui
from studio.ui.parts.thing_grid import Opened, Wanted, show_things
from studio.web.app import make_site
from studio.workflows.doctor import examine
from tests.site import TestClient

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Own donors: `whole`, `cut` (half a record), and `again` (the LoRA of a bundled one)."""
    bundled = sorted((ASSETS / "donors" / "sweet").iterdir())
    own = tmp_path / "data" / "donors" / "sweet"
    settings = Settings(data=tmp_path / "data", bundled_donors=tmp_path / "bundled")
    for source in bundled[:2]:  # with the whole one as many as a mix needs
        shutil.copytree(source, tmp_path / "bundled" / "sweet" / source.name)
    for folder, source in (("whole", bundled[2]), ("cut", bundled[3]), ("again", bundled[0])):
        shutil.copytree(source, own / folder)
    record = own / "cut" / "donor.json"
    record.write_bytes(record.read_bytes()[:60])
    return settings


def test_the_studio_starts_and_shows_what_is_damaged(settings: Settings) -> None:
    script = """if True:
        import sys; from pathlib import Path
        from studio.settings import Settings
        from studio.web.app import make_app
        make_app(Settings(data=Path(sys.argv[1]), bundled_donors=Path(sys.argv[2])))
    """
    folders = [str(settings.data), str(settings.bundled_donors)]
    subprocess.run([sys.executable, "-c", script, *folders], cwd=ROOT, check=True, timeout=120)
    studio = Studio(settings)
    assert len(studio.donors()) == 3
    for language in LANGUAGES:
        html, _ = show_things(Ui(studio, Queue(studio), Texts(language)), "me", Wanted("donor"), Opened())
        assert html.count("st-bad") == 2
        assert "sweet/cut" in html
        assert "donor.json" in html
    for donor in studio.donors():
        assert TestClient(make_site(studio)).get(f"/donors/{donor.id}").status_code == 200
    (row,) = [r for r in examine(studio) if r.what == "donors"]
    assert not row.ok
    assert "source face" in row.found


def test_the_command_line_lists_them(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PERSONA_STUDIO_BUNDLED_DONORS", str(settings.bundled_donors))
    said = []
    for more in ([], ["--json"]):
        monkeypatch.setattr("sys.argv", ["persona-studio", "donors", "list", "--data", str(settings.data), *more])
        with pytest.raises(SystemExit) as done:
            main()
        assert done.value.code == 0
        said.append(capsys.readouterr().out)
    assert "✗ The source face sweet/cut cannot be used" in said[0]
    assert str(settings.data / "donors" / "sweet" / "cut") in said[0]
    rows = json.loads(said[1])
    assert len(rows["donors"]) == 3
    assert {(Path(r["folder"]).name, r["code"]) for r in rows["damaged"]} == {
        ("cut", "donor_record_invalid"),
        ("again", "donor_same_file"),
    }
