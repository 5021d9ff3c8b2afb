"""LoRA files (`files`, `metadata`) and exact weighted sums of them (`stack`)."""

from pipelines.lora.files import LoraFile, read_lora, write_lora
from pipelines.lora.fitting import FitReport, check_fits, named_linears
from pipelines.lora.inspect import LoraReport, inspect_lora
from pipelines.lora.layers import Lora, LoraLayer
from pipelines.lora.metadata import LoraMetadata
from pipelines.lora.stack import LoraStack, concatenate, delta, inner_product, norms

__all__ = [
    "FitReport",
    "Lora",
    "LoraFile",
    "LoraLayer",
    "LoraMetadata",
    "LoraReport",
    "LoraStack",
    "check_fits",
    "concatenate",
    "delta",
    "inner_product",
    "inspect_lora",
    "named_linears",
    "norms",
    "read_lora",
    "write_lora",
]
