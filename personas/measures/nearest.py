"""The faces nearest to one, exactly, among very many: a first look in eight bits, and a second at the few it leaves.

All that the first look may be wrong by is bounded (Cauchy and Schwarz, over what rounding took off each row), so that
no face of the answer can be missing from the second. Reading 100 000 faces of 512 numbers takes their 51 MB instead of
205.
"""

from __future__ import annotations

import os
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

__all__ = ["FaceMatrix", "Nearest"]

_ZERO = 128  # the code of 0
_QUERY_MOST = 63  # 2 · 63 · 255 < 2¹⁵: processors without VNNI add two products in 16 bits
_ROUNDING = 1e-5  # of float32, in what is summed behind the bound
_LEAST_ROOM = 1024  # rows


class Nearest(NamedTuple):
    """`rows` int64 [k] of a matrix, the nearest first, and their `cosines` float64 [k] to what was looked for."""

    rows: npt.NDArray[np.int64]
    cosines: npt.NDArray[np.float64]


class FaceMatrix:
    """Unit embeddings of one recogniser, as float16 [n, d], and as codes uint8 [n, d] for the first look. Rows are only
    added; any number of threads may look meanwhile.
    """

    def __init__(self, width: int, threads: int = 0) -> None:
        """`threads` look at once, 0: two where there are two cores."""
        self._width, self._threads = width, threads or min(2, len(os.sched_getaffinity(0)))
        self._adding, self._count = Lock(), 0
        self._faces = np.zeros((0, width), np.float16)
        self._codes = np.zeros((0, width), np.uint8)
        self._scale, self._lost = np.zeros(0, np.float32), np.zeros(0, np.float32)

    def __len__(self) -> int:
        return self._count

    @property
    def memory(self) -> int:
        """Return how many bytes it takes."""
        return sum(part.nbytes for part in (self._faces, self._codes, self._scale, self._lost))

    def told(self, row: int) -> bytes:
        """Return a row as float16, little-endian."""
        return self._faces[row].astype("<f2").tobytes()

    def add(self, faces: npt.NDArray[np.floating]) -> None:
        """Add rows [m, d] behind the others."""
        kept = np.asarray(faces, np.float16)
        exact = kept.astype(np.float32)
        scale = np.maximum(np.abs(exact).max(axis=1), 1e-9) / (_ZERO - 1) if len(kept) else np.zeros(0, np.float32)
        codes = np.rint(exact / scale[:, None])
        lost = np.linalg.norm(exact - codes * scale[:, None], axis=1)
        with self._adding:
            first, count = self._count, self._count + len(kept)
            if count > len(self._faces):
                self._make_room(count)
            self._faces[first:count], self._codes[first:count] = kept, codes + _ZERO
            self._scale[first:count], self._lost[first:count] = scale, lost
            self._count = count

    def _make_room(self, count: int) -> None:
        """Whoever looks meanwhile looks at the old arrays, which stay as they are."""
        room = max(_LEAST_ROOM, count + count // 4)
        for name in ("_faces", "_codes", "_scale", "_lost"):
            old = getattr(self, name)
            new = np.zeros((room, *old.shape[1:]), old.dtype)
            new[: self._count] = old[: self._count]
            setattr(self, name, new)

    def nearest(self, face: npt.NDArray[np.floating], count: int) -> Nearest:
        """Return the `count` rows, or all, with the greatest cosine to a unit embedding [d]; the first of equals."""
        with self._adding:
            n = self._count
            faces, codes, scale, lost = self._faces[:n], self._codes[:n], self._scale[:n], self._lost[:n]
        wanted = np.asarray(face, np.float64)
        if count < n:
            about, sure = _look(codes, scale, lost, wanted, self._threads)
            first = np.argpartition(about, n - count)[n - count :]
            least = _cosines(faces[first], wanted).min()
            rows = np.flatnonzero(about + sure >= least)
        else:
            rows = np.arange(n)
        cosines = _cosines(faces[rows], wanted)
        order = np.lexsort((rows, -cosines))[:count]
        return Nearest(rows[order], cosines[order])


def _cosines(faces: npt.NDArray[np.float16], wanted: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return each row's [n]; a product of matrices would round equal rows differently, by their places."""
    found: npt.NDArray[np.float64] = (faces.astype(np.float64) * wanted).sum(axis=1)
    return found


def _look(
    codes: npt.NDArray[np.uint8],
    scale: npt.NDArray[np.float32],
    lost: npt.NDArray[np.float32],
    wanted: npt.NDArray[np.float64],
    threads: int,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return each row's cosine [n] to what is wanted [d], roughly, and what it is wrong by at most [n]."""
    step = max(float(np.abs(wanted).max()), 1e-9) / _QUERY_MOST
    coarse = np.rint(wanted / step)
    fine = np.rint((wanted - coarse * step) / (step / (2 * _QUERY_MOST)))  # within ± 63: half a step
    told = (coarse + fine / (2 * _QUERY_MOST)) * step
    parts = _session(threads).run(None, {"a": codes, "b": np.stack([coarse, fine], axis=1).astype(np.int8)})[0]
    about = parts.astype(np.float32) @ np.array([step, step / (2 * _QUERY_MOST)], np.float32)  # sums are under 2²⁴
    about *= scale
    # a row is codes + what was lost, the face is told + what is not: the product of the codes is all but these two
    untold = float(np.linalg.norm(wanted - told)) * float(1 + lost.max())
    return about, lost * np.float32(np.linalg.norm(wanted)) + np.float32(untold + _ROUNDING)


@cache
def _session(threads: int) -> InferenceSession:
    """What multiplies codes uint8 [n, d] by int8 [d, 2]; 32 bits hold every sum."""
    import onnxruntime
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b", "zero"], ["y"])],
        "look",
        [
            helper.make_tensor_value_info("a", TensorProto.UINT8, [None, None]),
            helper.make_tensor_value_info("b", TensorProto.INT8, [None, 2]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [None, 2])],
        [helper.make_tensor("zero", TensorProto.UINT8, [], [_ZERO])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # looks are seldom
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
