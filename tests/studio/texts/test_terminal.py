"""A program's errors are sentences in the terminal's language."""

from __future__ import annotations

import pytest

from pipelines.errors import BadInput, BadLora
from studio.texts.terminal import LANGUAGE, in_words, terminal_texts


def test_a_program_ends_with_a_sentence_not_with_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    with pytest.raises(SystemExit) as end, in_words():
        raise BadLora("lora_all_zero", file="a.safetensors")
    assert end.value.code == 1
    assert capsys.readouterr().err == (
        "a.safetensors changes no layer: all its weights are zero.\n  → Train it again.\n"
    )
    with pytest.raises(ZeroDivisionError), in_words():  # a flaw of ours keeps its traceback
        _ = 1 / 0


def test_a_chinese_terminal_is_answered_in_chinese(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    with pytest.raises(SystemExit), in_words():
        raise BadInput("bad_name", most=60)
    assert capsys.readouterr().err == "素材脸名称需要 1 到 60 个普通字符。\n  → 请取一个短名称。\n"


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"), ({"LANG": "zh_TW.UTF-8"}, "zh"), ({"LANG": "zh_CN", "LC_ALL": "en_GB.UTF-8"}, "en"),
        ({"LC_MESSAGES": "zh_CN.UTF-8", "LANG": "de_DE"}, "zh"), ({"LANG": "C"}, "en"),
        ({"LC_ALL": "", "LANG": "zh"}, "zh"),
    ],
)  # fmt: skip
def test_the_language_is_the_locales(environment: dict[str, str], language: str) -> None:
    assert terminal_texts(environment).language == language


@pytest.mark.parametrize(
    ("environment", "language"),
    [({LANGUAGE: "zh", "LC_ALL": "en_GB"}, "zh"), ({LANGUAGE: "en", "LANG": "zh_CN"}, "en"), ({LANGUAGE: "fr"}, "en")],
)
def test_what_was_asked_for_goes_before_the_locale(environment: dict[str, str], language: str) -> None:
    assert terminal_texts(environment).language == language
