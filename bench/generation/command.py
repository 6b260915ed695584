"""`python -m bench generate`: a video of every sample by one model, made only where it is missing or out of date."""

from __future__ import annotations

import argparse
from collections import Counter

from rich.console import Console

from bench.generation.job import GenerationJob
from bench.generation.request import plan_requests
from bench.samples.samples import read_samples
from infra.jobs.console import Words
from infra.jobs.workers import Workers
from infra.storage.out_directory import prepare, working_in
from model.generation.request import Sampling
from model.pretrained.model_parts import ModelParts

GENERATION = Words(doing="generating", counts="units", kept="made", rejected="not made", units="videos")


def run(options: argparse.Namespace) -> None:
    """Make what is missing.

    Raises:
        ValueError: a person's mistake, in one line.
    """
    console = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
    parts, sampling = ModelParts.from_options(options), Sampling.from_options(options)
    workers = Workers.from_options(options)
    workers.check_reach({"--samples": options.samples, "--out": options.out})
    samples = list(read_samples(options.samples, console.print).values())[: options.most]
    prepare(options.out)
    requests = plan_requests(samples, options.out.resolve(), parts, sampling)
    for lack, count in Counter(requests.incomplete.values()).items():
        named = ", ".join(sorted(id_ for id_, what in requests.incomplete.items() if what == lack))
        console.print(f"without {count} samples that have {lack}: {named}")
    console.print(f"{len(requests.to_make)} videos to make, {requests.num_made} there")
    if parts.is_random:
        console.print(f"{parts.model} with random weights: shows that everything runs, not what Soul can do")
    job = GenerationJob(parts=parts, sampling=sampling, workers=workers)
    with working_in(options.out):
        workers.run(requests.to_make, job, GENERATION, console)
    print(options.out)
