"""Whether a swap worked: the new face is the persona's, the old face and hair are gone, and its look is the photo's."""

from __future__ import annotations

from studio.domain.persona import SwapFault, SwappedPicture

__all__ = ["MOST_OLD_HAIR", "swap_faults"]

MOST_OLD_HAIR = 0.2  # of its edge; what is under it is a strand or a shade that is hardly seen


def swap_faults(row: SwappedPicture, least_identity: float) -> tuple[SwapFault, ...]:
    """Return the scores that say that the new face did not replace the old one; none where it did.

    `least_identity` is the cosine that hardly any two different people reach; -1 where nobody measured it: then the
    face must at least be nearer to the persona than before, and nearer to them than to who was there. A picture that
    showed the persona already need not lose its old face.
    """
    faults: list[SwapFault] = []
    was_them = -1 < least_identity <= row.identity_before
    is_nearer = was_them or row.identity > row.identity_before
    if row.moved is None or row.identity < least_identity or not is_nearer:
        faults.append("identity")
    if row.old_face is not None and not was_them:
        limit = row.identity if least_identity <= -1 else min(least_identity, row.identity)
        if row.old_face >= limit:
            faults.append("old_face")
    if row.old_hair is not None and row.old_hair > MOST_OLD_HAIR:
        faults.append("old_hair")
    if row.other_look:
        faults.append("look")
    return tuple(faults)
