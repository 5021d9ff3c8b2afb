"""A LoRA file that somebody brings as a donor: what its header says, judged before anything is kept. No torch."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import BadInput, BadLora
from pipelines.families.catalogue import FAMILIES, check_lora_family, family_name, judge_lora
from pipelines.families.spellings import adapter_kind
from pipelines.models.gguf_header import is_gguf
from pipelines.models.headers import is_pickle, read_header
from studio.domain.donor import DonorRequest

__all__ = ["LoraSummary", "check_unexpired", "inspect_header"]

# A FLUX LoRA's header has some 100 kB, with training captions and a thumbnail some MB. It is parsed beside the pages.
_MAX_HEADER_BYTES = 16_000_000
_MOST_WORDS = 300


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
    """Read the names and shapes alone. Raises BadLora for pickles, GGUF, damaged files, other families, and adapters
    that are no plain LoRA.

    `family` is the id that a person stated; it decides only where the file leaves the choice.

    The worker reads the whole file once more before it keeps it (`pipelines.lora.read_lora`).
    """
    if is_gguf(path):
        raise BadLora("lora_is_gguf", file=path.name)
    try:
        header = read_header(path.resolve(), _MAX_HEADER_BYTES)
    except BadInput as error:
        raise _other_file(path) from error
    verdict = judge_lora(header.shapes, header.metadata, family)
    if verdict.fits == "other family":
        check_lora_family(path.name, verdict)
    known = [verdict.family] if verdict.family else verdict.families
    # the ending of a name says the part, whichever family's the layer is
    names = {key: FAMILIES[0].lora_spellings.parse(key) for key in header.shapes}
    kinds = [kind for name in names.values() if name is not None and (kind := adapter_kind(name.part))]
    if known and kinds:
        raise BadLora("lora_not_plain", file=path.name, family=" / ".join(map(family_name, known)), kind=kinds[0])
    # a plain layer tells of its rank by `down`, a LoHa's or a LoKr's by its second factor
    told = {"down": 1, "hada_w2_b": 1, "lokr_w2_b": 1, "lokr_w2": 2}
    sizes = [header.shapes[key][: told[name.part]] for key, name in names.items() if name and name.part in told]
    if not all(sizes):  # a single number is no matrix
        raise BadLora("lora_file_damaged", file=path.name)
    downs = [min(one) for one in sizes]
    if not downs or not known:
        raise BadLora("no_known_lora", file=path.name, known=[f.name for f in FAMILIES])
    said = header.metadata
    return LoraSummary(
        len(downs),
        tuple(sorted({*downs})),
        _short(said.get("modelspec.title") or said.get("ss_output_name") or ""),
        _short(said.get("modelspec.trigger_phrase", "")),
        _short(said.get("modelspec.license", "")),
        verdict.family,
        verdict.families,
    )


def check_unexpired(request: DonorRequest, today: datetime.date) -> None:
    """Raise BadInput where the consent is over already."""
    if request.until is not None and request.until < today:
        raise BadInput("consent_over", date=request.until.isoformat())


def _other_file(path: Path) -> BadLora:
    """What is said of a file whose header cannot be read as safetensors here."""
    with path.open("rb") as stream:
        start = stream.read(9)
    length = int.from_bytes(start[:8], "little")
    if start[8:] == b"{" and _MAX_HEADER_BYTES < length < path.stat().st_size:
        return BadLora("lora_label_too_long", file=path.name, size=length // 10**6, most=_MAX_HEADER_BYTES // 10**6)
    if path.suffix.lower() == ".gguf":
        return BadLora("lora_is_gguf", file=path.name)
    if is_pickle(start) or path.suffix.lower() in (".pt", ".pth", ".bin", ".ckpt"):
        return BadLora("lora_is_pickle", file=path.name)
    return BadLora("lora_file_damaged", file=path.name)


def _short(text: str) -> str:
    return " ".join("".join(c for c in text[: 10 * _MOST_WORDS] if c.isprintable()).split())[:_MOST_WORDS]
