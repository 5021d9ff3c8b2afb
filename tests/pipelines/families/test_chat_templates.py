"""Chat templates come with a folder from anywhere: they are programs, and what they do wrong is said before drawing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

from pipelines.backbones import load_backbone, resolve_backbone
from pipelines.errors import StudioError
from studio.texts.errors import say_error
from studio.texts.texts import LANGUAGES, Texts
from tests.tiny_flux2 import write_dev, write_klein
from tests.tiny_z_image import write_z_image

WRITERS: Mapping[str, Callable[[Path], Path]] = {"klein": write_klein, "dev": write_dev, "z-image": write_z_image}


@pytest.fixture(scope="module", params=WRITERS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return WRITERS[request.param](tmp_path_factory.mktemp("templates") / request.param)


@pytest.mark.parametrize(
    ("template", "code", "word"),
    [
        (b"{% if %}", "chat_template_damaged", "Expected an expression"),
        (b"{{ raise_exception('no system message') }}", "chat_template_damaged", "no system message"),
        (b"{{ messages.__class__.__mro__ }}", "chat_template_damaged", "unsafe"),
        (b"{{ 1 / 0 }}", "chat_template_damaged", "division"),
        (b"Describe the picture.", "chat_template_without_prompt", ""),
        (b"\xff\xfe{", "model_unreadable", "utf-8"),
    ],
)
def test_one_that_does_not_run_or_leaves_the_prompt_out_is_refused(
    folder: Path, template: bytes, code: str, word: str
) -> None:
    file = folder / "tokenizer" / "chat_template.jinja"
    whole = file.read_bytes()
    file.write_bytes(template)
    try:
        with pytest.raises(StudioError, match=code) as refused:
            load_backbone(resolve_backbone(folder), "cpu", torch.float32)
    finally:
        file.write_bytes(whole)
    for language in LANGUAGES:
        message, advice = say_error(refused.value, Texts(language))
        assert word in message
        assert advice


def test_a_damaged_tokenizer_is_refused(folder: Path) -> None:
    file = folder / "tokenizer" / "tokenizer.json"
    whole = file.read_bytes()
    file.write_text("{}")
    try:
        with pytest.raises(StudioError, match="model_unreadable"):
            load_backbone(resolve_backbone(folder), "cpu", torch.float32)
    finally:
        file.write_bytes(whole)
