"""A language model behind an OpenAI-compatible address (POST …/chat/completions): asked once, patiently, for JSON.

The key goes into one header and nowhere else: no error, log or result says it, and redirects are not followed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from pipelines.errors import BadInput

__all__ = ["Answer", "Endpoint", "Message", "Suggestion", "ask", "parse_answer", "parse_suggestion"]

M = TypeVar("M", bound=BaseModel)
Message = Mapping[str, Any]
"""{"role": "system" | "user" | "assistant", "content": text, or a list of parts as OpenAI's, pictures among them}"""

_RETRIES, _LONGEST_PAUSE_S, _LARGEST_ANSWER = 3, 20.0, 2_000_000
_PICTURE_TOKENS = 1000
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
    """`tokens` are those of question and answer, as the server counts them, else an estimate. `cut`: the server says
    that there was no room for all of it.
    """

    text: str
    tokens: int
    cut: bool = False


class Suggestion(BaseModel):
    """What a language model is asked to answer with. Models add fields of their own, which are left out."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    title: str = Field("", max_length=2000)
    body: str = Field("", max_length=20_000)
    tags: tuple[str, ...] = Field((), max_length=100)
    captions: tuple[str, ...] = Field(max_length=200)


def ask(
    endpoint: Endpoint,
    messages: Sequence[Message],
    *,
    schema: Mapping[str, Any] | None = None,
    temperature: float = 0.8,
) -> Answer:
    """Return what the model says.

    With a JSON `schema` the server is asked to hold the answer to it, as well as it can: one that knows no schemas is
    asked for any JSON, one that knows no JSON mode for text, so that the answer must be checked all the same.

    A busy server is asked again, three times and no sooner than it says. Raises BadInput where it refuses the key, does
    not know the model or address, cannot be reached, stays busy, or answers with what is no chat completion.
    """
    body: dict[str, object] = {
        "model": endpoint.model, "messages": [dict(one) for one in messages], "temperature": temperature,
        "max_tokens": endpoint.most_tokens,
    }  # fmt: skip
    forms = _forms(schema)
    body["response_format"] = forms.pop(0)
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
                    del body["response_format"]  # some servers know no JSON mode, or no schemas
                    if forms:
                        body["response_format"] = forms.pop(0)
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


def _forms(schema: Mapping[str, Any] | None) -> list[dict[str, object]]:
    """Return how the form of the answer is asked for, the strictest first."""
    any_json: dict[str, object] = {"type": "json_object"}
    if schema is None:
        return [any_json]
    strict: dict[str, object] = {
        "type": "json_schema",
        "json_schema": {"name": "answer", "strict": True, "schema": dict(schema)},
    }
    return [strict, any_json]


def parse_suggestion(text: str, count: int) -> Suggestion:
    """Return the JSON object in an answer, which may stand in prose or in a code block, with `count` captions.

    Raises ValueError, in words for the model, where there is none or it is another.
    """
    suggestion = parse_answer(text, Suggestion)
    if len(suggestion.captions) != count:
        raise ValueError(f"captions has {len(suggestion.captions)} texts and must have {count}")
    return suggestion


def parse_answer(text: str, kind: type[M]) -> M:
    """Return the first JSON object of this kind in an answer, which may stand in prose or in a code block.

    Raises ValueError, in words for the model, where there is none.
    """
    decoder, wrong = json.JSONDecoder(), "there is no JSON object in it"
    for at in (i for i, c in enumerate(text[:100_000]) if c == "{"):
        try:
            found, _ = decoder.raw_decode(text, at)
            return kind.model_validate(found)
        except (json.JSONDecodeError, RecursionError):
            continue
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            wrong = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    raise ValueError(wrong)


def _post(client: httpx.Client, endpoint: Endpoint, body: Mapping[str, Any]) -> tuple[int, httpx.Headers, bytes]:
    """The answer, cut where it is absurdly long or comes drop by drop: the address may be anybody's."""
    url = endpoint.url.rstrip("/") + "/chat/completions"
    deadline = time.monotonic() + endpoint.timeout_s
    with client.stream("POST", url, json=body) as response:
        data = b""
        for block in response.iter_bytes():
            data += block
            if time.monotonic() > deadline:
                raise httpx.ReadTimeout("the answer does not end")
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
        choice = value["choices"][0]
        text = choice["message"]["content"]
        used = value.get("usage") or {}
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput("endpoint_answer_unreadable", host=endpoint.host) from error
    if not isinstance(text, str) or not isinstance(used, dict):
        raise BadInput("endpoint_answer_unreadable", host=endpoint.host)
    counted = used.get("total_tokens")
    letters = len(text) + sum(_letters(one["content"]) for one in messages)
    tokens = counted if type(counted) is int and counted >= 0 else letters
    return Answer(text, tokens, choice.get("finish_reason") == "length")


def _letters(content: str | Sequence[Mapping[str, Any]]) -> int:
    """How long a message is where the server counts nothing: a picture is as much as its usual number of tokens."""
    if isinstance(content, str):
        return len(content)
    return sum(len(part["text"]) if part.get("type") == "text" else _PICTURE_TOKENS for part in content)
