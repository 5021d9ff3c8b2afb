"""A language model behind an OpenAI-compatible address (POST …/chat/completions): asked once, patiently, for JSON.

The key goes into one header and nowhere else: no error, log or result says it, and redirects are not followed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from pipelines.errors import BadInput

__all__ = ["Answer", "Endpoint", "Message", "Suggestion", "ask", "parse_suggestion"]

Message = Mapping[str, str]
"""{"role": "system" | "user" | "assistant", "content": text}"""

_RETRIES, _LONGEST_PAUSE_S, _LARGEST_ANSWER = 3, 20.0, 2_000_000
_BUSY = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


@dataclass(frozen=True)
class Endpoint:
    """`url` ends where /chat/completions begins; `model` is what the server calls it. `sleep` waits seconds."""

    url: str
    model: str
    key: SecretStr = field(default_factory=lambda: SecretStr(""))
    timeout_s: float = 60.0
    most_tokens: int = 4000
    sleep: Callable[[float], None] = time.sleep

    @property
    def host(self) -> str:
        """Return what errors may say of it."""
        return httpx.URL(self.url).host


@dataclass(frozen=True)
class Answer:
    """`tokens` are those of question and answer, as the server counts them, else an estimate."""

    text: str
    tokens: int


class Suggestion(BaseModel):
    """What a language model is asked to answer with. Models add fields of their own, which are left out."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    title: str = Field("", max_length=2000)
    body: str = Field("", max_length=20_000)
    tags: tuple[str, ...] = Field((), max_length=100)
    captions: tuple[str, ...] = Field(max_length=200)


def ask(endpoint: Endpoint, messages: Sequence[Message]) -> Answer:
    """Return what the model says.

    A busy server is asked again, three times and no sooner than it says. Raises BadInput where it refuses the key, does
    not know the model or address, cannot be reached, stays busy, or answers with what is no chat completion.
    """
    body: dict[str, Any] = {
        "model": endpoint.model, "messages": [dict(one) for one in messages], "temperature": 0.8,
        "max_tokens": endpoint.most_tokens, "response_format": {"type": "json_object"},
    }  # fmt: skip
    secret = endpoint.key.get_secret_value()
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    with httpx.Client(timeout=endpoint.timeout_s, headers=headers, follow_redirects=False) as client:
        for attempt in range(_RETRIES + 1):
            pause = min(2.0**attempt, _LONGEST_PAUSE_S)
            try:
                status, told, data = _post(client, endpoint, body)
            except httpx.TimeoutException:
                why: BadInput = BadInput("endpoint_slow", host=endpoint.host, seconds=round(endpoint.timeout_s))
            except (httpx.HTTPError, httpx.InvalidURL, UnicodeError):
                why = BadInput("endpoint_unreachable", host=endpoint.host)
            else:
                if status == 400 and "response_format" in body and b"response_format" in data:
                    del body["response_format"]  # some servers know no JSON mode
                    why = BadInput("endpoint_refused", host=endpoint.host, status=status)
                    pause = 0.0
                elif status in _BUSY:
                    pause = _pause_of(told, pause)
                    why = BadInput("endpoint_busy", host=endpoint.host, status=status)
                else:
                    return _read(endpoint, status, data, messages)
            if attempt < _RETRIES:
                endpoint.sleep(pause)
    raise why


def parse_suggestion(text: str, count: int) -> Suggestion:
    """Return the JSON object in an answer, which may stand in prose or in a code block, with `count` captions.

    Raises ValueError, in words for the model, where there is none or it is another.
    """
    decoder, wrong = json.JSONDecoder(), "there is no JSON object in it"
    for at in (i for i, c in enumerate(text[:100_000]) if c == "{"):
        try:
            found, _ = decoder.raw_decode(text, at)
            suggestion = Suggestion.model_validate(found)
        except (json.JSONDecodeError, RecursionError):
            continue
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            wrong = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
            continue
        if len(suggestion.captions) != count:
            raise ValueError(f"captions has {len(suggestion.captions)} texts and must have {count}")
        return suggestion
    raise ValueError(wrong)


def _post(client: httpx.Client, endpoint: Endpoint, body: Mapping[str, Any]) -> tuple[int, httpx.Headers, bytes]:
    """The answer, cut where it is absurdly long: the address may be anybody's."""
    url = endpoint.url.rstrip("/") + "/chat/completions"
    with client.stream("POST", url, json=body) as response:
        data = b""
        for block in response.iter_bytes():
            data += block
            if len(data) > _LARGEST_ANSWER:
                raise BadInput("endpoint_answer_unreadable", host=endpoint.host)
        return response.status_code, response.headers, data


def _pause_of(told: httpx.Headers, usual: float) -> float:
    """Seconds that a server asks to wait, but not for ever."""
    said = told.get("retry-after", "")
    try:
        wanted = float(said)
    except ValueError:
        try:
            wanted = parsedate_to_datetime(said).timestamp() - time.time()
        except (TypeError, ValueError):
            wanted = usual
    return min(max(wanted, usual), _LONGEST_PAUSE_S) if wanted == wanted else usual


def _read(endpoint: Endpoint, status: int, data: bytes, messages: Sequence[Message]) -> Answer:
    if status in (401, 403):
        raise BadInput("endpoint_refused_key", host=endpoint.host)
    if status == 404:
        raise BadInput("endpoint_without_model", host=endpoint.host, model=endpoint.model)
    if status == 402:
        raise BadInput("endpoint_wants_payment", host=endpoint.host)
    if not 200 <= status < 300:
        raise BadInput("endpoint_refused", host=endpoint.host, status=status)
    try:
        value = json.loads(data)
        text = value["choices"][0]["message"]["content"]
        used = value.get("usage") or {}
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput("endpoint_answer_unreadable", host=endpoint.host) from error
    if not isinstance(text, str) or not isinstance(used, dict):
        raise BadInput("endpoint_answer_unreadable", host=endpoint.host)
    counted = used.get("total_tokens")
    letters = len(text) + sum(len(one["content"]) for one in messages)
    return Answer(text, counted if type(counted) is int and counted >= 0 else letters)
