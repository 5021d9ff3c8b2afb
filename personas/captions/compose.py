"""Captions in words, from facts: the trigger and what matters first, in the order that shots are said. Pure."""

from __future__ import annotations

from typing import Literal

from personas.captions.policy import Policy, apply_policy
from personas.captions.schema import CaptionFacts, Garment, Goods
from personas.shots import say_word, with_article

__all__ = ["Length", "compose"]

Length = Literal["short", "long"]
_FACES = {"surprised": "with a surprised face", "sad": "with a sad face"}
_VIEWS = {"back": "seen from behind"}
_ARMS = {
    "crossed": "arms crossed", "raised": "arms raised", "behind the back": "hands behind the back",
    "hand at face": "a hand at the face",
}  # fmt: skip
_GAZE = {"away": "looking away", "down": "looking down", "up": "looking up", "eyes closed": "with eyes closed"}
_PLACES = {
    "living room": "in a living room", "restaurant": "in a restaurant", "stairs": "on stairs", "car": "in a car",
    "forest": "in a forest", "garden": "in a garden", "field": "in a field", "mountain": "on a mountain",
    "bridge": "on a bridge", "hall": "in a hall", "indoors": "indoors", "outdoors": "outdoors",
}  # fmt: skip
_SLEEVES = {"sleeveless": "sleeveless", "short": "short-sleeved", "long": "long-sleeved"}
_DIRECTIONS = {"side": "light from the side", "back": "light from behind", "above": "light from above"}
_MOST_DETAILS = 2


def compose(facts: CaptionFacts, policy: Policy, length: Length = "long") -> str:
    """Return a caption in English, such as "half-body shot of ohwx young woman, smiling, wearing a red coat, …".

    It says what the policy lets it and what is known; a `short` one only framing, clothes, goods and place.
    """
    said = apply_policy(facts, policy)
    trigger = f"{policy.trigger} {policy.subject}".strip() if policy.of == "person" else policy.subject
    shot = say_word("framing", said.shot.framing) if said.shot.framing else "photo"
    if policy.of == "style":
        shot = f"{policy.trigger} style, {shot}".strip()
    if policy.of == "goods":
        shot = f"{policy.trigger}, {shot}".strip()
    clauses = [f"{shot} of {trigger}"]
    if length == "long":
        clauses += [*_person(said), *_face(said)]
    clauses += _worn(said.garments)
    if length == "long":
        clauses += _pose(said)
    clauses += _goods(said.goods or ())
    clauses += _place(said, length)
    if length == "long":
        clauses += _light(said)
    return ", ".join(clause for clause in clauses if clause)


def _person(said: CaptionFacts) -> list[str]:
    hair = " ".join(part for part in (said.hair.length, said.hair.style, said.hair.colour) if part and part != "shaved")
    return [
        f"with {hair} hair" if hair else "",
        {"full": "with a full figure", "average": ""}.get(said.person.build or "average", f"{said.person.build}"),
    ]


def _face(said: CaptionFacts) -> list[str]:
    view, face = said.shot.view, said.face
    camera = said.shot.camera
    return [
        _VIEWS.get(view) or say_word("view", view) if view else "",
        _FACES.get(face.expression) or say_word("expression", face.expression) if face.expression else "",
        _GAZE.get(face.gaze or "", ""),
        f"{face.makeup} makeup" if face.makeup else "",
        f"with a {face.facial_hair}" if face.facial_hair and face.facial_hair != "stubble" else face.facial_hair or "",
        f"wearing {face.glasses}" if face.glasses else "",
        f"seen {camera}" if camera and camera != "at eye level" else "",
    ]


def _worn(garments: tuple[Garment, ...]) -> list[str]:
    things = [with_article(one) for one in dict.fromkeys(map(_garment, garments)) if one]
    return ["wearing " + " and ".join(filter(None, (", ".join(things[:-1]), things[-1])))] if things else []


def _garment(one: Garment) -> str:
    usual = {"bottom": "trousers", "shoes": "shoes", "headwear": "hat", "bag": "bag", "dress": "dress"}
    noun = one.type or usual.get(one.slot or "", "clothes" if one.colour else "")
    if not noun or (one.type is None and one.slot == "accessory"):
        return ""
    about = (one.colour, None if one.pattern == "plain" else one.pattern, one.material)
    before = " ".join(word for word in about if word and word not in noun)
    return " ".join(f"{_SLEEVES.get(one.sleeve or '', '')} {before} {noun}".split())


def _pose(said: CaptionFacts) -> list[str]:
    arms = said.pose.arms
    return [
        said.pose.body or "",
        (_ARMS.get(arms) or say_word("pose", arms)) if arms else "",
        said.pose.action or "",
    ]


def _goods(goods: tuple[Goods, ...]) -> list[str]:
    found = []
    for one in goods:
        if one.what:
            thing = f"{one.colour or ''} {one.what}".strip()
            usual = "" if one.colour else say_word("goods", one.what)
            found.append(usual or ("holding " if one.held else "with ") + with_article(thing))
    return found


def _place(said: CaptionFacts, length: Length) -> list[str]:
    where = said.place.where
    found = [(_PLACES.get(where) or say_word("setting", where)) if where else ""]
    details = [one for one in said.place.details if one]
    if details and length == "long":
        found.append("with " + " and ".join(details[:_MOST_DETAILS]))
    return found


def _light(said: CaptionFacts) -> list[str]:
    light = said.light
    tone = " ".join(word for word in (light.hardness, None if light.tone == "neutral" else light.tone) if word)
    return [
        say_word("light", light.time) if light.time else "",
        f"{tone} light" if tone else "",
        _DIRECTIONS.get(light.direction or "", ""),
        said.style.depth or "",
    ]
