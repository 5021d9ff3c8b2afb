"""The bundled donors' people: far apart in the face, not only in hair and build."""

import numpy as np

from miniature.donors import _portrait_embeddings, chosen_people
from personas.measures.face import FaceReader
from studio.settings import ASSETS


def test_chosen_people_are_strangers_to_the_recogniser() -> None:
    faces = FaceReader(ASSETS / "faces")
    people = chosen_people("sweet", 4, faces, pool=24)
    assert people.shape == (4, 26)
    embeddings = _portrait_embeddings(people, faces)
    cosines = (embeddings @ embeddings.T)[np.triu_indices(4, 1)]
    assert cosines.max() < 0.2
    assert np.array_equal(people, chosen_people("sweet", 4, faces, pool=24))
