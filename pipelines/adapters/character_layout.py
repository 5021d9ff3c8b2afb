"""Layouts of character adapters: what their files hold, by name and shape, and what of a photo they read. No torch.

A character adapter is InstantCharacter's network (arXiv:2504.12395): frozen encoders look at a photo of somebody, a
projector makes tokens of what they see, a resampler that knows the time turns these into the tokens of a step, and
every block of the transformer attends to them. All dimensions are read from the shapes in the file. What no shape can
say (heads, which states of the encoders are read) is the layout's, or the file's own metadata.

The layout `studio` is the same network with Visual Persona's parts of a person (arXiv:2503.15406) in place of the
quarters, a face that a recogniser looks at, a token of each part's colours, and a name: who the recogniser says it is,
added to every token of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from pipelines.errors import BadInput

__all__ = ["COLOURS", "INSTANTCHARACTER", "LAYOUTS", "STUDIO", "Dimensions", "Encoder", "Layout", "Stages",
           "find_layout", "read_dimensions", "tensor_shapes"]  # fmt: skip

Shape = tuple[int, ...]
_HEAD = 64  # channels of a head in the projector, where the file says nothing else
_BLOCK = re.compile(r"ip_adapter\.(\d+)\.")
_STACKS = ("cross_layer_blocks", "cross_scale_blocks")
_MLPS = ("proj", "proj_cross_layer", "proj_cross_scale")
_PARTS_ONLY = ("image_proj.face_map.weight", "image_proj.face_embedding.weight", "image_proj.colour.weight",
               "image_proj.whitening", "name_proj.fc1.weight")  # fmt: skip
COLOURS = 7
"""Numbers that say what colours a part has: mean and deviation of red, green and blue, and its share of the subject."""


@dataclass(frozen=True)
class Encoder:
    """A frozen image encoder: `names` of the folders in which it lies, in the adapter's folder or beside it.

    `states` are those of its hidden states that are the shallow features (0: its embeddings); `class_tokens` stand
    before the picture's own tokens and are left out.
    """

    id: Literal["siglip", "dinov2"]
    names: tuple[str, ...]
    states: tuple[int, ...]
    class_tokens: int = 0


@dataclass(frozen=True)
class Stages:
    """A frozen network in ONNX, of which outputs of inner stages are read: `file` in a folder of one of `names`.

    `outputs` are the stages', the shallow ones first; it takes (pixels − `mean`) / `deviation` of RGB in 0…255. The
    adapter's file says its SHA-256 in the metadata `<id>_sha256`: another network's features mean something else.
    """

    id: Literal["reader", "recogniser"]
    names: tuple[str, ...]
    file: str
    outputs: tuple[str, ...]
    mean: float
    deviation: float


@dataclass(frozen=True)
class Layout:
    """What of a photo an adapter reads.

    `regions`, the whole subject first, have a row of queries each in the resampler. What the whole is compared with
    (its second scale) are its four `quarters` at twice the size, or the pictures of the other regions. The subject
    lies on a grey of `ground`, in a square whose margin is `margin` of its longer side.

    Where there are no `encoders`, `stages` look at squares of `side` pixels, and `face` at the aligned face; both give
    `grid` × `grid` tokens. Of a region in several photos the `views` best are read.
    """

    id: str
    encoders: tuple[Encoder, ...]
    regions: tuple[str, ...] = ("whole",)
    quarters: bool = True
    ground: int = 255
    margin: float = 0.0
    stages: Stages | None = None
    face: Stages | None = None
    side: int = 0
    grid: int = 0
    views: int = 4


INSTANTCHARACTER = Layout(
    "instantcharacter",
    (
        Encoder("siglip", ("siglip-so400m-patch14-384", "image_encoder"), (7, 13, 26)),
        Encoder("dinov2", ("dinov2-giant", "image_encoder_2"), (9, 19, 29), class_tokens=1),
    ),
)
"""As Tencent's repository InstantCharacter draws (pipeline.py, models/resampler.py, commit 5f5c49a)."""
STUDIO = Layout(
    "studio", (), ("whole", "face", "hair", "torso", "legs", "shoes", "goods"), quarters=False, ground=127, margin=0.08,
    stages=Stages(
        "reader", ("reader",), "reader.onnx", tuple(f"/stages.{k}/Relu_output_0" for k in range(3)), 0.0, 255.0
    ),
    face=Stages(
        "recogniser", ("faces",), "recognition.onnx", ("/features/features.3/Relu_output_0", "embedding"), 127.5, 127.5
    ),
    side=128, grid=4, views=3,
)  # fmt: skip
"""The miniature's: its encoders are stages of the networks that read its pictures, since they have seen its people."""
LAYOUTS: tuple[Layout, ...] = (INSTANTCHARACTER, STUDIO)


@dataclass(frozen=True)
class Dimensions:
    """Sizes of an adapter, from its shapes. Widths are in channels.

    `features` is the width of the encoders together, `stack_blocks` how many blocks each of the two stacks has and
    `stack_hidden` the width inside their feed-forward parts; `width`, `depth` and `ratio` are the resampler's, which
    makes `queries` tokens of width `token_width` for each of `regions`, from `sinusoids` of the time. `blocks` are
    those of the transformer, of `block_width` in heads of `block_head`.
    """

    features: int
    stack_blocks: int
    stack_hidden: int
    mlp_hidden: int
    width: int
    depth: int
    ratio: int
    regions: int
    queries: int
    sinusoids: int
    token_width: int
    blocks: int
    block_width: int
    block_head: int
    stack_heads: int = 0
    resampler_heads: int = 0
    face_map: int = 0
    embedding: int = 0
    colours: int = 0
    name_hidden: int = 0

    @property
    def has_parts(self) -> bool:
        """Return whether there are tokens of the face and of colours, and a name."""
        return self.embedding > 0


def find_layout(file: str, metadata: Mapping[str, str]) -> Layout:
    """Return the layout of an adapter's file with this metadata, with the states that it names itself.

    Raises BadInput for a layout that is not known and for states that are no numbers.
    """
    identifier = metadata.get("layout", INSTANTCHARACTER.id)
    layout = next((row for row in LAYOUTS if row.id == identifier), None)
    if layout is None:
        raise BadInput("character_layout_unknown", file=file, layout=identifier, known=[row.id for row in LAYOUTS])
    encoders = tuple(
        Encoder(one.id, one.names, _numbers(file, metadata, f"{one.id}_states") or one.states, one.class_tokens)
        for one in layout.encoders
    )
    return replace(layout, encoders=encoders)


def read_dimensions(file: str, shapes: Mapping[str, Shape], metadata: Mapping[str, str]) -> Dimensions:
    """Return the sizes of the adapter whose tensors have these names and shapes.

    Raises BadInput, naming the tensor, where one is missing, has another shape than the others ask for, or is none of
    a character adapter.
    """

    def of(name: str, axes: int = 2) -> Shape:
        if name not in shapes:
            raise BadInput("character_tensor_missing", file=file, name=name)
        shape = shapes[name]
        if len(shape) != axes or min(shape) < 1:
            raise BadInput("character_tensor_shape", file=file, name=name, has=list(shape), wanted=axes)
        return shape

    latents, proj_in = of("image_proj.resampler.latents", 3), of("image_proj.resampler.proj_in.weight")
    inner = of("image_proj.resampler.layers.0.1.1.weight")
    key = of("ip_adapter.0.to_k_ip.weight")
    features, width = proj_in[1], latents[2]
    has_parts = any(name in shapes for name in _PARTS_ONLY)
    sizes = Dimensions(
        features=features,
        stack_blocks=_count(shapes, rf"image_proj\.{_STACKS[0]}\.(\d+)\."),
        stack_hidden=of(f"image_proj.{_STACKS[0]}.0.ff.net.2.weight")[1],
        mlp_hidden=of("image_proj.proj.fc1.weight")[0],
        width=width,
        depth=_count(shapes, r"image_proj\.resampler\.layers\.(\d+)\."),
        ratio=max(1, inner[0] // width),
        regions=latents[0],
        queries=latents[1],
        sinusoids=of("image_proj.resampler.time_embedding.linear_1.weight")[1],
        token_width=of("image_proj.resampler.proj_out.weight")[0],
        blocks=_count(shapes, _BLOCK.pattern),
        block_width=key[0],
        block_head=of("ip_adapter.0.norm_ip_q.scale", 1)[0],
        stack_heads=_heads(file, metadata, "stack_heads", features),
        resampler_heads=_heads(file, metadata, "resampler_heads", width),
        face_map=of("image_proj.face_map.weight")[1] if has_parts else 0,
        embedding=of("image_proj.face_embedding.weight")[1] if has_parts else 0,
        colours=of("image_proj.colour.weight")[1] if has_parts else 0,
        name_hidden=of("name_proj.fc1.weight")[0] if has_parts else 0,
    )
    wanted = dict(tensor_shapes(sizes))
    for name, shape in wanted.items():
        if name not in shapes:
            raise BadInput("character_tensor_missing", file=file, name=name)
        if tuple(shapes[name]) != shape:
            raise BadInput("character_tensor_shape", file=file, name=name, has=list(shapes[name]), wanted=list(shape))
    if extra := sorted(shapes.keys() - wanted.keys()):
        raise BadInput("character_tensor_unknown", file=file, name=extra[0])
    return sizes


def tensor_shapes(sizes: Dimensions) -> Iterator[tuple[str, Shape]]:
    """Yield the name and shape of every tensor of an adapter of these sizes."""
    c = sizes.features
    for stack in _STACKS:
        for number in range(sizes.stack_blocks):
            block = f"image_proj.{stack}.{number}"
            for norm in ("norm1", "norm2", "norm3"):
                yield from ((f"{block}.{norm}.{kind}", (c,)) for kind in ("weight", "bias"))
            for attention in ("attn1", "attn2"):
                yield from ((f"{block}.{attention}.{part}.weight", (c, c)) for part in ("to_q", "to_k", "to_v"))
                yield from _linear(f"{block}.{attention}.to_out.0", c, c)
            yield from _linear(f"{block}.ff.net.0.proj", 2 * sizes.stack_hidden, c)
            yield from _linear(f"{block}.ff.net.2", c, sizes.stack_hidden)
    for mlp in _MLPS:
        yield from _linear(f"image_proj.{mlp}.fc1", sizes.mlp_hidden, c)
        yield from _linear(f"image_proj.{mlp}.fc2", c, sizes.mlp_hidden)
    if sizes.has_parts:
        for name, given in (
            ("face_map", sizes.face_map),
            ("face_embedding", sizes.embedding),
            ("colour", sizes.colours),
        ):
            yield from _linear(f"image_proj.{name}", c, given)
        yield "image_proj.whitening", (2, 2, c)
        yield "image_proj.whitening_face", (2, sizes.face_map)
        yield from _linear("name_proj.fc1", sizes.name_hidden, sizes.embedding)
        yield from _linear("name_proj.fc2", sizes.token_width, sizes.name_hidden)
    yield from _resampler(sizes)
    for number in range(sizes.blocks):
        block = f"ip_adapter.{number}"
        for part in ("to_k_ip", "to_v_ip"):
            yield from _linear(f"{block}.{part}", sizes.block_width, sizes.token_width)
        yield from ((f"{block}.norm_ip_{part}.scale", (sizes.block_head,)) for part in "qk")


def _resampler(sizes: Dimensions) -> Iterator[tuple[str, Shape]]:
    whole, w = "image_proj.resampler", sizes.width
    yield f"{whole}.latents", (sizes.regions, sizes.queries, w)
    yield from _linear(f"{whole}.proj_in", w, sizes.features)
    for number in range(sizes.depth):
        layer = f"{whole}.layers.{number}"
        for norm in ("0.norm1", "0.norm2", "1.0"):
            yield from ((f"{layer}.{norm}.{kind}", (w,)) for kind in ("weight", "bias"))
        yield f"{layer}.0.to_q.weight", (w, w)
        yield f"{layer}.0.to_kv.weight", (2 * w, w)
        yield f"{layer}.0.to_out.weight", (w, w)
        yield f"{layer}.1.1.weight", (sizes.ratio * w, w)
        yield f"{layer}.1.3.weight", (w, sizes.ratio * w)
        yield from _linear(f"{layer}.2.1", 4 * w, w)
    yield from _linear(f"{whole}.proj_out", sizes.token_width, w)
    yield from ((f"{whole}.norm_out.{kind}", (sizes.token_width,)) for kind in ("weight", "bias"))
    yield from _linear(f"{whole}.time_embedding.linear_1", w, sizes.sinusoids)
    yield from _linear(f"{whole}.time_embedding.linear_2", w, w)


def _linear(name: str, out: int, given: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (out, given)
    yield f"{name}.bias", (out,)


def _count(shapes: Mapping[str, Shape], pattern: str) -> int:
    """Return how many are numbered from 0 on, those that are left out among them: their tensors are then missed."""
    return max((int(found[1]) + 1 for name in shapes if (found := re.match(pattern, name))), default=0)


def _heads(file: str, metadata: Mapping[str, str], name: str, width: int) -> int:
    heads = next(iter(_numbers(file, metadata, name)), width // _HEAD)
    if heads < 1 or width % heads:
        raise BadInput("character_heads", file=file, name=name, heads=heads, width=width)
    return heads


def _numbers(file: str, metadata: Mapping[str, str], name: str) -> tuple[int, ...]:
    """Return what the metadata of the file says under this name, none where it says nothing."""
    try:
        numbers = tuple(int(part) for part in metadata.get(name, "").split(",") if part.strip())
    except ValueError:
        numbers = (-1,)
    if min(numbers, default=0) < 0:
        raise BadInput("character_metadata", file=file, name=name, value=metadata[name][:60])
    return numbers
