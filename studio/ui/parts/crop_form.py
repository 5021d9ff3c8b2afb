"""What of a scene's photo is shown, by shape: a crop on the photo, moved by sliders; and whether the landmark is in."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr
import numpy as np
import numpy.typing as npt
from PIL import Image

from pipelines.shapes import SHAPES, Box, Shape
from studio.domain.platforms import load_platforms
from studio.domain.scene import Crop, usual_crop
from studio.library.scenes import mask_share
from studio.ui.context import LATEST, Said, Ui, actions, guarded, pressed

__all__ = ["CropForm", "Place", "build_crops", "move_crop", "place_of"]

Mask = npt.NDArray[np.bool_]

_SIDES = ("across", "down", "size")
_LEAST_SIZE = 0.4
_PREVIEW_PX = 640
_USUAL: Shape = "3:4"


@dataclass(frozen=True)
class Place:
    """Where a crop stands: shares from 0 to 1 of the way across and down, and its size (1: as large as it can be)."""

    across: float = 0.5
    down: float = 0.5
    size: float = 1.0


@dataclass(frozen=True)
class CropForm:
    """The components; `photo` is a state of (jpeg as text, height, width), `crops` of the places that were moved,
    `mask` of the landmark's mask, None where there is none or where it is painted only now.
    """

    box: gr.Column
    shape: gr.Radio
    sliders: tuple[gr.Slider, ...]
    stage: gr.HTML
    photo: gr.State
    crops: gr.State
    mask: gr.State

    @property
    def inputs(self) -> set[Any]:
        return {self.shape, *self.sliders, self.photo, self.crops, self.mask}

    @property
    def outputs(self) -> set[Any]:
        return self.inputs | {self.box, self.stage}

    def read(self, said: Said) -> tuple[Crop, ...]:
        """Return the crops that somebody moved; the middle needs none."""
        photo, places = said[self.photo], said[self.crops]
        if photo is None:
            return ()
        return tuple(
            Crop(shape=shape, box=move_crop(shape, photo[1], photo[2], place))
            for shape, place in places.items()
            if place != Place()
        )

    def show(
        self, ui: Ui, image: npt.NDArray[np.uint8], crops: tuple[Crop, ...] = (), mask: Mask | None = None
    ) -> Said:  # fmt: skip
        """Return what the components say of a photo, and the crops and the landmark's mask that it has."""
        small = Image.fromarray(image)
        small.thumbnail((_PREVIEW_PX, _PREVIEW_PX))
        out = io.BytesIO()
        small.save(out, "JPEG", quality=80)
        height, width = image.shape[:2]
        photo = base64.b64encode(out.getvalue()).decode(), height, width
        places = {crop.shape: place_of(crop, height, width) for crop in crops}
        place = places.get(_USUAL, Place())
        return {
            self.box: gr.Column(visible=True),
            self.shape: _USUAL,
            self.photo: photo,
            self.crops: places,
            self.mask: mask,
            self.stage: show_stage(ui, photo, _USUAL, place, mask),
            **dict(zip(self.sliders, (place.across, place.down, place.size), strict=True)),
        }


def move_crop(shape: Shape, height: int, width: int, place: Place) -> Box:
    """Return the box of a place in a photo of this size; in the middle at its largest it is the usual one, exactly."""
    usual = usual_crop(shape, height, width)
    if place == Place():
        return usual
    wide, tall = (usual[2] - usual[0]) * place.size, (usual[3] - usual[1]) * place.size
    left, top = place.across * (1 - wide), place.down * (1 - tall)
    return left, top, min(1.0, left + wide), min(1.0, top + tall)


def place_of(crop: Crop, height: int, width: int) -> Place:
    """Return the sliders' values of a crop, whoever made it."""
    usual, (left, top, right, bottom) = usual_crop(crop.shape, height, width), crop.box
    wide, tall = right - left, bottom - top
    size = min(1.0, wide / (usual[2] - usual[0]))
    across = left / (1 - wide) if wide < 0.999 else 0.5
    down = top / (1 - tall) if tall < 0.999 else 0.5
    return Place(*(round(min(1.0, max(0.0, v)), 4) for v in (across, down, size)))


def build_crops(ui: Ui) -> CropForm:
    """Lay the components out where the caller is; hidden until there is a photo. They follow each other by themselves;
    the painted landmark is looked at when the scene is kept."""
    t = ui.t
    with gr.Column(visible=False, elem_id="crop-box") as box:
        gr.HTML(f"<h2>{escape(t('crop.title'))}</h2><p class='st-soft'>{escape(t('crop.what'))}</p>", js_on_load=None)
        with gr.Row():
            with gr.Column():
                stage = actions("", "crop-stage")
            with gr.Column():
                choices = [(f"{shape} · {_platforms(ui, shape)}", shape) for shape in SHAPES]
                shape = gr.Radio(choices, value=_USUAL, label=t("crop.shape"), elem_id="crop-shape")
                sliders = tuple(
                    gr.Slider(
                        _LEAST_SIZE if side == "size" else 0, 1, value=1 if side == "size" else 0.5, step=0.01,
                        label=t(f"crop.{side}"), elem_id=f"crop-{side}",
                    )
                    for side in _SIDES
                )  # fmt: skip
    form = CropForm(box, shape, sliders, stage, gr.State(None), gr.State({}), gr.State(None))

    def choose(said: Said) -> Any:
        place = said[form.crops].get(said[form.shape], Place())
        told = dict(zip(form.sliders, (place.across, place.down, place.size), strict=True))
        return {**told, form.stage: show_stage(ui, said[form.photo], said[form.shape], place, said[form.mask])}

    def move(said: Said) -> Any:
        place = Place(*(float(said[slider]) for slider in form.sliders))
        crops = {**said[form.crops], said[form.shape]: place}
        return {
            form.crops: crops,
            form.stage: show_stage(ui, said[form.photo], said[form.shape], place, said[form.mask]),
        }

    def drag(said: Said, event: gr.EventData) -> Any:
        """The crop was put elsewhere on the photo."""
        data = pressed(event)
        left, top, width, height = (float(data[side]) for side in ("left", "top", "width", "height"))
        box = left, top, min(1.0, left + width), min(1.0, top + height)
        place = place_of(Crop(shape=said[form.shape], box=box), *said[form.photo][1:])
        told = dict(zip(form.sliders, (place.across, place.down, place.size), strict=True))
        return {**told, **move(said | told)}

    shape.input(guarded(ui, choose), form.inputs, [*form.sliders, stage], **LATEST)
    gr.on([s.input for s in sliders], guarded(ui, move), form.inputs, [form.crops, stage], **LATEST)
    stage.click(guarded(ui, drag), form.inputs, [*form.sliders, form.crops, stage], **LATEST)
    return form


def show_stage(ui: Ui, photo: tuple[str, int, int] | None, shape: Shape, place: Place, mask: Mask | None) -> str:
    """The photo with what is shown of it, which can be dragged, the rest dimmed; `mask` is the landmark's."""
    if photo is None:
        return ""
    jpeg, height, width = photo
    left, top, right, bottom = box = move_crop(shape, height, width, place)
    sides = {"left": left, "top": top, "width": right - left, "height": bottom - top}
    at = ";".join(f"{side}:{100 * share:.2f}%" for side, share in sides.items())
    said = "" if mask is None else f'<p class="st-soft">{escape(say_landmark(ui, mask_share(mask, box)))}</p>'
    usual, hint = usual_crop(shape, height, width), escape(ui.t("crop.drag"))
    least = _LEAST_SIZE * (usual[2] - usual[0])
    return (
        f'<div class="st-crop"><img src="data:image/jpeg;base64,{jpeg}" alt="{escape(ui.t("crop.photo"))}">'
        f'<button type="button" class="st-box" data-box="crop" data-key="crop-box" data-ratio data-least="{least:.4f}" '
        f'style="{at}" aria-label="{shape}: {hint}"><i data-corner></i></button></div>'
        f'<p class="st-soft">{hint}</p>{said}'
    )


def say_landmark(ui: Ui, share: float) -> str:
    """Say how much of the fixed object a crop shows."""
    if share > 0.99:
        return ui.t("crop.landmark_inside")
    return ui.t("crop.landmark_outside") if share < 0.01 else ui.t("crop.landmark_cut", share=f"{share:.0%}")


def _platforms(ui: Ui, shape: Shape) -> str:
    names: Mapping[str, None] = dict.fromkeys(
        row.words[ui.t.language].split(",")[0].split(" 3:4")[0].split(" 1:1")[0].split(" 9:16")[0]
        for row in load_platforms()
        if row.shape == shape and row.label == "visible"
    )
    return ("、" if ui.t.language == "zh" else ", ").join(list(names)[:3])
