"""Real tokenizers and a real VAE of FLUX.1: what the miniature's own cannot show."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import AutoencoderTiny
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel, T5TokenizerFast

from pipelines.backbones import Backbone, encode_prompt
from pipelines.families.autoencoder import decode_latents, encode_pictures
from pipelines.families.flux1.model import Flux1Model
from pipelines.training.dataset import fit_image
from tests.data import FOLDER, need
from tests.tiny import POOLED_WIDTH, TEXT_WIDTH, flux1

PORTRAITS = sorted((FOLDER / "faces/xverse_human").glob("*.jpg"))


def test_there_are_portraits() -> None:
    need("faces/xverse_human")
    assert len(PORTRAITS) == 16


@pytest.mark.parametrize("portrait", PORTRAITS, ids=lambda p: p.stem)
def test_a_portrait_goes_through_the_flux_latents(portrait: object) -> None:
    vae = AutoencoderTiny.from_pretrained(need("vae/taef1"), local_files_only=True).eval()
    picture = fit_image(np.asarray(Image.open(str(portrait)).convert("RGB")), 512, 512)
    latents = encode_pictures(vae, picture[None])
    assert latents.shape == (1, 16, 64, 64)
    error = decode_latents(vae, latents)[0].astype(np.float64) - picture
    assert 10 * np.log10(255**2 / np.square(error).mean()) >= 30


@pytest.fixture
def real_words(tiny_dev_backbone: Backbone) -> Backbone:
    """The tiny FLUX with FLUX.1's own tokenizers, whose CLIP file allows 8192 tokens."""
    clip = CLIPTokenizer.from_pretrained(need("tokenizers/clip_l"))
    t5 = T5TokenizerFast.from_pretrained(need("tokenizers/t5"))
    torch.manual_seed(0)
    model = flux1(tiny_dev_backbone)
    parts = dict(model.pipeline.components)
    parts |= {
        "tokenizer": clip,
        "tokenizer_2": t5,
        "text_encoder": CLIPTextModel(CLIPTextConfig(
            vocab_size=len(clip), hidden_size=POOLED_WIDTH, intermediate_size=32, num_hidden_layers=1,
            num_attention_heads=2, bos_token_id=clip.bos_token_id, eos_token_id=clip.eos_token_id,
            pad_token_id=clip.pad_token_id,
        )),
        "text_encoder_2": T5EncoderModel(T5Config(
            vocab_size=len(t5), d_model=TEXT_WIDTH, d_kv=16, d_ff=32, num_layers=1, num_heads=2,
        )),
    }  # fmt: skip
    pipeline = type(model.pipeline)(**parts)
    pipeline.tokenizer_max_length = 77
    spec = replace(tiny_dev_backbone.spec, max_sequence_length=512)
    long = Flux1Model(pipeline, torch.device("cpu"), torch.float32, spec.max_sequence_length)
    return Backbone(spec, long, tiny_dev_backbone.plan)


def test_long_prompts_are_cut_and_a_warning_shows_what(real_words: Backbone, caplog: pytest.LogCaptureFixture) -> None:
    embeds = encode_prompt(real_words, "a young woman in a red dress")
    assert not caplog.records
    assert embeds.prompt_embeds.shape == (1, 512, TEXT_WIDTH)

    encode_prompt(real_words, "a woman, " + "very " * 70 + "tired, holding a teapot")
    (record,) = caplog.records
    assert "CLIP" in record.getMessage()
    assert record.getMessage().endswith("not: holding a teapot")

    caplog.clear()
    encode_prompt(real_words, "a woman, " + "very " * 505 + "tired, holding a teapot")
    clip, t5 = (r.getMessage() for r in caplog.records if r.name == "pipelines.families.flux1.model")
    assert "CLIP" in clip
    assert "512" in t5
    assert t5.endswith("holding a teapot")
    assert t5.count("very") < 20
