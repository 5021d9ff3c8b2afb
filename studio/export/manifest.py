"""The manifest of a bundle: all that is needed to say what is in it, who allowed it, and to draw it again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from personas.recipes import Recipe
from personas.shots import Shot
from pipelines.errors import BadInput
from pipelines.files import ZIP_ERRORS, open_zip
from pipelines.references.catalogue import current_id
from pipelines.shapes import Box, CanvasShape
from studio.domain.character import Character
from studio.domain.finishing import TouchedFace
from studio.domain.posts import DrawnShot, ShownReference
from studio.domain.scene import Crop, Goods, ReferenceDials
from studio.domain.style import Style
from studio.texts.texts import Language

__all__ = [
    "CompanionFacts", "ContentCheck",
    "DonorFacts", "DrawFacts", "Drawing", "FinishingFacts", "FixFacts", "Manifest", "ManifestPersona",
    "ManifestPost", "ManifestShot", "ON_RECORD", "SceneFacts", "StyleFacts", "Upscaling", "parse_manifest",
    "read_manifest",
]  # fmt: skip

ON_RECORD = "on record"
"""What a manifest says of a donor's consent: that there is one. Names of people stay in the studio that has it."""
_VERSION = 1
_MOST_MANIFEST_BYTES = 16_000_000


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DonorFacts(_Strict):
    id: str
    name: str
    mix_weight: float = Field(ge=0)
    licence: str
    consent: str


class ManifestPersona(_Strict):
    """The persona that is shown; a picture's own recipe leaves the enrolment out, which only a whole bundle needs.

    `scale` is how strongly its LoRA drew, `checkpoint` after how many steps of the training it was kept (0: all).
    """

    id: str
    name: str
    version: int
    lora: str
    trigger: str = ""
    subject: str = ""
    enrolment: tuple[float, ...] = ()
    scale: float = Field(1.0, ge=0, exclude_if=lambda value: value == 1.0)
    checkpoint: int = Field(0, ge=0, exclude_if=lambda value: value == 0)


class SceneFacts(_Strict):
    """`sha256` of the photo's file; `photo` and `landmark` are its and its mask's keys in the studio's store.

    `landmark` is "" where no landmark's pixels were kept. `goods_as`, `goods_box` and
    `redux` (the dials) are those of the request. `scale` is how much the model was shown of the place, 0 nothing.
    `crops` are what of the photo is shown, by shape.
    """

    name: str
    sha256: str
    photo: str
    landmark: str
    scale: float
    redux: ReferenceDials | None = None
    goods: Goods | None = None
    goods_as: str = "pixels"
    goods_box: tuple[float, float, float, float] | None = None
    crops: tuple[Crop, ...] = ()


class CompanionFacts(_Strict):
    """A model that drew in the backbone's place: "fill" or "kontext", and the hash of its transformer's weights."""

    role: str
    id: str
    sha256: str
    licence: str


class StyleFacts(_Strict):
    """The style that pictures were drawn in, and how much of it: its id and names, and its LoRA, a key in the studio's
    store. Whose photos it was learnt from stays in the studio.
    """

    id: str
    names: dict[Language, str]
    lora: str
    strength: float = Field(gt=0)
    family: str = "flux1"
    width: int = 0
    backbone: str = ""
    weights: tuple[str, ...] = ()
    licence: str = "unknown"

    def as_style(self) -> Style:
        """Raises BadInput for one that this studio does not know."""
        told = {name: getattr(self, name) for name in type(self).model_fields if name != "strength"}
        return Style.make(**told)


class DrawFacts(_Strict):
    """Facts besides requests that decide pixels: grouping, precision, threads, `pipelines.sampling.realism`, panels,
    ways.

    `keep`, `inject` and `blocks` are those of the request, and so are `person_as` and `person_picture` (a key in the
    studio's store, "" for none), which say what told the model who is shown; `references` say who and what is in each
    picture that the model read itself; `companions` is empty where the backbone itself drew, and the IP-Adapter's hash
    and licence where none was on. `character` are the photos that said who is shown, by keys in the studio's store,
    with the hash and licence of the adapter that read them, and the hash of what found their parts; who agreed to it
    stays in the studio. `shape` is that of the request, "" for the backbone's own size. `style` is None where
    pictures were drawn in none.
    """

    backbone: str
    backbone_sha256: str
    batch_size: int = Field(ge=1)
    batches: tuple[tuple[int, ...], ...]
    dtype: str
    precision: str
    offload: str
    device: str
    threads: int = Field(ge=1)
    height: int = Field(gt=0)
    width: int = Field(gt=0)
    detail: float = 0.0
    renoise: float = 0.0
    panels: int = Field(1, ge=1)
    keep: str = "inpaint"
    inject: Annotated[str, BeforeValidator(current_id)] = "redux"
    person_as: str = "lora"
    person_picture: str = ""
    blocks: str = ""
    shape: CanvasShape = ""
    ip_adapter_sha256: str = ""
    ip_adapter_licence: str = ""
    character: Character | None = Field(None, exclude_if=lambda value: value is None)
    character_sha256: str = Field("", exclude_if=lambda value: not value)
    character_licence: str = Field("", exclude_if=lambda value: not value)
    character_reader_sha256: str = Field("", exclude_if=lambda value: not value)
    style: StyleFacts | None = Field(None, exclude_if=lambda value: value is None)
    companions: tuple[CompanionFacts, ...] = ()
    references: tuple[ShownReference, ...] = ()


class Upscaling(_Strict):
    """From the drawn or finished size to the platform's: each post's window is brought to it with this filter."""

    method: str = "lanczos"
    height: int = Field(gt=0)
    width: int = Field(gt=0)


class FinishingFacts(_Strict):
    """The upscaler that a post was finished with (its file's name and SHA-256), how many times it enlarges, the size in
    pixels that the picture was then brought to, and the hash of those pixels. `drawn_sha256` stays that of the drawing.
    `face` is what was drawn once more in it.
    """

    upscaler: str
    sha256: str
    scale: int = Field(ge=1)
    height: int = Field(gt=0)
    width: int = Field(gt=0)
    face: TouchedFace | None = Field(None, exclude_if=lambda value: value is None)
    pixels_sha256: str


class FixFacts(_Strict):
    """A painted region that was drawn anew: `mask` is a key in the studio's store, `parent` the pixels' hash before;
    `reader_sha256` as of Fix.
    """

    mask: str
    seed: int = Field(ge=0, lt=2**32)
    strength: float = Field(gt=0, le=1)
    parent: str
    reader_sha256: str = Field("", exclude_if=lambda value: not value)


class ManifestShot(_Strict):
    """Facts that one picture was drawn from, in words that a newer studio may have made; `layered` and `reader_sha256`
    as of DrawnShot.
    """

    prompt: str
    seed: int = Field(ge=0, lt=2**32)
    num_inference_steps: int = Field(ge=1)
    guidance_scale: float
    true_cfg_scale: float
    identity_guidance: bool = False
    layered: bool = Field(False, exclude_if=lambda value: not value)
    reader_sha256: str = Field("", exclude_if=lambda value: not value)
    shot: dict[str, str]

    def as_drawn(self) -> DrawnShot:
        """Raises BadInput or TypeError for a shot that this studio does not know."""
        told = {name: getattr(self, name) for name in ManifestShot.model_fields} | {"shot": Shot(**self.shot)}
        return DrawnShot(**told)


class ManifestPost(ManifestShot):
    """`drawn_sha256` is of the drawn pixels before label and resize, `sha256` of the file in the zip.

    In an archive picture's own recipe `sha256` is "": a file cannot hold its own hash. `window` is what of it was shown
    (None: the middle, as before it was noted), `label` where the label stands that is seen. `origin` is the drawing
    that it is from and its number in it, None: the only one, in order. `fixes` were done to it afterwards, one after
    the other. `finishing` is None where the drawn pixels were exported.
    """

    file: str
    sha256: str
    drawn_sha256: str
    caption: str
    scores: dict[str, float | None]
    origin: tuple[int, int] | None = None
    fixes: tuple[FixFacts, ...] = ()
    window: Box | None = None
    label: str = ""
    finishing: FinishingFacts | None = None


class ContentCheck(_Strict):
    """What a classifier on the studio's machine said of the pictures before they left. "not checked" says nothing of
    them: none was installed. `classifier` and `sha256` are its name and its file's hash, `scores` in [0, 1] in the
    order of the pictures; from `threshold` up a picture leaves only by a person's word: `allowed`.
    """

    state: Literal["checked", "not checked"]
    classifier: str = ""
    sha256: str = ""
    threshold: float | None = None
    scores: tuple[float, ...] = ()
    allowed: bool = False

    @property
    def highest(self) -> float:
        """Return the highest score, 0 where nothing was checked."""
        return max(self.scores, default=0.0)

    def of_one(self, number: int) -> ContentCheck:
        """Return what was found in the picture of this number, from 0."""
        if number >= len(self.scores):
            return self
        score = self.scores[number]
        over = self.threshold is not None and score >= self.threshold
        return self.model_copy(update={"scores": (score,), "allowed": self.allowed and over})


class Drawing(_Strict):
    """Pictures that were drawn in one go, exported or not: how they are batched decides their last bits."""

    shots: tuple[ManifestShot, ...] = Field(min_length=1)


class Manifest(_Strict):
    """Contents of the bundle, in the order of its files.

    `drawings`, the set's own first, are empty where the posts are one whole drawing in order. `content_check` is None
    in bundles of earlier versions, which looked at nothing.
    """

    version: int = _VERSION
    persona: ManifestPersona
    recipe: Recipe
    donors: tuple[DonorFacts, ...]
    scene: SceneFacts
    platform: str
    title: str = ""
    body: str = ""
    tags: tuple[str, ...] = ()
    draw: DrawFacts
    upscaling: Upscaling
    posts: tuple[ManifestPost, ...] = Field(min_length=1)
    drawings: tuple[Drawing, ...] = ()
    software: dict[str, str]
    content_check: ContentCheck | None = Field(None, exclude_if=lambda value: value is None)
    files: dict[str, str]


def parse_manifest(text: str | bytes) -> Manifest:
    """Return the manifest. Raises ValueError where it is none, BadInput `bundle_too_new` for a newer studio's."""
    value = json.loads(text)
    version = value.get("version", _VERSION) if isinstance(value, dict) else _VERSION
    if isinstance(version, int) and version > _VERSION:
        raise BadInput("bundle_too_new", version=version, known=_VERSION)
    return Manifest.model_validate_json(text)


def read_manifest(path: Path) -> Manifest:
    """The manifest of a bundle; BadInput where it is none."""
    try:
        with open_zip(path) as bundle, bundle.open("manifest.json") as stream:
            text = stream.read(_MOST_MANIFEST_BYTES + 1)  # what the zip says of its size may be a lie
        if len(text) > _MOST_MANIFEST_BYTES:
            raise ValueError(f"its manifest is larger than {_MOST_MANIFEST_BYTES // 1_000_000} MB")
        return parse_manifest(text)
    except ZIP_ERRORS as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadInput("not_a_bundle", file=path.name, reason=reason) from error
