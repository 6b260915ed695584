"""A training step, measured at a size that takes no time."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
from typing import Any

import pytest
import torch

from bench.speed import training_step
from bench.speed.training_step import StepSeconds, add_arguments
from model.pretrained.presets import build_transformer, get_preset
from tests.worlds.fresh_process import answer_of


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_arguments(parser)
    return parser.parse_args(["--size", "64x64", "--frames", "5", "--micro-batch", "1", "--repeats", "1", *words])


def measured(words: tuple[str, ...]) -> tuple[str, list[int]]:
    """What is printed, and the numbers of blocks of the networks that are built."""
    torch.set_num_threads(1)
    built: list[int] = []

    def watched(config: Any) -> Any:
        built.append(config.num_layers)
        return build_transformer(config)

    tiny = get_preset("tiny")
    small = dataclasses.replace(
        tiny.transformer, num_layers=3, num_attention_heads=2, attention_head_dim=24, ffn_dim=64, freq_dim=32
    )
    patch = pytest.MonkeyPatch()
    patch.setattr(training_step, "build_transformer", watched)
    patch.setattr(training_step, "get_preset", lambda _: dataclasses.replace(tiny, transformer=small))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        training_step.run(parsed(*words))
    return printed.getvalue(), built


@pytest.mark.parametrize(
    ("words", "blocks", "said"),
    [((), [3], "tokens, cpu\n"), (("--blocks", "1,2"), [1, 2], "from 1 and 2 of 3 blocks\n")],
)
def test_a_network_is_measured_whole_or_by_what_a_block_adds(
    words: tuple[str, ...], blocks: list[int], said: str
) -> None:
    text, built = answer_of(measured, words)
    assert built == blocks
    assert said in text
    assert [line.split()[0] for line in text.splitlines()[1:]] == ["soul", "diffusers", "ratio"]


def test_the_large_network_is_never_built_whole() -> None:
    assert training_step.BLOCKS["soul-5b"] == (2, 4)


def test_each_block_adds_what_those_that_were_added_did() -> None:
    few, many = StepSeconds(ours=3.0, plain=2.0), StepSeconds(ours=5.0, plain=3.0)
    assert many.extrapolated(few, added=2, rest=26) == StepSeconds(ours=31.0, plain=16.0)


@pytest.mark.parametrize("text", ["2", "4,2", "2,2", "0,1", "a,b"])
def test_mistakes_in_the_numbers_of_blocks(text: str) -> None:
    with pytest.raises(argparse.ArgumentError, match="give two numbers of blocks, the smaller first"):
        parsed("--blocks", text)


def test_more_blocks_than_there_are() -> None:
    with pytest.raises(ValueError, match="the network has 3 blocks"):
        answer_of(measured, ("--blocks", "2,4"))
