"""Going on from earlier weights: `python -m miniature.earlier take-up` or `grow`, then `python -m miniature.flux train`."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import torch

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import FluxPipeline, FluxPriorReduxPipeline
from transformers import CLIPTokenizer, T5Tokenizer

from miniature.captions import corpus, same_meaning, train_clip_tokenizer, train_t5_tokenizer
from miniature.flux import TEXT_LENGTH, Parts
from miniature.vae import LATENT_CHANNELS, LIKENESS


def take_up(assets: Path, work: Path, vae_work: Path) -> None:
    """Write the shipped weights as checkpoints, to train them on where `build/` is gone.

    The optimizer starts anew, and so does what says who a named person is, which is not shipped.
    """
    pipeline = FluxPipeline.from_pretrained(assets / "flux", torch_dtype=torch.float32)
    redux = FluxPriorReduxPipeline.from_pretrained(assets / "redux", torch_dtype=torch.float32)
    parts = Parts(len(pipeline.tokenizer_2), len(pipeline.tokenizer), pipeline.tokenizer.eos_token_id)
    for name in ("transformer", "text_encoder", "text_encoder_2", "image_encoder", "image_embedder"):
        shipped = (redux if name.startswith("image") else pipeline).components[name]
        getattr(parts, name).load_state_dict(shipped.state_dict())
    (vae_work / LIKENESS).unlink(missing_ok=True)
    for module, folder in ((parts, work), (pipeline.vae, vae_work)):
        folder.mkdir(parents=True, exist_ok=True)
        state = module.state_dict()
        torch.save({"module": state, "average": state, "count": 1000, "step": 0, "spent": 0.0, "log": []},
                   folder / "checkpoint.pt")  # fmt: skip
    # the shipped VAE has the latents' spread in its weights already
    nothing = torch.empty(0, 2, LATENT_CHANNELS, 16, 12, dtype=torch.float16)
    torch.save({"latents": nothing, "spread": torch.ones(LATENT_CHANNELS)}, work / "latents.pt")
    pipeline.tokenizer.save_pretrained(work / "tokenizer")
    pipeline.tokenizer_2.save_pretrained(work / "tokenizer_2")


def grow(work: Path) -> None:
    """Let a checkpoint that was trained on fewer words go on with today's: tokenizers and embeddings get longer.

    T5's new words start near the old one that says the same, CLIP's near the mean of the old ones: embeddings of T5's size
    hardly move in training, and learning three hundred random ones took longer than all the rest. The optimizer starts anew.
    """
    lines = corpus()
    t5 = train_t5_tokenizer(lines, TEXT_LENGTH, T5Tokenizer.from_pretrained(work / "tokenizer_2"))
    clip = train_clip_tokenizer(lines, earlier=CLIPTokenizer.from_pretrained(work / "tokenizer"))
    path = work / "checkpoint.pt"
    state = torch.load(path, weights_only=True, map_location="cpu")
    sizes = {"text_encoder_2.": len(t5), "text_encoder.": len(clip)}
    for weights in (state["module"], state["average"]):
        for name, old in weights.items():
            size = next((n for prefix, n in sizes.items() if name.startswith(prefix)), 0)
            if name.endswith(("shared.weight", "embed_tokens.weight", "token_embedding.weight")) and size > len(old):
                g = torch.Generator().manual_seed(4)
                new = old.mean(0) + 0.5 * old.std(0) * torch.randn(size - len(old), old.shape[1], generator=g)
                if name.startswith("text_encoder_2."):
                    for word, like in _same_words(t5, len(old)).items():
                        new[word - len(old)] = 0.8 * old[like] + 0.6 * (new[word - len(old)] - old.mean(0))
                weights[name] = torch.cat([old, new])
    state.pop("optimizer", None)
    part = path.with_suffix(".part")
    torch.save(state, part)
    t5.save_pretrained(work / "tokenizer_2")
    clip.save_pretrained(work / "tokenizer")
    part.replace(path)


def _same_words(t5: T5Tokenizer, known: int) -> dict[int, int]:
    """Of each token from `known` on that the studio itself does not use, its own one with the nearest meaning.

    That is the one that it goes together with the most in clauses that say the same.
    """
    together, alone = Counter[tuple[int, int]](), Counter[int]()
    pairs = [(set(t5(own).input_ids), set(t5(other).input_ids)) for own, other in same_meaning()]
    common = set().union(*(own for own, _ in pairs))
    for own, other in pairs:
        words, fresh = {w for w in own if 2 < w < known}, {w for w in other - common if w >= known}
        alone.update(words | fresh)
        together.update((f, w) for f in fresh for w in words)
    best: dict[int, tuple[float, int]] = {}
    for (f, w), count in together.items():
        best[f] = max(best.get(f, (0.0, 0)), (count / (alone[f] * alone[w]) ** 0.5, w))
    return {f: w for f, (_, w) in best.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=("take-up", "grow"))
    parser.add_argument("--vae", type=Path, default=Path("build/vae"))
    parser.add_argument("--work", type=Path, default=Path("build/flux"))
    parser.add_argument("--assets", type=Path, default=Path("assets/miniature"))
    args = parser.parse_args()
    if args.task == "take-up":
        take_up(args.assets, args.work, args.vae)
    else:
        grow(args.work)
