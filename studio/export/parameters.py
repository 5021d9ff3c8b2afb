"""Writes what a picture was drawn from as AUTOMATIC1111's web UI does, so that other tools can read it.

AUTOMATIC1111/stable-diffusion-webui, modules/processing.py, `create_infotext`; "Distilled CFG Scale" is Forge's.
"""

from __future__ import annotations

from importlib.metadata import version

from studio.export.manifest import DrawFacts, ManifestPost

__all__ = ["write_parameters"]


def write_parameters(post: ManifestPost, draw: DrawFacts) -> str:
    """Return the text of a picture's `parameters`: its prompt, and one line of settings."""
    pairs = {
        "Steps": post.num_inference_steps,
        "CFG scale": f"{post.true_cfg_scale:g}",
        "Distilled CFG Scale": f"{post.guidance_scale:g}",
        "Seed": post.seed,
        "Size": f"{draw.width}x{draw.height}",
        "Model hash": draw.backbone_sha256[:10],
        "Model": _one_word(draw.backbone),
        "Version": f"Persona Studio {version('persona-studio')}",
    }
    return f"{' '.join(post.prompt.split())}\n{', '.join(f'{key}: {value}' for key, value in pairs.items())}"


def _one_word(text: str) -> str:
    """A value with a comma, colon or quote would be read as several."""
    return "".join(" " if sign in ',:"\n' else sign for sign in text).strip()
