"""What other tools wrote into a picture is read as they meant it, and nothing that is not parsed is shown."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from pipelines.picture_labels import Labels, split_labels
from studio.export.a1111 import ForeignLora, ForeignPicture
from studio.export.foreign import read_foreign
from tests.data import need

PROMPT = "portrait of a woman in a red coat, (soft light:1.2), <lora:mira_v2:0.8>, street at dusk"
NEGATIVE = "blurry, low quality"
LORA = ForeignLora("mira_v2", scale=0.8)


def _read(folder: Path, name: str = "parameters", text: str = "", **more: str) -> ForeignPicture | None:
    chunks = PngImagePlugin.PngInfo()
    for key, value in {name: text, **more}.items():
        chunks.add_itxt(key, value)
    Image.new("RGB", (96, 96)).save(folder / "a.png", pnginfo=chunks)
    return read_foreign(split_labels((folder / "a.png").read_bytes())[1])


def _comment(text: str, code: bytes = b"UNICODE\0", coding: str = "utf-16-le") -> Labels:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = code + text.encode(coding)
    return Labels(exif=exif.tobytes())


@pytest.mark.parametrize(
    ("file", "seed", "digest"),
    [
        ("fooocus.png", 987654321, "89abcdef01"), ("swarmui.png", 1122334455, "89abcdef01"),
        ("swarmui.jpg", 1122334455, "89abcdef01"), ("invokeai.png", 555666777, ""), ("comfyui.png", 424242, ""),
    ],
)  # fmt: skip
def test_real_json_of_other_tools(file: str, seed: int, digest: str) -> None:
    data = (need("cases/recall-json-parameters") / file).read_bytes()
    found = read_foreign(split_labels(data)[1])
    assert found is not None
    assert (found.prompt, found.negative, found.seed) == (PROMPT, NEGATIVE, seed)
    assert found.loras == (ForeignLora("mira_v2", digest, 0.8),)
    assert not any("{" in value for value in found.settings.values())


def test_real_lines_of_an_extension() -> None:
    data = (need("cases/recall-template-lines") / "picture.png").read_bytes()
    found = read_foreign(split_labels(data)[1])
    assert found is not None
    assert (found.prompt, found.negative, found.seed) == (PROMPT, NEGATIVE, 123456789)
    assert found.loras == (ForeignLora("mira_v2", "89abcdef0123", 0.8),)
    assert found.settings["Steps"] == "24"
    assert found.settings["Template"] == "{portrait|photo} of a woman in a __colour__ coat"
    assert found.settings["Negative Template"] == NEGATIVE


_LINE = "Steps: 24, Sampler: Euler, CFG scale: 1, Seed: 7, Size: 896x1152"


@pytest.mark.parametrize(
    ("behind", "hash_"),
    [
        (', Lora hashes: "mira_v2: 89ABCDEF0123", Version: f2.0.1v1.10.1', "89abcdef0123"),
        (', Hashes: {"model": "0123abcd45", "lora:mira_v2": "89abcdef01"}, Version: v1.6.0', "89abcdef01"),
        (', Civitai resources: [{"type":"lora","weight":0.8,"modelName":"mira_v2","a":"b, c"}], Civitai: {}', ""),
        (", App: SD.Next, Backend: Diffusers, Pipeline: FluxPipeline", ""),
        ("\nTemplate: a {b|c}\nover two lines\nNegative Template: x", ""),
        ("\nWildcard prompt: __a__", ""),
    ],
)  # fmt: skip
def test_relatives_of_a1111(tmp_path: Path, behind: str, hash_: str) -> None:
    found = _read(tmp_path, text=f"{PROMPT}\nNegative prompt: {NEGATIVE}\n{_LINE}{behind}")
    assert found is not None
    assert (found.prompt, found.negative, found.seed) == (PROMPT, NEGATIVE, 7)
    assert found.loras == (ForeignLora("mira_v2", hash_, 0.8),)
    assert found.settings["Size"] == "896x1152"


def test_civitais_resources_are_one_setting(tmp_path: Path) -> None:
    told = '[{"type":"checkpoint","modelName":"x, y"},{"type":"lora","weight":0.6,"modelVersionName":"nora"}]'
    found = _read(tmp_path, text=f"a girl\n{_LINE}, Civitai resources: {told}, Civitai metadata: {{}}")
    assert found is not None
    assert json.loads(found.settings["Civitai resources"])[1]["weight"] == 0.6
    assert found.loras == (ForeignLora("nora", scale=0.6),)


@pytest.mark.parametrize("coding", ["utf-16-le", "utf-16-be", "utf-16", "utf-8"])
@pytest.mark.parametrize("prompt", [PROMPT, "红色外套的女人，柔和的光线，傍晚的街道"])
def test_a_user_comment_in_whatever_byte_order(coding: str, prompt: str) -> None:
    found = read_foreign(_comment(f"{prompt}\n{_LINE}", coding=coding))
    assert found is not None
    assert (found.prompt, found.seed) == (prompt, 7)
    assert read_foreign(_comment(f"{prompt}\n{_LINE}", b"ASCII\0\0\0", "utf-8")) == found


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"prompt": "a", "uc": "b", "seed": 3, "steps": 28}, ForeignPicture("a", "b", 3, {"steps": "28"})),
        ({"Prompt": "a", "Negative Prompt": "b", "Seed": "3"}, ForeignPicture("a", "b", 3)),
        ({"image": {"prompt": [{"prompt": "a", "weight": 1}], "seed": 3}}, ForeignPicture("a", "", 3)),
        ({"c": "a", "uc": "b", "seed": 3, "lora": [{"model": "m.ckpt", "weight": 0.5}]},
         ForeignPicture("a", "b", 3, {}, (ForeignLora("m.ckpt", "", 0.5),))),
    ],
)  # fmt: skip
def test_objects_whose_keys_say_what_they_are(tmp_path: Path, told: dict[str, Any], expected: ForeignPicture) -> None:
    assert _read(tmp_path, "Comment", json.dumps(told)) == expected
    assert read_foreign(_comment(json.dumps(told))) == expected


@pytest.mark.parametrize(
    "text",
    [
        '{"sui_image_params": {"prompt": "a", "seed"', '{"nodes": []}', '{"a": 1}', '[{"prompt": "a"}]', "[]", "[[",
        '{"prompt": {"a": 1}}', "{" * 5000, '{"a":' * 5000,
    ],
)  # fmt: skip
def test_json_is_never_passed_off_as_a_prompt(tmp_path: Path, text: str) -> None:
    for name in ("parameters", "prompt", "invokeai_metadata"):
        try:
            found = _read(tmp_path, name, text)
        except ValueError:
            continue
        assert found is None or (not found.prompt and not found.negative) or not text.startswith(('{"', "["))


def test_what_a_camera_or_an_editor_writes_is_no_recipe(tmp_path: Path) -> None:
    for name in ("Comment", "prompt", "Software", "Description"):
        assert _read(tmp_path, name, "Created with GIMP") is None
    assert read_foreign(_comment("Screenshot", b"ASCII\0\0\0", "ascii")) is None
    assert read_foreign(_comment("拍摄于上海")) is None
    assert read_foreign(Labels()) is None


def _graph(**more: Any) -> dict[str, Any]:
    return {
        "1": {"class_type": "UNETLoader", "inputs": {"unet_name": "flux1-dev.safetensors"}},
        "2": {"class_type": "LoraLoaderModelOnly",
              "inputs": {"lora_name": "faces\\mira_v2.safetensors", "strength_model": 0.8, "model": ["1", 0]}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"text": ["9", 0], "clip": ["8", 0]}},
        "4": {"class_type": "FluxGuidance", "inputs": {"guidance": 3.5, "conditioning": ["3", 0]}},
        "5": {"class_type": "BasicGuider", "inputs": {"model": ["2", 0], "conditioning": ["4", 0]}},
        "6": {"class_type": "RandomNoise", "inputs": {"noise_seed": 7}},
        "7": {"class_type": "SamplerCustomAdvanced", "inputs": {"noise": ["6", 0], "guider": ["5", 0],
              "sampler": ["11", 0], "latent_image": ["12", 0]}},
        "8": {"class_type": "DualCLIPLoader", "inputs": {"clip_name1": "t5.safetensors"}},
        "9": {"class_type": "PrimitiveStringMultiline", "inputs": {"value": PROMPT}},
        "10": {"class_type": "SaveImage", "inputs": {"images": ["7", 0], "filename_prefix": "a"}},
        "11": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
        "12": {"class_type": "EmptySD3LatentImage", "inputs": {"width": 896}},
        **more,
    }  # fmt: skip


def test_a_graph_of_flux_is_followed_to_its_text(tmp_path: Path) -> None:
    found = _read(tmp_path, "prompt", json.dumps(_graph()), workflow='{"nodes": []}')
    assert found is not None
    assert (found.prompt, found.negative, found.seed, found.loras) == (PROMPT, "", 7, (LORA,))


def test_a_refined_picture_is_what_began_it(tmp_path: Path) -> None:
    refiner: dict[str, Any] = {
        "class_type": "KSampler",
        "inputs": {
            "seed": 99,
            "steps": 5,
            "latent_image": ["7", 0],
            "model": ["2", 0],
            "positive": ["3", 0],
            "negative": ["21", 0],
        },
    }
    zeroed = {"class_type": "ConditioningZeroOut", "inputs": {"conditioning": ["3", 0]}}
    last = {"class_type": "SaveImage", "inputs": {"images": ["20", 0]}}
    found = _read(tmp_path, "prompt", json.dumps(_graph(**{"20": refiner, "21": zeroed, "10": last})))
    assert found is not None
    assert (found.prompt, found.negative, found.seed) == (PROMPT, "", 7)
    refiner["inputs"] |= {"latent_image": ["12", 0]}  # alone now, and its negative prompt is nothing
    found = _read(tmp_path, "prompt", json.dumps(_graph(**{"20": refiner, "21": zeroed, "10": last, "7": last})))
    assert found is not None
    assert (found.prompt, found.negative, found.seed) == (PROMPT, "", 99)


def test_a_prompt_that_is_computed_is_not_known(tmp_path: Path) -> None:
    joined = {"class_type": "StringConcatenate", "inputs": {"string_a": ["9", 0], "string_b": ["31", 0]}}
    more = {"class_type": "PrimitiveString", "inputs": {"value": "at night"}}
    text = {"class_type": "CLIPTextEncode", "inputs": {"text": ["30", 0], "clip": ["8", 0]}}
    found = _read(tmp_path, "prompt", json.dumps(_graph(**{"30": joined, "31": more, "3": text})))
    assert found is not None
    assert (found.prompt, found.seed) == ("", 7)


def test_a_loop_of_nodes_ends(tmp_path: Path) -> None:
    loop = {"class_type": "KSampler", "inputs": {"seed": 1, "latent_image": ["1", 0], "positive": ["1", 0]}}
    found = _read(tmp_path, "prompt", json.dumps({"1": loop}))
    assert found is not None
    assert (found.prompt, found.seed) == ("", 1)
    assert _read(tmp_path, text=PROMPT) == ForeignPicture(PROMPT, loras=(LORA,))


def test_comfyuis_webp_keeps_its_graph_in_exif() -> None:
    exif = Image.Exif()
    exif[0x0110] = "prompt:" + json.dumps(_graph())
    exif[0x010F] = "workflow:{}"
    found = read_foreign(Labels(exif=exif.tobytes()))
    assert found is not None
    assert (found.prompt, found.seed) == (PROMPT, 7)


def test_a_gallerys_xmp_is_read() -> None:
    words = f"{PROMPT}\n{_LINE}".replace("<", "&lt;").replace(">", "&gt;").replace("\n", "&#xA;")
    alt = f'<rdf:Alt><rdf:li xml:lang="x-default">{words}</rdf:li></rdf:Alt>'
    found = read_foreign(Labels(xmp=f"<x><exif:UserComment>{alt}</exif:UserComment></x>".encode()))
    assert found is not None
    assert (found.prompt, found.seed) == (PROMPT, 7)


@pytest.mark.parametrize(
    ("told", "scales"),
    [
        ({"loras": [["a", float("nan")], ["b", 1e400], ["c", 0.5], ["d", "x"]]}, [None, None, 0.5, None]),
        ({"outer": "x", "metadata": "y", "loras": [{"model": "m", "weight": 10**400}]}, [None]),
        ({"image": {"image": "x", "seed": 3}}, []), ({"metadata": {"metadata": [1], "prompt": PROMPT}}, [0.8]),
    ],
)  # fmt: skip
def test_odd_values_are_left_out(tmp_path: Path, told: dict[str, object], scales: list[float | None]) -> None:
    found = _read(tmp_path, "parameters", json.dumps({"prompt": "a cat"} | told))
    assert found is not None
    assert [lora.scale for lora in found.loras] == scales


def test_no_shape_of_json_is_more_than_unreadable() -> None:
    rng = random.Random(3)
    keys = (
        "prompt", "seed", "loras", "loraweights", "outer", "sui_models", "sui_image_params", "image", "metadata",
        "model", "inputs", "class_type", "text", "name", "weight", "positive", "strength_model", "lora_name", "1", "2",
    )  # fmt: skip
    plain = ("x", "KSampler", "CLIPTextEncode", "LoraLoader", 1, -3, 2.5, None, True, float("nan"), 10**400, ["1", 0])

    def value(depth: int) -> object:
        kind = rng.random() if depth else 0.0
        if kind < 0.4:
            return rng.choice(plain)
        many = range(rng.randrange(6))
        return [value(depth - 1) for _ in many] if kind < 0.6 else {rng.choice(keys): value(depth - 1) for _ in many}

    read = 0
    for _ in range(4000):
        text = json.dumps({rng.choice(keys): value(4) for _ in range(rng.randrange(1, 7))})
        try:
            read += read_foreign(Labels(chunks=((b"tEXt", b"parameters\0" + text.encode()),))) is not None
        except ValueError:
            continue
    assert read > 50
