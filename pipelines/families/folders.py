"""Reading a diffusers folder's JSON and the headers of its parts, and a file's names without their prefix. No torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.errors import BadInput, ModelMissing, StudioError
from pipelines.families.protocol import Family
from pipelines.models.headers import Header, read_header, shards_of
from pipelines.models.sources import Source

__all__ = [
    "MAX_VALUE",
    "bare_names",
    "config_number",
    "has_scheduler",
    "read_json",
    "read_part_headers",
    "read_transformer_headers",
    "reading",
    "token_px_of",
]

MAX_VALUE = 60
"""So many characters of a value that does not fit are said."""
_PREFIXES = ("model.diffusion_model.", "diffusion_model.", "transformer.")


@contextmanager
def reading(model: str) -> Iterator[None]:
    """Raise ModelMissing for whatever the libraries raise while they read a model's files."""
    try:
        yield
    except (StudioError, MemoryError):
        raise
    except Exception as error:  # damaged files make them raise anything
        if type(error).__name__ == "OutOfMemoryError":  # torch's, which is no MemoryError
            raise
        raise ModelMissing("model_unreadable", model=model, reason=str(error) or type(error).__name__) from error


def bare_names(names: Iterable[str]) -> dict[str, str]:
    """{name inside the transformer: name in the file}. What an all-in-one file holds beside it is left out."""
    names = list(names)
    prefix = next((p for p in _PREFIXES if any(name.startswith(p) for name in names)), "")
    return {name.removeprefix(prefix): name for name in names if name.startswith(prefix)}


def token_px_of(folder: Path) -> int:
    """Return the pixels a side of a transformer's token: of 2 × 2 latents, in every family. Raises as `read_json`."""
    vae = read_json(folder / "vae" / "config.json")
    return 2 * int(2 ** (len(vae.get("block_out_channels", (1,) * 4)) - 1))


def read_part_headers(source: Source, family: Family) -> dict[str, tuple[Header, ...]]:
    """Return the headers of everything that will be loaded, by part.

    Raises ModelMissing for files and shards that are not there, BadInput for damaged ones.
    """
    base, whole = source.base, source.kind == "folder"
    for part in family.parts:
        read_json(base / part.name / "config.json")
    read_json(base / "scheduler" / "scheduler_config.json")
    for tokenizer in family.tokenizers:
        folder = base / tokenizer
        if not any(folder.glob("*.json")) and not any(folder.glob("*.model")):
            raise ModelMissing("tokenizer_missing", folder=f"{base.name}/{tokenizer}")
        if family.needs_chat_template and not _has_chat_template(folder):
            raise ModelMissing("chat_template_missing", folder=f"{base.name}/{tokenizer}")
    files = {part.name: shards_of(base / part.name) for part in family.parts if whole or part.name != "transformer"}
    headers = {part: tuple(read_header(path) for path in paths) for part, paths in files.items()}
    return headers if whole else headers | {"transformer": read_transformer_headers(source)}


def read_transformer_headers(source: Source) -> tuple[Header, ...]:
    """Return the headers of the transformer's files alone; raises as `read_part_headers` does."""
    files = shards_of(source.base / "transformer") if source.kind == "folder" else [source.path]
    return tuple(read_header(path) for path in files)


def has_scheduler(folder: Path) -> bool:
    """Return whether a diffusers folder says how its model's sigmas are moved."""
    return (folder / "scheduler" / "scheduler_config.json").is_file()


def _has_chat_template(tokenizer: Path) -> bool:
    """Whether it is a file of its own, as transformers 5 writes it, or stands in the settings of the tokenizer or, as
    older versions write it, in a processor's own JSON file.
    """
    file = tokenizer / "chat_template.jinja"
    if file.is_file() and file.read_bytes().strip():
        return True
    settings = (tokenizer / name for name in ("tokenizer_config.json", "chat_template.json"))
    return any(path.is_file() and read_json(path).get("chat_template") for path in settings)


def read_json(path: Path) -> dict[str, Any]:
    """Raises ModelMissing where there is no file, BadInput where it holds no JSON object."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        file = f"{path.parent.name}/{path.name}"
        raise ModelMissing("model_config_missing", file=file, folder=str(path.parent.parent)) from None
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput("json_unreadable", path=str(path), reason=str(error)) from error
    if not isinstance(value, dict):
        raise BadInput("json_no_object", path=str(path))
    return value


def config_number(config: Mapping[str, Any], name: str, usual: int, file: str) -> int:
    """Return a whole number of a config.json, `usual` where it says none. `file` is its place, for errors.

    Raises BadInput for anything else: text, a list, null, a fraction.
    """
    value = config.get(name, usual)
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadInput("model_config_value", file=file, name=name, value=str(value)[:MAX_VALUE])
    return value
