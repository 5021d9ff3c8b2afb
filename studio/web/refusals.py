"""How a program is told what cannot be done: a code, its fields, and the sentence of Accept-Language."""

from __future__ import annotations

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, JsonValue

from pipelines.errors import StudioError
from studio.texts.errors import say_error
from studio.texts.texts import Texts, choose_language

__all__ = ["Refusal", "answer_refusal"]


class Refusal(BaseModel):
    """A refusal: a stable code with its fields, and the sentence and advice of Accept-Language."""

    model_config = ConfigDict(frozen=True)

    code: str
    fields: JsonValue
    message: str
    advice: str


def answer_refusal(error: StudioError, accepted: str, status: int) -> JSONResponse:
    """Return the answer for an error; `accepted` is the request's Accept-Language."""
    message, advice = say_error(error, Texts(choose_language(accepted)))
    said = Refusal(code=error.code, fields=error.as_json()["fields"], message=message, advice=advice)
    return JSONResponse(said.model_dump(mode="json"), status)
