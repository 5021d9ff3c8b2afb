"""Guessing passwords: it is slow and is written down, and it locks nobody else out."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from studio.application import Studio
from studio.library.attempts import Attempts, networks_of
from studio.library.users import TooManyAttempts, Users
from studio.settings import Settings
from studio.web.app import make_site
from tests.site import TestClient

SECRET = "correct horse battery"


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path))


@pytest.fixture
def users(studio: Studio) -> Users:
    """mei's and wang's, with hashes that take little time."""
    users = Users(studio.records)
    users._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    for name in ("mei", "wang"):
        users.add(name, f"{SECRET} {name}")
    return users


def guess(users: Users, name: str, address: str, times: int) -> int:
    """Wrong passwords; how many were looked at."""
    looked = 0
    for _ in range(times):
        try:
            assert users.log_in(name, "wrong", address) is None
        except TooManyAttempts:
            continue
        looked += 1
    return looked


def test_networks_are_what_one_customer_has() -> None:
    assert networks_of("1.2.3.4") == ("1.2.3.4", "1.2.3.4")
    assert networks_of("::ffff:1.2.3.4") == ("1.2.3.4", "1.2.3.4")
    assert networks_of("2001:db8:1:2:3::4") == ("2001:db8:1:2::/64", "2001:db8:1::/48")
    assert networks_of("fe80::1%eth0") == ("fe80::/64", "fe80::/48")
    assert networks_of("testclient") == ("testclient", "testclient")


def test_one_customers_many_addresses_are_one(users: Users) -> None:
    assert sum(guess(users, "mei", f"2001:db8:1:2::{number:x}", 1) for number in range(1, 101)) == 5
    assert sum(guess(users, f"n{number}", f"2001:db8:1:2::{number:x}", 1) for number in range(1, 101)) == 15
    # many /64 of one site together have 100
    assert sum(guess(users, f"m{number}", f"2001:db8:9:{number:x}::1", 1) for number in range(300)) == 100


def test_guessing_a_name_does_not_keep_its_owner_out(users: Users) -> None:
    assert sum(guess(users, "mei", f"10.0.{number}.1", 5) for number in range(100)) > 150
    assert users.log_in("mei", f"{SECRET} mei", "9.9.9.9") is not None
    # beyond a hundred, each network has one attempt instead of five
    assert guess(users, "mei", "8.8.8.8", 5) == 1
    assert users.log_in("wang", f"{SECRET} wang", "10.0.0.1") is not None


def test_a_known_browser_comes_in_whatever_others_do_from_its_address(users: Users) -> None:
    browser = users.know("mei")
    assert users.know("mei", browser) == browser
    assert sum(guess(users, f"n{number}", "10.0.0.1", 1) for number in range(60)) == 20
    assert guess(users, "mei", "10.0.0.1", 5) == 0
    with pytest.raises(TooManyAttempts):
        users.log_in("mei", f"{SECRET} mei", "10.0.0.1")
    with pytest.raises(TooManyAttempts):
        users.log_in("mei", f"{SECRET} mei", "10.0.0.1", "made up")
    assert users.log_in("mei", f"{SECRET} mei", "10.0.0.1", browser) is not None
    with pytest.raises(TooManyAttempts):  # it is hers, and no word for wang
        users.log_in("wang", f"{SECRET} wang", "10.0.0.1", browser)
    # who holds it guesses as slowly as anybody
    for _ in range(5):
        assert users.log_in("mei", "wrong", "10.0.0.2", browser) is None
    with pytest.raises(TooManyAttempts):
        users.log_in("mei", f"{SECRET} mei", "10.0.0.2", browser)
    users.change("mei", "another long one")
    assert users.know("mei", browser) != browser  # with the password, browsers are forgotten


def test_a_token_of_a_known_browser_is_no_session(users: Users) -> None:
    browser = users.know("mei")
    assert users.owner_of(browser) is None
    assert users.sessions("mei") == []


def test_many_at_once_leave_a_turn_to_others() -> None:
    attempts = Attempts()
    with attempts.one("mei", "1.1.1.1"), attempts.one("mei", "1.1.1.1"), attempts.one("mei", "1.1.1.1"):
        with pytest.raises(TooManyAttempts, match="login_busy"), attempts.one("mei", "1.1.1.1"):
            pass
        with attempts.one("wang", "2.2.2.2") as right:
            right()
    with attempts.one("li", "1.1.1.1") as right:
        right()


def test_a_flood_does_not_make_a_known_browser_wait(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(self: Users, kept: str, word: str) -> bool:
        time.sleep(0.3)
        return word == SECRET

    users = Users(studio.records)
    users.add("mei", SECRET)
    browser = users.know("mei")
    monkeypatch.setattr(Users, "_fits", slow)
    refused: list[str] = []

    def flood(number: int) -> None:
        try:
            users.log_in("mei", "wrong", f"10.0.{number}.1")
        except TooManyAttempts as error:
            refused.append(error.code)

    threads = [threading.Thread(target=flood, args=(number,)) for number in range(60)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    began = time.monotonic()
    assert users.log_in("mei", SECRET, "9.9.9.9", browser) is not None
    assert time.monotonic() - began < 2.0  # sixty one by one would be 18 s
    for thread in threads:
        thread.join()
    assert refused.count("login_busy") >= 30


def test_logins_are_written_down_and_passwords_never(users: Users, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "studio.login"):
        users.log_in("mei", f"{SECRET} mei", "1.2.3.4")
        users.log_in("mei", "wrong one", "1.2.3.4")
        users.log_in("my secret pass\nword", "x", "5.6.7.8")
        guess(users, "wang", "6.6.6.6", 6)
        users.log_out_everywhere("mei")
    said = [record.getMessage() for record in caplog.records]
    assert "Login: mei, from 1.2.3.4" in said
    assert "Login failed: mei, from 1.2.3.4" in said
    assert "Login failed: unknown name, from 5.6.7.8" in said
    assert "Login refused (too_many_attempts): wang, from 6.6.6.6" in said
    assert "Logged out everywhere: mei" in said
    for secret in (SECRET, "wrong", "my secret"):
        assert secret not in "".join(said)


def test_sessions_are_listed_and_ended(users: Users, studio: Studio) -> None:
    def come_in(name: str) -> TestClient:
        client = TestClient(make_site(studio), follow_redirects=False)
        client.cookies.set("studio_session", str(users.log_in(name, f"{SECRET} {name}", "here")))
        return client

    here, there, wang = come_in("mei"), come_in("mei"), come_in("wang")
    listed: list[dict[str, Any]] = here.get("/api/sessions").json()
    assert [row["is_this"] for row in listed].count(True) == 1
    assert len(listed) == 2
    assert set(listed[0]) == {"since", "until", "seen", "address", "is_this"}
    assert {row["address"] for row in listed} == {"here"}
    assert here.delete("/api/sessions").json() == {"ended": 1}
    assert (here.get("/api/jobs").status_code, there.get("/api/jobs").status_code) == (200, 401)
    assert wang.get("/api/jobs").status_code == 200
    assert len(here.get("/api/sessions").json()) == 1


def test_a_login_makes_the_browser_known(studio: Studio) -> None:
    Users(studio.records).add("mei", SECRET)
    client = TestClient(make_site(studio), follow_redirects=False)
    answer = client.post("/login", data={"name": "mei", "password": SECRET})
    cookies = [value.lower() for name, value in answer.headers.multi_items() if name == "set-cookie"]
    assert [value.partition("=")[0] for value in cookies] == ["studio_session", "studio_browser"]
    assert all("httponly" in value and "samesite=lax" in value for value in cookies)
    client.post("/logout")
    assert client.cookies.get("studio_browser")
    for _ in range(6):
        TestClient(make_site(studio)).post("/login", data={"name": "mei", "password": "wrong one"})
    assert client.post("/login", data={"name": "mei", "password": SECRET}).status_code == 303
