"""Schema of a caption: what a picture shows, a group of facts each. Every leaf is one of a list, or None: not seen.

Nobody's country, ethnicity or age is asked for: they are of no use here and are none of our business. No list has an
answer "none" to a question such as "which makeup?", because small models then always give it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

__all__ = [
    "DEFECTS", "GROUPS", "CaptionFacts", "Face", "Garment", "Goods", "Hair", "Light", "Person", "Place", "Pose", "Shot",
    "Style", "answer_schema", "says_nothing",
]  # fmt: skip

_MOST_LETTERS, _MOST_WORDS, _MOST_ROWS = 60, 3, 4


def _or_unseen(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """None for what is on no list: what a model says beyond its question is not believed."""
    try:
        return handler(value)
    except ValueError:
        return None


def _words(value: Any) -> Any:
    """Return up to three printable words, None for anything else, also for a model's way to say that there is none."""
    if not isinstance(value, str):
        return None
    said = " ".join("".join(c if c.isprintable() else " " for c in value).split()).strip(" .,;:")
    if said.casefold() in _NOTHING or not any(c.isalpha() for c in said):
        return None
    most = _MOST_WORDS if said.isascii() else 1
    return " ".join(said.split()[:most])[:_MOST_LETTERS].rstrip() or None


def _rows(value: Any) -> Any:
    """Return at most four rows of a list; a model that loops says the same row for ever."""
    if not isinstance(value, list | tuple):
        return value
    kept = [row for row in value if row is not None and row != ""]
    return [row for i, row in enumerate(kept) if row not in kept[:i]][:_MOST_ROWS]


_NOTHING = frozenset({"none", "null", "n/a", "na", "unknown", "nothing", "no", "not visible", "not seen", "无", "没有"})
Unseen = WrapValidator(_or_unseen)
Words = Annotated[str | None, BeforeValidator(_words)]

Framing = Annotated[Literal["close-up", "half-body", "full-body"] | None, Unseen]
View = Annotated[Literal["front", "left", "right", "back"] | None, Unseen]
Colour = Annotated[
    Literal["red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "black", "brown", "grey", "beige"]
    | None,
    Unseen,
]
Slot = Annotated[Literal["top", "bottom", "dress", "outerwear", "shoes", "headwear", "bag", "accessory"] | None, Unseen]
Defect = Literal[
    "watermark", "subtitle", "logo", "collage", "screenshot", "border", "cut-off head", "hidden face", "several people"
]  # fmt: skip
DEFECTS: tuple[str, ...] = get_args(Defect)
_Defect = Annotated[Defect | None, Unseen]


class _Group(BaseModel):
    """`sure` False: a person should look at it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sure: Annotated[bool | None, Unseen] = True

    @model_validator(mode="before")
    @classmethod
    def _seen(cls, value: Any) -> Any:
        """An answer in place of a whole group, such as null, says nothing of it."""
        return value if isinstance(value, dict | _Group) else {}


class Shot(_Group):
    """How the camera sees the person; `view` is the side of the picture that they are turned to."""

    framing: Framing = None
    view: View = None
    camera: Annotated[Literal["from above", "at eye level", "from below"] | None, Unseen] = None


class Person(_Group):
    """Only for the class noun, which stays, and the build."""

    noun: Annotated[Literal["woman", "man", "person"] | None, Unseen] = None
    build: Annotated[Literal["slim", "average", "athletic", "full"] | None, Unseen] = None


class Hair(_Group):
    """The hair on the head."""

    length: Annotated[Literal["shaved", "short", "chin-length", "shoulder-length", "long"] | None, Unseen] = None
    colour: Annotated[
        Literal["black", "brown", "blonde", "red", "grey", "white", "blue", "green", "pink", "purple"] | None, Unseen
    ] = None
    style: Annotated[
        Literal["straight", "wavy", "curly", "ponytail", "bun", "braids", "bangs", "bob"] | None, Unseen
    ] = None


class Face(_Group):
    """What a face does and wears; nothing of whose it is."""

    expression: Annotated[Literal["neutral", "smiling", "laughing", "serious", "surprised", "sad"] | None, Unseen] = (
        None
    )
    gaze: Annotated[Literal["at the camera", "away", "down", "up", "eyes closed"] | None, Unseen] = None
    makeup: Annotated[Literal["light", "strong"] | None, Unseen] = None
    facial_hair: Annotated[Literal["stubble", "moustache", "beard"] | None, Unseen] = None
    glasses: Annotated[Literal["glasses", "sunglasses"] | None, Unseen] = None


class Garment(_Group):
    """One thing that is worn."""

    slot: Slot = None
    type: Words = None
    colour: Colour = None
    pattern: Annotated[Literal["plain", "striped", "checked", "floral", "dotted", "printed"] | None, Unseen] = None
    material: Annotated[Literal["denim", "leather", "knit", "lace", "silk", "fur", "wool"] | None, Unseen] = None
    sleeve: Annotated[Literal["sleeveless", "short", "long"] | None, Unseen] = None
    neck: Annotated[Literal["round", "v-neck", "collar", "turtleneck", "off-shoulder", "hood"] | None, Unseen] = None


class Pose(_Group):
    """What arms and body do."""

    arms: Annotated[
        Literal["relaxed", "waving", "hand on hip", "crossed", "raised", "behind the back", "hand at face"] | None,
        Unseen,
    ] = None
    body: Annotated[Literal["standing", "sitting", "walking", "lying", "kneeling", "running"] | None, Unseen] = None
    action: Words = None


class Goods(_Group):
    """A thing that is held or shown."""

    what: Words = None
    colour: Colour = None
    held: Annotated[bool | None, Unseen] = None


class Place(_Group):
    """Where it is; `clutter` from 0, an empty wall, to 3."""

    where: Annotated[
        Literal[
            "studio", "cafe", "street", "beach", "park", "bedroom", "kitchen", "shop", "office", "gym", "living room",
            "restaurant", "stairs", "car", "forest", "garden", "field", "mountain", "bridge", "hall", "indoors",
            "outdoors",
        ]
        | None,
        Unseen,
    ] = None  # fmt: skip
    details: Annotated[tuple[Words, ...], BeforeValidator(_rows)] = Field((), max_length=_MOST_ROWS)
    clutter: Annotated[Literal[0, 1, 2, 3] | None, Unseen] = None


class Light(_Group):
    """What light there is."""

    time: Annotated[Literal["day", "dusk", "night"] | None, Unseen] = None
    direction: Annotated[Literal["front", "side", "back", "above"] | None, Unseen] = None
    hardness: Annotated[Literal["soft", "hard"] | None, Unseen] = None
    tone: Annotated[Literal["warm", "cool", "neutral"] | None, Unseen] = None


class Style(_Group):
    """What kind of picture it is."""

    medium: Annotated[Literal["photo", "illustration", "3d render"] | None, Unseen] = None
    palette: Annotated[tuple[Colour, ...], BeforeValidator(_rows)] = Field((), max_length=_MOST_ROWS)
    depth: Annotated[Literal["sharp background", "blurred background"] | None, Unseen] = None


class CaptionFacts(BaseModel):
    """What a picture shows. `goods` None: nobody looked; (): there is nothing. `defects` the same."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    shot: Shot = Shot()
    person: Person = Person()
    hair: Hair = Hair()
    face: Face = Face()
    garments: Annotated[tuple[Garment, ...], BeforeValidator(_rows)] = Field((), max_length=_MOST_ROWS)
    pose: Pose = Pose()
    goods: Annotated[tuple[Goods, ...] | None, BeforeValidator(_rows)] = Field(None, max_length=_MOST_ROWS)
    place: Place = Place()
    light: Light = Light()
    style: Style = Style()
    defects: Annotated[tuple[_Defect, ...] | None, BeforeValidator(_rows)] = Field(None, max_length=_MOST_ROWS)


GROUPS: tuple[str, ...] = tuple(CaptionFacts.model_fields)


def says_nothing(facts: CaptionFacts) -> bool:
    """Return whether no leaf is said."""
    return not _leaves(facts.model_dump())


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return [leaf for name, part in value.items() if name != "sure" for leaf in _leaves(part)]
    if isinstance(value, tuple | list):
        return [leaf for part in value for leaf in _leaves(part)]
    return [] if value is None else [value]


@cache
def answer_schema(group: str = "") -> Mapping[str, Any]:
    """Return the JSON schema of an answer, or of one of GROUPS alone, as strict servers want it: every field required,
    no other allowed.
    """
    whole = CaptionFacts.model_json_schema()
    defs = whole.pop("$defs")
    if group:
        whole = {"type": "object", "properties": {group: whole["properties"][group]}}
    return dict(_strict(whole, defs))


def _strict(node: Any, defs: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_strict(part, defs) for part in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _strict(defs[node["$ref"].rpartition("/")[2]], defs)
    kept = {name: _strict(part, defs) for name, part in node.items() if name not in ("title", "default", "description")}
    if kept.get("type") == "object":
        kept["properties"] = {name: _strict(part, defs) for name, part in node["properties"].items()}
        kept |= {"required": list(kept["properties"]), "additionalProperties": False}
    return kept
