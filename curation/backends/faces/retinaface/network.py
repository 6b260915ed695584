"""RetinaFace's network in the layout of its public weights: backbone, feature pyramid, context modules, heads.

Legend: B pictures, C channels, H × W pixels, A anchors of a picture. Names of modules are keys of the files.
"""

from __future__ import annotations

from typing import Final

import torch
from einops import rearrange
from torch import nn
from torch.nn import functional

from curation.backends.faces.retinaface.releases import MOBILENET

NUM_ANCHORS: Final = 2
"""At each place of each level."""
LANDMARKS: Final = 5


class RetinaFaceNetwork(nn.Module):
    """Pictures to what each anchor says: face or not, box, landmarks."""

    def __init__(self, backbone: str, negative_slope: float) -> None:
        super().__init__()
        if backbone == MOBILENET:
            self.body: nn.Module = MobileNet(negative_slope)
            depths, width = (64, 128, 256), 64
        else:
            self.body = ResNet50()
            depths, width, negative_slope = (512, 1024, 2048), 256, 0.0
        self.fpn = Pyramid(depths, width, negative_slope)
        self.ssh1, self.ssh2, self.ssh3 = (Context(width, negative_slope) for _ in depths)
        self.ClassHead = nn.ModuleList(Head(width, 2) for _ in depths)
        self.BboxHead = nn.ModuleList(Head(width, 4) for _ in depths)
        self.LandmarkHead = nn.ModuleList(Head(width, 2 * LANDMARKS) for _ in depths)

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """`(B, 3, H, W)` → logits of no face and face `(B, A, 2)`; boxes `(B, A, 4)`, landmarks `(B, A, 10)`.

        Boxes and landmarks are relative to the anchors, which run over levels, rows, columns and sizes.
        """
        levels = self.fpn(*self.body(pictures))
        levels = [ssh(level) for ssh, level in zip((self.ssh1, self.ssh2, self.ssh3), levels, strict=True)]

        def ask(heads: nn.ModuleList) -> torch.Tensor:
            return torch.cat([head(level) for head, level in zip(heads, levels, strict=True)], 1)

        return ask(self.ClassHead), ask(self.BboxHead), ask(self.LandmarkHead)


class Head(nn.Module):
    """What the anchors of one level say, in `width` numbers each."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv1x1 = nn.Conv2d(channels, NUM_ANCHORS * width, 1)

    def forward(self, level: torch.Tensor) -> torch.Tensor:
        """`(B, C, H, W)` → `(B, H · W · NUM_ANCHORS, width)`."""
        answers: torch.Tensor = rearrange(self.conv1x1(level), "b (a v) h w -> b (h w a) v", a=NUM_ANCHORS)
        return answers


class Pyramid(nn.Module):
    """Three levels of one width, each with what the coarser ones see (Lin et al., 2017)."""

    def __init__(self, depths: tuple[int, int, int], width: int, negative_slope: float) -> None:
        super().__init__()
        self.output1, self.output2, self.output3 = (_conv(depth, width, 1, slope=negative_slope) for depth in depths)
        self.merge1, self.merge2 = (_conv(width, width, 3, slope=negative_slope) for _ in range(2))

    def forward(self, fine: torch.Tensor, middle: torch.Tensor, coarse: torch.Tensor) -> list[torch.Tensor]:
        """Levels of strides 8, 16 and 32."""
        coarse = self.output3(coarse)
        middle = self.output2(middle)
        middle = self.merge2(middle + functional.interpolate(coarse, size=middle.shape[2:], mode="nearest"))
        fine = self.output1(fine)
        fine = self.merge1(fine + functional.interpolate(middle, size=fine.shape[2:], mode="nearest"))
        return [fine, middle, coarse]


class Context(nn.Module):
    """Looks at 3 × 3, 5 × 5 and 7 × 7 places around each (SSH, Najibi et al., 2017)."""

    def __init__(self, width: int, negative_slope: float) -> None:
        super().__init__()
        self.conv3X3 = _conv(width, width // 2, 3, slope=None)
        self.conv5X5_1 = _conv(width, width // 4, 3, slope=negative_slope)
        self.conv5X5_2 = _conv(width // 4, width // 4, 3, slope=None)
        self.conv7X7_2 = _conv(width // 4, width // 4, 3, slope=negative_slope)
        self.conv7x7_3 = _conv(width // 4, width // 4, 3, slope=None)

    def forward(self, level: torch.Tensor) -> torch.Tensor:
        """`(B, C, H, W)` of the same shape."""
        wider = self.conv5X5_1(level)
        views = [self.conv3X3(level), self.conv5X5_2(wider), self.conv7x7_3(self.conv7X7_2(wider))]
        return functional.relu(torch.cat(views, 1))


class MobileNet(nn.Module):
    """MobileNet (Howard et al., 2017) with a quarter of its channels."""

    def __init__(self, negative_slope: float) -> None:
        super().__init__()

        def separable(channels_in: int, channels: int, stride: int) -> nn.Sequential:
            return nn.Sequential(
                *_conv(channels_in, channels_in, 3, stride=stride, groups=channels_in, slope=negative_slope),
                *_conv(channels_in, channels, 1, slope=negative_slope),
            )

        self.stage1 = nn.Sequential(
            _conv(3, 8, 3, stride=2, slope=negative_slope),
            separable(8, 16, 1),
            separable(16, 32, 2),
            separable(32, 32, 1),
            separable(32, 64, 2),
            separable(64, 64, 1),
        )
        self.stage2 = nn.Sequential(separable(64, 128, 2), *(separable(128, 128, 1) for _ in range(5)))
        self.stage3 = nn.Sequential(separable(128, 256, 2), separable(256, 256, 1))

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Features at strides 8, 16 and 32."""
        fine = self.stage1(pictures)
        middle = self.stage2(fine)
        return fine, middle, self.stage3(middle)


class ResNet50(nn.Module):
    """ResNet-50 (He et al., 2016) without its classifier; strides stand in the 3 × 3 convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _stage(64, 64, num_blocks=3, stride=1)
        self.layer2 = _stage(256, 128, num_blocks=4, stride=2)
        self.layer3 = _stage(512, 256, num_blocks=6, stride=2)
        self.layer4 = _stage(1024, 512, num_blocks=3, stride=2)

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Features at strides 8, 16 and 32."""
        features = functional.relu(self.bn1(self.conv1(pictures)))
        features = self.layer1(functional.max_pool2d(features, 3, stride=2, padding=1))
        fine = self.layer2(features)
        middle = self.layer3(fine)
        return fine, middle, self.layer4(middle)


class Bottleneck(nn.Module):
    """Narrows to `width`, looks around, widens to four times that, and adds what came in."""

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample: nn.Module = nn.Identity()
        if channels_in != 4 * width:
            self.downsample = _conv(channels_in, 4 * width, 1, stride=stride, slope=None)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """`(B, C, H, W)` → `(B, 4 · width, H / stride, W / stride)`."""
        inner = functional.relu(self.bn1(self.conv1(features)))
        inner = functional.relu(self.bn2(self.conv2(inner)))
        return functional.relu(self.bn3(self.conv3(inner)) + self.downsample(features))


def _stage(channels_in: int, width: int, *, num_blocks: int, stride: int) -> nn.Sequential:
    following = (Bottleneck(4 * width, width, 1) for _ in range(num_blocks - 1))
    return nn.Sequential(Bottleneck(channels_in, width, stride), *following)


def _conv(
    channels_in: int, channels: int, kernel: int, *, stride: int = 1, groups: int = 1, slope: float | None
) -> nn.Sequential:
    """Convolution, batch norm and, unless `slope` is None, a rectifier that lets this share of negative values by."""
    layers: list[nn.Module] = [
        nn.Conv2d(channels_in, channels, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels),
    ]
    if slope is not None:
        layers.append(nn.LeakyReLU(slope, inplace=True))
    return nn.Sequential(*layers)
