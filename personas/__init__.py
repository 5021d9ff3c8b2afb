"""Floor 2: looks, donors, fusion, measures, selection, novelty, consolidation.

This file stays light: importing `personas` or `personas.shots` does not import torch.
"""
