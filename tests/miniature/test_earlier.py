"""Shipped weights become checkpoints to train on, and come out as they went in."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from miniature.earlier import take_up
from miniature.flux import export
from studio.settings import ASSETS


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    """All of a diffusers folder's tensors, by sub-folder and name."""
    return {
        f"{file.parent.name}.{name}": value
        for file in sorted(folder.glob("*/*.safetensors"))
        for name, value in load_file(file).items()
    }


def test_what_is_taken_up_is_exported_again(tmp_path: Path) -> None:
    work, vae, assets = tmp_path / "flux", tmp_path / "vae", tmp_path / "assets"
    vae.mkdir()
    (vae / "likeness.pt").write_bytes(b"of another VAE")
    take_up(ASSETS, work, vae)
    export(work, vae, assets)
    for part in ("flux", "redux"):
        before, after = _weights(ASSETS / part), _weights(assets / part)
        assert before.keys() == after.keys()
        for name, value in before.items():
            assert value.dtype == after[name].dtype
            assert torch.equal(value, after[name]), name
    assert (ASSETS / "flux" / "studio.json").read_text() == (assets / "flux" / "studio.json").read_text()
