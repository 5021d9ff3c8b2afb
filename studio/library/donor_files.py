"""A LoRA file that somebody brings as a donor: what its header says, judged before anything is kept. No torch."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from personas.looks import find_category
from pipelines.errors import BadInput, BadLora
from pipelines.families.catalogue import FAMILIES, check_lora_family, family_name, judge_lora
from pipelines.models.gguf_header import is_gguf
from pipelines.models.headers import read_header
from studio.domain.requests import DonorRequest

__all__ = ["LoraSummary", "check_form", "inspect_header"]

_MOST_NAME, _MOST_WORDS = 60, 300
# A FLUX LoRA's header has some 100 kB, with training captions and a thumbnail some MB. It is parsed beside the pages.
_MAX_HEADER_BYTES = 16_000_000


@dataclass(frozen=True)
class LoraSummary:
    """`layers` is how many are changed, `ranks` ascending, `family` whose LoRA it is by id; where the file leaves that
    open, `family` is "" and `families` are the ids to choose from. The rest is what the file says of itself, "" if
    silent.
    """

    layers: int
    ranks: tuple[int, ...]
    title: str
    trigger: str
    licence: str
    family: str
    families: tuple[str, ...]

    def ask(self, file: str) -> BadLora:
        """Return the question whose LoRA it is, as the error that stands where nobody answers."""
        return BadLora("lora_family_ambiguous", file=file, families=[family_name(one) for one in self.families])


def inspect_header(path: Path, family: str = "") -> LoraSummary:
    """Read the names and shapes alone. Raises BadLora for pickles, GGUF, damaged files and other families.

    `family` is the id that a person stated; it decides only where the file leaves the choice.

    The worker reads the whole file once more before it keeps it (`pipelines.lora.read_lora`).
    """
    with path.open("rb") as stream:
        pickled = stream.read(2) in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
    if pickled or path.suffix.lower() in (".pt", ".pth", ".bin", ".ckpt"):
        raise BadLora("lora_is_pickle", file=path.name)
    if is_gguf(path) or path.suffix.lower() == ".gguf":
        raise BadLora("lora_is_gguf", file=path.name)
    try:
        header = read_header(path.resolve(), _MAX_HEADER_BYTES)
    except BadInput as error:
        raise BadLora("lora_file_damaged", file=path.name) from error
    verdict = judge_lora(header.shapes, header.metadata, family)
    if verdict.fits == "other family":
        check_lora_family(path.name, verdict)
    downs = [s for n, s in header.shapes.items() if n.endswith(("lora_A.weight", "lora_down.weight")) and len(s) > 1]
    if not downs or verdict.fits == "unknown":
        raise BadLora("no_known_lora", file=path.name, known=[f.name for f in FAMILIES])
    said = header.metadata
    return LoraSummary(
        len(downs),
        tuple(sorted({shape[0] for shape in downs})),
        _short(said.get("modelspec.title") or said.get("ss_output_name") or ""),
        _short(said.get("modelspec.trigger_phrase", "")),
        _short(said.get("modelspec.license", "")),
        verdict.family,
        verdict.families,
    )


def check_form(request: DonorRequest, today: datetime.date) -> DonorRequest:
    """The form with its words trimmed. Raises BadInput where something is missing, too long or over already."""
    name, who, scope = (" ".join(text.split()) for text in (request.name, request.who, request.scope))
    if not 1 <= len(name) <= _MOST_NAME or name.startswith(".") or any(sign in name for sign in '/\\\0<>:"|?*'):
        raise BadInput("bad_name", most=_MOST_NAME)
    if not who or not scope:
        raise BadInput("no_consent")
    if max(map(len, (who, scope, request.trigger, request.licence))) > _MOST_WORDS:
        raise BadInput("too_long", most=_MOST_WORDS)
    if request.expires:
        try:
            until = datetime.date.fromisoformat(request.expires.strip())
        except ValueError as error:
            raise BadInput("bad_date", date=request.expires[:30]) from error
        if until < today:
            raise BadInput("consent_over", date=until.isoformat())
    return DonorRequest(
        request.upload, find_category(request.category).id, name, who, scope, request.owner, request.expires.strip(),
        request.trigger.strip(), request.licence.strip() or "unknown", request.family.strip(),
    )  # fmt: skip


def _short(text: str) -> str:
    return " ".join("".join(c for c in text[: 10 * _MOST_WORDS] if c.isprintable()).split())[:_MOST_WORDS]
