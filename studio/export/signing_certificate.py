"""The certificate and key that exported pictures are signed with: the merchant's own, by the settings, or a local test
certificate that is made once for each data folder and says in its name that it proves nobody's name.

What a certificate must be like: C2PA Technical Specification, "Trust Model", "X.509 Certificates".
"""

from __future__ import annotations

import datetime
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pipelines.errors import BadInput, OutOfDisk
from studio.settings import Settings

__all__ = ["TEST_NAME", "SigningCertificate", "find_certificate"]

TEST_NAME = "Persona Studio local test certificate"
"""The name in the certificate of a studio that has no other: who reads the picture is told that it proves nothing."""
_TEST_FILE = "c2pa_test_certificate.pem"
_TEST_DAYS = 3650
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
_Key = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class SigningCertificate:
    """`chain` is PEM, the signer's own certificate first; `key` is the private key as PEM, `algorithm` as C2PA names
    it. `name` is whom the certificate names, `until` the last moment that it holds, `is_test` that it is the local one.
    """

    chain: bytes
    key: bytes
    algorithm: str
    name: str
    until: datetime.datetime
    is_test: bool


def find_certificate(settings: Settings) -> SigningCertificate:
    """Return the certificate of the settings, else the data folder's local one, which is made where there is none.

    Raises BadInput where a file cannot be read, is none, does not go with the other one, or where the certificate does
    not hold today; OutOfDisk.
    """
    certificate, key = settings.c2pa_certificate, settings.c2pa_key
    if certificate is None and key is None:
        return _read(_test_file(settings.data), _test_file(settings.data), "", is_test=True)
    if certificate is None or key is None:
        missing = "PERSONA_STUDIO_C2PA_CERTIFICATE" if certificate is None else "PERSONA_STUDIO_C2PA_KEY"
        raise BadInput("c2pa_setting_missing", setting=missing)
    return _read(certificate, key, settings.c2pa_algorithm, is_test=False)


def _read(certificate: Path, key_file: Path, algorithm: str, is_test: bool) -> SigningCertificate:
    chain, text = _bytes_of(certificate), _bytes_of(key_file)
    try:
        certificates = x509.load_pem_x509_certificates(chain)
    except ValueError as error:
        raise BadInput("c2pa_certificate_invalid", file=certificate.name) from error
    try:
        key = load_pem_private_key(text, password=None)
    except (ValueError, TypeError) as error:  # TypeError: it is locked with a password
        raise BadInput("c2pa_key_invalid", file=key_file.name) from error
    own = certificates[0]
    if _public(key.public_key()) != _public(own.public_key()):
        raise BadInput("c2pa_key_of_other", key=key_file.name, certificate=certificate.name)
    _check_holds_today(own, certificate)
    return SigningCertificate(
        b"".join(one.public_bytes(Encoding.PEM) for one in certificates),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        algorithm or _algorithm_of(key, key_file),
        _name_of(own),
        own.not_valid_after_utc,
        is_test,
    )


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadInput("c2pa_file_unreadable", file=file.name, reason=error.strerror or str(error)) from error


def _public(key: object) -> bytes:
    data: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return data


def _check_holds_today(own: x509.Certificate, file: Path) -> None:
    now = datetime.datetime.now(UTC)
    if own.not_valid_after_utc < now:
        raise BadInput("c2pa_certificate_over", file=file.name, date=own.not_valid_after_utc.date().isoformat())
    if own.not_valid_before_utc > now:
        raise BadInput("c2pa_certificate_early", file=file.name, date=own.not_valid_before_utc.date().isoformat())


def _algorithm_of(key: object, file: Path) -> str:
    """Return the C2PA algorithm that a kind of key signs with."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048:
        return "ps256"
    raise BadInput("c2pa_key_kind", file=file.name)


def _name_of(own: x509.Certificate) -> str:
    for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        if found := own.subject.get_attributes_for_oid(kind):
            return str(found[0].value)
    return ""


def _test_file(folder: Path) -> Path:
    """Return the file with the local certificates and their key, which is made whole or not at all: pages and workers
    may start at once.
    """
    file = folder / _TEST_FILE
    if file.exists():
        return file
    try:
        with NamedTemporaryFile(dir=folder, delete=False) as part:  # 0600, as nobody else may sign with it
            part.write(_make_test())
        with suppress(FileExistsError):
            os.link(part.name, file)
        os.unlink(part.name)
    except OSError as error:
        raise OutOfDisk("no_room_for_file", file=file.name) from error
    return file


def _make_test() -> bytes:
    """Return a certificate signed by a root of its own, whose key nobody keeps, with that root, and its key as PEM."""
    root_key, key = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    issuer, subject = _title(f"{TEST_NAME}, root"), _title(TEST_NAME)
    root = (
        _begin(issuer, issuer, root_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(root_key, None)
    )
    own = (
        _begin(subject, issuer, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        .sign(root_key, None)
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return own.public_bytes(Encoding.PEM) + root.public_bytes(Encoding.PEM) + secret


def _title(name: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, TEST_NAME), x509.NameAttribute(NameOID.COMMON_NAME, name)]
    )


def _begin(subject: x509.Name, issuer: x509.Name, key: ed25519.Ed25519PrivateKey) -> x509.CertificateBuilder:
    now, public = datetime.datetime.now(UTC), key.public_key()
    return (
        x509.CertificateBuilder(issuer, subject, public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=_TEST_DAYS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=signs_certificates, crl_sign=signs_certificates,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
