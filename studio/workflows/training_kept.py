"""Checkpoints of a training that are kept to be drawn with: few, the best among them, the others far apart."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from pipelines.lora import LoraLayer, LoraMetadata, write_lora
from pipelines.training.checkpoints import write_atomically
from studio.domain.persona import Sample
from studio.domain.values import FileKey
from studio.library.store import Store

__all__ = ["KeptCheckpoints"]

_MOST = 4  # beside the end of the training
_MOST_BYTES = 2 * 2**30  # a large model's LoRA has hundreds of megabytes


class KeptCheckpoints:
    """LoRA files in a training's `folder`, across resumes: after each checkpoint no more than are kept in the end.

    `join` puts what was learnt until then on top of what it was learnt on.
    """

    def __init__(
        self, folder: Path, metadata: LoraMetadata, join: Callable[[tuple[LoraLayer, ...]], tuple[LoraLayer, ...]]
    ) -> None:
        self._folder, self._metadata, self._join = folder / "kept", metadata, join

    def keep(self, step: int, layers: tuple[LoraLayer, ...], samples: Sequence[Sample]) -> None:
        """Keep this checkpoint; drop the one that tells least where there are too many. Raises OutOfDisk."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_lora(self._folder / f"{step:06d}.safetensors", self._join(layers), self._metadata)
        likeness = {sample.step: sample.identity for sample in samples}
        while len(files := self._files()) > 1 and (
            len(files) > _MOST or sum(file.stat().st_size for file in files.values()) > _MOST_BYTES
        ):
            files[least_telling(list(files), likeness)].unlink()

    def store(self, store: Store, samples: Sequence[Sample], last: FileKey) -> tuple[Sample, ...]:
        """Return the samples with the keys of what was kept; that of the last is `last`, the training's result.

        What is stored already is not kept a second time in the folder, and found again by its key.
        """
        known = self._folder / "stored.json"
        told = json.loads(known.read_bytes()) if known.exists() else {}
        keys = {int(step): str(key) for step, key in told.items() if store.has(key)}
        files = self._files()
        keys |= {step: store.put(file.read_bytes()) for step, file in files.items()}
        if keys:
            write_atomically(known, json.dumps(keys).encode())
        for file in files.values():
            file.unlink()
        keys |= {samples[-1].step: last} if samples else {}
        return tuple(
            sample.model_copy(update={"lora": FileKey(keys[sample.step])}) if sample.step in keys else sample
            for sample in samples
        )

    def _files(self) -> dict[int, Path]:
        return {int(file.stem): file for file in sorted(self._folder.glob("*.safetensors"))}


def least_telling(steps: Sequence[int], likeness: dict[int, float]) -> int:
    """Return which of at least two kept steps to drop: the one whose neighbours are nearest to each other, but never
    the one with the best likeness. The beginning is 0, and the last has nothing behind it but what is still to come.
    """
    best = max(steps, key=lambda step: (likeness.get(step, -1.0), step))
    order = sorted(steps)
    gaps = {
        step: (order[i + 1] if i + 1 < len(order) else step) - (order[i - 1] if i else 0)
        for i, step in enumerate(order)
    }
    return min((step for step in order if step != best), key=lambda step: (gaps[step], step))
