"""A text detector that outlines white areas, as PaddleOCR publishes its models.

Made in PaddleOCR's environment: `python -m curation.tiny_models.paddle_text DIRECTORY`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

MODEL_NAME: Final = "PP-OCRv5_mobile_det"
"""PaddleOCR runs only models whose names it knows."""
DESCRIPTION: Final = f"""\
Global: {{model_name: {MODEL_NAME}}}
PreProcess:
  transform_ops:
  - DecodeImage: {{channel_first: false, img_mode: BGR}}
  - DetLabelEncode: null
  - DetResizeForTest: {{resize_long: 960}}
  - NormalizeImage: {{mean: [0.485, 0.456, 0.406], order: hwc, scale: 1./255., std: [0.229, 0.224, 0.225]}}
  - ToCHWImage: null
  - KeepKeys: {{keep_keys: [image, shape, polys, ignore_tags]}}
PostProcess: {{name: DBPostProcess, thresh: 0.3, box_thresh: 0.6, max_candidates: 1000, unclip_ratio: 1.5}}
"""
STEEPNESS: Final = 4.0
GREY: Final = 1.0
"""Where the probability of text is one half, in standard deviations above ImageNet's mean: white is at 2.2 to 2.6."""


def write_paddle_text(directory: Path) -> None:
    """Write the description, the network and its weights into a directory."""
    import paddle  # noqa: PLC0415 (only its own environment has it)
    from paddle import nn  # noqa: PLC0415

    class Whiteness(nn.Layer):
        """Pictures `(B, 3, H, W)` → probability of text `(B, 1, H, W)`: how white a 3 × 3 place is."""

        def __init__(self) -> None:
            super().__init__()
            self.mean = nn.Conv2D(3, 1, 3, padding=1)
            self.mean.weight.set_value(paddle.full([1, 3, 3, 3], STEEPNESS / 27))
            self.mean.bias.set_value(paddle.full([1], -STEEPNESS * GREY))

        def forward(self, pictures: Any) -> Any:
            return nn.functional.sigmoid(self.mean(pictures))

    directory.mkdir(parents=True, exist_ok=True)
    network = Whiteness()
    network.eval()
    pictures = paddle.static.InputSpec([None, 3, None, None], "float32", name="x")
    traced = paddle.jit.to_static(network, input_spec=[pictures], full_graph=True)
    paddle.jit.save(traced, str(directory / "inference"))
    (directory / "inference.yml").write_text(DESCRIPTION)


if __name__ == "__main__":
    write_paddle_text(Path(sys.argv[1]))
