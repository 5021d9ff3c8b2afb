"""Floor 1: torch, diffusers and peft. Backbones, LoRA files and stacks, drawing, references, training.

This file stays light: importing `pipelines`, `pipelines.errors` or `pipelines.progress` does not import
torch.
"""
