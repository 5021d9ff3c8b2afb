"""FLUX.1: dev, schnell, Krea, their fine-tunes, and the companions Redux, Fill, Kontext, IP-Adapter and character."""
