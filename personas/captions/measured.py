"""What was measured of a picture, as a caption's facts: only what is sure, None for all else. Pure."""

from __future__ import annotations

from personas.captions.schema import (
    CaptionFacts,
    Face,
    Garment,
    Goods,
    Light,
    Place,
    Pose,
    Shot,
    Style,
)
from personas.datasets.coverage import framing_of, view_of
from personas.datasets.facts import PictureFacts

__all__ = ["describe"]

_SURE_COLOUR = 0.6  # of the chest's pixels
_TURNED_SURE = 25.0  # degrees: by landmarks alone, between front and turned nothing is said
_FRONT_SURE = 10.0


def describe(facts: PictureFacts) -> CaptionFacts:
    """Return what is sure: words of the backbone's own reader where the picture is of its look; of a photograph
    framing, view, the colour of what is worn and the palette.
    """
    words = facts.words
    worn = words.get("outfit")
    colour = words.get("outfit_colour") if worn else None
    if worn is None and facts.outfit is not None and facts.outfit.share >= _SURE_COLOUR:
        colour = facts.outfit.name
    goods = words.get("goods")
    return CaptionFacts(
        shot=Shot.model_validate({"framing": framing_of(facts), "view": _view(facts)}),
        face=Face.model_validate({"expression": words.get("expression")}),
        garments=_garments(worn, colour),
        pose=Pose.model_validate({"arms": words.get("pose")}),
        goods=None if goods is None else () if goods == "nothing" else (Goods(what=goods, held=True),),
        place=Place.model_validate({"where": words.get("setting")}),
        light=Light.model_validate({"time": words.get("light")}),
        style=Style.model_validate({"palette": [one.name for one in facts.palette]}),
    )


def _garments(worn: str | None, colour: str | None) -> tuple[Garment, ...]:
    if worn is None and colour is None:
        return ()
    return (Garment.model_validate({"slot": _SLOTS.get(worn or "", "top"), "type": worn, "colour": colour}),)


_SLOTS = {"t-shirt": "top", "hoodie": "top", "dress": "dress", "suit": "outerwear", "coat": "outerwear"}


def _view(facts: PictureFacts) -> str | None:
    if "view" in facts.words or facts.face is None:
        return facts.words.get("view")
    turned = abs(facts.face.yaw)
    return view_of(facts) if turned >= _TURNED_SURE or turned <= _FRONT_SURE else None
