"""Captions of a set, by the studio's own sentences or by the language model of the settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import SecretStr

from pipelines.errors import BadInput
from pipelines.progress import SILENT, Progress
from studio.application import Studio
from studio.captions.asking import Checked, ask_for_set
from studio.captions.endpoint import Answer, Endpoint, Message, ask
from studio.captions.facts import read_facts
from studio.captions.templates import write_set
from studio.domain.captions import Captions, CaptionsRequest
from studio.library.records import MarkRecord, content_id
from studio.workflows import Run

__all__ = ["check_budget", "endpoint_of", "left_today", "note_used", "write_captions"]

_USED = "captions:used"
"""The mark of how many tokens an owner's captions took today."""


def write_captions(studio: Studio, request: CaptionsRequest, run: Run, progress: Progress = SILENT) -> Captions:
    """Write title, text, tags and a caption for each post. Raises BadInput where the language model cannot be used."""
    progress.check_cancelled()
    facts = read_facts(request)
    if request.writer == "templates":
        checked = Checked(write_set(facts, request.seed), ())
        told = _told(request, checked)
    else:
        endpoint = endpoint_of(studio)

        def patiently(messages: Sequence[Message]) -> Answer:
            progress.check_cancelled()
            check_budget(studio, request.owner)
            answer = ask(endpoint, messages)
            note_used(studio, request.owner, answer.tokens)
            return answer

        told = run(
            "write",
            lambda: _told(request, ask_for_set(facts, request.product, request.voice, request.seed, patiently)),
        )
    made = {"id": content_id(told), "language": facts.language, **told}
    return Captions.model_validate_json(json.dumps(made))


def endpoint_of(studio: Studio) -> Endpoint:
    """Return the language model of the settings. Raises BadInput where there is none."""
    chosen = studio.caption_endpoint
    if chosen is None:
        raise BadInput("endpoint_not_set")
    return Endpoint(chosen.url, chosen.model, SecretStr(chosen.key))


def _told(request: CaptionsRequest, checked: Checked) -> dict[str, object]:
    written = checked.written
    return {
        "post_set": request.post_set.id, "platform": request.platform, "writer": request.writer,
        "title": written.title, "body": written.body, "tags": list(written.tags),
        "pictures": [post.picture for post in request.post_set.posts], "captions": list(written.captions),
        "left_out": list(checked.left_out),
    }  # fmt: skip


def _used_today(studio: Studio, owner: str) -> int:
    known = studio.records.get(MarkRecord, _USED, owner)
    facts = {} if known is None else known.facts
    return int(facts.get("tokens", 0)) if facts.get("day") == _today() else 0


def check_budget(studio: Studio, owner: str) -> None:
    """Raise BadInput where the owner's tokens of the day are spent."""
    most = studio.settings.captions_daily_tokens
    if _used_today(studio, owner) >= most:
        raise BadInput("captions_budget_spent", most=most)


def left_today(studio: Studio, owner: str) -> int:
    """Return how many tokens the owner may still take today."""
    return max(0, studio.settings.captions_daily_tokens - _used_today(studio, owner))


def note_used(studio: Studio, owner: str, tokens: int) -> None:
    """Count tokens that a language model took for the owner."""
    facts = {"day": _today(), "tokens": _used_today(studio, owner) + tokens}
    studio.records.keep(MarkRecord(id=_USED, owner=owner, facts=facts))


def _today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"
