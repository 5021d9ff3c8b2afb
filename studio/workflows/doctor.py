"""Examination of an installation: what is wrong, before a merchant finds out."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from importlib.metadata import version

from pipelines.errors import StudioError
from studio.application import Studio, software_versions
from studio.export.content_credentials import open_credentials
from studio.texts.licences import say_licence
from studio.texts.plans import say_plan
from studio.texts.terminal import terminal_texts

__all__ = ["Finding", "examine"]

_MIN_FREE_BYTES = 2_000_000_000


@dataclass(frozen=True)
class Finding:
    """Thing that was looked at, what was found, and whether it is as it should be."""

    what: str
    found: str
    ok: bool


def examine(studio: Studio) -> list[Finding]:
    """Look at the installation; nothing is changed."""
    rows: list[Finding] = []

    def say(what: str, found: object, ok: bool) -> None:
        rows.append(Finding(what, str(found), ok))

    import torch

    from pipelines.backbones import best_device, fast_dtype, plan_backbone
    from pipelines.models.hardware import read_hardware
    from pipelines.torchvision_mend import MENDED

    device = best_device()
    say("device", f"{device}, {fast_dtype(device)}, {torch.get_num_threads()} threads", True)
    say("torchvision", f"mended: {', '.join(MENDED)}" if MENDED else "loads as it is", True)
    for name, found in software_versions().items():
        # GHSA-8g5g-8vmr-9782, GHSA-5x8w-8jj5-q52h: JPEG overflows in Pillow before 13
        say(name, found, name != "pillow" or int(version("pillow").split(".")[0]) >= 13)
    free = shutil.disk_usage(studio.settings.data).free
    say("free disk", f"{free / 1e9:.1f} GB", free > _MIN_FREE_BYTES)
    say("data folder", studio.settings.data.resolve(), os.access(studio.settings.data, os.W_OK))
    for what, load in {
        "memory": lambda: say_plan(
            terminal_texts(),
            plan_backbone(
                studio.backbone_spec,
                fast_dtype(device),
                read_hardware(device),
                studio.settings.precision,
            ),
            device.type,
        ),
        "backbone": lambda: (
            f"{studio.backbone.spec.id}, {studio.backbone.spec.licence}: "
            f"{say_licence(terminal_texts(), studio.backbone.spec.licence)}"
        ),
        "face models": lambda: f"{studio.faces.folder.name}, novelty ceiling {studio.calibration.novelty_ceiling:.2f}",
        "reader": lambda: type(studio.regions).__name__,
        "donors": lambda: _donors(studio),
        "signature": lambda: _certificate(studio),
        "content check": lambda: _content_checker(studio),
    }.items():
        try:
            say(what, load(), True)
        except StudioError as error:
            say(what, terminal_texts().error(error), False)
    return rows


def _donors(studio: Studio) -> str:
    found = studio.list_donors()
    if found.damaged:
        raise found.damaged[0].error
    return str(len(found.donors))


def _certificate(studio: Studio) -> str:
    """Return whose certificate signs exports, and until when."""
    certificate, texts = open_credentials(studio.settings).certificate, terminal_texts()
    date = certificate.until.date().isoformat()
    if certificate.is_test:
        return texts("doctor.certificate_test", date=date)
    return texts("doctor.certificate_own", name=certificate.name, date=date)


def _content_checker(studio: Studio) -> str:
    """Return what looks at pictures before they are exported, once it was loaded; that nothing does."""
    checker, texts = studio.content_checker, terminal_texts()
    if checker is None:
        return texts("doctor.content_none")
    threshold = f"{studio.settings.content_threshold:.2f}"
    return texts("doctor.content", name=checker.name, threshold=threshold, sha=checker.sha256)
