"""ComfyUI's graph of nodes in a picture, where its prompt is plain: text that stands in a node, behind a sampler.

comfyanonymous/ComfyUI, nodes.py: {id: {"class_type": …, "inputs": {name: value or [id, output]}}} under `prompt`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from studio.export.a1111 import ForeignLora, ForeignPicture, clean_text, lora_name, merge_loras, read_scale, read_seed

__all__ = ["is_graph", "read_graph"]

_MOST_NODES = 2000
_SEEDS = ("seed", "noise_seed")
_TEXTS = ("t5xxl", "text", "text_g", "prompt", "positive_prompt", "clip_l", "text_l", "string", "value", "positive")
_SETTINGS = ("steps", "cfg", "guidance", "sampler_name", "scheduler", "denoise")

Graph = Mapping[str, Any]


def is_graph(value: object) -> bool:
    """Whether JSON is a graph of nodes."""
    return (
        isinstance(value, dict)
        and 0 < len(value) <= _MOST_NODES
        and all(isinstance(node, dict) and "class_type" in node for node in value.values())
    )


def read_graph(graph: Graph) -> ForeignPicture | None:
    """Return what the sampler that began the picture was given; None where there is no sampler.

    The prompt is "" where it is not plain: what a node computes is not known from the file.
    """
    samplers = [key for key in _upstream(graph, _outputs(graph)) if _is_sampler(graph[key])]
    if not samplers:
        return None
    base = samplers[-1]  # others refine what it began
    inputs = _inputs(graph, base)
    before = _upstream(graph, [base])
    guided = next((key for key in before if "positive" in _inputs(graph, key)), None)
    source = _inputs(graph, guided).get("positive") if guided is not None else _conditioning(graph, before)
    negative = _inputs(graph, guided).get("negative") if guided is not None else None
    seeds = (read_seed(_inputs(graph, key).get(name)) for key in [base, *before] for name in _SEEDS)
    settings = {
        name: clean_text(str(inputs[name])) for name in _SETTINGS if isinstance(inputs.get(name), str | int | float)
    }
    prompt = _text(graph, source)
    return ForeignPicture(
        prompt,
        _text(graph, negative),
        next((seed for seed in seeds if seed is not None), None),
        settings,
        merge_loras(_loras(graph, before)),
    )


def _inputs(graph: Graph, key: object) -> Mapping[str, Any]:
    node = graph.get(str(key))
    inputs = node.get("inputs") if isinstance(node, dict) else None
    return inputs if isinstance(inputs, dict) else {}


def _is_sampler(node: Mapping[str, Any]) -> bool:
    name = str(node.get("class_type"))
    return (
        "Sampler" in name
        and "Select" not in name
        and isinstance(node.get("inputs"), dict)
        and ("latent_image" in node["inputs"] or "latent" in node["inputs"] or "guider" in node["inputs"])
    )


def _outputs(graph: Graph) -> list[str]:
    """Return nodes that nothing else reads."""
    read = {str(link[0]) for key in graph for link in _links(graph, key)}
    return [key for key in graph if key not in read] or list(graph)


def _links(graph: Graph, key: str) -> list[Any]:
    values = _inputs(graph, key).values()
    return [value for value in values if isinstance(value, list) and len(value) == 2 and str(value[0]) in graph]


def _upstream(graph: Graph, start: list[str]) -> list[str]:
    """Return the nodes that lead to these, the nearest first, these included; what is zeroed leads nowhere."""
    found = dict.fromkeys(start)
    pending = list(found)
    for key in pending:
        if graph[key].get("class_type") == "ConditioningZeroOut":
            continue
        for link in _links(graph, key):
            if str(link[0]) not in found:
                found[str(link[0])] = None
                pending.append(str(link[0]))
    return pending


def _conditioning(graph: Graph, before: list[str]) -> Any:
    """Return what leads to the guider's conditioning, where a guider has no negative prompt."""
    return next((_inputs(graph, key)["conditioning"] for key in before if "conditioning" in _inputs(graph, key)), None)


def _text(graph: Graph, source: Any) -> str:
    """Return the text of the only node behind a link that has any; "" where there is none, or are several."""
    if not (isinstance(source, list) and source and str(source[0]) in graph):
        return ""
    found: list[str] = []
    for key in _upstream(graph, [str(source[0])]):
        inputs = _inputs(graph, key)
        if not any(part in str(graph[key].get("class_type")) for part in ("Text", "String", "Prompt", "Primitive")):
            continue
        said = next(
            (inputs[name] for name in _TEXTS if isinstance(inputs.get(name), str) and inputs[name].strip()), None
        )
        if said is not None:
            found.append(clean_text(said).strip())
    return found[0] if len(set(found)) == 1 else ""


def _loras(graph: Graph, before: list[str]) -> list[ForeignLora]:
    found = []
    for key in before:
        inputs = _inputs(graph, key)
        rows = [(inputs.get("lora_name"), inputs.get("strength_model"))]
        rows += [
            (row.get("lora"), row.get("strength"))
            for row in inputs.values()
            if isinstance(row, dict) and row.get("on", True)
        ]
        for name, strength in rows:
            if isinstance(name, str) and name and name != "None" and strength != 0:
                found.append(ForeignLora(lora_name(name), scale=read_scale(strength)))
    return found
