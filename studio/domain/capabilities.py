"""What the settings' backbone is and can do, told from its files alone: a page asks, and never loads torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import StudioError
from pipelines.families.catalogue import Detected, detect_source, family_name
from pipelines.families.companions import find_companions
from pipelines.families.folders import read_json
from pipelines.families.sources import find_source, licence_of
from pipelines.families.vocabulary import Vocabulary, read_vocabulary
from pipelines.models.catalogue import MODELS, find_model
from pipelines.models.licences import UNKNOWN, read_card_licence
from pipelines.models.sources import MINIATURE, Source
from pipelines.models.variants import Capabilities, Variant
from pipelines.own_look import OwnLook, read_look
from pipelines.references.catalogue import REFERENCES, first_way
from studio.domain.finishing import finishes
from studio.settings import ASSETS, Settings

__all__ = [
    "BackboneFacts", "CompanionFacts", "Drawn", "LiveAbilities", "abilities", "backbone_facts", "finishes_by_itself",
    "own_look", "read_backbone", "sees_people", "upscaler_of", "usual_way", "vocabulary_of",
]  # fmt: skip


@dataclass(frozen=True)
class CompanionFacts:
    """A model beside the backbone: what it is called, and its licence's id."""

    name: str
    licence: str


@dataclass(frozen=True)
class Drawn:
    """What a picture takes: `passes` of the transformer (2 with classifier-free guidance) in each of `steps`, over
    `height` x `width` pixels.
    """

    steps: int
    passes: int
    height: int
    width: int


@dataclass(frozen=True)
class BackboneFacts:
    """`id` is what it is called, `family` the id of its family, `width` its hidden width (0: not known), `licence` its
    licence's id, and `variant` the published model that it is or comes from. `drawn` is what its pictures take, by its
    own settings. `can` is what its family can do with it;
    `companions` are those of redux, ip-adapter, kontext and fill that it can and whose folder is there.
    """

    id: str
    family: str
    width: int
    licence: str
    variant: Variant
    drawn: Drawn
    companions: Mapping[str, CompanionFacts]

    @property
    def can(self) -> Capabilities:
        return self.variant.can

    @property
    def family_name(self) -> str:
        return family_name(self.family)

    def fits(self, family: str, width: int) -> bool:
        """Whether it draws with a LoRA that was made for this family and hidden width (0: not known)."""
        return self.family == family and (0 in (width, self.width) or width == self.width)


def read_backbone(settings: Settings) -> BackboneFacts:
    """Return what the backbone is and can do. Raises BadInput or ModelMissing where none can be loaded."""
    source = find_source(settings.backbone, settings.base, settings.models)
    found = detect_source(source)
    given = _settings_of(source)
    own = given if source.kind == "folder" else {}
    licence = str(own.get("licence", licence_of(source, found)))
    return BackboneFacts(
        id=str(own.get("id", source.name)),
        family=found.family.id,
        width=found.width,
        licence=licence,
        variant=found.variant,
        drawn=_drawn(found.variant, given),
        companions=_companions(settings, found, source.base, given, licence if source.name == MINIATURE else UNKNOWN),
    )


def _drawn(variant: Variant, given: Mapping[str, Any]) -> Drawn:
    """By the catalogue, and by the folder's own settings where these are numbers: loading says what they cannot be."""

    def number(name: str, usual: float) -> float:
        value = given.get(name, usual)
        return value if isinstance(value, int | float) and 0 < value < math.inf else usual

    return Drawn(
        int(number("num_inference_steps", variant.num_inference_steps)),
        2 if number("true_cfg_scale", variant.cfg_scale) > 1 else 1,
        int(number("height", variant.height)),
        int(number("width", variant.width)),
    )


def backbone_facts(settings: Settings) -> BackboneFacts | None:
    """Return the same; None where there is none that can be loaded."""
    try:
        return read_backbone(settings)
    except (StudioError, OSError, ValueError):
        return None


def vocabulary_of(settings: Settings) -> Vocabulary | None:
    """Return the words that the backbone's text encoder was taught; None where that cannot be told."""
    try:
        source = find_source(settings.backbone, settings.base, settings.models)
        return read_vocabulary(detect_source(source).family, source.base, str(_settings_of(source).get("prompt_words")))
    except (StudioError, OSError, ValueError):
        return None


def own_look(settings: Settings) -> OwnLook | None:
    """Return what the backbone's pictures look like; None where its folder does not say, and any may be drawn."""
    try:
        return read_look(find_source(settings.backbone, settings.base, settings.models).base)
    except (StudioError, OSError):
        return None


def sees_people(settings: Settings) -> bool:
    """Return whether the reader knows the backbone's pictures, so that it may say where in them a person is: one that
    was brought for photographs, or the miniature's own in drawings of its world.
    """
    return settings.reader != ASSETS / "reader" or own_look(settings) is not None


def upscaler_of(settings: Settings) -> Path | None:
    """Return the file that finishes the backbone's pictures: the one that the settings name, else the backbone's own;
    None where there is none.
    """
    if settings.upscaler is not None:
        return settings.upscaler
    try:
        source = find_source(settings.backbone, settings.base, settings.models)
        named = _settings_of(source).get("upscaler")
    except (StudioError, OSError, ValueError):
        return None
    file = source.base / named if isinstance(named, str) and named else None
    return file if file is not None and file.is_file() else None


def finishes_by_itself(settings: Settings) -> bool:
    """Return whether posts are finished where nobody says whether: there is an upscaler, and drawings are small."""
    facts = backbone_facts(settings)
    if facts is None:
        return False
    return finishes(None, upscaler_of(settings) is not None, facts.drawn.height, facts.drawn.width)


def abilities(settings: Settings) -> frozenset[str]:
    """Return the ways to show or keep a place that can be used, inpainting aside; none where there is no backbone."""
    facts = backbone_facts(settings)
    if facts is None:
        return frozenset()
    had = facts.can.native | set(facts.companions)
    return frozenset(row.id for row in REFERENCES if row.is_able(had) and (row.use == "show" or row.needs))


def usual_way(settings: Settings) -> dict[str, Any]:
    """Return fields of a PostRequest for who named no way to show the place: the first that the backbone has.

    Where its family has none at all, words alone say the place. Where only the companions are missing, nothing is
    returned: drawing then says which.
    """
    way, facts = first_way(abilities(settings)), backbone_facts(settings)
    if way is not None:
        return {"inject": way}
    return {} if facts is None or facts.can.companions else {"scale": 0.0}


class LiveAbilities(Collection[str]):
    """Abilities of the backbone that the studio draws with at the time of asking: a page outlives a choice."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings

    def __contains__(self, way: object) -> bool:
        return way in abilities(self._settings())

    def __iter__(self) -> Iterator[str]:
        return iter(abilities(self._settings()))

    def __len__(self) -> int:
        return len(abilities(self._settings()))


def _settings_of(source: Source) -> dict[str, Any]:
    """Return what a folder's studio.json says, {} where there is none."""
    file = source.base / "studio.json"
    given: dict[str, Any] = read_json(file) if file.is_file() else {}
    return given


def _companions(
    settings: Settings, found: Detected, folder: Path, given: Mapping[str, Any], usual: str
) -> dict[str, CompanionFacts]:
    """Return the companions that the model can use and whose folder is there, beside the backbone or named; `usual` is
    the licence of one that says none and that nobody knows.
    """
    known = {companion.role: companion for companion in found.family.companions}
    folders = find_companions(found.family, folder, given) | settings.companions
    there = {}
    for role, place in folders.items():
        name = role.replace("_", "-")
        if role not in known or name not in found.variant.can.companions or not place.exists():
            continue
        model = MODELS.get(known[role].model) or find_model(place.name, known[role].names[-1])
        licence = read_card_licence(place)
        if licence == UNKNOWN:
            licence = usual if model is None or usual != UNKNOWN else model.licence
        there[name] = CompanionFacts(model.id if model is not None else place.name, licence)
    return there
