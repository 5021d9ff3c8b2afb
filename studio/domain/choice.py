"""Which backbone the studio draws with, as a person chose it, and how long its pictures took here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from statistics import median
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from pipelines.errors import BadInput
from pipelines.models.sources import MINIATURE
from studio.domain.values import Stored, Value, later_field

__all__ = ["BackboneChoice", "CaptionEndpoint", "SavedSettings", "Speed", "Speeds", "estimate_seconds"]

_MOST_PLACES = 20
_RECENT = 5


class BackboneChoice(Value):
    """A backbone by its name, folder or file, with `base` and `precision` as in `studio.settings.Settings`."""

    backbone: str = Field(MINIATURE, min_length=1, max_length=1000)
    base: str | None = Field(None, max_length=1000)
    precision: str = Field("auto", max_length=10)


class CaptionEndpoint(Value):
    """A language model that writes captions: its address as OpenAI's is (…/v1), its name there, and a key or ""."""

    url: str = Field(min_length=1, max_length=1000)
    model: str = Field(min_length=1, max_length=200)
    key: str = Field("", max_length=1000, repr=False)

    @model_validator(mode="after")
    def _check(self) -> CaptionEndpoint:
        parts = urlsplit(self.url)
        sound = parts.scheme in ("http", "https") and parts.hostname and not (parts.username or parts.query)
        if not sound or any(c.isspace() for c in self.url):
            raise BadInput("endpoint_address_invalid")
        return self

    @property
    def is_here(self) -> bool:
        """Whether its server is this machine: what it is sent goes nowhere."""
        host = urlsplit(self.url).hostname or ""
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost" or host.endswith(".localhost")


class SavedSettings(Stored):
    """Settings that a person changed and that outlive the process. `backbone` is None where nobody chose one; `places`
    are those that were chosen before, the newest first, so that they can be chosen again. `captions` is None where no
    language model writes captions.
    """

    backbone: BackboneChoice | None = None
    captions: CaptionEndpoint | None = later_field(None)
    places: tuple[BackboneChoice, ...] = ()

    def choose(self, choice: BackboneChoice) -> SavedSettings:
        """Return the settings with another backbone chosen."""
        before = [place for place in (choice, *self.places) if place.backbone != MINIATURE]
        once = {place.backbone: place for place in reversed(before)}
        return self.model_copy(update={"backbone": choice, "places": tuple(reversed(once.values()))[:_MOST_PLACES]})


class Speed(Value):
    """Seconds that pictures took on this machine, the newest last, and what of the drawing they depend on: `passes` of
    the transformer (2 with classifier-free guidance) in each of `steps`, over `pixels`.
    """

    family: str
    width: int
    steps: int = Field(ge=1)
    passes: int = Field(ge=1)
    pixels: int = Field(ge=1)
    recent: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """Return the usual time of one picture."""
        return median(self.recent)

    @property
    def work(self) -> int:
        """Return what the time grows with: a pass costs as many tokens as there are pixels, in any family."""
        return self.steps * self.passes * self.pixels

    def after(self, seconds: float) -> Speed:
        """Return the speed with one more picture measured."""
        return self.model_copy(update={"recent": (*self.recent, seconds)[-_RECENT:]})


class Speeds(Stored):
    """Speeds by the backbone's name in the settings."""

    of: Mapping[str, Speed] = Field(default_factory=dict)


def estimate_seconds(speeds: Sequence[Speed], family: str, width: int, work: int) -> float | None:
    """Return how long a picture would take, by a backbone of the same family and width that was measured here; None
    where there is none: another transformer's pass takes another time.
    """
    known = [speed for speed in speeds if (speed.family, speed.width) == (family, width) and width]
    return known[-1].seconds * work / known[-1].work if known else None
