"""The one place that composes the application: settings, store, records and the models, loaded when first used."""

from __future__ import annotations

import gc
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeVar

from pipelines.errors import BadInput, StudioError
from pipelines.models.weights import hash_weights
from studio.domain.capabilities import backbone_facts, upscaler_of
from studio.domain.choice import BackboneChoice, CaptionEndpoint
from studio.domain.values import Result
from studio.library.library import Library
from studio.library.records import Records
from studio.library.records_place import open_records
from studio.library.results import result_of
from studio.library.saved_settings import SavedFile, SavedOnServer, apply_choice
from studio.library.shared import open_shared
from studio.library.store import Store
from studio.library.store_place import open_store
from studio.settings import ASSETS, Settings, make_data_folder

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from personas.donors import Donor, DonorList
    from personas.measures.face import FaceCalibration, FaceReader, FaceReading
    from personas.measures.regions import PictureReader
    from pipelines.backbones import Backbone, BackboneSpec
    from pipelines.finishing.finisher import Finisher
    from studio.export.content_check import ContentChecker
    from studio.library.faces import FaceIndex

__all__ = ["Studio", "software_versions"]

R = TypeVar("R", bound=Result)
_REMEMBERED = 512  # pictures
_PACKAGES = ("torch", "diffusers", "transformers", "peft", "insightface", "onnxruntime", "numpy", "pillow")


class Studio:
    """Everything a workflow needs. Models are loaded on first use, and kept until another backbone is chosen."""

    def __init__(self, settings: Settings) -> None:
        self._given = settings
        make_data_folder(settings)
        records = open_records(settings)
        on_server = bool(settings.database.get_secret_value())
        self.saved = SavedOnServer(settings.data, records) if on_server else SavedFile(settings.data)
        self._faces_in: dict[str, FaceReading | None] = {}
        self._job: BackboneChoice | None = None
        self._held: BackboneChoice | None = None  # what is loaded, or would be, as far as it can be told
        with suppress(BadInput):
            self._held = self.choice
        store = open_store(settings, records)
        self.library = Library(records, store, settings.data, open_shared(settings), settings.cutter)

    @property
    def settings(self) -> Settings:
        """The settings as they are now, with the backbone of the job that runs, else with the chosen one."""
        return self._chosen if self._job is None else self._given.model_copy(update=self._job.model_dump())

    @property
    def choice(self) -> BackboneChoice:
        """Return the backbone that the next job is asked for with."""
        now = self._chosen
        return BackboneChoice(backbone=now.backbone, base=now.base, precision=now.precision)

    @property
    def backbone_is_given(self) -> bool:
        """Whether the environment or an option says which backbone is drawn with, whatever is chosen."""
        return "backbone" in self._given.model_fields_set

    @property
    def caption_endpoint(self) -> CaptionEndpoint | None:
        """Return the language model that writes captions: what the environment or an option says, else what is saved;
        None for none. Raises BadInput for an address that is none.
        """
        given = self._given
        if given.captions_url:
            return CaptionEndpoint.make(
                url=given.captions_url, model=given.captions_model, key=given.captions_key.get_secret_value()
            )  # fmt: skip
        return self.saved.read().captions

    @contextmanager
    def drawing_with(self, choice: BackboneChoice) -> Iterator[None]:
        """Draw with this backbone inside of the block. Only one job may be inside; what was loaded of another backbone
        is let go.
        """
        self._hold(choice)
        self._job = choice
        try:
            yield
        finally:
            self._job = None
            with suppress(BadInput):
                self._hold(self.choice)

    def _hold(self, choice: BackboneChoice) -> None:
        """Let go what was loaded of another backbone."""
        if choice != self._held:
            for name in ("backbone", "backbone_spec", "backbone_sha256", "finisher"):
                self.__dict__.pop(name, None)
            gc.collect()  # modules and their hooks hold each other
        self._held = choice

    @property
    def _chosen(self) -> Settings:
        """With the chosen backbone, unless the environment or an option says which. Raises BadInput for saved settings
        that cannot be read.
        """
        return apply_choice(self._given, self.saved.read().backbone)

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
        return hash_weights(self.backbone_spec.source.path)

    @cached_property
    def finisher(self) -> Finisher | None:
        """What brings pictures to the size that they are shown in; None where there is nothing to do it.

        Raises ModelMissing or BadInput for a file that cannot be used.
        """
        file = upscaler_of(self.settings)
        if file is None:
            return None
        from pipelines.backbones import best_device
        from pipelines.finishing.files import load_finisher

        return load_finisher(file, best_device())

    @cached_property
    def content_checker(self) -> ContentChecker | None:
        """What looks at pictures before they are exported; None where none is installed.

        Raises ModelMissing or BadInput for a file that cannot be used.
        """
        from studio.export.content_check import load_checker

        return load_checker(self.settings)

    @cached_property
    def faces(self) -> FaceReader:
        from personas.measures.face import FaceReader

        return FaceReader(self.settings.face_pack)

    @cached_property
    def face_pack_sha256(self) -> str:
        """Return the SHA-256 of the recogniser's pack, which is not loaded for it. Raises ModelMissing."""
        from personas.measures.face import find_pack, pack_sha256

        return pack_sha256(find_pack(self.settings.face_pack))

    def face_in(self, key: str, image: npt.NDArray[np.uint8] | None = None) -> FaceReading | None:
        """Return the face that a stored picture is of, None where there is none; `image` are its pixels, if known.

        The last ones are remembered: a post is scored by its face, and found by it.
        """
        if key not in self._faces_in:
            found = self.faces.read(self.store.get_picture(key) if image is None else image)
            while len(self._faces_in) >= _REMEMBERED:
                self._faces_in.pop(next(iter(self._faces_in)), None)
            self._faces_in[key] = found
        return self._faces_in[key]

    @cached_property
    def face_index(self) -> FaceIndex:
        """What the library's things are found by that look like somebody."""
        from studio.library.faces import FaceIndex

        return FaceIndex(self.records)

    @cached_property
    def calibration(self) -> FaceCalibration:
        from personas.measures.face import find_pack, read_calibration

        return read_calibration(find_pack(self.settings.face_pack))

    @cached_property
    def least_identity(self) -> float:
        """The cosine under which a face may be somebody else's; -1 where nobody measured what the recogniser's mean.

        Kept, because finding out hashes the whole pack.
        """
        try:
            return self.calibration.different_people
        except StudioError:
            return -1.0

    def reads(self, own_look: bool) -> bool:
        """Return whether the reader knows such pictures: the miniature's would say of photographs what it knows."""
        return own_look or self.settings.reader != ASSETS / "reader"

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
