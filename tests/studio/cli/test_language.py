"""--language before a command: its help, its results and what is wrong with it are said in it, whatever the locale."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.cli import main
from studio.texts.terminal import LANGUAGE

ROOT = Path(__file__).resolve().parents[3]


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setenv(LANGUAGE, "")  # what main sets is put back afterwards
    monkeypatch.setattr("sys.argv", ["persona-studio", *words])
    with pytest.raises(SystemExit) as end:
        main()
    return int(str(end.value.code or 0))


@pytest.mark.parametrize("option", [["--language", "zh"], ["--language=zh"]])
def test_errors_and_results(
    option: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("LC_ALL", "en_GB.UTF-8")
    assert run(monkeypatch, *option, "design", "nothing") == 1
    assert "没有“nothing”" in capsys.readouterr().err
    assert run(monkeypatch, *option, "albums", "list", "--data", str(tmp_path)) == 0
    assert capsys.readouterr().out == "还没有相册。\n"
    assert run(monkeypatch, *option, "designs") == 2  # a misspelled command, too
    assert "designs" in (said := capsys.readouterr().err)
    assert any("\u4e00" <= sign <= "\u9fff" for sign in said)


def test_english_on_a_chinese_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert run(monkeypatch, "--language", "en", "albums", "list", "--data", str(tmp_path)) == 0
    assert capsys.readouterr().out == "There is no album yet.\n"


def test_one_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--language", "fr", "albums", "list") == 2
    assert "--language" in capsys.readouterr().err


def test_a_commands_own_language_is_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`captions --language` says what captions are written in."""
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    assert run(monkeypatch, "captions", "--language", "zh", "--platform", "nowhere") == 1
    assert not any("\u4e00" <= sign <= "\u9fff" for sign in capsys.readouterr().err.partition(":")[0])


def test_both_pages_of_the_command_line_name_the_same_commands() -> None:
    def commands(name: str) -> set[str]:
        lines = (ROOT / "docs" / name).read_text(encoding="utf-8").splitlines()
        said = (
            line.split("persona-studio ", 1)[1].split("#")[0].split() for line in lines if "    persona-studio " in line
        )
        return {" ".join(word for word in words[:2] if word.isalpha()) for words in said}

    assert commands("command-line.md") <= commands("command-line.zh-CN.md")
