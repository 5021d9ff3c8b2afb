"""A data set: somebody's pictures with the consent to learn from them, what was measured of each, and captions."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from personas.captions.policy import Switch
from personas.datasets.limits import Limits
from personas.looks import find_category
from pipelines.errors import BadInput
from studio.domain.consent import check_consented, tidy
from studio.domain.days import read_day
from studio.domain.values import FileKey, LeftOutPicture, Request, Result, Seed, Stored, Value, later_field

__all__ = [
    "LEAST_PICTURES", "MOST_CAPTION_LETTERS", "MOST_PICTURES", "DataSet", "DatasetEdits", "DatasetPicture",
    "DatasetRequest", "FaceRequest", "FaceTrained", "OfIdentity",
]  # fmt: skip

LEAST_PICTURES, MOST_PICTURES = 4, 5000
"""So few teach nobody; so many are looked through in one set."""
MOST_CAPTION_LETTERS = 2000
Writer = Literal["measured", "endpoint"]
OfIdentity = Literal["stop", "strip", "keep"]


class DatasetPicture(Value):
    """`name` is what its file is called, `height` and `width` those of the photo as it was brought; `caption` is what
    lay beside it, "" for none.
    """

    name: Annotated[str, Field(max_length=300)]
    picture: FileKey
    height: int = Field(ge=1)
    width: int = Field(ge=1)
    caption: str = Field("", max_length=MOST_CAPTION_LETTERS)


class DatasetRequest(Request):
    """Pictures of one person, who agreed (`who`) to `scope` until `expires` (ISO date, "" no end); `outside`: a service
    that is not on this machine may see them. `document` is the SHA-256 of what they signed, "" where nobody named it,
    `adult` that they are of age, None where nobody said so.

    `category` is a look category's id or name in either language; it says which noun captions use. `writer` says who
    describes the pictures: what is measured of them, or the vision model of the settings, too, which may take
    `most_tokens` of its tokens for it (0: what is left of the day's). `left_out` are files of the folder that are none
    of the pictures, and why. In place of `pictures` the token of an `upload` may stand, a zip or a tar of them.
    """

    name: Annotated[str, BeforeValidator(tidy)]
    category: str = Field(max_length=40)
    who: Annotated[str, BeforeValidator(tidy)]
    scope: Annotated[str, BeforeValidator(tidy)]
    expires: Annotated[str, BeforeValidator(tidy)] = ""
    outside: bool = False
    document: str = Field("", pattern=r"^([0-9a-f]{64})?$")
    adult: bool | None = None
    pictures: tuple[DatasetPicture, ...] = Field(default=(), max_length=MOST_PICTURES)
    upload: str = later_field("", pattern=r"^([0-9a-f]{64})?$")
    left_out: tuple[LeftOutPicture, ...] = ()
    writer: Writer = "measured"
    most_tokens: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _check(self) -> DatasetRequest:
        """Raises BadInput, naming what is missing or too long."""
        find_category(self.category)
        check_consented(self.name, self.who, self.scope, self.expires)
        if bool(self.pictures) is bool(self.upload):
            raise BadInput("dataset_pictures_or_upload")
        return self

    @property
    def until(self) -> datetime.date | None:
        """The last day of the consent; None without an end."""
        return read_day(self.expires) if self.expires else None

    def check_before(self) -> None:
        if self.until is not None and self.until < datetime.date.today():
            raise BadInput("consent_over", date=self.until.isoformat())


class DataSet(Result):
    """`facts` is the JSON of each picture's `personas.datasets.facts.PictureFacts`, `told` that of what the vision
    model said of each, None where it was not asked. `limits` are the usual ones of the backbone, which draws `pixels`.
    `unasked` pictures were not shown to the model because the rest of them would have taken about `estimate` tokens.
    """

    kind: ClassVar[str] = "dataset"

    request: DatasetRequest
    facts: FileKey
    told: FileKey | None = None
    limits: Limits
    pixels: int
    unasked: int = 0
    estimate: int = 0


class DatasetEdits(Stored):
    """What a person says of a data set: other limits, pictures that stay or go whatever is measured, captions by
    picture's number, and what captions say though it is the person's own.
    """

    limits: Mapping[str, float] = Field(default_factory=dict)
    held: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()
    captions: Mapping[str, Annotated[str, Field(max_length=MOST_CAPTION_LETTERS)]] = Field(default_factory=dict)
    say: tuple[Switch, ...] = ()
    trigger: str = Field("ohwx", min_length=1, max_length=40)


class FaceRequest(Request):
    """A source face that is trained on the good pictures of a data set, as `edits` say it (None: those that stand when
    it begins). `identity` says what becomes of captions that tell who the person is: the training stops, such words are
    left out, or they stay. `name` "" is the data set's, `steps` 0 the usual number. `identity_loss` is the weight of
    the face recogniser's judgement beside flow matching, None the usual one. With `several_sizes` each picture is
    learnt at all sizes that it is large enough for, None is as usual for the backbone.
    """

    dataset: DataSet
    edits: DatasetEdits | None = None
    identity: OfIdentity = "stop"
    name: Annotated[str, BeforeValidator(tidy)] = ""
    licence: Annotated[str, Field(max_length=100)] = "unknown"
    steps: int = Field(0, ge=0)
    seed: Seed = 1
    identity_loss: float | None = later_field(None, ge=0, le=100)
    several_sizes: bool | None = later_field(None)


class FaceTrained(Result):
    """The source face as it lies in the donors' folder; `pictures` is how many it was trained on, `identity_loss` the
    weight of the face recogniser's judgement, 0 where none judged.
    """

    kind: ClassVar[str] = "face"

    donor: str
    name: str
    category: str
    pictures: int
    identity_loss: float = later_field(0.0)
