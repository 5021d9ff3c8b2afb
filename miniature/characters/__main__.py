"""The miniature's character adapter: `python -m miniature.characters data`, then `train`, then `export`.

`data --held` draws the people whom no training sees, for measuring. Each goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m miniature.characters", description=__doc__)
    parser.add_argument("task", choices=("data", "train", "export"))
    parser.add_argument("--folder", type=Path, default=Path("build/characters"))
    parser.add_argument("--assets", type=Path, default=Path("assets/miniature"))
    parser.add_argument("--count", type=int, help="of pieces")
    parser.add_argument("--held", action="store_true", help="draw the people who are held out")
    parser.add_argument("--steps", type=int, help="stop after so many in all")
    parser.add_argument("--seconds", type=float, default=math.inf, help="of this run")
    args = parser.parse_args()
    if args.task == "data":
        from miniature.characters.data import HELD_PIECES, PIECES, draw_pieces

        folder = args.folder / ("held" if args.held else "pieces")
        draw_pieces(folder, args.count or (HELD_PIECES if args.held else PIECES), args.assets, args.held)
        return
    from miniature.characters.train import export, train

    if args.task == "train":
        train(args.folder, args.assets, args.steps, args.seconds)
    else:
        export(args.folder, args.assets)


if __name__ == "__main__":
    main()
