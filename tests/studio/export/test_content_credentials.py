"""Exported pictures are signed last: C2PA's own reader takes them, other labels stay, a changed byte is found."""

from __future__ import annotations

import datetime
import io
import json
import os
import shutil
import stat
import subprocess
import time
import zipfile
import zlib
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any, Literal

import c2pa
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from PIL import Image

from pipelines.errors import BadInput
from pipelines.picture_labels import split_labels
from studio.application import Studio
from studio.export.content_credentials import open_credentials, read_credentials
from studio.export.foreign import read_foreign
from studio.export.provenance import Label, encode_labelled, find_stamp, label_size, read_label, read_source_type, stamp
from studio.export.signing_certificate import TEST_NAME
from studio.export.verifying import verify_picture
from studio.library.records import BundleRecord
from studio.settings import Settings
from studio.texts.texts import LANGUAGES
from tests.exports import export_set
from tests.library import export, keep_cafe, keep_persona, keep_posts, picture

LABEL = Label("Persona Studio", "ab" * 16, composite=False)
Kind = Literal["JPEG", "PNG"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "data").mkdir()
    return Settings(data=tmp_path / "data")


def noise(seed: int = 0, size: tuple[int, int] = (640, 480)) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 255, (size[0] // 8, size[1] // 8, 3), np.uint8)
    return Image.fromarray(small).resize((size[1], size[0]), Image.Resampling.BILINEAR)


def make_certificate(folder: Path, key: Any, days: int = 100, signs: bool = True) -> dict[str, Path]:
    """A merchant's certificate from a root of its own, as settings; `signs`: it may sign documents at all."""
    root, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(UTC)

    def begin(subject: str, public: Any) -> x509.CertificateBuilder:
        names = [
            x509.Name([x509.NameAttribute(kind, one) for kind in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME)])
            for one in (subject, "Some root")
        ]
        return (
            x509.CertificateBuilder()
            .subject_name(names[0]).issuer_name(names[1]).public_key(public).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=200)).not_valid_after(now + datetime.timedelta(days=days))
        )  # fmt: skip

    usage = x509.KeyUsage(signs, False, False, False, False, not signs, False, False, False)
    own = begin("Lin's shop", key.public_key()).add_extension(usage, critical=True)
    own = own.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), critical=False)
    if signs:
        own = own.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    ca = begin("Some root", root.public_key()).add_extension(x509.BasicConstraints(True, None), critical=True)
    chain = [one.sign(root, hashes.SHA256()) for one in (own, ca)]
    (folder / "chain.pem").write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in chain))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return {"c2pa_certificate": folder / "chain.pem", "c2pa_key": folder / "key.pem"}


def change_pixel(png: bytes) -> bytes:
    """The PNG with one bit of one pixel changed and everything else kept, its checksums made right again."""
    at, out, packed = 8, [png[:8]], b""
    pieces = []
    while at < len(png):
        size, kind = int.from_bytes(png[at : at + 4], "big"), png[at + 4 : at + 8]
        pieces.append((kind, png[at + 8 : at + 8 + size]))
        at += 12 + size
    packed = b"".join(body for kind, body in pieces if kind == b"IDAT")
    raw = bytearray(zlib.decompress(packed))
    raw[len(raw) // 2 + 100] ^= 1  # not what begins a row: it says how the row is packed
    done = False
    for kind, body in pieces:
        if kind == b"IDAT":
            if done:
                continue
            body, done = zlib.compress(bytes(raw)), True
        checksum = zlib.crc32(kind + body).to_bytes(4, "big")
        out.append(len(body).to_bytes(4, "big") + kind + body + checksum)
    return b"".join(out)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("composite", [False, True])
def test_a_signed_picture_is_taken_by_c2pa_and_keeps_pixels_and_labels(
    settings: Settings, kind: Kind, composite: bool
) -> None:
    label = Label("Persona Studio", "ab" * 16, composite)
    plain = encode_labelled(noise(), kind, label)
    signed = open_credentials(settings).sign(plain, kind, composite)
    assert split_labels(signed)[0] == split_labels(plain)[0]
    assert read_label(plain)
    assert read_label(signed) == read_label(plain)
    source = "compositeWithTrainedAlgorithmicMedia" if composite else "trainedAlgorithmicMedia"
    assert read_source_type(signed) == source
    found = read_credentials(signed)
    assert (found.state, found.codes, found.source) == ("valid", (), source)
    assert found.is_test
    assert not found.is_trusted
    assert found.signer == TEST_NAME
    assert found.software.startswith("Persona Studio ")
    reader = c2pa.Reader(f"image/{kind.lower()}", io.BytesIO(signed))  # as anybody else reads it
    assert reader.get_validation_state() == "Valid"
    (manifest,) = json.loads(reader.json())["manifests"].values()
    assert not {"title", "ingredients", "thumbnail"} & set(manifest)
    (action,) = manifest["assertions"][0]["data"]["actions"]
    assert action["action"] == "c2pa.created"
    assert set(action) <= {"action", "digitalSourceType"}


def test_webp_can_be_signed_too(settings: Settings) -> None:
    out = io.BytesIO()
    noise().save(out, "WEBP", lossless=True)
    signed = open_credentials(settings).sign(out.getvalue(), "WEBP", composite=False)
    assert read_credentials(signed).state == "valid"
    shown, plain = (np.asarray(Image.open(io.BytesIO(one))) for one in (signed, out.getvalue()))
    np.testing.assert_array_equal(shown, plain)


def test_what_is_changed_afterwards_is_found(settings: Settings) -> None:
    credentials = open_credentials(settings)
    png = credentials.sign(encode_labelled(noise(), "PNG", LABEL), "PNG", composite=False)
    changed = change_pixel(png)
    assert np.asarray(Image.open(io.BytesIO(changed))).shape == (640, 480, 3)
    assert read_credentials(changed).state == "changed"
    assert read_credentials(png.replace(b"trainedAlgorithmicMedia</", b"digitalCapture</Iptc4xm")).state != "valid"
    jpeg = bytearray(credentials.sign(encode_labelled(noise(), "JPEG", LABEL), "JPEG", composite=False))
    jpeg[-2000] ^= 1
    assert read_credentials(bytes(jpeg)).state == "changed"
    assert read_credentials(encode_labelled(noise(), "PNG", LABEL)).state == "none"
    for broken in (b"", b"hello", png[:200], png[: len(png) // 2]):
        assert read_credentials(broken).state in ("none", "invalid", "changed")


def test_the_local_certificate_is_made_once_and_is_nobody_elses(settings: Settings, tmp_path: Path) -> None:
    names = {open_credentials(settings).certificate.chain for _ in range(3)}
    assert len(names) == 1
    (file,) = settings.data.glob("*.pem")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (tmp_path / "other").mkdir()
    assert open_credentials(Settings(data=tmp_path / "other")).certificate.chain not in names


KEYS: dict[str, Callable[[], Any]] = {
    "es256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "es384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ps256": lambda: rsa.generate_private_key(65537, 2048),
}


@pytest.mark.parametrize("algorithm", sorted(KEYS))
def test_a_merchants_certificate_signs_and_is_named(settings: Settings, tmp_path: Path, algorithm: str) -> None:
    own = settings.model_copy(update=make_certificate(tmp_path, KEYS[algorithm]()))
    credentials = open_credentials(own)
    assert credentials.certificate.algorithm == algorithm
    found = read_credentials(credentials.sign(encode_labelled(noise(), "JPEG", LABEL), "JPEG", composite=False))
    assert (found.state, found.signer, found.is_test) == ("valid", "Lin's shop", False)
    assert not list(settings.data.glob("*.pem"))


def test_what_is_wrong_with_certificate_and_key_is_said(settings: Settings, tmp_path: Path) -> None:
    key = KEYS["es256"]()
    good = make_certificate(tmp_path, key)

    def refused(**changed: Any) -> BadInput:
        with pytest.raises(BadInput) as raised:
            open_credentials(settings.model_copy(update=good | changed))
        return raised.value

    assert refused(c2pa_key=None).code == "c2pa_setting_missing"
    assert refused(c2pa_certificate=None).fields["setting"] == "PERSONA_STUDIO_C2PA_CERTIFICATE"
    assert refused(c2pa_certificate=tmp_path / "gone.pem").code == "c2pa_file_unreadable"
    assert refused(c2pa_certificate=good["c2pa_key"]).code == "c2pa_certificate_invalid"
    assert refused(c2pa_key=good["c2pa_certificate"]).code == "c2pa_key_invalid"
    locked = tmp_path / "locked.pem"
    locked.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    assert refused(c2pa_key=locked).code == "c2pa_key_invalid"
    other = tmp_path / "other.pem"
    other.write_bytes(KEYS["es256"]().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert refused(c2pa_key=other).code == "c2pa_key_of_other"
    assert refused(**make_certificate(tmp_path, key, days=-1)).code == "c2pa_certificate_over"
    assert refused(**make_certificate(tmp_path, key, signs=False)).code == "c2pa_certificate_refused"


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path / "data"))


def test_an_ended_certificate_stops_the_export_and_loses_nothing(studio: Studio, tmp_path: Path) -> None:
    keep_persona(studio)
    post_set = keep_posts(studio, 1, keep_cafe(studio), pictures=2)
    over = make_certificate(tmp_path, KEYS["es256"](), days=-1)
    late = Studio(studio.settings.model_copy(update=over))
    with pytest.raises(BadInput, match="c2pa_certificate_over"):
        export_set(late, post_set, tmp_path / "b.zip", finish=False)
    assert not (tmp_path / "b.zip").exists()
    assert not studio.records.find(BundleRecord, "me")
    assert studio.store.get_picture(post_set.posts[0].picture) is not None


@pytest.mark.parametrize("platform", ["xiaohongshu", "archive"])
def test_every_picture_of_a_bundle_is_signed_and_read_back_whole(studio: Studio, tmp_path: Path, platform: str) -> None:
    manifest = export(studio, tmp_path / "a.zip", platform)
    with zipfile.ZipFile(tmp_path / "a.zip") as bundle:
        files = {name: bundle.read(name) for name in bundle.namelist() if name.endswith((".jpg", ".png"))}
    assert len(files) == 4  # three pictures and the contact sheet
    assert {read_credentials(data).state for data in files.values()} == {"valid"}
    place, post = tmp_path / Path(manifest.posts[0].file).name, manifest.posts[0]
    place.write_bytes(files[post.file])
    found = verify_picture(place, studio.library, "me")
    assert found.is_fine
    assert found.as_last_exported
    assert found.persona == "Lin"
    assert found.has_recipe == (platform == "archive")
    assert found.visible == (None if platform == "archive" else "zh")
    told = c2pa.Reader(None, io.BytesIO(files[post.file])).json()
    for word in ("Lin", "prompt", str(tmp_path), os.uname().nodename):  # nothing of the machine or its people
        assert word not in told
    parameters = split_labels(files[post.file])[1].texts.get("parameters")
    assert (parameters is not None) == (platform == "archive")
    if platform == "archive":
        np.testing.assert_array_equal(np.asarray(Image.open(place)), picture(0))
        foreign = read_foreign(split_labels(place.read_bytes())[1])
        assert foreign is not None
        assert (foreign.prompt, foreign.seed) == (post.prompt, post.seed)
        assert foreign.settings["Size"] == f"{manifest.draw.width}x{manifest.draw.height}"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("quality", [60, 95])
def test_the_label_that_is_seen_is_found_again_and_none_where_none_is(language: Any, quality: int) -> None:
    for seed in range(4):
        image = noise(seed)
        assert find_stamp(np.asarray(image)) is None
        size = label_size((640, 480), language)
        for place in ((480 - size.width - size.margin, 640 - size.height - size.margin), (size.margin, 200)):
            out = io.BytesIO()
            stamp(image, language, place).save(out, "JPEG", quality=quality)
            assert find_stamp(np.asarray(Image.open(out))) == language


def test_exiftool_reads_the_labels_of_a_signed_picture(settings: Settings, tmp_path: Path) -> None:
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed (Debian: libimage-exiftool-perl)")
    credentials = open_credentials(settings)
    for kind in ("JPEG", "PNG"):
        place = tmp_path / f"picture.{kind.lower()}"
        place.write_bytes(credentials.sign(encode_labelled(noise(), kind, LABEL), kind, composite=False))  # type: ignore[arg-type]
        done = subprocess.run(["exiftool", "-j", "-a", "-G0", str(place)], capture_output=True, text=True, check=True)
        (told,) = json.loads(done.stdout)
        assert str(told["XMP:DigitalSourceType"]).endswith("trainedAlgorithmicMedia")
        aigc = told["XMP:Aigc"]
        assert (json.loads(aigc) if isinstance(aigc, str) else aigc)["ProduceID"] == "ab" * 16
        assert "Error" not in "".join(told)


def test_signing_takes_some_milliseconds(settings: Settings) -> None:
    credentials = open_credentials(settings)
    data = encode_labelled(noise(size=(1440, 1080)), "PNG", LABEL)
    credentials.sign(data, "PNG", composite=False)  # the library is loaded by then
    before = time.process_time()
    for _ in range(5):
        credentials.sign(data, "PNG", composite=False)
    assert (time.process_time() - before) / 5 < 0.1
