from __future__ import annotations

import argparse
import json
from pathlib import Path

from miniature.finishing.pairs import draw_pairs, load_pairs
from miniature.finishing.train import SHAPE, Losses, held_out, train
from pipelines.backbones import load_backbone, resolve_backbone
from pipelines.finishing.files import save_network


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m miniature.finishing", description="Draw pairs, then train on them."
    )
    parser.add_argument("--pairs", type=int, default=200, help="drawn where they are missing, 2 s each")
    parser.add_argument("--minutes", type=float, default=35, help="of training, across resumes")
    parser.add_argument("--work", type=Path, default=Path("build/finishing"))
    parser.add_argument("--assets", type=Path, default=Path("assets/miniature"))
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--identity", type=float, default=0.1)
    parser.add_argument("--edges", type=float, default=0.7)
    parser.add_argument("--kept", type=float, default=0.3, help="how hard the small picture is held to")
    args = parser.parse_args()
    draw_pairs(args.work / "pairs", args.pairs, load_backbone(resolve_backbone("miniature")))
    pairs = load_pairs(args.work / "pairs")
    net = train(pairs, args.work, args.minutes, Losses(args.assets / "faces", args.identity, args.edges, args.kept),
                args.rate)  # fmt: skip
    print(json.dumps(held_out(net, pairs)), flush=True)
    save_network(net, SHAPE, args.assets / "finishing" / "finishing.safetensors", {"licence": "apache-2.0"})


if __name__ == "__main__":
    main()
