"""Users: who comes in, what they may see, and what of Gradio's own routes is closed to others."""

from __future__ import annotations

import io
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from pipelines.errors import BadInput
from studio.application import Studio
from studio.cli import main
from studio.domain.design import DesignRequest
from studio.jobs.queue import admit
from studio.library.records import FileRecord
from studio.library.users import SESSION_S, TooManyAttempts, Users, check_open
from studio.settings import Settings
from studio.web.app import make_site
from tests.site import TestClient

ROOT = Path(__file__).resolve().parents[3]
SECRET = "correct horse battery"
HTML = {"accept": "text/html"}


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """With two users, mei and wang."""
    studio = Studio(Settings(data=tmp_path))
    users = Users(studio.records)
    for name in ("mei", "wang"):
        users.add(name, f"{SECRET} {name}")
    return studio


def come_in(site: Any, name: str, url: str = "http://127.0.0.1") -> TestClient:
    """A browser of its own, logged in."""
    client = TestClient(site, base_url=url, follow_redirects=False)
    answer = client.post("/login", data={"name": name, "password": f"{SECRET} {name}"})
    assert answer.status_code == 303, answer.text
    return client


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Studio]]:
    """The whole site in a process of its own, without a worker; its address and its data."""
    folder = tmp_path_factory.mktemp("pages")
    studio = Studio(Settings(data=folder))
    for name in ("mei", "wang"):
        Users(studio.records).add(name, f"{SECRET} {name}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = (
        "import uvicorn; from studio.settings import Settings; from studio.web.app import make_app\n"
        f"uvicorn.run(make_app(Settings(data={str(folder)!r})), port={port}, log_level='warning')"
    )
    environment = os.environ | {"GRADIO_TEMP_DIR": str(folder / "uploads")}
    server = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, env=environment)
    try:
        deadline = time.monotonic() + 120
        while server.poll() is None and time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
            except OSError:
                time.sleep(0.3)
        yield f"http://127.0.0.1:{port}", studio
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture
def mei(pages: tuple[str, Studio]) -> Iterator[httpx.Client]:
    yield from _browser(pages[0], "mei")


@pytest.fixture
def wang(pages: tuple[str, Studio]) -> Iterator[httpx.Client]:
    yield from _browser(pages[0], "wang")


def _browser(url: str, name: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=60, verify=False) as client:
        answer = client.post("/login", data={"name": name, "password": f"{SECRET} {name}"})
        assert answer.status_code == 303
        yield client


def test_a_password_is_kept_as_argon2_and_a_session_as_a_hash(studio: Studio, tmp_path: Path) -> None:
    client = come_in(make_site(studio), "mei")
    token = client.cookies["studio_session"]
    Users(studio.records).change("wang", "another long one")
    with sqlite3.connect(tmp_path / "studio.sqlite") as database:
        kept = dict(database.execute("select id, password from users").fetchall())
        query = "select id from sessions where id not like 'browser:%'"
        sessions = [row[0] for row in database.execute(query)]
    assert all(value.startswith("$argon2id$v=19$m=65536,") for value in kept.values())
    assert len(sessions) == 1
    everything = b"".join(path.read_bytes() for path in tmp_path.glob("studio.sqlite*"))
    for plain in (f"{SECRET} mei", "another long one", token):
        assert plain.encode() not in everything


@pytest.mark.parametrize(("url", "secure"), [("http://127.0.0.1", False), ("https://127.0.0.1", True)])
def test_the_cookie_is_for_the_server_alone(studio: Studio, url: str, secure: bool) -> None:
    client = TestClient(make_site(studio), base_url=url, follow_redirects=False)
    answer = client.post("/login", data={"name": " MEI ", "password": f"{SECRET} mei", "next": "/zh/posts"})
    assert answer.headers["location"] == "/zh/posts"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert ("secure" in cookie) == secure


@pytest.mark.parametrize("where", ["https://evil.example/", "//evil.example", "/en/design/../../x", "/logout", ""])
def test_a_login_leads_nowhere_else(studio: Studio, where: str) -> None:
    client = TestClient(make_site(studio), follow_redirects=False)
    answer = client.post("/login", data={"name": "mei", "password": f"{SECRET} mei", "next": where})
    assert answer.headers["location"] == "/"


def test_nobody_comes_in_without_a_login(pages: tuple[str, Studio], mei: httpx.Client) -> None:
    url, studio = pages
    key = studio.store.put(b"hers")
    studio.records.keep(FileRecord(id=key, owner="mei"), FileRecord(id=key, owner="me"))
    donor = studio.donors()[0].id
    with httpx.Client(base_url=url, timeout=60, verify=False) as client:
        for page in ("/", "/en/design", "/zh/library", "/en/", "/en"):
            answer = client.get(page, headers=HTML)
            assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/login"), page
        reads = (f"/files/{key}", f"/thumbs/{key}", f"/donors/{donor}", "/places/cafe", "/en/config", "/openapi.json")
        for path in (
            *reads,
            "/en/gradio_api/info",
            "/en/gradio_api/queue/data?session_hash=x",
            "/en/gradio_api/file=x",
        ):
            assert client.get(path).status_code == 401, path
        for path in ("queue/join", "upload", "component_server", "cancel", "run/x", "vibe-edit"):
            assert client.post(f"/en/gradio_api/{path}", json={}).status_code == 401, path
        assert client.get("/health").status_code == 200
        for language, word in (("en", "Password"), ("zh", "密码")):
            form = client.get("/login", headers={"accept-language": language})
            assert word in form.text
            assert "frame-ancestors 'none'" in form.headers["content-security-policy"]
        assert client.get("/language/zh?page=login").headers["location"] == "/login"
    assert mei.get("/", headers=HTML).headers["location"].endswith("/design")
    assert mei.get("/places/cafe").status_code == 200
    assert mei.get("/en/design", headers=HTML).status_code == 200


def test_wrong_passwords_and_unknown_names_sound_alike_and_are_limited(studio: Studio) -> None:
    client = TestClient(make_site(studio), follow_redirects=False)
    wrong = [client.post("/login", data={"name": name, "password": "not this one"}) for name in ("mei", "nobody")]
    assert [answer.status_code for answer in wrong] == [401, 401]
    assert wrong[0].text == wrong[1].text
    assert "set-cookie" not in wrong[0].headers
    for _ in range(4):
        assert client.post("/login", data={"name": "mei", "password": "not this one"}).status_code == 401
    late = client.post("/login", data={"name": "mei", "password": f"{SECRET} mei"}, headers={"accept-language": "zh"})
    assert late.status_code == 429
    assert late.headers["retry-after"] == "900"
    assert "15 分钟" in late.text
    assert client.post("/login", data={"name": "wang", "password": f"{SECRET} wang"}).status_code == 303
    assert client.post("/login", content=b"name=mei&password=" + b"x" * 10_000).status_code == 401
    assert client.post("/login", content=b"\xff&=%%%\x00").status_code == 401


def test_an_unknown_name_costs_a_hash_and_a_window_ends(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000.0
    users = Users(studio.records, lambda: now)
    checked: list[str] = []
    fits = Users._fits

    def watch(self: Users, kept: str, word: str) -> bool:
        checked.append(kept)
        return fits(self, kept, word)

    monkeypatch.setattr(Users, "_fits", watch)
    for name in ("mei", "nobody"):
        assert users.log_in(name, "not this one", "1.2.3.4") is None
    assert [kept.split("$")[1:4] for kept in checked] == [checked[0].split("$")[1:4]] * 2
    for number in range(18):
        assert users.log_in(f"name{number}", "x", "1.2.3.4") is None
    with pytest.raises(TooManyAttempts):
        users.log_in("mei", f"{SECRET} mei", "1.2.3.4")
    assert len(checked) == 20
    assert users.log_in("mei", f"{SECRET} mei", "5.6.7.8") is not None
    now += 15 * 60 + 1
    assert users.log_in("mei", f"{SECRET} mei", "1.2.3.4") is not None


def test_a_session_ends(studio: Studio) -> None:
    now = 1_000_000.0
    users = Users(studio.records, lambda: now)
    token = users.log_in("mei", f"{SECRET} mei", "here")
    assert token is not None
    now += SESSION_S - 1
    assert users.owner_of(token) == "mei"
    now += 2
    assert users.owner_of(token) is None
    site = make_site(studio)
    mei, wang = come_in(site, "mei"), come_in(site, "wang")
    held = dict(mei.cookies)
    assert mei.post("/logout").headers["location"] == "/login"
    mei.cookies.update(held)  # a copy of the cookie is worth nothing
    assert mei.get("/places/cafe").status_code == 401
    other = come_in(site, "mei")
    Users(studio.records).change("mei", "another long one")
    time.sleep(2.1)  # as another process: the pages look again after two seconds
    assert other.get("/places/cafe").status_code == 401
    assert wang.get("/places/cafe").status_code == 200
    Users(studio.records).remove("wang")
    time.sleep(2.1)
    assert wang.get("/places/cafe").status_code == 401


def test_each_sees_only_their_own_files(studio: Studio) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(picture, "PNG")
    key = studio.store.put(picture.getvalue())
    studio.records.keep(FileRecord(id=key, owner="mei"), FileRecord(id=key, owner="me"))
    site = make_site(studio)
    mei, wang = come_in(site, "mei"), come_in(site, "wang")
    for path in (f"/files/{key}", f"/thumbs/{key}"):
        answer = mei.get(path)
        assert answer.status_code == 200
        assert answer.headers["vary"] == "Cookie"
        assert wang.get(path).status_code == 404
        assert wang.get(path, headers={"cookie": "studio_owner=mei; studio_session=mei"}).status_code == 401


def test_the_same_wish_of_two_users_is_two_jobs(studio: Studio) -> None:
    jobs = {admit(studio, DesignRequest(category="sweet", owner=owner))[0] for owner in ("mei", "wang")}
    assert len(jobs) == 2


def test_other_sites_cannot_use_a_login(studio: Studio) -> None:
    site = make_site(studio)
    client = come_in(site, "mei")
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
        for path in ("/login", "/logout"):
            assert client.post(path, data={"name": "mei"}, headers=headers).status_code == 403
    assert client.get("/places/cafe", headers={"origin": "http://127.0.0.1:99"}).status_code == 403
    assert client.get("/places/cafe").status_code == 200


def _upload(client: httpx.Client, name: str, data: bytes) -> str:
    answer = client.post("/en/gradio_api/upload", files={"files": (name, data, "image/png")})
    assert answer.status_code == 200, answer.text
    return str(answer.json()[0])


def _open(client: httpx.Client, config: dict[str, Any], path: str, session: str) -> Any:
    """What the page does after an upload: the file as the input of the handler that opens it."""
    upload = next(c["id"] for c in config["components"] if c["props"].get("elem_id") == "upload")
    wanted = [d for d in config["dependencies"] if [upload, "upload"] in [list(t) for t in d["targets"]]]
    file = {"path": path, "orig_name": "a.png", "meta": {"_type": "gradio.FileData"}}
    return client.post(
        "/en/gradio_api/queue/join", json={"fn_index": wanted[0]["id"], "data": [file], "session_hash": session}
    )


def test_of_gradios_own_routes_each_reaches_only_theirs(
    pages: tuple[str, Studio], mei: httpx.Client, wang: httpx.Client
) -> None:
    folder = pages[1].settings.data
    picture = io.BytesIO()
    Image.new("RGB", (80, 80), "blue").save(picture, "PNG")
    page = mei.get("/en/scenes", headers=HTML).text
    config = json.loads(page.split("window.gradio_config = ")[1].split(";</script>")[0])
    path = _upload(mei, "a.png", picture.getvalue())
    assert mei.get(f"/en/gradio_api/file={path}").content == picture.getvalue()
    for spelled in (path, path.replace("/uploads/", "/./uploads/"), f"{folder}/x/../uploads/{path[-20:]}"):
        assert wang.get(f"/en/gradio_api/file={spelled}").status_code == 404
        assert wang.get(f"/en/gradio_api/file/{spelled}").status_code == 404
    for other in (folder / "studio.sqlite", "/etc/hostname", "http://127.0.0.1/x", "https://example.com/a.png"):
        assert mei.get(f"/en/gradio_api/file={other}").status_code == 404
    assert _open(wang, config, path, "wangs").status_code == 404
    assert _open(mei, config, path, "meis").status_code == 200
    assert _open(wang, config, _upload(wang, "b.png", picture.getvalue()), "meis").status_code == 404
    assert wang.get("/en/gradio_api/queue/data", params={"session_hash": "meis"}).status_code == 404
    assert wang.get("/en/gradio_api/queue/data?session_hash=wangs&session_hash=meis").status_code == 404
    assert wang.get("/en/gradio_api/heartbeat/meis").status_code == 404
    assert wang.post("/en/gradio_api/cancel", json={"session_hash": "meis", "fn_index": 0}).status_code == 404
    heard = mei.get("/en/gradio_api/queue/data", params={"session_hash": "meis"}).text
    completed = next(json.loads(x[6:]) for x in heard.splitlines() if "process_completed" in x)
    said = [each.get("value", each) for each in completed["output"]["data"] if isinstance(each, dict)]
    (shown,) = (each["background"]["path"] for each in said if isinstance(each, dict) and "background" in each)
    assert mei.get(f"/en/gradio_api/file={shown}").status_code == 200  # made by the server for mei
    assert wang.get(f"/en/gradio_api/file={shown}").status_code == 404
    # the same picture of two people is each one's own
    again = _upload(wang, "a.png", picture.getvalue())
    assert wang.get(f"/en/gradio_api/file={again}").status_code == 200


def test_routes_of_gradio_that_no_page_uses_are_closed(mei: httpx.Client) -> None:
    for path in (
        "proxy=https://x.hf.space/a",
        "token",
        "user",
        "deep_link?session_hash=a",
        "dev/reload",
        "runs",
        "vibe-code",
    ):
        assert mei.get(f"/en/gradio_api/{path}").status_code == 404, path
    for path in ("login", "logout", "monitoring", "monitoring/summary", "/gradio_api/token", "gradio_api"):
        assert mei.get(f"/zh/{path}").status_code == 404, path
    for path in ("vibe-edit", "process_recording", "stream/x"):
        assert mei.post(f"/en/gradio_api/{path}", json={}).status_code == 404, path
    assert mei.post("/en/gradio_api/queue/join", content=b"{not json").status_code == 404
    assert mei.post("/en/gradio_api/queue/join", files={"files": b"x"}).status_code == 404


def test_alone_on_this_machine_nobody_is_asked(tmp_path: Path) -> None:
    studio = Studio(Settings(data=tmp_path, owner="me"))
    key = studio.store.put(b"mine")
    studio.records.keep(FileRecord(id=key, owner="me"))
    alone = TestClient(make_site(studio), follow_redirects=False)
    assert alone.get(f"/files/{key}").status_code == 200
    assert alone.get("/login").headers["location"] == "/"
    reachable = TestClient(make_site(studio, ("shop.example",), local=False), base_url="http://shop.example")
    assert reachable.get(f"/files/{key}").status_code == 401
    assert TestClient(make_site(studio), base_url="http://shop.example").get("/health").status_code == 403
    for host, ok in (("10.0.0.5:7860", True), ("[fe80::1]:7860", True), ("evil.example", False), ("", False)):
        assert (reachable.get("/health", headers={"host": host}).status_code == 200) == ok, host
    Users(studio.records).add("mei", "ten signs or more")
    assert alone.get(f"/files/{key}").status_code == 401
    assert check_open(Users(studio.records), "0.0.0.0", ()) is False


def test_a_host_that_others_reach_is_refused_without_users(tmp_path: Path) -> None:
    users = Users(Studio(Settings(data=tmp_path)).records)
    assert check_open(users, "127.0.0.1", ()) is True
    for host, names in (("::", ()), ("192.168.1.2", ()), ("127.0.0.1", ("shop.example",))):
        with pytest.raises(BadInput, match="users_needed"):
            check_open(users, host, names)
    command = [sys.executable, "app.py", "--data", str(tmp_path), "--port", "0", "--host", "0.0.0.0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "persona-studio users add NAME" in done.stderr


def _run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, password: str, *words: str) -> int:
    monkeypatch.setenv("PERSONA_STUDIO_DATA", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["persona-studio", "users", *words])
    monkeypatch.setattr("sys.stdin", io.StringIO(password + "\n"))
    with pytest.raises(SystemExit) as done:
        main()
    return int(done.value.code or 0)


def test_the_command_line_keeps_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(monkeypatch, tmp_path, SECRET, "add", "Mei", "--password-stdin") == 0
    assert "What was made without one belongs to me" in capsys.readouterr().out
    assert _run(monkeypatch, tmp_path, SECRET, "add", "李雷", "--password-stdin", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"name": "李雷"}
    assert _run(monkeypatch, tmp_path, "", "list") == 0
    assert capsys.readouterr().out == "mei\n李雷\n"
    for name, password, why in (
        ("mei", SECRET, "already"), ("a/b", SECRET, "cannot be"), ("", SECRET, "cannot be"),
        ("x" * 41, SECRET, "1 to 40"),
        ("li", "short", "10 to 200 characters"), ("li", "x" * 201, "10 to 200 characters"),
    ):  # fmt: skip
        assert _run(monkeypatch, tmp_path, password, "add", name, "--password-stdin") == 1
        assert why in capsys.readouterr().err
    assert _run(monkeypatch, tmp_path, "a whole new one", "password", "mei", "--password-stdin") == 0
    users = Users(Studio(Settings(data=tmp_path)).records)
    assert users.log_in("mei", SECRET, "here") is None
    assert users.log_in("mei", "a whole new one", "here") is not None
    assert _run(monkeypatch, tmp_path, "", "remove", "mei") == 0
    assert _run(monkeypatch, tmp_path, "", "remove", "mei") == 1
    assert "no user mei" in capsys.readouterr().err
    with pytest.raises(BadInput):
        users.change("nobody", SECRET)


@pytest.mark.parametrize("how", ["log out", "everywhere", "password", "remove"])
def test_whoever_is_logged_out_is_out_at_once_here_and_soon_elsewhere(studio: Studio, how: str) -> None:
    now = [1_000_000.0]
    here, elsewhere = (Users(studio.records, lambda: now[0]) for _ in range(2))
    token = here.log_in("mei", f"{SECRET} mei", "1.2.3.4")
    assert token is not None
    assert [users.owner_of(token) for users in (here, elsewhere)] == ["mei", "mei"]
    ends: dict[str, Callable[[], object]] = {
        "log out": lambda: here.log_out(token), "everywhere": lambda: here.log_out_everywhere("mei"),
        "password": lambda: here.change("mei", "another long password"), "remove": lambda: here.remove("mei"),
    }  # fmt: skip
    ends[how]()
    assert here.owner_of(token) is None
    now[0] += 2.1
    assert elsewhere.owner_of(token) is None


def test_a_session_that_was_just_asked_of_is_not_looked_up_again(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000_000.0]
    users = Users(studio.records, lambda: now[0])
    token = users.log_in("mei", f"{SECRET} mei", "1.2.3.4")
    assert token is not None
    looked, transaction = list[int](), studio.records.transaction

    def look() -> Any:
        looked.append(1)
        return transaction()

    monkeypatch.setattr(studio.records, "transaction", look)
    assert users.owner_of(token) == "mei"
    before = len(looked)
    assert users.owner_of(token) == "mei"
    assert len(looked) == before
    now[0] += 3
    assert users.owner_of(token) == "mei"
    assert len(looked) > before
