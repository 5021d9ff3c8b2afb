"""Content credentials (C2PA): a signed manifest in a picture's file that says that a model made it, and by which pixels
and labels it is known. Written last, for it signs all other bytes of the file; a changed one is then found.

C2PA Technical Specification 2.x; the library is contentauth/c2pa-python. Nothing is fetched from any address that a
picture names, and nobody is named but whom the certificate names.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any, Literal

import c2pa
from PIL import Image

from pipelines.errors import BadInput
from studio.export.provenance import source_type
from studio.export.signing_certificate import TEST_NAME, SigningCertificate, find_certificate
from studio.settings import Settings

__all__ = ["ContentCredentials", "CredentialsFound", "open_credentials", "read_credentials"]

CredentialsState = Literal["none", "valid", "changed", "invalid"]

_SOFTWARE = "Persona Studio"
_BESIDES_SIGNATURE = 8192  # bytes of a manifest without its signature and certificates: 1.5 kB were measured
_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
_SIGNING = {
    "verify": {"verify_after_sign": False, "remote_manifest_fetch": False, "ocsp_fetch": False},
    "builder": {"thumbnail": {"enabled": False}},
}
_READING = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
_CHANGED = ("assertion.dataHash.mismatch", "assertion.hashedURI.mismatch", "claimSignature.mismatch")


class ContentCredentials:
    """Signs pictures with one certificate. `most_bytes` is how much larger a file becomes at most."""

    def __init__(self, certificate: SigningCertificate, timestamp_url: str = "") -> None:
        """Raises BadInput where C2PA does not take the certificate."""
        self.certificate = certificate
        self._asks_for_time = bool(timestamp_url)
        try:
            signer = _signer(certificate, timestamp_url)
            self.most_bytes = signer.reserve_size() + _BESIDES_SIGNATURE
            self._context = c2pa.Context.from_dict(_SIGNING, signer=signer)
        except c2pa.C2paError as error:
            raise BadInput("c2pa_certificate_refused", why=_short(error)) from error

    def sign(self, data: bytes, kind: Literal["JPEG", "PNG", "WEBP"], composite: bool) -> bytes:
        """Return a picture's file with a manifest; nothing else of it is changed. `composite` as of Label.

        Raises BadInput where it cannot be signed, or no time is given for it.
        """
        manifest = {
            "claim_generator_info": [{"name": _SOFTWARE, "version": version("persona-studio")}],
            "assertions": [
                {
                    "label": "c2pa.actions.v2",
                    "created": True,  # the studio says it itself
                    "data": {"actions": [{"action": "c2pa.created", "digitalSourceType": source_type(composite)}]},
                }
            ],
        }
        out = io.BytesIO()
        try:
            with c2pa.Builder(json.dumps(manifest), context=self._context) as builder:
                builder.sign(_TYPES[kind], io.BytesIO(data), out)
        except c2pa.C2paError as error:
            if self._asks_for_time:
                raise BadInput("c2pa_no_time", why=_short(error)) from error
            raise BadInput("c2pa_not_signed", why=_short(error)) from error
        return out.getvalue()


@dataclass(frozen=True)
class CredentialsFound:
    """What a file's manifest says, and whether it is still the file that was signed.

    `state`: "none", "valid", "changed" (other bytes than those that were signed) or "invalid", for the reasons `codes`
    (C2PA's). `signer` is the name in the certificate, `is_test` that it is a studio's local one, `is_trusted` that it
    comes from a root that C2PA's library knows. `source` is the last word of the digitalSourceType, `signed` when, as
    far as a timestamp says.
    """

    state: CredentialsState
    codes: tuple[str, ...] = ()
    signer: str = ""
    is_test: bool = False
    is_trusted: bool = False
    source: str = ""
    software: str = ""
    signed: str = ""


def open_credentials(settings: Settings) -> ContentCredentials:
    """Return what signs this studio's exports. Raises as `find_certificate`, and BadInput where a certificate of the
    settings signs nothing that C2PA's own reader takes: found out here, on one pixel, and not by whoever gets a bundle.
    """
    certificate = find_certificate(settings)
    if not certificate.is_test:
        try:
            found = read_credentials(ContentCredentials(certificate).sign(_one_pixel(), "PNG", composite=False))
        except BadInput as error:
            raise BadInput("c2pa_certificate_refused", why=error.fields["why"]) from error
        if found.state != "valid":
            raise BadInput("c2pa_certificate_refused", why=", ".join(found.codes) or found.state)
    return ContentCredentials(certificate, settings.c2pa_timestamp_url)


def read_credentials(data: bytes) -> CredentialsFound:
    """Return what the manifest of a picture's file says; nothing is fetched."""
    try:
        with c2pa.Reader(None, io.BytesIO(data), None, _reading()) as reader:
            told, state = json.loads(reader.json()), reader.get_validation_state()
    except c2pa.C2paError as error:
        missing = type(error).__name__.endswith("ManifestNotFound") or "ManifestNotFound" in str(error)
        return CredentialsFound("none") if missing else CredentialsFound("invalid", (_short(error),))
    manifest = told.get("manifests", {}).get(told.get("active_manifest"), {})
    wrong = tuple(dict.fromkeys(row["code"] for row in told.get("validation_status", ())))
    signature, software = manifest.get("signature_info", {}), manifest.get("claim_generator_info") or [{}]
    found = CredentialsFound(
        "valid",
        tuple(code for code in wrong if code != "signingCredential.untrusted"),
        str(signature.get("common_name") or signature.get("issuer") or ""),
        signature.get("issuer") == TEST_NAME,
        state == "Trusted",
        _source_of(manifest),
        " ".join(str(software[0].get(key, "")) for key in ("name", "version")).strip(),
        str(signature.get("time") or ""),
    )
    if state in ("Valid", "Trusted"):
        return found
    changed = any(code in _CHANGED for code in wrong)
    return CredentialsFound(**vars(found) | {"state": "changed" if changed else "invalid"})


def _signer(certificate: SigningCertificate, timestamp_url: str) -> c2pa.Signer:
    info = c2pa.C2paSignerInfo(certificate.algorithm, certificate.chain, certificate.key, timestamp_url or None)
    return c2pa.Signer.from_info(info)


def _source_of(manifest: Mapping[str, Any]) -> str:
    for assertion in manifest.get("assertions", ()):
        with suppress(KeyError, TypeError, AttributeError):
            for action in assertion["data"]["actions"]:
                if kind := action.get("digitalSourceType"):
                    return str(kind).rpartition("/")[2]
    return ""


@cache
def _reading() -> c2pa.Context:
    return c2pa.Context.from_dict(_READING)


def _one_pixel() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (1, 1)).save(out, "PNG")
    return out.getvalue()


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
