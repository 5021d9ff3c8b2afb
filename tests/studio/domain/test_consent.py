"""A consent is read from whatever editor saved it; what is wrong with it is said in words."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from pipelines.errors import BadInput
from studio.domain.consent import read_consent
from studio.domain.days import read_day
from studio.texts.errors import say_error
from studio.texts.texts import LANGUAGES, Texts
from tests.data import need

DAY = datetime.date(2030, 12, 31)


@pytest.mark.parametrize(
    "text",
    [
        "2030-12-31", "20301231", "2030/12/31", "2030.12.31", "2030年12月31日", " 2030-12-31 ", "２０３０－１２－３１",
        "2030-12-31T23:59:59+08:00", "2030-12-31 23:59", "2030-12-31T00:00:00Z", "2030–12–31", "20301231T235959Z",
    ],
)  # fmt: skip
def test_a_day_with_its_year_first_is_read(text: str) -> None:
    assert read_day(text) == DAY


@pytest.mark.parametrize("text", ["01/02/2030", "31.12.2030", "2030-13-01", "2030-02-30", "2030", "soon", "", "2030-1"])
def test_what_is_no_day_or_could_be_two_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_day(text)


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"who": "Li Lei", "until": "2030"}, "consent_word_unknown"),
        ({"who": "Li Lei"}, "consent_word_missing"),
        ({"who": "Li Lei", "scope": "\u3000"}, "consent_word_missing"),
        ({"who": 7, "scope": "fusion"}, "consent_word_missing"),
        ({"who": "Li Lei", "scope": "fusion", "expires": "31.12.2030"}, "consent_date_unclear"),
        ({"who": "Li Lei", "scope": "fusion", "expires": []}, "consent_date_unclear"),
        (["Li Lei"], "consent_no_json"),
        ("no json at all", "consent_no_json"),
        (None, "text_file_not_opened"),
    ],
)
def test_what_is_wrong_with_a_consent_is_said_in_words(tmp_path: Path, told: object, code: str) -> None:
    path = tmp_path / "c.json"
    if told is not None:
        path.write_text(told if isinstance(told, str) else json.dumps(told), encoding="utf-8")
    with pytest.raises(BadInput) as refused:
        read_consent(path)
    assert refused.value.code == code
    for language in LANGUAGES:
        message, advice = say_error(refused.value, Texts(language))
        assert "c.json" in message
        assert advice
        assert not {"Datetime", "codec", "Invalid JSON"} & set(message.split())


def test_eight_digits_may_be_a_number_and_no_end_may_be_left_empty(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    for expires, day in ((20301231, DAY), ("", None), (" ", None), (None, None)):
        path.write_text(json.dumps({"who": " Li\u00a0Lei ", "scope": "fusion", "expires": expires}))
        assert (read_consent(path).who, read_consent(path).expires) == ("Li Lei", day)


@pytest.mark.parametrize("name", ["bom", "utf16", "compact", "with_time", "empty"])
def test_real_consents_from_windows(name: str) -> None:
    found = read_consent(need("cases/consent-from-windows") / f"{name}.json")
    assert (found.who, found.scope) == ("Synthetic Person", "tests")
    assert found.expires == (None if name == "empty" else DAY)


def test_a_real_consent_in_gbk_asks_for_utf8() -> None:
    with pytest.raises(BadInput, match="text_not_utf8") as refused:
        read_consent(need("cases/consent-from-windows") / "gbk.json")
    assert "Save the file as UTF-8" in say_error(refused.value, Texts("en"))[1]
