"""The one place that composes the application: settings, store, records and the models, loaded when first used."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from studio.domain.capabilities import backbone_facts
from studio.domain.values import Result
from studio.library.library import Library
from studio.library.records import Records
from studio.library.results import result_of
from studio.library.store import Store
from studio.settings import Settings, make_data_folder

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from personas.donors import Donor, DonorList
    from personas.measures.face import FaceCalibration, FaceReader
    from personas.measures.regions import PictureReader
    from pipelines.backbones import Backbone, BackboneSpec

__all__ = ["Studio", "software_versions"]

R = TypeVar("R", bound=Result)
_PACKAGES = ("torch", "diffusers", "transformers", "peft", "insightface", "onnxruntime", "numpy", "pillow")


class Studio:
    """Everything a workflow needs. Models are loaded once per process, on first use."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        make_data_folder(settings)
        self.library = Library(Records(settings.data / "studio.sqlite"), Store(settings.data / "files"), settings.data)
        self.donor_faces: dict[str, npt.NDArray[np.float32]] = {}  # mean faces by donor id, for previews
        self._hashes: dict[Path, str] = {}

    @property
    def records(self) -> Records:
        return self.library.records

    @property
    def store(self) -> Store:
        return self.library.store

    def donors(self, category: str | None = None) -> tuple[Donor, ...]:
        """The bundled donors and the user's own, without the damaged ones."""
        return self.list_donors(category).donors

    def list_donors(self, category: str | None = None) -> DonorList:
        """Return the donors and the damaged ones, of all categories."""
        from personas.donors import list_donors

        return list_donors(self.settings.bundled_donors, self.library.donors_folder, category=category)

    def fits(self, donor: Donor) -> bool:
        """Whether a donor can be mixed for this backbone; yes where there is none to ask."""
        facts = backbone_facts(self.settings)
        return facts is None or donor.fits(facts.family, facts.width)

    def fitting_donors(self, category: str | None = None) -> tuple[Donor, ...]:
        """The donors whose family and width are the backbone's."""
        facts = backbone_facts(self.settings)
        donors = self.donors(category)
        return donors if facts is None else tuple(d for d in donors if d.fits(facts.family, facts.width))

    def result_of(self, kind: type[R], key: str = "") -> R:
        """The result of an earlier job by the beginning of its id; the newest if `key` is empty. Raises BadInput."""
        return result_of(self.records, self.store, self.settings.owner, kind, key)

    @cached_property
    def backbone(self) -> Backbone:
        import torch

        from pipelines.backbones import load_backbone

        if self.settings.threads:
            torch.set_num_threads(self.settings.threads)
        return load_backbone(self.backbone_spec, precision=self.settings.precision)

    @cached_property
    def backbone_spec(self) -> BackboneSpec:
        """Describe what would be loaded; nothing is."""
        from pipelines.backbones import resolve_backbone

        spec = resolve_backbone(self.settings.backbone, self.settings.base, self.settings.models)
        return replace(spec, companions={**spec.companions, **self.settings.companions})

    @cached_property
    def backbone_sha256(self) -> str:
        """Return the SHA-256 of the transformer's weights: what pictures depend on most."""
        return self.transformer_sha256(self.backbone_spec.source.path)

    def transformer_sha256(self, path: Path) -> str:
        """Return the SHA-256 of the transformer's weights in a backbone's or companion's folder or a single file."""
        if path not in self._hashes:
            digest = hashlib.sha256()
            for file in [path] if path.is_file() else sorted((path / "transformer").glob("*.safetensors")):
                with file.open("rb") as stream:
                    while block := stream.read(1 << 24):
                        digest.update(block)
            self._hashes[path] = digest.hexdigest()
        return self._hashes[path]

    @cached_property
    def faces(self) -> FaceReader:
        from personas.measures.face import FaceReader

        return FaceReader(self.settings.face_pack)

    @cached_property
    def calibration(self) -> FaceCalibration:
        from personas.measures.face import find_pack, read_calibration

        return read_calibration(find_pack(self.settings.face_pack))

    @cached_property
    def regions(self) -> PictureReader:
        from personas.measures.facexlib_nets import are_facexlib_nets
        from personas.measures.regions import RegionReader

        if not are_facexlib_nets(self.settings.reader):
            return RegionReader(self.settings.reader)
        from personas.measures.person import PersonReader
        from personas.measures.photographic import PhotographicReader

        package = self.settings.person_package
        return PhotographicReader(self.settings.reader, self.faces, None if package is None else PersonReader(package))


def software_versions() -> dict[str, str]:
    """Return the versions that pictures may depend on, for manifests."""
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}
