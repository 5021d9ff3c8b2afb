"""Spellings of layers in LoRA files, by other tools and by diffusers: one parser, a table each.

A family's table is a `Spellings`; what its files say of themselves is a `LoraWords`. Nothing here imports torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["MAX_NAME", "LoraWords", "Spellings", "Target", "TensorName", "plain_word", "said_base_models"]

MAX_NAME = 300  # characters of a tensor's or a base model's name; no tool writes half as many
_PREFIXES = (
    "base_model.model.",
    "model.diffusion_model.",
    "diffusion_model.",
    "transformer.",
    "lora_unet_",
    "lora_transformer_",
)
# the part of a key behind its layer: "….lora_A.weight", "….lora_A.default.weight", "….lora.down.weight",
# "….alpha"
_PART = re.compile(
    r"\.(?:"
    r"(?P<down>(?:lora_A|lora_down|lora\.down|lora_linear_layer\.down|down)(?:\.default(?:_\d+)?)?\.weight)"
    r"|(?P<up>(?:lora_B|lora_up|lora\.up|lora_linear_layer\.up|up)(?:\.default(?:_\d+)?)?\.weight)"
    r"|(?P<alpha>alpha)"
    r"|(?P<other>dora_scale|lora_magnitude_vector(?:\.\w+)*|lokr_\w+|hada_\w+|oft_\w+|diff_b|diff|lora_B\.bias"
    r"|lora_mid\.weight|w_norm|b_norm)"
    r")$"
)
_BASE_MODEL_KEYS = ("ss_base_model_version", "modelspec.architecture")
_MODULE_KEY = "ss_network_module"


@dataclass(frozen=True)
class TensorName:
    """One tensor of a LoRA file: the layer it belongs to, in the file's own words, and its part in it.

    `part` is one of "down", "up", "alpha" or the unsupported kind's own name ("dora_scale", "lokr_w1", "diff_b", …).
    """

    layer: str
    part: str
    format: str


@dataclass(frozen=True)
class Target:
    """Where the rows of a layer's `up` matrix go: module, and how its rows are laid out there.

    `share` is the index among equal parts; -1 says "the rest behind three parts as wide as the input" (single
    blocks' `linear1` holds q, k, v and the MLP). `swapped` says that shift and scale change places.
    """

    module: str
    share: int = 0
    swapped: bool = False


@dataclass(frozen=True)
class Spellings:
    """A family's tables.

    `blocks` are {their name of a list of blocks: (diffusers' name of it, {their leaf: targets inside one block})}, and
    `top` {their name: targets} outside the blocks; diffusers' own names stand in both. `text_prefixes` are {prefix:
    text encoder}, and `text_layers` {text encoder: (pattern of what follows, format of its groups)}. `written` are
    {beginning of a module: how it is written instead}; modules without one are written behind "transformer.".
    `optional` are words of modules that some variants lack; `kinds` {first word inside a block: kind of layer}.
    """

    blocks: Mapping[str, tuple[str, Mapping[str, tuple[Target, ...]]]]
    top: Mapping[str, tuple[Target, ...]]
    original_format: str
    text_prefixes: Mapping[str, str] = field(default_factory=dict)
    text_layers: Mapping[str, tuple[re.Pattern[str], str]] = field(default_factory=dict)
    written: Mapping[str, str] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)

    def parse(self, key: str) -> TensorName | None:
        """Return what one key of a LoRA file names; None if its ending is none that any known LoRA tool writes, or if
        it is longer than `MAX_NAME`.
        """
        match = _PART.search(key) if len(key) <= MAX_NAME else None
        if match is None:
            return None
        layer = key[: match.start()]
        part = next(name for name in ("down", "up", "alpha", "other") if match.group(name) is not None)
        if part == "other":
            part = match.group("other")
        if text := self._text_layer(layer.removeprefix("base_model.model.")):
            return TensorName(text, part, "kohya" if layer.startswith("lora_te") else "diffusers")
        bare = layer
        while prefix := next((p for p in _PREFIXES if bare.startswith(p)), None):
            bare = bare[len(prefix) :]
        joined = layer.startswith(("lora_unet_", "lora_transformer_")) or self._is_joined(bare)
        bare = self._dotted(bare) if joined else bare
        return TensorName(bare, part, self._format(layer, bare, joined))

    def targets(self, layer: str) -> tuple[Target, ...]:
        """Return the modules that a layer (from `parse`) stands for; () if none."""
        if layer.startswith(tuple(f"{encoder}." for encoder in self.text_layers)):
            return (Target(layer),)
        blocks, index, leaf = self.split(layer)
        if not blocks:
            return self.top.get(layer, ())
        ours, leaves = self.blocks[blocks]
        return tuple(Target(f"{ours}.{index}.{t.module}", t.share, t.swapped) for t in leaves.get(leaf, ()))

    def split(self, layer: str) -> tuple[str, str, str]:
        """Return blocks, index and leaf: "double_blocks.3.img_attn.qkv" gives ("double_blocks", "3", "img_attn.qkv").

        Outside the blocks: ("", "", layer).
        """
        blocks, _, rest = layer.partition(".")
        index, _, leaf = rest.partition(".")
        return (blocks, index, leaf) if blocks in self.blocks and index.isdecimal() else ("", "", layer)

    def written_key(self, module: str) -> str:
        """Return the name of a module in the files that the studio writes, without the tensor's own ending."""
        for start, instead in self.written.items():
            if module.startswith(start):
                return instead + module.removeprefix(start)
        return f"transformer.{module}"

    def kind_of(self, module: str) -> str:
        """Return the kind of a module (from `targets`) for a person: attention, feed-forward, …"""
        if module.startswith(tuple(f"{encoder}." for encoder in self.text_layers)):
            return "text encoder"
        blocks, _, leaf = self.split(module)
        return self.kinds[leaf.split(".")[0]] if blocks else "embedding and output"

    def _text_layer(self, layer: str) -> str:
        """The name of a text encoder's layer, such as "text_encoder.encoder.layers.0.mlp.fc1"; "" if it is none."""
        for prefix, encoder in self.text_prefixes.items():
            pattern, name = self.text_layers[encoder]
            if layer.startswith(prefix) and (match := pattern.match(layer.removeprefix(prefix))):
                return f"{encoder}.{name.format(*match.groups())}"
        return ""

    def _is_joined(self, name: str) -> bool:
        return any(re.match(rf"{blocks}_\d+_", name) for blocks in self.blocks)

    def _dotted(self, name: str) -> str:
        """Undo kohya's replacement of "." by "_"; the name as it was if it is none of ours."""
        name = name.replace(".", "_")
        for blocks, (_, leaves) in self.blocks.items():
            if found := re.match(rf"{blocks}_(\d+)_(.+)$", name):
                leaf = next((leaf for leaf in leaves if leaf.replace(".", "_") == found.group(2)), found.group(2))
                return f"{blocks}.{found.group(1)}.{leaf}"
        return next((top for top in self.top if top.replace(".", "_") == name), name)

    def _format(self, layer: str, bare: str, joined: bool) -> str:
        if joined:
            return "onetrainer" if "lora_transformer_" in layer else "kohya"
        if ".processor." in bare:
            return "xlabs"
        if layer.startswith("base_model."):
            return "peft"
        blocks, _, _ = self.split(bare)
        own = self.blocks[blocks][0] == blocks if blocks else self.top.get(bare) == (Target(bare),)
        return "diffusers" if own else self.original_format


@dataclass(frozen=True)
class LoraWords:
    """Words that a family's LoRA files say of themselves.

    `read` are beginnings of base-model words (see `plain_word`); one that ends with "$" is the whole word.
    `base_model_version`, `network_module` and `architecture` are what the studio writes; `other_width` is the
    architecture where the hidden width is not `width`, which is told from the inputs of the modules that match
    `width_modules`.
    """

    read: tuple[str, ...]
    base_model_version: str
    network_module: str
    architecture: str
    other_width: str
    width: int
    width_modules: re.Pattern[str]

    def architecture_of(self, inputs: Mapping[str, int]) -> str:
        """Return the architecture's word for modules with these numbers of inputs."""
        widths = {number for module, number in inputs.items() if self.width_modules.search(module)}
        return self.architecture if not widths or widths == {self.width} else self.other_width.format(min(widths))


def plain_word(said: str) -> str:
    """Return a base model's word in lower-case letters and digits alone: "Flux.2-klein-4b" is "flux2klein4b"."""
    return "".join(c for c in said[:MAX_NAME].casefold() if c.isalnum())


def said_base_models(metadata: Mapping[str, str]) -> Sequence[str]:
    """Return what a file's header says of its base model, as plain words, the surest first.

    ai-toolkit and kohya write `ss_base_model_version`, Stability's modelspec `modelspec.architecture`; the network
    module's name (`networks.lora_flux`) is only a hint of the trainer's script.
    """
    found = [plain_word(metadata[key]) for key in _BASE_MODEL_KEYS if metadata.get(key)]
    module = plain_word(metadata.get(_MODULE_KEY, "").removeprefix("networks.").removeprefix("lora_"))
    return [*found, *([module] if module and module != "lora" else [])]
