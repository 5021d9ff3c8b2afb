"""Captions: what posts show and product texts say, in sentences of the studio's own or of a language model."""
