"""Spellings of layers in LoRA files, by other tools and by diffusers: one parser, a table each.

A family's table is a `Spellings`; what its files say of themselves is a `LoraWords`. Names that differ from a table's
in joining signs or in case alone are that layer. Nothing here imports torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

__all__ = [
    "MAX_NAME",
    "LoraWords",
    "PRODUCT_PARTS",
    "Spellings",
    "Target",
    "TensorName",
    "adapter_kind",
    "matrix_shape",
    "own_names",
    "plain_word",
    "said_base_models",
]

MAX_NAME = 300  # characters of a tensor's or a base model's name; no tool writes half as many
# what stands before a layer, in any order ("base_model.model.", "lora_unet__", "pipe.dit.", …)
_PREFIXES = (
    r"(?:(?:base_model|model|diffusion_model|transformer|lora_unet|lora_transformer|lycoris|unet|module|orig_mod"
    r"|pipe|dit)_){0,6}?"
)
_JOINED = ("lora_unet_", "lora_transformer_", "lycoris_")
_DOWN = r"(?:lora_down|lora\.down|lora_linear_layer\.down|down)(?:\.default(?:_\d+)?)?"
_UP = r"(?:lora_up|lora\.up|lora_linear_layer\.up|up)(?:\.default(?:_\d+)?)?"
_ADAPTER = r"(?:\.[\w-]+)?"  # peft's adapter names: "lora_A.default.weight"
_SCALE = r"(?:\.weight)?[._](?:scale_weight|weight_scale(?:_inv)?|scale)"  # of fp8 matrices, as ComfyUI names it
# the part of a key behind its layer: "….lora_A.weight", "….lora_A.default.weight", "….lora.down.weight", "….alpha"
_PART = re.compile(
    r"\.(?:"
    r"(?P<other>dora_scale|(?:lora_magnitude_vector|lokr_\w+|hada_\w+|b?oft_\w+)(?:\.[\w-]+)*|lora_mid\.weight"
    r"|diff_b|diff|w_norm|b_norm)"
    rf"|(?P<bias>(?:lora_B{_ADAPTER}|{_UP})\.bias)"
    rf"|(?P<down_scale>(?:lora_A|{_DOWN}){_SCALE})"
    rf"|(?P<up_scale>(?:lora_B|{_UP}){_SCALE})"
    rf"|(?P<down>lora_A{_ADAPTER}\.weight|lora_A|{_DOWN}\.weight|lora_down)"
    rf"|(?P<up>lora_B{_ADAPTER}\.weight|lora_B|{_UP}\.weight|lora_up)"
    r"|(?P<alpha>alpha)"
    r")$"
)
_DEFAULT = re.compile(r"(^|[._])default(?:_\d+)?\.")  # an adapter's name before or inside a layer's
_KINDS = {"dora": "DoRA", "lora_magnitude": "DoRA", "lokr": "LoKr", "hada": "LoHa", "oft": "OFT", "boft": "BOFT"}
_SIGNS = re.compile(r"[^a-z0-9]+")
PRODUCT_PARTS = frozenset(
    ["hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"]
    + [f"lokr_{w}{half}" for w in ("w1", "w2") for half in ("", "_a", "_b")]
)
"""Parts of a LoHa or a LoKr that `pipelines.lora.products` multiplies out; Tucker's cores of convolutions are none."""
_BASE_MODEL_KEYS = ("ss_base_model_version", "modelspec.architecture")
_MODULE_KEY = "ss_network_module"


@dataclass(frozen=True)
class TensorName:
    """One tensor of a LoRA file: the layer it belongs to, in the file's own words, and its part in it.

    `part` is one of "down", "up", "alpha", "down_scale" and "up_scale" (of fp8 matrices), of `PRODUCT_PARTS`, or the
    unsupported kind's own name ("dora_scale", "oft_blocks", "lora_B.bias", "diff_b", …).
    """

    layer: str
    part: str
    format: str


@dataclass(frozen=True)
class Target:
    """Where the rows of a layer's `up` matrix go: module, and how its rows are laid out there.

    `share` is the index among equal parts; -1 says "the rest behind three parts as wide as the input" (single
    blocks' `linear1` holds q, k, v and the MLP). `swapped` says that shift and scale change places. `times` is how many
    times its inputs the module's outputs are, where a file may hold q, k and v alone, which are its first rows (0: no
    such module).
    """

    module: str
    share: int = 0
    swapped: bool = False
    times: int = 0


def own_names(table: Mapping[str, tuple[Target, ...]]) -> dict[str, tuple[Target, ...]]:
    """Return {diffusers' name: itself} for all that a table leads to."""
    found = [target for targets in table.values() for target in targets]
    return {target.module: (replace(target, share=0, swapped=False),) for target in found}


def matrix_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of the matrix that a tensor is: a 1×1 convolution's sides of one behind the second fall away."""
    first, rest = tuple(shape[:2]), tuple(shape[2:])
    return first if all(side == 1 for side in rest) else (*first, *rest)


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
        it is longer than `MAX_NAME`. A layer that the table lacks keeps the file's name.
        """
        match = _PART.search(key) if len(key) <= MAX_NAME else None
        if match is None:
            return None
        part = str(match.lastgroup)
        part = {"other": match.group(), "bias": ".lora_B.bias"}.get(part, part).removeprefix(".")
        if (bare := part.partition(".")[0]) in PRODUCT_PARTS:  # peft writes an adapter's name behind it
            part = bare
        raw = key[: match.start()]
        if "default" in raw:
            raw = _DEFAULT.sub(r"\1", raw)
        if text := self._text_layer(raw):
            return TensorName(text, part, "kohya" if raw.startswith("lora_te") else "diffusers")
        layer = self._known(raw)
        return TensorName(layer or raw, part, self._format(raw, layer))

    def targets(self, layer: str) -> tuple[Target, ...]:
        """Return the modules that a layer (from `parse`) stands for; () if none."""
        if layer.startswith(tuple(f"{encoder}." for encoder in self.text_layers)):
            return (Target(layer),)
        blocks, index, leaf = self.split(layer)
        if not blocks:
            return self.top.get(layer, ())
        ours, leaves = self.blocks[blocks]
        return tuple(replace(t, module=f"{ours}.{index}.{t.module}") for t in leaves.get(leaf, ()))

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

    def _text_layer(self, raw: str) -> str:
        """The name of a text encoder's layer, such as "text_encoder.encoder.layers.0.mlp.fc1"; "" if it is none."""
        raw = raw.removeprefix("base_model.model.")
        if not raw.startswith(tuple(self.text_prefixes)):
            return ""
        layer = re.sub(r"([._])[._]+", r"\1", raw).strip("._")
        for prefix, encoder in self.text_prefixes.items():
            pattern, name = self.text_layers[encoder]
            if layer.startswith(prefix) and (match := pattern.match(layer.removeprefix(prefix))):
                return f"{encoder}.{name.format(*match.groups())}"
        return ""

    def _known(self, raw: str) -> str:
        """The table's name of a layer, whatever its prefixes, joining signs and case; "" if it is none of ours."""
        plain = _joined(raw)
        if match := self._block_pattern.match(plain):
            blocks, leaves = self._joined_blocks[match.group(1)]
            leaf = leaves.get(match.group(3), "")
            return f"{blocks}.{match.group(2)}.{leaf}" if leaf else ""
        match = self._top_pattern.match(plain)
        return self._joined_top[match.group(1)] if match else ""

    @cached_property
    def _block_pattern(self) -> re.Pattern[str]:
        return re.compile(rf"{_PREFIXES}({'|'.join(self._joined_blocks)})_(\d+)_(.+)$")

    @cached_property
    def _top_pattern(self) -> re.Pattern[str]:
        return re.compile(rf"{_PREFIXES}({'|'.join(map(re.escape, self._joined_top))})$")

    @cached_property
    def _joined_blocks(self) -> dict[str, tuple[str, dict[str, str]]]:
        return {
            _joined(blocks): (blocks, {_joined(leaf): leaf for leaf in leaves})
            for blocks, (_, leaves) in self.blocks.items()
        }

    @cached_property
    def _joined_top(self) -> dict[str, str]:
        return {_joined(name): name for name in self.top}

    def _format(self, raw: str, layer: str) -> str:
        """The tool whose spelling a layer's name is; `layer` is the table's name of it, "" if it has none."""
        if raw.startswith("lycoris_"):
            return "lycoris"
        if raw.startswith(_JOINED) or ("." in layer and "." not in raw):
            return "onetrainer" if "lora_transformer_" in raw else "kohya"
        if ".processor." in layer:
            return "xlabs"
        if raw.startswith("base_model."):
            return "peft"
        targets = self.targets(layer)
        return "diffusers" if len(targets) == 1 and targets[0].module == layer else self.original_format


def _joined(name: str) -> str:
    """A name's words in lower case, joined by one underscore each: "img_attn.qkv" and "IMG_attn__qkv_" are the same."""
    return _SIGNS.sub("_", name.lower()).strip("_")


@dataclass(frozen=True)
class LoraWords:
    """Words that a family's LoRA files say of themselves.

    `read` are beginnings of base-model words (see `plain_word`); one that ends with "$" is the whole word. The studio
    writes `network_module` and, for the hidden width of its layers, a base model's version and architecture: those of
    `models` ({width: words}, the first where the layers do not tell), or `other_width`, whose {} is the width. The
    width is told from the inputs of the modules that match `width_modules`.
    """

    read: tuple[str, ...]
    network_module: str
    models: Mapping[int, tuple[str, str]]
    other_width: tuple[str, str]
    width_modules: re.Pattern[str]

    def written(self, inputs: Mapping[str, int]) -> tuple[str, str]:
        """Return the base model's version and the architecture for modules with these numbers of inputs."""
        widths = {number for module, number in inputs.items() if self.width_modules.search(module)}
        if not widths:
            return next(iter(self.models.values()))
        width = widths.pop() if len(widths) == 1 else 0
        version, architecture = self.models.get(width, self.other_width)
        return version, architecture.format(width or min(widths))


def adapter_kind(part: str) -> str:
    """Return the kind of adapter whose part (`TensorName.part`) this is; "" for the parts of a LoRA, LoHa or LoKr."""
    kind = next((kind for start, kind in _KINDS.items() if part.startswith(start)), "")
    return "" if part in PRODUCT_PARTS else kind


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
