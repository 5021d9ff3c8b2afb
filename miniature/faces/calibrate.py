"""What the recognisers' cosines mean, on people never seen: `python -m miniature.faces.calibrate`.

Through the real way: whole pictures, insightface's detection, alignment and recognition.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from miniature.renders import people
from miniature.world import World, render, sample_scenes
from personas.measures.calibration import face_statistics
from personas.measures.face import FaceCalibration, FaceReader
from personas.shots import vary_shots

PEOPLE, SHOTS, SEED = 48, 8, 990_000


def calibrate(
    folder: Path, count: int = PEOPLE, shots_each: int = SHOTS, seed: int = SEED
) -> tuple[FaceCalibration, int]:
    """The calibration of a pack, and in how many pictures exactly one face was found."""
    reader = FaceReader(folder)
    embeddings, owner, single = read_people(reader, count, shots_each, seed)
    return face_statistics(embeddings, owner, reader.sha256, seed).calibration, single


def read_people(
    reader: FaceReader, count: int, shots_each: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.int64], int]:
    """Embeddings [n, d] of found faces, whose each is [n], and in how many pictures exactly one was found."""
    identity, _ = people(count, seed)
    shots = vary_shots(count * shots_each, seed)
    scenes = sample_scenes([s.setting for s in shots], [seed + i for i in range(len(shots))])
    embeddings: list[NDArray[np.float32]] = []
    owner: list[int] = []
    single = 0
    for i in range(0, len(shots), 4):
        rows = list(range(i, min(i + 4, len(shots))))
        who = torch.tensor([r // shots_each for r in rows])
        drawn = render(World(identity[who], tuple(shots[r] for r in rows), scenes.take(rows), seed + i)).images.numpy()
        for row, image in zip(rows, drawn, strict=True):
            faces = reader.faces(image)
            single += len(faces) == 1
            if faces:
                embeddings.append(faces[0].embedding)
                owner.append(row // shots_each)
    return np.stack(embeddings), np.array(owner), single


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=Path, default=Path("assets/miniature"))
    parser.add_argument("--packs", nargs="+", default=["faces", "faces_second"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in args.packs:
        result, single = calibrate(args.assets / name)
        (args.assets / name / "calibration.json").write_text(result.model_dump_json(indent=1) + "\n")
        print(name, result, f"one face in {single} of {PEOPLE * SHOTS}", flush=True)
