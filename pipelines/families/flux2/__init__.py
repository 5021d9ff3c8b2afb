"""FLUX.2: klein-4B and -9B, distilled and base, and dev."""
