"""Fetch a model from a hub by its id, when somebody asks for it: with progress, going on where it stopped, verified.

huggingface_hub 2 starts a file anew after an interruption (each process has a temporary file of its own, see its
pull request 4228), so files are streamed here: `Range` asks for what is missing, and every file is held against the
SHA-256 (Git LFS) or Git blob hash that the hub announces.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import BadInput, ModelMissing, OutOfDisk, StudioError
from pipelines.models.catalogue import find_model
from pipelines.models.sources import FETCHED
from pipelines.progress import SILENT, Fetching, PipelineStage, Progress, Stage, StageProgress

__all__ = ["HubFile", "choose_files", "fetch_model"]

_CHUNK = 1 << 20
_TIMEOUT_S = 30.0
_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_PAPERS = re.compile(r"(README|LICENSE|NOTICE)[^/]*", re.IGNORECASE)
_PART = re.compile(r"[^/]+/[^/]+\.(safetensors|json|txt|model|jinja)")


@dataclass(frozen=True)
class HubFile:
    """`sha256` is Git LFS's; without it `blob` is Git's own hash of the file."""

    path: str
    size: int
    sha256: str | None
    blob: str | None


def choose_files(repo_id: str, files: Sequence[HubFile], only: str | None = None) -> tuple[HubFile, ...]:
    """Choose what of a repository is needed: the parts of a diffusers folder, else its one file of weights.

    Never pickles, nor the same weights a second time as a single file. `only` names one file instead. Raises BadInput
    where nothing of it can be used or where it is not clear what is meant.
    """
    papers = [f for f in files if _PAPERS.fullmatch(f.path)]
    loadable = [f for f in files if f.path.lower().endswith((".safetensors", ".gguf"))]
    if only is not None:
        chosen = [f for f in loadable if f.path == only]
        if not chosen:
            raise BadInput("hub_file_unknown", model=repo_id, file=only, files=[f.path for f in loadable])
    elif any(f.path == "model_index.json" for f in files):
        chosen = [f for f in files if f.path == "model_index.json" or _PART.fullmatch(f.path)]
        if not any(f.path.endswith(".safetensors") for f in chosen):
            raise BadInput("hub_model_is_pickles", model=repo_id)
    elif len(loadable) == 1:
        chosen = loadable
    elif loadable:
        raise BadInput("hub_file_to_choose", model=repo_id, count=len(loadable), files=[f.path for f in loadable])
    else:
        raise BadInput("hub_no_model", model=repo_id)
    return (*chosen, *(f for f in papers if f not in chosen))


def fetch_model(
    repo_id: str,
    models: Path,
    only: str | None = None,
    progress: Progress = SILENT,
    endpoint: str | None = None,
) -> Path:
    """Fetch a model into `models`/OWNER/NAME, or go on with it; its folder, or the file that `only` names.

    The token is huggingface_hub's own (HF_TOKEN, or `hf auth login`). Raises ModelMissing with the reason: no such
    model, a gated one without a token or without consent, no network; OutOfDisk; Cancelled (what came is kept).
    """
    from huggingface_hub import HfApi

    known = find_model(repo_id)
    repo_id = known.hub if known is not None and known.hub else repo_id
    if known is not None and not known.hub:
        raise BadInput("model_not_to_be_fetched", model=known.id)
    if not _ID.fullmatch(repo_id):
        raise BadInput("hub_id_invalid", model=repo_id)
    folder = (models / repo_id).resolve()
    with _plainly(repo_id):
        info = HfApi(endpoint=endpoint).model_info(repo_id, files_metadata=True, timeout=_TIMEOUT_S)
        found = [_hub_file(sibling) for sibling in info.siblings or []]
        chosen = choose_files(repo_id, found, only)
        verified = _verified(folder)
        missing = [f for f in chosen if verified.get(f.path) != _hash_of(f) or not (folder / f.path).is_file()]
        _check_room(models, repo_id, sum(f.size - _have(folder, f) for f in missing))
        (folder / FETCHED).unlink(missing_ok=True)
        total = sum(f.size for f in chosen)
        done = total - sum(f.size for f in missing)
        for file in missing:
            _fetch_file(folder, repo_id, str(info.sha), file, (done, total), progress, endpoint)
            verified[file.path] = _hash_of(file)
            _write_json(folder / ".verified.json", verified)
            done += file.size
        progress.tell(StageProgress(Stage(PipelineStage.FETCH), total >> 20, total >> 20))
    _write_json(folder / FETCHED, {"repository": repo_id, "revision": info.sha, "files": verified})
    return folder if only is None else folder / only


def _fetch_file(
    folder: Path, repo_id: str, revision: str, file: HubFile, bytes_of: tuple[int, int], progress: Progress,
    endpoint: str | None,
) -> None:  # fmt: skip
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    done, total = bytes_of
    target = folder / file.path
    if not target.resolve().is_relative_to(folder):
        raise BadInput("hub_file_outside", model=repo_id, file=file.path)
    part = target.with_name(target.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    if target.is_file():  # of another revision, or never verified
        os.replace(target, part)
    if part.is_file() and part.stat().st_size > file.size:
        part.unlink()
    have = part.stat().st_size if part.is_file() else 0
    if have < file.size or not file.size:
        url = hf_hub_url(repo_id, file.path, revision=revision, endpoint=endpoint)
        headers = build_hf_headers() | {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with get_session().stream("GET", url, headers=headers, timeout=_TIMEOUT_S) as answer:
            if answer.status_code >= 400:
                answer.read()
            hf_raise_for_status(answer)
            have = have if answer.status_code == 206 else 0
            with part.open("ab" if have else "wb") as out:
                for chunk in answer.iter_raw():  # as they come: what waits in a buffer would be lost
                    out.write(chunk)
                    have += len(chunk)
                    progress.tell(Fetching(file.path, (done + have) >> 20, total >> 20))
                    progress.check_cancelled()
    if _hash(part, file) != _hash_of(file):
        if part.stat().st_size >= file.size:  # a shorter one is gone on with
            part.unlink()
        raise ModelMissing("hub_file_not_whole", file=file.path)
    os.replace(part, target)


def _hash(path: Path, file: HubFile) -> str:
    digest = hashlib.sha256() if file.sha256 else hashlib.sha1(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _hash_of(file: HubFile) -> str:
    return file.sha256 or file.blob or ""


def _have(folder: Path, file: HubFile) -> int:
    part = folder / f"{file.path}.part"
    return min(part.stat().st_size, file.size) if part.is_file() else 0


def _hub_file(sibling: Any) -> HubFile:
    sha256 = sibling.lfs.sha256 if sibling.lfs else None
    return HubFile(str(sibling.rfilename), int(sibling.size or 0), sha256, sibling.blob_id)


def _verified(folder: Path) -> dict[str, str]:
    try:
        return dict(json.loads((folder / ".verified.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _write_json(path: Path, value: dict[str, Any]) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(value, indent=1), encoding="utf-8")
    os.replace(part, path)


def _check_room(models: Path, repo_id: str, needed: int) -> None:
    models.mkdir(parents=True, exist_ok=True)
    free = _free_bytes(models)
    if needed > free:
        raise OutOfDisk("no_room_for_model", model=repo_id, needed_gb=needed / 1e9, free_gb=free / 1e9)


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


@contextmanager
def _plainly(repo_id: str) -> Iterator[None]:
    """The hub's errors in a merchant's words."""
    from huggingface_hub import get_token
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError
    from huggingface_hub.utils import get_session

    page = f"https://huggingface.co/{repo_id}"
    try:
        yield
    except StudioError:
        raise
    except GatedRepoError as error:
        if get_token() is None:
            raise ModelMissing("hub_licence_not_accepted", model=repo_id, page=page) from error
        raise ModelMissing("hub_token_without_access", model=repo_id, page=page) from error
    except RepositoryNotFoundError as error:
        raise ModelMissing("hub_model_unknown", model=repo_id) from error
    except OfflineModeIsEnabled as error:
        raise ModelMissing("hub_offline", model=repo_id) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        raise ModelMissing("hub_refused", model=repo_id, status=status) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutOfDisk("disk_full_while_fetching", model=repo_id) from error
        raise _unreachable(repo_id, error) from error
    except Exception as error:
        # the HTTP library's own errors share no public base with the standard library's
        library = type(get_session()).__module__.split(".")[0]
        if not any(base.__module__.split(".")[0] == library for base in type(error).__mro__):
            raise
        raise _unreachable(repo_id, error) from error


def _unreachable(repo_id: str, error: Exception) -> ModelMissing:
    return ModelMissing("hub_unreachable", model=repo_id, reason=type(error).__name__)
