"""`python -m model info`: parameters, operations and memory of a model at a size and length."""

import argparse

from model.generation.request import Sampling, parse_size


def run(options: argparse.Namespace) -> None:
    """Print parameters, operations and memory.

    Raises:
        ValueError: no such preset or size; one line.
    """
    height, width, _ = parse_size(options.size, None)
    asked = Sampling(
        steps=options.steps,
        guidance_scale=options.guidance_scale,
        audio_guidance_scale=options.audio_guidance_scale,
    )
    from model.cost.cost import preset_cost  # noqa: PLC0415
    from model.pretrained.presets import get_preset  # noqa: PLC0415

    preset = get_preset(options.preset)
    cost = preset_cost(
        preset,
        height=height,
        width=width,
        seconds=options.seconds,
        num_steps=preset.num_inference_steps if asked.steps is None else asked.steps,
        guidance=asked.guidance(preset.guidance_scale, None),
    )
    for line in cost.lines():
        print(line)
