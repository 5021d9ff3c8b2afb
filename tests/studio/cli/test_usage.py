"""Wrong words to a command: said in the terminal's language, as JSON on standard output where JSON was asked for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from studio.cli import main

WRONG = [
    (("design", "sweet", "--sead", "1"), "option_unknown_alike", "--seed"),
    (("design", "sweet", "--qqqq"), "option_unknown", "--qqqq"),
    (("design",), "argument_missing", "CATEGORY"),
    (("donors", "add", "x.safetensors"), "argument_missing", "--category"),
    (("design", "sweet", "--seed", "abc"), "request_type_invalid", "--seed"),
    (("design", "sweet", "--seed", "-1"), "request_invalid", "≥ 0"),
    (("swap", "a.png", "--strength", "nan-ish"), "request_type_invalid", "--strength"),
    (("design", "sweet", "--seed"), "option_value_missing", "--seed"),
    (("demo", "--out"), "option_value_missing", "--out"),
    (("doctor", "more", "words"), "argument_too_many", "more words"),
    (("verify", "a.zip", "--redraw=1"), "option_takes_no_value", "--redraw"),
    (("dessign",), "command_unknown", "dessign"),
    (("jobs", "walk"), "command_unknown", "kinds"),
]


def end_of(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Return the status with which the program ends."""
    monkeypatch.setattr("sys.argv", ["persona-studio", *words])
    with pytest.raises(SystemExit) as done:
        main()
    return int(done.value.code or 0)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(("words", "code", "named"), WRONG)
def test_wrong_words_are_json_where_json_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: str,
    named: str, language: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8" if language == "zh" else "C.UTF-8")
    depth = 2 if words[0] in ("donors", "jobs") else 1
    assert end_of(monkeypatch, *words[:depth], "--json", *words[depth:]) == 2
    heard = capsys.readouterr()
    said = json.loads(heard.out)
    assert (heard.err, set(said), said["code"]) == ("", {"code", "fields", "message", "advice"}, code)
    assert named in said["message"] + said["advice"]
    assert any("\u4e00" <= sign <= "\u9fff" for sign in said["message"]) == (language == "zh")


@pytest.mark.parametrize(("words", "code", "named"), WRONG)
def test_wrong_words_are_a_sentence_for_people(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: str, named: str
) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert end_of(monkeypatch, *words) == 2
    heard = capsys.readouterr()
    assert heard.out == ""
    assert named in heard.err
    assert "→" in heard.err
    for english in ("Usage", "Error", "Missing", "No such", "Invalid", "option", "argument "):
        assert english not in heard.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("design", "tall"), "unknown_category"),
        (("bundle", "a.zip", "--platform", "pigeon"), "platform_unknown"),
        (("verify", "gone.zip"), None),
        (("lora", "inspect", "gone.safetensors"), None),
        (("jobs", "run", "paint", "--request", "gone.json"), None),
        (("posts",), "photo_missing"),
        (("design", "sweet", "--gate", "min_sharpness=much"), "threshold_no_number"),
        (("donors", "train", "gone", "--category", "tall", "--consent", "gone.json"), None),
        (("recall", "gone.png"), None),
        (("backbones", "plan", "nowhere/at-all"), None),
    ],
)
def test_refusals_are_json_where_json_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, words: tuple[str, ...],
    code: str | None,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert end_of(monkeypatch, *words, "--json") == 1
    said = json.loads(capsys.readouterr().out)
    assert set(said) == {"code", "fields", "message", "advice"}
    assert any("\u4e00" <= sign <= "\u9fff" for sign in said["message"])
    assert code is None or said["code"] == code


@pytest.mark.parametrize("words", ["verify gone.zip", "recall gone.png", "verify notes.txt"])
def test_what_the_system_says_is_said_in_the_terminals_language(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, words: str
) -> None:
    (tmp_path / "notes.txt").write_text("no zip")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert end_of(monkeypatch, *words.split()) == 1
    said = capsys.readouterr().err
    assert not re.search("[A-Za-z]{3,} [a-z]{2,}", said), said
