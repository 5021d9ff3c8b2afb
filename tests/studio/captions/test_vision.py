"""A vision model behind a server of our own, and all the ways in which such servers misbehave: every picture gets
valid facts or a reason, and nothing hangs.
"""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import SecretStr

from personas.captions.captioner import Described, ToDescribe
from personas.captions.schema import CaptionFacts, says_nothing
from personas.datasets.facts import measure_picture
from pipelines.errors import BadInput
from studio.captions.endpoint import Endpoint
from studio.captions.vision import EndpointCaptioner
from tests.studio.captions.server import Reply, Script, Server, completion, serve

GOOD: dict[str, Any] = {
    "shot": {"framing": "half-body", "view": "front", "camera": None, "sure": True},
    "garments": [{"slot": "top", "type": "linen blouse", "colour": "white", "sure": True}],
    "place": {"where": "cafe", "details": ["brick wall"], "clutter": 1, "sure": True},
    "light": {"time": "day", "direction": "side", "hardness": "soft", "tone": "warm", "sure": True},
    "defects": [],
}  # fmt: skip
TEXT = json.dumps(GOOD)
PICTURE = np.random.default_rng(0).integers(0, 255, (1300, 200, 3), np.uint8)
GIVEN = ToDescribe(PICTURE, measure_picture(PICTURE, (), None))


def captioner(server: Server, **changed: Any) -> EndpointCaptioner:
    told: dict[str, Any] = {
        "url": server.url, "model": "eyes", "key": SecretStr("sk"), "sleep": lambda seconds: None, "timeout_s": 2.0,
    }  # fmt: skip
    return EndpointCaptioner(Endpoint(**told | changed))


def describe(script: Script, count: int = 1, **changed: Any) -> tuple[list[Described], Server]:
    with serve(script) as server:
        return captioner(server, **changed).describe([GIVEN] * count), server


def is_schema(body: dict[str, Any]) -> bool:
    return bool(body.get("response_format", {}).get("type") == "json_schema")


def html() -> Reply:
    return Reply(body=b"<html><body>Gateway</body></html>", headers={"Content-Type": "text/html"})


def cut_off(text: str) -> Reply:
    told = {"choices": [{"finish_reason": "length", "message": {"role": "assistant", "content": text}}]}
    return Reply(body=json.dumps(told).encode())


@dataclass(frozen=True)
class Case:
    """`facts`: an answer comes in the end; None: there is a reason with this code."""

    script: Script
    code: str = ""


_OTHERWISE = "captioner_answers_otherwise"
CASES: dict[str, Case] = {
    "400 on a format": Case(
        lambda n, body: Reply(400, b'{"error": "response_format is not supported"}')
        if "response_format" in body
        else completion(TEXT)
    ),
    "prose round JSON": Case(lambda n, body: completion(f"Sure! Here it is:\n```json\n{TEXT}\n```\nElse? {{}}")),
    "cut off": Case(lambda n, body: cut_off(TEXT[:80]) if is_schema(body) and n < 1 else completion(TEXT)),
    "always cut off": Case(lambda n, body: cut_off(TEXT[:80]), "captioner_answers_otherwise"),
    "a loop": Case(lambda n, body: completion('{"place": "' + "a table and a chair " * 400), _OTHERWISE),
    "think tags": Case(lambda n, body: completion(f"<think>A cafe? {{\"light\": 1}} yes.</think>{TEXT}")),
    "empty": Case(lambda n, body: completion(""), "captioner_answers_otherwise"),
    "429, then well": Case(
        lambda n, body: Reply(429, b"{}", {"Retry-After": "0"}) if n < 2 else completion(TEXT)
    ),
    "500, for ever": Case(lambda n, body: Reply(500, b"oops"), "endpoint_busy"),
    "slow": Case(lambda n, body: Reply(wait_s=30.0), "endpoint_slow"),
    "wrong enum": Case(
        lambda n, body: completion(json.dumps(GOOD | {"shot": {"framing": "portrait"}, "light": {"time": "noonish"}}))
    ),
    "extra key": Case(lambda n, body: completion(json.dumps(GOOD | {"mood": "happy", "person": {"age": 31}}))),
    "wrong encoding": Case(
        lambda n, body: Reply(body='{"choices": [{"message": {"content": "caf\u00e9"}}]}'.encode("latin-1")),
        "endpoint_answer_unreadable",
    ),
    "refusal": Case(lambda n, body: completion("I'm sorry, I can't help with pictures of people."), _OTHERWISE),
    "HTML": Case(lambda n, body: html(), "endpoint_answer_unreadable"),
    "null for the text": Case(
        lambda n, body: Reply(body=b'{"choices": [{"message": {"content": null, "refusal": "no"}}]}'),
        "endpoint_answer_unreadable",
    ),
    "null for every group": Case(
        lambda n, body: completion(json.dumps(dict.fromkeys(GOOD))), "captioner_answers_otherwise"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_answer_is_valid_or_a_reasoned_failure(name: str) -> None:
    case = CASES[name]
    ((found,), server) = describe(case.script, timeout_s=0.3 if name == "slow" else 2.0)
    if case.code:
        assert found.told is None
        assert found.failed is not None
        assert found.failed.code == case.code
    else:
        assert found.failed is None
        assert found.told is not None
        assert CaptionFacts.model_validate_json(found.told.model_dump_json()) == found.told
        assert not says_nothing(found.told)
        assert found.told.place.where == "cafe"
        assert found.told.garments[0].type == "linen blouse"
    assert len(server.asked) <= 8


def test_an_answer_drop_by_drop_does_not_hang() -> None:
    """Each byte comes before a read times out, and the whole never ends."""
    import socket
    import threading
    import time

    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def drip() -> None:
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65_536)
                try:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
                    while not stop.wait(0.05):
                        connection.sendall(b" ")
                except OSError:
                    continue

    threading.Thread(target=drip, daemon=True).start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    began = time.monotonic()
    try:
        (found,) = EndpointCaptioner(
            Endpoint(url, "eyes", sleep=lambda seconds: None, timeout_s=0.5)
        ).describe([GIVEN])  # fmt: skip
    finally:
        stop.set()
        listener.close()
    assert found.failed is not None
    assert found.failed.code == "endpoint_slow"
    assert time.monotonic() - began < 30


def test_what_is_asked() -> None:
    ((found,), server) = describe(lambda n, body: completion(TEXT, 321))
    assert (found.tokens, len(server.asked)) == (321, 1)
    (body,) = server.asked
    assert (body["temperature"], body["max_tokens"]) == (0.0, 700)
    assert body["response_format"]["json_schema"]["schema"]["additionalProperties"] is False
    text, picture = body["messages"][1]["content"]
    assert "garments" in text["text"]  # a server that ignores the schema is told it all the same
    url = picture["image_url"]["url"]
    sent = Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/jpeg;base64,"))))
    assert max(sent.size) == 1024
    assert not sent.getexif()


def test_what_only_plain_words_helped_is_asked_so_at_once() -> None:
    def script(n: int, body: dict[str, Any]) -> Reply:
        return completion("[]" if is_schema(body) else TEXT)

    _, server = describe(script, 3)
    assert [is_schema(body) for body in server.asked] == [True, False, False, False]


def test_groups_alone_where_the_whole_is_too_long() -> None:
    def script(n: int, body: dict[str, Any]) -> Reply:
        asked = body["messages"][-1]["content"]
        said = asked if isinstance(asked, str) else asked[0]["text"]
        if not said.startswith("Only about "):
            return cut_off(TEXT[:50])
        group = said.removeprefix("Only about ").split(".")[0]
        return completion(json.dumps({group: GOOD.get(group)}))

    ((found,), _) = describe(script)
    assert found.told is not None
    assert (found.told.light.time, found.told.place.where, found.told.defects) == ("day", "cafe", ())


@pytest.mark.parametrize(("status", "code"), [(401, "endpoint_refused_key"), (404, "endpoint_without_model")])
def test_what_concerns_all_pictures_stops_at_the_first(status: int, code: str) -> None:
    with pytest.raises(BadInput) as raised:
        describe(lambda n, body: Reply(status, b"{}"), 5)
    assert raised.value.code == code


def test_three_in_a_row_without_an_answer_are_enough() -> None:
    with pytest.raises(BadInput) as raised:
        describe(lambda n, body: Reply(500, b"oops"), 5)
    assert raised.value.code == "endpoint_busy"


@pytest.mark.parametrize("said", [("Red.", "It is blue"), ("Red", "red"), ("I cannot see pictures", "")])
def test_a_model_that_does_not_see_is_found_before_it_is_asked(said: tuple[str, str]) -> None:
    with serve(lambda n, body: completion(said[min(n, 1)])) as server:
        if "blue" in said[1]:
            captioner(server).probe()
            return
        with pytest.raises(BadInput) as raised:
            captioner(server).probe()
    assert raised.value.code == "captioner_blind"


def test_the_fingerprint_is_of_model_and_server() -> None:
    def of(url: str, model: str) -> str:
        return EndpointCaptioner(Endpoint(url, model)).fingerprint

    assert of("http://a/v1", "m") == of("http://a/v1", "m")
    assert len({of("http://a/v1", "m"), of("http://b/v1", "m"), of("http://a/v1", "n")}) == 3
