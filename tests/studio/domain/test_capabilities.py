"""What the backbone is and can do, told from its files: by its family, without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from studio.domain.capabilities import Drawn, abilities, backbone_facts, usual_way
from studio.settings import ASSETS, Settings
from tests.folders import write_backbone_folder
from tests.originals import write_single_file
from tests.tiny_flux2 import write_klein
from tests.tiny_z_image import write_z_image


def test_the_miniature_says_what_it_is(tmp_path: Path) -> None:
    facts = backbone_facts(Settings(data=tmp_path))
    assert facts is not None
    assert (facts.family, facts.width, set(facts.companions)) == ("flux1", 256, {"redux", "character"})
    assert (facts.id, facts.licence, facts.family_name) == ("miniature", "apache-2.0", "FLUX.1")
    assert facts.companions["redux"].licence == "apache-2.0"  # the miniature's own
    assert facts.fits("flux1", 256)
    assert facts.fits("flux1", 0)
    assert not facts.fits("flux1", 3072)
    assert not facts.fits("flux2", 256)
    assert facts.can.lora
    assert facts.can.cfg
    assert not facts.can.distilled_guidance
    assert facts.can.references_max == 0


def test_a_single_file_says_it_too(tiny_flux: Path, tmp_path: Path) -> None:
    file = write_single_file(tiny_flux, tmp_path / "some.safetensors")
    facts = backbone_facts(Settings(data=tmp_path, backbone=str(file), base=str(tiny_flux)))
    folder = backbone_facts(Settings(data=tmp_path, backbone=str(tiny_flux)))
    assert facts is not None
    assert folder is not None
    assert (facts.family, facts.width, facts.can) == (folder.family, folder.width, folder.can)
    assert facts.width == 32
    assert facts.id == "some"


def test_what_a_picture_takes_is_told_by_the_folders_own_settings(tmp_path: Path, tiny_flux: Path) -> None:
    def drawn(backbone: Path) -> Drawn:
        facts = backbone_facts(Settings(data=tmp_path, backbone=str(backbone)))
        assert facts is not None
        return facts.drawn

    assert drawn(tiny_flux) == Drawn(3, 2, 96, 64)
    folder = Path(shutil.copytree(tiny_flux, tmp_path / "flux"))
    (folder / "studio.json").unlink()
    assert drawn(folder) == Drawn(4, 1, 1024, 768)  # FLUX.1-schnell's
    (folder / "studio.json").write_text('{"num_inference_steps": "many", "height": 512}')
    assert drawn(folder) == Drawn(4, 1, 512, 768)


def test_another_familys_folder_offers_nothing(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model_index.json").write_text(json.dumps({"_class_name": "QwenImagePipeline"}))
    settings = Settings(data=tmp_path, backbone=str(tmp_path / "model"), kontext_folder=ASSETS / "flux")
    assert backbone_facts(settings) is None
    assert abilities(settings) == frozenset()


def test_it_needs_no_torch() -> None:
    code = (
        "import sys; from studio.domain.capabilities import abilities; from studio.settings import Settings;"
        "print(sorted(abilities(Settings())), 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "['character', 'redux'] False"


def test_who_names_no_way_is_given_the_first_that_the_backbone_has(tmp_path: Path, tiny_family: Path) -> None:
    assert usual_way(Settings(data=tmp_path, backbone=str(tiny_family))) == {"inject": "redux"}
    klein = write_klein(tmp_path / "klein", distilled=True)
    assert usual_way(Settings(data=tmp_path, backbone=str(klein))) == {"inject": "references"}
    turbo = write_z_image(tmp_path / "z-image-turbo", shift=3.0)
    assert usual_way(Settings(data=tmp_path, backbone=str(turbo))) == {"scale": 0.0}
    # only its companions are missing: drawing says which
    bare = write_backbone_folder(tmp_path / "my-flux", "apache-2.0")
    assert usual_way(Settings(data=tmp_path, backbone=str(bare))) == {}
    assert usual_way(Settings(data=tmp_path, backbone="nothing/here")) == {}
