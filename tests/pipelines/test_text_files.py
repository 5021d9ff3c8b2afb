"""Text from outside is read where its bytes tell how, and refused where they do not."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from pipelines.errors import BadInput
from pipelines.text_files import decode_text, decode_utf16, parse_json, plain_spaces, read_text_file, unquoted

WORDS = "小红 in a café\nsecond line"


@pytest.mark.parametrize(
    "data",
    [
        WORDS.encode(),
        codecs.BOM_UTF8 + WORDS.replace("\n", "\r\n").encode(),
        WORDS.encode("utf-16"),
        codecs.BOM_UTF16_BE + WORDS.encode("utf-16-be"),
        WORDS.encode("utf-16-le"),
        WORDS.encode("utf-16-be"),
        WORDS.encode("utf-32"),
        WORDS.replace("\n", "\r").encode(),
    ],
    ids=["utf-8", "windows", "utf-16", "utf-16-be", "no mark, le", "no mark, be", "utf-32", "old mac"],
)
def test_marked_and_unmistakable_encodings_are_read(data: bytes) -> None:
    assert decode_text(data, "a.txt") == WORDS


@pytest.mark.parametrize("coding", ["gbk", "big5", "latin-1"])
def test_an_encoding_that_could_be_several_is_refused(coding: str) -> None:
    data = ("海浪在沙上" if coding != "latin-1" else "une fenêtre").encode(coding)
    with pytest.raises(BadInput, match=r"text_not_utf8.*a\.txt"):
        decode_text(data, "a.txt")


@pytest.mark.parametrize("text", ["Steps: 20, Seed: 1", "红色连衣裙，微笑。", "小红书", "a 小 b", "{}", "海边🌸"])
@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be"])
def test_the_byte_order_is_decided_by_all_of_the_text(text: str, order: str) -> None:
    assert decode_utf16(text.encode(order)) == text


def test_a_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="text_file_not_opened"):
        read_text_file(tmp_path / "gone.txt")


def test_spaces_hyphens_and_quotes_become_plain() -> None:
    assert plain_spaces("\ufeffa\u3000b\u00a0c\u200b d\u2011e–f\tg\n") == "a b c d-e-f\tg\n"
    assert [unquoted(t) for t in ('"a b"', "“a”", "'a'", '"a" and "b"', "“a", "a", "")] == [
        "a b", "a", "a", '"a" and "b"', "“a", "a", "",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        '{"who": "李，雷", "n": [1, 2]}',
        "{“who”：“李，雷”，“n”：[1，2]}",
        '\u3000{"who":\u00a0"李，雷", "n": [1, 2,],}\u200b',
        "｛＂who＂：＂李，雷＂，＂n＂：［1，2］｝",
    ],
)
def test_json_is_read_as_people_type_it(text: str) -> None:
    assert parse_json(text) == {"who": "李，雷", "n": [1, 2]}


@pytest.mark.parametrize("text", ["", "{", '{"a": "b}', "“", "[" * 100_000, "who: Li", '{"a" "b"}'])
def test_what_is_no_json_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)
