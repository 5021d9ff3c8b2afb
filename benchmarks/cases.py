"""Public bug reports of people who do this job, tried on the studio: `python -m benchmarks.cases --data DIR --out OUT`.

Each folder of DIR is a case: a README with what is right, and its files. Every check goes through the product's public
functions or its command line. A row is printed for each, and OUT/cases.json lists {case, right, seen}. A folder that
there is no check for is an error. Exit status 1 where any case is not right.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from scipy import ndimage

from benchmarks.cases_studio import Bench, delta_norms, run_command, unpack
from pipelines.errors import StudioError
from pipelines.file_names import file_name
from pipelines.lora import read_lora
from pipelines.masks import load_mask
from pipelines.pictures import load_scene
from studio.datasets.pairs import bring_folder
from studio.domain.bundle import bundle_name
from studio.domain.consent import read_consent
from studio.domain.platforms import find_platform, overlong, text_length
from studio.export.recall import recall
from studio.library.donor_files import inspect_header
from studio.ui.parts.shots_table import paste_shots

__all__ = ["CHECKS", "Row", "check_case", "main"]

Seen = tuple[bool, str]
_PROMPT = "portrait of a woman in a red coat, (soft light:1.2), <lora:mira_v2:0.8>, street at dusk"
_NEGATIVE = "blurry, low quality"


@dataclass(frozen=True)
class Row:
    """`right` where everything that the case's README calls right was `seen`."""

    case: str
    right: bool
    seen: str


def check_case(folder: Path, bench: Bench) -> Row:
    """Try one case. Raises KeyError for one that there is no check for."""
    check = CHECKS[folder.name]
    try:
        right, seen = check(folder, bench)
    except Exception as error:  # a traceback is what many of the cases are about: it is the row's answer
        said = f"{error}" if isinstance(error, StudioError) else f"{type(error).__name__}: {error}"
        right, seen = False, said
    return Row(folder.name, right, seen)


def _all(checks: dict[str, bool]) -> Seen:
    wrong = [name for name, holds in checks.items() if not holds]
    return not wrong, f"{len(checks) - len(wrong)} of {len(checks)}" + (f", not: {', '.join(wrong)}" if wrong else "")


def _bundle_to_a_folder(folder: Path, bench: Bench) -> Seen:
    out = bench.scratch / "bundles"
    out.mkdir()
    post_set = bench.keep_post_set()
    done = run_command(bench, "bundle", str(out), "--platform", "archive", "--unlabelled")
    names = sorted(p.name for p in out.iterdir())
    return done.returncode == 0 and names == [
        bundle_name(post_set, "archive")
    ], f"{names}, exit status {done.returncode}"


def _consent_from_windows(folder: Path, bench: Bench) -> Seen:
    checks = {}
    for name in ("bom", "utf16", "compact", "with_time", "empty"):
        found = read_consent(folder / f"{name}.json")
        checks[name] = found.who == "Synthetic Person" and str(found.expires) == (
            "None" if name == "empty" else "2030-12-31"
        )
    words = ("donors", "add", str(bench.face), "--category", "sweet", "--consent", str(folder / "gbk.json"))
    checks["gbk asks for UTF-8"] = "UTF-8" in run_command(bench, *words).stderr
    unclear = bench.scratch / "unclear.json"
    unclear.write_text('{"who": "Synthetic Person", "scope": "tests", "expires": "01/02/2030"}')
    said = run_command(bench, *words[:-1], str(unclear)).stderr
    checks["01/02/2030 is refused"] = "2030-12-31" in said and "Traceback" not in said
    return _all(checks)


def _data_tilde(folder: Path, bench: Bench) -> Seen:
    home, where = bench.scratch / "home", bench.scratch / "where"
    home.mkdir()
    where.mkdir()
    name, _, value = (folder / "studio.env").read_text().strip().partition("=")
    bare = run_command(bench, "donors", "list", data=False, cwd=where, HOME=str(home), **{name: value})
    flag = run_command(bench, "donors", "list", "--data=~/other", data=False, cwd=where, HOME=str(home))
    made = sorted(p.name for p in home.iterdir() if not p.name.startswith("."))  # third parties keep caches there
    stray = [p.name for p in where.iterdir()]
    return bare.returncode == flag.returncode == 0 and made == ["other", "studio"] and not stray, f"{made}, {stray}"


def _appledouble(folder: Path, bench: Bench) -> Seen:
    pictures = unpack(folder / "pictures.zip", bench.scratch / "appledouble")
    bench.train(pictures, "apple")
    rows, left_out = bring_folder(bench.studio.library, pictures, "me")
    return (len(rows), len(left_out)) == (4, 0), f"{len(rows)} pictures, {len(left_out)} left out"


def _edited_captions(folder: Path, bench: Bench) -> Seen:
    pictures = unpack(folder / "pictures.zip", bench.scratch / "edited")
    bench.train(pictures, "nora")
    (pictures / "01.txt").write_bytes((folder / "01.txt").read_bytes())
    second = bench.train(pictures, "nora2")
    try:
        bench.train(pictures, "Nora2")
    except StudioError as error:
        return error.code == "donor_exists", f"{second.name}, then {error.code}"
    return False, "a taken name was taken again"


def _left_out(folder: Path, bench: Bench) -> Seen:
    mixed, others = bring_folder(bench.studio.library, unpack(folder / "mixed.zip", bench.scratch / "mixed"), "me")
    named = {str(error.fields["name"]) for error in others}
    checks = {"mixed: used or named": len(mixed) + len(named) == 8 and "IMG_5.tif" in named}
    consent = bench.consent()
    for name, words in (("phone", ("HEIC", "JPEG")), ("kohya", ("10_ohwx woman",))):
        pictures = unpack(folder / f"{name}.zip", bench.scratch / name)
        done = run_command(bench, "donors", "train", str(pictures), "--category", "sweet", "--consent", str(consent))
        checks[name] = done.returncode == 1 and all(word in done.stderr for word in words)
    return _all(checks)


def _file_names(folder: Path, bench: Bench) -> Seen:
    checks = {}
    post_set = bench.keep_post_set()
    for name in json.loads((folder / "names.json").read_text(encoding="utf-8")):
        persona = post_set.request.persona.model_copy(update={"name": name})
        named = post_set.model_copy(update={"request": post_set.request.model_copy(update={"persona": persona})})
        for plain in (bundle_name(named, "xiaohongshu"), file_name(name, ".safetensors", "persona")):
            stem = plain.rpartition(".")[0]
            safe = not set(plain) & set('<>:"/\\|?*') and stem == stem.strip(" .") and stem.upper() != "CON"
            checks[plain] = safe and persona.name == name
    checks["Chinese and emoji stay"] = file_name("小红🌸") == "小红🌸"
    return _all(checks)


def _mask_alpha(folder: Path, bench: Bench) -> Seen:
    plain = load_mask(folder / "plain.png", (320, 240))
    names = ("black_on_transparent", "red_on_transparent", "white_on_transparent", "cut_out")
    return _all({n: float((load_mask(folder / f"{n}.png", (320, 240)) == plain).mean()) > 0.999 for n in names})


def _mask_turned(folder: Path, bench: Bench) -> Seen:
    kept = run_command(bench, "scene", str(folder / "photo.jpg"), "--mask", str(folder / "mask.png"))
    square = run_command(bench, "scene", str(folder / "photo.jpg"), "--mask", str(folder / "square.png"))
    photo = load_scene(folder / "photo.jpg")
    mask = load_mask(folder / "mask.png", (240, 320), photo.orientation)
    stored = load_mask(folder / "mask.png", (320, 240))
    sizes = all(size in square.stderr for size in ("512", "320", "240"))
    turned = kept.returncode == 0 and bool((mask == np.rot90(stored, -1)).all())
    return _all({"turned as the photo is": turned, "square refused, sizes named": square.returncode == 1 and sizes})


def _zero_rational(folder: Path, bench: Bench) -> Seen:
    done = run_command(bench, "scene", str(folder / "portrait.jpg"))
    shape = load_scene(folder / "portrait.jpg").image.shape
    return done.returncode == 0 and shape == (240, 320, 3), f"{shape} {done.stderr.strip()[-200:]}"


def _mpo(folder: Path, bench: Bench) -> Seen:
    done = run_command(bench, "scene", str(folder / "camera.jpg"))
    shape = load_scene(folder / "camera.jpg").image.shape
    return done.returncode == 0 and shape == (320, 240, 3), f"{shape} {done.stderr.strip()[-200:]}"


def _wide_gamut(folder: Path, bench: Bench) -> Seen:
    srgb = load_scene(folder / "srgb.png").image.astype(int)
    changes = ndimage.maximum_filter(srgb, (33, 33, 1)) - ndimage.minimum_filter(srgb, (33, 33, 1))
    flat = (changes == 0).all(axis=2)  # no edge within a JPEG's blocks
    off = {
        name: int(np.abs(load_scene(folder / f"{name}.jpg").image - srgb)[flat].max())
        for name in ("adobe_rgb", "display_p3")
    }
    return max(off.values()) <= 4, ", ".join(f"{name}: {value} of 255" for name, value in off.items())


def _recall_json(folder: Path, bench: Bench) -> Seen:
    seeds = {
        "fooocus.png": 987654321, "swarmui.png": 1122334455, "swarmui.jpg": 1122334455, "invokeai.png": 555666777,
        "comfyui.png": 424242,
    }  # fmt: skip
    checks = {}
    for name, seed in seeds.items():
        found = recall(bench.studio.library, folder / name, "me", bench.studio.donors)
        (shot,) = found.shots
        loras = [(lora.name, lora.scale) for lora in found.loras]
        told = (shot.prompt, shot.negative, shot.seed) == (_PROMPT, _NEGATIVE, seed)
        checks[name] = told and loras == [("mira_v2", 0.8)]
    return _all(checks)


def _recall_lines(folder: Path, bench: Bench) -> Seen:
    done = run_command(bench, "recall", str(folder / "picture.png"), "--json")
    found = json.loads(done.stdout)
    (shot,) = found["shots"]
    right = (shot["prompt"], shot["negative"], shot["seed"]) == (_PROMPT, _NEGATIVE, 123456789)
    hashes = [lora["hash"] for lora in found["loras"]]
    templates = {"Template", "Negative Template"} <= shot["settings"].keys()
    return right and hashes == ["89abcdef0123"] and templates, f"seed {shot['seed']}, {hashes}"


def _shots_pasted(folder: Path, bench: Bench) -> Seen:
    checks = {}
    for number, row in enumerate(json.loads((folder / "lines.json").read_text(encoding="utf-8")), 1):
        try:
            found = [[s.framing, s.expression, s.outfit, s.outfit_colour] for s in paste_shots(row["pasted"])]
        except StudioError:
            found = []
        checks[f"list {number}"] = found == row["shots"]
    return _all(checks)


def _swap_faceless(folder: Path, bench: Bench) -> Seen:
    bench.keep_persona(folder / "photo.png")
    out = bench.scratch / "faceless"
    photos = [str(folder / name) for name in ("photo.png", "no_face.png", "photo.png")]
    done = run_command(bench, "swap", *photos, "--out", str(out), "--json")
    found = json.loads(done.stdout)
    names, missing = sorted(p.name for p in out.iterdir()), [row["name"] for row in found["left_out"]]
    right = names == ["001-photo.png", "003-photo.png"] and missing == ["no_face.png"] and done.returncode != 0
    return right, f"written {names}, left out {missing}, exit status {done.returncode}"


def _swap_overwrites(folder: Path, bench: Bench) -> Seen:
    photo = folder.parent / "swap-faceless" / "photo.png"
    bench.keep_persona(photo)
    out = bench.scratch / "overwrites"
    run_command(bench, "swap", str(photo), "--out", str(out))
    first = (out / "001-photo.png").read_bytes()
    run_command(bench, "swap", str(photo), "--out", str(out), "--seed", "9")
    names = sorted(p.name for p in out.iterdir())
    kept = (out / "001-photo.png").read_bytes() == first
    return kept and names == ["001-photo-2.png", "001-photo.png"], f"{names}, the first {'kept' if kept else 'lost'}"


def _titles(folder: Path, bench: Bench) -> Seen:
    platform, checks = find_platform("xiaohongshu"), {}
    for row in json.loads((folder / "titles.json").read_text(encoding="utf-8")):
        counts = text_length(row["title"], platform.title_unit)
        checks[row["title"]] = (counts, not overlong(platform, row["title"], "")) == (row["counts"], row["fits"])
    return _all(checks)


def _lora(*names: str) -> Callable[[Path, Bench], Seen]:
    """Return the check of LoRA files: read whole, by the page's check of the header, too, with the expected ΔW."""

    def check(folder: Path, bench: Bench) -> Seen:
        checks = {}
        expected_file = folder / "expected.json"
        for name in names:
            file = read_lora(folder / name)
            checks[name] = inspect_header(folder / name).layers > 0 and len(file.layers) > 0
            if expected_file.exists() and name == names[0]:
                (expected,) = json.loads(expected_file.read_text()).values()
                found = delta_norms(file.layers)
                checks["ΔW"] = all(abs(found.get(m, 0) - norm) <= 1e-5 * norm for m, norm in expected.items())
        return _all(checks)

    return check


CHECKS: dict[str, Callable[[Path, Bench], Seen]] = {
    "bundle-to-a-folder": _bundle_to_a_folder,
    "consent-from-windows": _consent_from_windows,
    "data-tilde": _data_tilde,
    "dataset-appledouble": _appledouble,
    "dataset-edited-captions": _edited_captions,
    "dataset-left-out-silently": _left_out,
    "file-names": _file_names,
    "lora-conv-shaped": _lora("face.safetensors"),
    "lora-fp8": _lora("face_fp8.safetensors", "face_fp8_e5m2.safetensors"),
    "lora-header-like-pickle": _lora("face.safetensors", "persona.safetensors"),
    "lora-number-in-metadata": _lora("numbers.safetensors", "number_as_title.safetensors"),
    "lora-trailing-underscore": _lora("face.safetensors"),
    "mask-alpha": _mask_alpha,
    "mask-turned": _mask_turned,
    "picture-exif-zero-rational": _zero_rational,
    "picture-mpo": _mpo,
    "picture-wide-gamut": _wide_gamut,
    "recall-json-parameters": _recall_json,
    "recall-template-lines": _recall_lines,
    "shots-pasted": _shots_pasted,
    "swap-faceless": _swap_faceless,
    "swap-overwrites": _swap_overwrites,
    "title-xiaohongshu": _titles,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of cases")
    parser.add_argument("--out", type=Path, default=Path("out"))
    args = parser.parse_args()
    folders = sorted(p for p in args.data.iterdir() if p.is_dir()) if args.data.is_dir() else []
    if not folders:
        sys.exit(f"{args.data} has no cases.")
    if unknown := [folder.name for folder in folders if folder.name not in CHECKS]:
        sys.exit(f"There is no check for {', '.join(unknown)}.")
    rows, console = [], Console()
    for folder in folders:
        with tempfile.TemporaryDirectory() as scratch:
            row = check_case(folder.resolve(), Bench(Path(scratch).resolve()))
        console.print(
            f"{row.case:27}{'right' if row.right else 'WRONG'}  {row.seen}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        rows.append(row)
    args.out.mkdir(parents=True, exist_ok=True)
    told = [asdict(row) for row in rows]
    (args.out / "cases.json").write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    sys.exit(0 if all(row.right for row in rows) else 1)


if __name__ == "__main__":
    main()
