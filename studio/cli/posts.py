"""`persona-studio posts`: a set of posts, from options or from a whole request as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from personas.measures.catalogue import POST_MEASURES
from pipelines.errors import BadInput
from pipelines.masks import load_mask
from pipelines.pictures import load_scene
from studio.application import Studio
from studio.cli.options import (
    ANY_LOOK,
    FINISH,
    RETAKES,
    TOUCH_UP,
    Data,
    Json,
    Owner,
    RequestFile,
    Seed,
    ToTaste,
    check_file,
    chosen_style,
    find_person,
    open_jobs,
    option,
    read_request_file,
    say,
    say_guidance,
    settings_of,
    tell,
)
from studio.domain.capabilities import sees_people, usual_way, vocabulary_of
from studio.domain.character import MOST_SCALE, Character, CharacterConsent, wear
from studio.domain.consent import read_consent
from studio.domain.persona import Persona
from studio.domain.posts import MOST_SHOTS, USUAL_RETAKES, Box, PostRequest, PostSet
from studio.domain.scores import say_scores
from studio.domain.shot_lines import paste_cells
from studio.domain.values import FileKey
from studio.jobs.bodies import body_of
from studio.library.characters import add_character, read_worn
from studio.library.scenes import add_dials, add_goods, add_picture, add_scene
from studio.taste.guiding import GuidedSet, guide_set
from studio.taste.keeping import tastes_of
from studio.texts.terminal import terminal_texts

__all__ = ["posting"]

posting = typer.Typer()
_FIELDS = ", ".join(name for name in body_of("posts").model_fields if name != "kind")
_SCORES = ", ".join(row.words["en"] for row in POST_MEASURES)

_Captions = Annotated[
    list[str] | None,
    typer.Option(help="The next post's caption; may be repeated."),
]
_PersonPicture = Annotated[
    Path | None, typer.Option(help="The persona's picture for it; without one the last that its training drew.")
]
_Character = Annotated[
    list[Path] | None,
    typer.Option(help="A photo that says who is shown, in the LoRA's place; up to four, with --consent."),
]
_Clothes = Annotated[
    Path | None,
    typer.Option(help="A photo of clothes, worn or not: the person of --character wears them; no face in it is seen."),
]
_Strength = Annotated[
    float | None, typer.Option(min=0, max=MOST_SCALE, help="How truly the photos of --character are followed.")
]
_Span = Annotated[
    str, typer.Option(help="From where to where on the way the photos of --character count, such as 0,0.8.")
]
_Again = Annotated[
    int, option(PostRequest, "again", "Another set of the same kind: its number; other seeds and shots.")
]
_Style = Annotated[str, typer.Option(help="The look of all pictures: an id of `style list`; none if empty.")]
_StyleStrength = Annotated[
    float, option(PostRequest, "style_strength", "How much of the style; 1 is as it was measured, 0 none.")
]
_GoodsAs = Annotated[str, option(PostRequest, "goods_as", "How goods are shown, exactly or drawn anew from the photo")]
_Shape = Annotated[str, option(PostRequest, "shape", "What the pictures are drawn for, the model's own size if empty")]
_Shots = Annotated[list[str] | None, typer.Option(help="The next shot in words, English or Chinese; may be repeated.")]


@posting.command(epilog=f"--request takes all fields: {_FIELDS}.\n\nEvery post is scored: {_SCORES}.")
def posts(
    photo: Annotated[Path | None, typer.Argument(help="The scene's photo; none with --request.")] = None,
    request: RequestFile = None,
    mask: Annotated[Path | None, typer.Option(help="A picture, white where the landmark is.")] = None,
    persona: Annotated[str, typer.Option(help="Whose posts; the newest persona if empty.")] = "",
    count: Annotated[int, typer.Option(min=1, max=MOST_SHOTS, help="So many varied shots.")] = 9,
    person_as: Annotated[str, option(PostRequest, "person_as", "What says who is shown")] = "lora",
    person_picture: _PersonPicture = None,
    character: _Character = None,
    clothes: _Clothes = None,
    consent: Annotated[Path | None, typer.Option(help="JSON: who, scope, expires")] = None,
    strength: _Strength = None,
    span: _Span = "",
    inject: Annotated[
        str, option(PostRequest, "inject", "The backbone's first way if empty. How the place is shown to the model")
    ] = "",
    scale: Annotated[float | None, option(PostRequest, "scale", "How strongly, 0 to 1 (ip-adapter: 2).")] = None,
    blocks: Annotated[str, typer.Option(help="The IP-Adapter's blocks, such as 0-4,9=0.5; all if empty.")] = "",
    also: Annotated[list[Path] | None, typer.Option(help="A photo of one more place to show; may be repeated.")] = None,
    weights: Annotated[Path | None, typer.Option(help="A picture over the photo: white counts, black not.")] = None,
    pool: Annotated[int, typer.Option(min=1, help="So many Redux tokens a side are averaged into one.")] = 1,
    merge: Annotated[float, typer.Option(help="Redux tokens at least this alike (cosine) become one; 1: none.")] = 1.0,
    detail: Annotated[float, option(PostRequest, "detail", "More fine detail (0.1 to 1 is usual).")] = 0.0,
    renoise: Annotated[float, option(PostRequest, "renoise", "Fresh noise halfway: less smooth.")] = 0.0,
    style: _Style = "",
    style_strength: _StyleStrength = 1.0,
    goods: Annotated[Path | None, typer.Option(help="A product's photo: every post shows its exact pixels.")] = None,
    goods_name: Annotated[str, typer.Option(help="What prompts call it.")] = "a product",
    goods_as: _GoodsAs = "pixels",
    shape: _Shape = "",
    goods_box: Annotated[str, typer.Option(help="Where the goods stand: left,top,right,bottom in shares.")] = "",
    panels: Annotated[int, option(PostRequest, "panels", "So many shots in one drawing")] = 1,
    keep: Annotated[str, option(PostRequest, "keep", "How pixels are kept")] = "inpaint",
    keep_landmark: Annotated[bool, typer.Option(help="Keep the landmark's exact pixels.")] = True,
    shot: _Shots = None,
    to_taste: ToTaste = None,
    shop: Annotated[str, typer.Option(help="The shop whose taste it is, too.")] = "",
    any_look: Annotated[bool, typer.Option("--any-look", help=ANY_LOOK)] = False,
    finish: Annotated[bool | None, typer.Option(help=FINISH)] = None,
    finish_px: Annotated[int, option(PostRequest, "finish_px", "Shorter side of finished posts in pixels.")] = 1080,
    touch_up: Annotated[bool | None, typer.Option(help=TOUCH_UP)] = None,
    retakes: Annotated[int, option(PostRequest, "retakes", RETAKES)] = USUAL_RETAKES,
    caption: _Captions = None,
    seed: Seed = 1,
    again: _Again = 0,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Draw a set of posts of a persona (the newest if none is named) in one place."""
    studio = Studio(settings_of(data, owner))
    if request is not None:
        return _draw_request(studio, photo, request, as_json)
    if photo is None:
        raise BadInput("photo_missing")
    agreed, followed = _read_agreed(character, clothes, consent), _read_followed(strength, span)
    box, way = _read_box(goods_box), {"inject": inject} if inject else usual_way(studio.settings)
    who, asker, look = find_person(studio, persona), studio.settings.owner, chosen_style(studio, style)
    _check_pictures(photo, mask)
    stated = paste_cells("\n".join(shot)) if shot else []
    drawn = _plan(studio, who, stated, count, seed, again, to_taste, shop)
    told: dict[str, Any] = drawn.fields() | ({"detail": detail} if detail else {})
    shown = _show_photos(studio, who if person_as == "lora" else None, character, clothes, followed)
    if shown is not None and drawn.guidance is None:
        told["shots"] = wear(drawn.shots, shown.worn, stated)
    with open_jobs(studio, as_json) as engine:
        scene = add_scene(studio.library, photo, mask, photo.stem, asker)
        asked = PostRequest.make(
            owner=asker, persona=who, scene=scene, seed=seed, again=again, any_look=any_look,
            finish=finish, finish_px=finish_px, touch_up=touch_up, retakes=retakes, style=look,
            style_strength=style_strength,
            person_as=person_as, person_picture=_picture_of(studio, who, person_as, person_picture),
            character_consent=None if shown is None else agreed or who.character_consent, character=shown,
            keep_landmark=keep_landmark, renoise=renoise, panels=panels,
            goods=None if goods is None else add_goods(studio.library, goods, goods_name, asker),
            dials=add_dials(studio.library, scene, weights, also or (), pool, merge, asker),
            blocks=blocks, keep=keep, goods_as=goods_as, goods_box=box, shape=shape, captions=tuple(caption or ()),
            **way | ({} if scale is None else {"scale": scale}) | told,
        )  # fmt: skip
        result = engine.run(asked, PostSet)
    _say(result, as_json)


def _show_photos(
    studio: Studio,
    who: Persona | None,
    photos: Sequence[Path] | None,
    clothes: Path | None,
    followed: Mapping[str, float],
) -> Character | None:
    """Return the photos that say who is shown, and what is worn in them: these, or those that the persona is of."""
    if photos is None:
        return None if who is None or who.character is None else who.character.model_copy(update=followed)
    reader = studio.regions if sees_people(studio.settings) else None
    shown = add_character(studio.library, photos, studio.settings.owner, clothes, reader=reader)
    worn = None if reader is None else read_worn(studio.library, reader, shown)
    return shown.model_copy(update={**followed, "worn": worn})


def _draw_request(studio: Studio, photo: Path | None, file: Path, as_json: bool) -> None:
    if photo is not None:
        raise BadInput("request_file_alone")
    asked = read_request_file(studio, "posts", file)
    with open_jobs(studio, as_json) as engine:
        _say(engine.run(asked, PostSet), as_json)


def _plan(
    studio: Studio,
    who: Persona,
    stated: Sequence[Mapping[str, str]],
    count: int,
    seed: int,
    again: int,
    to_taste: float | None,
    shop: str,
) -> GuidedSet:
    """Return the shots: those of the lines, or planned ones; what nobody said follows the taste where that is asked."""
    tastes = [] if to_taste is None else tastes_of(studio.records, studio.settings.owner, who.name, shop)
    found = guide_set(
        tastes, stated, count, seed, again=again, adventurous=to_taste or 0.0,
        vocabulary=vocabulary_of(studio.settings),
    )  # fmt: skip
    if to_taste is not None:
        say_guidance(found.guidance)
    return found


def _picture_of(studio: Studio, who: Persona, shown_as: str, photo: Path | None) -> FileKey | None:
    """Return the picture that says who is shown, None where the LoRA alone does. Raises BadPicture."""
    if photo is not None:
        return add_picture(studio.library, load_scene(photo).image, studio.settings.owner)
    return None if shown_as == "lora" else next(iter(who.pictures), None)


def _check_pictures(photo: Path, mask: Path | None) -> None:
    """Raise BadPicture before the engine starts."""
    shown = load_scene(photo)
    if mask is not None:
        load_mask(mask, (shown.image.shape[0], shown.image.shape[1]), shown.orientation)


def _read_agreed(
    character: Sequence[Path] | None, clothes: Path | None, consent: Path | None
) -> CharacterConsent | None:
    """Return what whoever is in the photos agreed to. Raises BadInput for one without the other."""
    if character is None and clothes is not None:
        raise BadInput("clothes_without_character")
    if character is not None and consent is None:
        raise BadInput("character_no_consent")
    if character is None and consent is not None:
        raise BadInput("consent_without_character")
    return None if consent is None else CharacterConsent.of(read_consent(check_file(consent)))


def _read_box(text: str) -> Box | None:
    if not text:
        return None
    try:
        left, top, right, bottom = (float(part) for part in text.split(","))
    except ValueError:
        raise BadInput("box_unreadable", box=text[:60]) from None
    return left, top, right, bottom


def _read_followed(strength: float | None, text: str) -> dict[str, float]:
    """Return how truly, and from where to where, photos of a person count, as far as that is said. Raises BadInput."""
    told = {} if strength is None else {"strength": strength}
    if not text:
        return told
    try:
        start, end = (float(part) for part in text.split(","))
    except ValueError:
        raise BadInput("span_unreadable", span=text[:60]) from None
    return {**told, "start": start, "end": end}


def _say(made: PostSet, as_json: bool) -> None:
    said = [say_scores(terminal_texts(), post.scores, POST_MEASURES, post.shot).values() for post in made.posts]
    text = "\n".join(f"{i + 1:2} {'  '.join(words)}" for i, words in enumerate(said))
    told = {"id": made.id, "scores": [dict(p.scores) for p in made.posts]}
    say(told, as_json, f"{tell('cli.post_set', id=made.id)}\n{text}")
