"""Checkpoints that a kill or a full disk cannot spoil: written aside, marked complete, then renamed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load, save

from pipelines.errors import BadInput, OutOfDisk

__all__ = ["Checkpoint", "read_checkpoint", "write_atomically", "write_checkpoint"]

_MARKER = "complete.json"
_KEPT = 2


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A training after `len(losses)` steps. No pickles: tensors are safetensors, the rest is JSON.

    `weights` and `optimizer` are on the CPU; there is no random state, because every step draws from its own
    seed.
    """

    weights: Mapping[str, torch.Tensor]
    optimizer: Mapping[str, torch.Tensor]
    losses: Sequence[float]


def write_atomically(path: Path, data: bytes) -> None:
    """Write beside, flush to the disk, rename; OutOfDisk leaves what was there before."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise _translated(error, path) from error


def write_checkpoint(folder: Path, fingerprint: str, checkpoint: Checkpoint) -> Path:
    """Write `folder/step-000123`, the marker with every file's hash last; then keep only the newest two."""
    final = folder / f"step-{len(checkpoint.losses):06d}"
    part = final.with_suffix(".part")
    contents = {
        "weights.safetensors": save(dict(checkpoint.weights)),
        "optimizer.safetensors": save(dict(checkpoint.optimizer)),
        "losses.json": json.dumps(list(checkpoint.losses)).encode(),
    }
    marker = {
        "fingerprint": fingerprint,
        "step": len(checkpoint.losses),
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()},
    }
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for name, data in contents.items():
            write_atomically(part / name, data)
        write_atomically(part / _MARKER, json.dumps(marker).encode())
        shutil.rmtree(final, ignore_errors=True)
        part.replace(final)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise _translated(error, final) from error
    for old in _newest_first(folder)[_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def read_checkpoint(folder: Path, fingerprint: str) -> Checkpoint | None:
    """The newest complete checkpoint; damaged ones are passed over, another training's are an error."""
    for candidate in _newest_first(folder):
        try:
            marker = json.loads((candidate / _MARKER).read_bytes())
            contents = {name: (candidate / name).read_bytes() for name in marker["sha256"]}
            whole = all(hashlib.sha256(contents[name]).hexdigest() == h for name, h in marker["sha256"].items())
            if not whole:
                continue
            found = Checkpoint(
                weights=load(contents["weights.safetensors"]),
                optimizer=load(contents["optimizer.safetensors"]),
                losses=json.loads(contents["losses.json"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if marker.get("fingerprint") != fingerprint:
            raise BadInput("checkpoints_of_another_training", folder=str(folder))
        return found
    return None


def _newest_first(folder: Path) -> list[Path]:
    return sorted((p for p in folder.glob("step-*") if p.is_dir() and p.suffix != ".part"), reverse=True)


def _translated(error: OSError, path: Path) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutOfDisk("disk_full_while_training", path=str(path))
    return error
