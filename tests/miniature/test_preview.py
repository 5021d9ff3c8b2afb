"""Previews of a training: the checkpoint's weights are those that draw, the sheet holds all pictures."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from miniature.earlier import take_up
from miniature.preview import draw_preview, load_checkpoint_weights, preview_shots, render_preview, save_sheet
from pipelines.backbones import load_backbone, resolve_backbone
from studio.settings import ASSETS


def test_a_checkpoint_draws_with_its_own_weights(tmp_path: Path) -> None:
    take_up(ASSETS, tmp_path, tmp_path / "vae")
    backbone, shots = load_backbone(resolve_backbone("miniature")), preview_shots()[:2]
    shipped = draw_preview(backbone, shots)
    load_checkpoint_weights(backbone, tmp_path / "checkpoint.pt")
    assert np.array_equal(np.stack(draw_preview(backbone, shots)), np.stack(shipped))
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    state["average"]["transformer.proj_out.weight"] *= 0.5
    torch.save(state, tmp_path / "checkpoint.pt")
    load_checkpoint_weights(backbone, tmp_path / "checkpoint.pt")
    assert not np.array_equal(np.stack(draw_preview(backbone, shots)), np.stack(shipped))


def test_a_sheet_holds_all_pictures_in_rows_of_ten(tmp_path: Path) -> None:
    pictures = render_preview(preview_shots()[:5])
    save_sheet([*pictures, *pictures, *pictures], tmp_path / "sheet.png")
    page = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert page.shape == (512, 1920, 3)
    assert np.array_equal(page[256:, :192], pictures[0])
