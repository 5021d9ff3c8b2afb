"""Words that a text encoder was taught: told from tokenizers, real ones and the miniature's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.backbones import resolve_backbone
from pipelines.errors import BadInput
from pipelines.families.catalogue import FAMILIES, find_family
from pipelines.families.vocabulary import Vocabulary, read_vocabulary
from studio.settings import ASSETS
from tests.data import need


def test_the_miniature_knows_whole_words_only() -> None:
    spec = resolve_backbone("miniature")
    assert spec.prompt_words == "whole"
    words = read_vocabulary(find_family(spec.family), spec.folder, spec.prompt_words)
    assert words is not None
    assert words.unknown("a woman, wearing a red dress; holding a mug 微笑 连衣裙") == ()
    assert words.unknown("a qipao, reddish handbags, 旗袍 with 30 ml") == ("qipao", "reddish", "handbags", "旗袍", "ml")


def test_a_real_encoder_of_flux_knows_english_but_no_chinese() -> None:
    words = Vocabulary(need("tokenizers/t5") / "tokenizer.json", whole=False)
    assert words.unknown("kimono, jeans, lipstick, sunglasses, café, t-shirt, handbags, riding a bicycle") == ()
    assert words.unknown("旗袍 xqzjv 红色 dress") == ("旗袍", "xqzjv", "红色")


def test_nothing_is_told_without_a_tokenizer(tmp_path: Path) -> None:
    assert read_vocabulary(FAMILIES[0], tmp_path) is None
    folder = tmp_path / FAMILIES[0].tokenizers[-1]
    folder.mkdir()
    (folder / "tokenizer.json").write_text("{}")
    assert read_vocabulary(FAMILIES[0], tmp_path) is None


def test_studio_json_says_which_words_are_known(tiny_flux: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "flux"
    shutil.copytree(tiny_flux, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "studio.json").write_text(json.dumps({"prompt_words": "all"}))
    with pytest.raises(BadInput, match="backbone_setting_invalid"):
        resolve_backbone(folder)
    (folder / "studio.json").write_text(json.dumps({"prompt_words": "whole"}))
    assert resolve_backbone(folder).prompt_words == "whole"
    assert (ASSETS / "flux" / "studio.json").is_file()
