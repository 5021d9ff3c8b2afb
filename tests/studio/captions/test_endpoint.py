"""A language model that writes captions, and all the ways in which it misbehaves."""

from __future__ import annotations

import json
import logging
import socket
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from pipelines.errors import BadInput
from studio.application import Studio
from studio.captions.asking import ask_for_set
from studio.captions.endpoint import Endpoint, ask, parse_suggestion
from studio.captions.facts import read_facts
from studio.domain.captions import Captions, CaptionsRequest
from studio.domain.choice import CaptionEndpoint
from studio.domain.platforms import find_platform, overlong
from studio.library.saved_settings import SavedFile
from studio.settings import Settings, settings_environment
from studio.texts.errors import say_error
from studio.texts.texts import LANGUAGES, Texts
from studio.workflows import run_directly
from studio.workflows.captions import write_captions
from tests.studio.captions.server import Reply, Script, Server, completion, serve, suggestion
from tests.studio.domain.values import make_post_set

KEY = "sk-a-key-that-nobody-may-see"
PRODUCT = "纯棉圆领。机洗不变形。"


def asked(posts: int = 3, **changed: Any) -> CaptionsRequest:
    told: dict[str, Any] = {"post_set": make_post_set(posts), "product": PRODUCT, "writer": "endpoint"}
    return CaptionsRequest.make(**told | changed)


def endpoint(server: Server, **changed: Any) -> Endpoint:
    told: dict[str, Any] = {"url": server.url, "model": "writer", "key": SecretStr(KEY), "sleep": lambda seconds: None}
    return Endpoint(**told | changed)


def write(script: Script, request: CaptionsRequest | None = None) -> tuple[Any, Server]:
    request = request or asked()
    with serve(script) as server:
        checked = ask_for_set(
            read_facts(request), request.product, request.voice, 1, lambda messages: ask(endpoint(server), messages)
        )
    return checked, server


def test_a_good_answer_is_taken_as_it_is() -> None:
    checked, server = write(lambda n, body: completion(suggestion(3)), asked(voice="温柔"))
    assert checked.written.captions == ("第一张，白色T恤。", "第二张，白色T恤。", "第三张，白色T恤。")
    assert (checked.written.title, checked.written.tags) == ("白色T恤", ("穿搭", "白色T恤"))
    assert checked.left_out == ()
    ((path, headers),) = server.seen
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {KEY}"
    told = json.loads(server.asked[0]["messages"][1]["content"])
    assert (told["voice"], told["product text"], len(told["pictures"])) == ("温柔", PRODUCT, 3)
    assert told["pictures"][0]["outfit"] == "白色T恤"
    assert server.asked[0]["model"] == "writer"


@pytest.mark.parametrize(
    "wrap",
    ["Sure! Here you go:\nJSON\nHope that helps.", "```json\nJSON\n```", "{this is none} but then JSON"],
)
def test_json_is_found_in_prose_and_code_blocks(wrap: str) -> None:
    assert len(parse_suggestion(wrap.replace("JSON", suggestion(3)), 3).captions) == 3


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("I would rather write you a poem.", "no JSON object"),
        ('{"title": "x", "captions": "three"}', "captions"),
        ('{"title": "x"}', "captions"),
        (suggestion(2), "must have 3"),
        ("[" * 5000, "no JSON object"),
        ('{"captions": [1, 2, 3]}', "captions.0"),
        ("", "no JSON object"),
    ],
)
def test_prose_and_wrong_json_are_asked_again_with_what_was_wrong(wrong: str, told: str) -> None:
    checked, server = write(lambda n, body: completion(wrong if n == 0 else suggestion(3)))
    assert len(checked.written.captions) == 3
    assert told in server.asked[1]["messages"][-1]["content"]
    with pytest.raises(BadInput, match="endpoint_answers_otherwise"):
        write(lambda n, body: completion(wrong))


def test_claims_that_the_product_text_does_not_make_never_arrive() -> None:
    lies = suggestion(
        3, title="全网最低价", body="纯棉圆领。真丝手感，买一送一！",
        captions=["纯棉圆领，白色T恤。", "能治疗失眠！", "白色T恤。限时5折。"], tags=["包邮", "穿搭"],
    )  # fmt: skip
    checked, server = write(lambda n, body: completion(lies))
    assert "最低" in server.asked[1]["messages"][-1]["content"]
    written = checked.written
    said = "".join((written.title, written.body, *written.tags, *written.captions))
    assert not any(word in said for word in ("真丝", "治疗", "限时", "最低", "包邮", "5折", "买一送一"))
    assert written.captions[0] == "纯棉圆领，白色T恤。"
    assert written.captions[2] == "白色T恤。"
    assert written.captions[1]  # a sentence of the studio's own in its place
    assert written.body.startswith("纯棉圆领。")
    assert set(checked.left_out) >= {"能治疗失眠！", "限时5折。"}


def test_what_is_too_long_is_asked_again_and_cut_at_last() -> None:
    long = suggestion(3, title="很" * 60, body="长" * 3000, tags=[f"标签{i}" for i in "一二三四五六七八九十甲乙丙"])
    checked, server = write(lambda n, body: completion(long))
    assert "longer than 20" in server.asked[1]["messages"][-1]["content"]
    written = checked.written
    assert overlong(find_platform("xiaohongshu"), written.title, written.body, written.tags) == ()
    assert written.title
    assert written.body


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again_no_sooner_than_it_says(status: int) -> None:
    pauses: list[float] = []
    replies = [Reply(status, headers={"Retry-After": "7"}), Reply(status), completion(suggestion(3))]
    with serve(lambda n, body: replies[n]) as server:
        answer = ask(endpoint(server, sleep=pauses.append), [{"role": "user", "content": "x"}])
    assert parse_suggestion(answer.text, 3)
    assert len(pauses) == 2
    assert pauses[0] == 7
    assert pauses[1] >= 2
    pauses.clear()
    with (
        serve(lambda n, body: Reply(status, headers={"Retry-After": "100000"})) as server,
        pytest.raises(BadInput, match=f"endpoint_busy.*status={status}"),
    ):
        ask(endpoint(server, sleep=pauses.append), [{"role": "user", "content": "x"}])
    assert len(server.asked) == 4
    assert max(pauses) <= 20


def test_a_server_without_json_mode_is_asked_without_it() -> None:
    def script(number: int, body: dict[str, Any]) -> Reply:
        if "response_format" in body:
            return Reply(400, b'{"error": {"message": "response_format is not supported"}}')
        return completion(suggestion(3))

    checked, server = write(script)
    assert len(checked.written.captions) == 3
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(401), "endpoint_refused_key"), (Reply(403), "endpoint_refused_key"),
        (Reply(402), "endpoint_wants_payment"),
        (Reply(404), "endpoint_without_model"), (Reply(400, b"no"), "endpoint_refused"),
        (Reply(302, headers={"Location": "http://127.0.0.1:1/elsewhere"}), "endpoint_refused"),
        (Reply(200, b"<html>welcome</html>"), "endpoint_answer_unreadable"),
        (Reply(200, b'{"choices": []}'), "endpoint_answer_unreadable"),
        (Reply(200, b'{"choices": [{"message": {"content": null}}]}'), "endpoint_answer_unreadable"),
        (Reply(200, b"[1, 2]"), "endpoint_answer_unreadable"),
        (Reply(200, b"x" * 2_100_000), "endpoint_answer_unreadable"),
    ],
)  # fmt: skip
def test_refusals_are_said_in_words_and_never_with_the_key(reply: Reply, code: str) -> None:
    with serve(lambda n, body: reply) as server, pytest.raises(BadInput, match=code) as refused:
        ask(endpoint(server), [{"role": "user", "content": "x"}])
    for language in LANGUAGES:
        said = "".join(say_error(refused.value, Texts(language)))
        assert "127.0.0.1" in said
        assert KEY not in said + str(refused.value) + repr(refused.value.__cause__)


def test_silence_and_nobody_there() -> None:
    with (
        serve(lambda n, body: Reply(wait_s=20)) as server,
        pytest.raises(BadInput, match="endpoint_slow"),
    ):
        ask(endpoint(server, timeout_s=0.3), [{"role": "user", "content": "x"}])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nobody = Endpoint(f"http://127.0.0.1:{port}/v1", "writer", sleep=lambda seconds: None)
    with pytest.raises(BadInput, match="endpoint_unreachable"):
        ask(nobody, [{"role": "user", "content": "x"}])


def studio_with(data: Path, server: Server | None, **told: Any) -> Studio:
    studio = Studio(Settings(data=data, **told))
    if server is not None:
        studio.saved.write_captions(CaptionEndpoint(url=server.url, model="writer", key=KEY))
    return studio


def test_it_is_off_by_default(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="endpoint_not_set"):
        write_captions(studio_with(tmp_path, None), asked(), run_directly)
    own = write_captions(studio_with(tmp_path, None), asked(writer="templates"), run_directly)
    assert len(own.captions) == 3


def test_the_key_is_in_no_result_record_or_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serve(lambda n, body: completion(suggestion(3))) as server:
        studio = studio_with(tmp_path, server)
        made = write_captions(studio, asked(), run_directly)
    assert Captions.model_validate_json(made.model_dump_json()) == made
    assert made.writer == "endpoint"
    assert KEY not in made.model_dump_json() + caplog.text + repr(studio.saved.read())
    holding = [path.name for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert holding == ["settings.json"]
    assert (tmp_path / "settings.json").stat().st_mode & 0o077 == 0


def test_the_environment_wins_and_reaches_the_worker(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, captions_url="http://localhost:9/v1", captions_model="m", captions_key=KEY)  # type: ignore[arg-type]
    assert settings_environment(settings)["PERSONA_STUDIO_CAPTIONS_KEY"] == KEY
    assert KEY not in repr(settings)
    studio = Studio(settings)
    studio.saved.write_captions(CaptionEndpoint(url="http://other/v1", model="x"))
    assert studio.caption_endpoint == CaptionEndpoint(url="http://localhost:9/v1", model="m", key=KEY)


@pytest.mark.parametrize(
    "url", ["ftp://x/v1", "api.example.com", "http://me:secret@x/v1", "http://x/v1?key=1", "http://"]
)
def test_addresses_that_are_none_or_hold_a_key_are_refused(url: str) -> None:
    with pytest.raises(BadInput, match="endpoint_address_invalid"):
        CaptionEndpoint.make(url=url, model="m")


@pytest.mark.parametrize("tokens", [100, None])
def test_a_day_has_a_budget(tmp_path: Path, tokens: int | None) -> None:
    with serve(lambda n, body: completion(suggestion(3), tokens)) as server:
        studio = studio_with(tmp_path, server, captions_daily_tokens=200)
        write_captions(studio, asked(), run_directly)
        if tokens is not None:  # one that the server does not count is estimated, and is more
            write_captions(studio, asked(seed=2), run_directly)
        made = len(server.asked)
        with pytest.raises(BadInput, match="captions_budget_spent"):
            write_captions(studio, asked(seed=3), run_directly)
        assert len(server.asked) == made
        write_captions(studio, asked(owner="another"), run_directly)  # everybody has a budget of their own


def test_settings_of_before_are_read_and_stay_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"schema_version": 1, "backbone": null, "places": []}')
    saved = SavedFile(tmp_path)
    assert saved.read().captions is None
    saved.write(saved.read())
    assert json.loads((tmp_path / "settings.json").read_text()) == {"schema_version": 1, "backbone": None, "places": []}
    saved.write_captions(CaptionEndpoint(url="http://x/v1", model="m", key=KEY))
    assert saved.read().captions == CaptionEndpoint(url="http://x/v1", model="m", key=KEY)
    saved.write_captions(None)
    assert saved.read().captions is None
