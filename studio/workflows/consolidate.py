"""Consolidate: one persona LoRA from a design's kept candidates; its enrolment; a version in the records."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from personas.consolidation import default_config, train_persona
from pipelines.lora import LoraLayer, LoraMetadata, read_lora, write_lora
from pipelines.progress import SILENT, Progress
from studio.application import Studio
from studio.records import PersonaRecord, content_id
from studio.workflows import Run

__all__ = ["ConsolidateRequest", "consolidate_persona", "persona_layers"]


@dataclass(frozen=True)
class ConsolidateRequest:
    """`design` is the JSON that `design_persona` gave; `steps` 0 leaves the default."""

    design: dict[str, Any]
    name: str
    seed: int
    owner: str = "me"
    steps: int = 0


def consolidate_persona(
    studio: Studio, request: ConsolidateRequest, run: Run, progress: Progress = SILENT
) -> dict[str, Any]:
    """The persona as JSON. The training resumes from its own checkpoints when a run was killed in the middle."""
    design = request.design
    persona = content_id({"design": design["id"], "seed": request.seed, "steps": request.steps})

    def train() -> dict[str, Any]:
        backbone = studio.backbone
        config = default_config(backbone, request.seed)
        if request.steps:
            config = config.model_copy(update={"steps": request.steps})
        images = [studio.store.get_picture(design["pictures"][i]) for i in design["kept"]]
        captions = [design["prompts"][i] for i in design["kept"]]
        heads = [regions.head for regions in studio.regions.read(images)]
        folder = studio.work / persona
        trained = train_persona(backbone, images, captions, heads, config, folder, progress)
        path = folder / "persona.safetensors"
        write_lora(
            path,
            trained.layers,
            LoraMetadata(
                title=request.name,
                trigger_phrase=design["trigger"],
                license=", ".join(sorted({d["licence"] for d in design["donors"]})),
                author=request.owner,
                description="A persona LoRA, trained on the kept pictures of a fused face.",
                base_model=backbone.spec.id,
                height=backbone.spec.height,
                width=backbone.spec.width,
                merged_from=tuple(
                    (d["name"], w) for d, w in zip(design["donors"], design["recipe"]["mix_weights"], strict=False)
                ),
                training={
                    "learning_rate": str(config.learning_rate),
                    "steps": str(config.steps),
                    "num_train_images": str(len(images)),
                    "persona_recipe": design["recipe"]["id"],
                },
            ),
        )
        return {
            "lora": studio.store.put(path.read_bytes()),
            "losses": studio.store.put_json(list(trained.losses)),
            "config": config.model_dump(mode="json"),
        }

    trained = run("train", train)
    earlier = studio.records.find(PersonaRecord, request.owner, name=request.name)
    versions = {row.id: row.version for row in earlier}
    result = {
        "id": persona,
        "name": request.name,
        "version": versions.get(persona, max(versions.values(), default=0) + 1),
        "design": design["id"],
        "trigger": design["trigger"],
        "subject": design["subject"],
        "enrolment": design["enrolment"],
        "recipe": design["recipe"],
        "donors": design["donors"],
        "request": {k: v for k, v in asdict(request).items() if k != "design"},
        **trained,
    }
    facts = {k: result[k] for k in ("trigger", "subject", "enrolment", "recipe", "donors", "losses", "config")}
    studio.records.keep(
        PersonaRecord(
            id=persona,
            owner=request.owner,
            name=request.name,
            version=int(result["version"]),
            design=design["id"],
            lora=result["lora"],
            facts=facts,
        )
    )
    return result


def persona_layers(studio: Studio, persona: dict[str, Any]) -> tuple[LoraLayer, ...]:
    """The persona's LoRA from the store."""
    path = studio.work / f"{persona['id']}.safetensors"
    if not path.exists():  # libraries judge a LoRA by its file's ending
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(studio.store.get(persona["lora"]))
    return read_lora(path).layers
