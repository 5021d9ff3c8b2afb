"""Measurements of the studio, each a program: `python -m benchmarks.NAME`."""

from pipelines.quiet import quiet_third_parties

quiet_third_parties()  # here, because a benchmark's own imports come with tqdm, which reads the environment only once
