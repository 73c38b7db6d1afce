"""The same network in PyTorch, of our own writing: layer for layer `keras_mspose.model`, channels-last, for
`training_step.py` to compare with. `python torch_hourglass.py '{"stacks": 2, ...}'` serves as `step_process` says."""

from __future__ import annotations

import json
import sys

import torch
from step_process import MATRIX, serve
from torch import nn
from torch.nn import functional


class Convolution(nn.Sequential):
    """Convolution, batch normalisation and (by default) ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, relu: bool = True):
        padding = (kernel - stride) // 2 if stride > 1 else kernel // 2
        parts = [nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)]
        parts.append(nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.1))
        super().__init__(*parts, *([nn.ReLU(inplace=True)] if relu else []))


class Residual(nn.Module):
    """Bottleneck: 1x1 to half the channels, 3x3, 1x1 back, added to the input."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(
            Convolution(channels, channels // 2, 1),
            Convolution(channels // 2, channels // 2, 3),
            Convolution(channels // 2, channels, 1, relu=False),
        )
        nn.init.zeros_(self.body[2][1].weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


class Hourglass(nn.Module):
    """Conv-deconv module; the features of every deconv layer, largest first."""

    def __init__(self, channels: int, depth: int, plain_skips: bool = False):
        super().__init__()
        one = [nn.Identity() if plain_skips else Residual(channels) for _ in range(depth)]
        self.skips = nn.ModuleList(one)
        self.down = nn.ModuleList(Residual(channels) for _ in range(depth))
        self.bottom = nn.Sequential(Residual(channels), Residual(channels))
        self.up = nn.ModuleList(Residual(channels) for _ in range(depth))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        skips, features = [], []
        for skip, down in zip(self.skips, self.down, strict=True):
            skips.append(skip(x))
            x = down(functional.max_pool2d(x, 2))
        x = self.bottom(x)
        for skip, up in zip(reversed(skips), self.up, strict=True):
            x = up(skip + functional.interpolate(x, scale_factor=2, mode="nearest"))
            features.append(x)
        return features[::-1]


class Network(nn.Module):
    """Stem, stacked hourglasses with a head a scale, and the global regression."""

    def __init__(self, stacks: int, channels: int, depth: int, scales: list[int], keypoints: int):
        super().__init__()
        self.scales = scales
        self.stem = nn.Sequential(
            Convolution(3, channels // 2, 4, 2),
            Convolution(channels // 2, channels, 4, 2),
            Residual(channels),
            Residual(channels),
        )
        self.hourglasses = nn.ModuleList(Hourglass(channels, depth) for _ in range(stacks))
        self.tops = nn.ModuleList(Convolution(channels, channels, 1) for _ in range(stacks))
        self.heads = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(channels, keypoints, 1) for _ in scales) for _ in range(stacks)
        )
        self.remap_features = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(stacks - 1))
        self.remap_heatmaps = nn.ModuleList(nn.Conv2d(keypoints, channels, 1) for _ in range(stacks - 1))
        self.regression_in = Convolution(keypoints * len(scales), channels, 1)
        self.regression = Hourglass(channels, depth, plain_skips=True)
        self.regression_top = Convolution(channels, channels, 1)
        self.correction = nn.Conv2d(channels, keypoints, 1)
        for layer in (*(h for heads in self.heads for h in heads), self.correction):
            nn.init.normal_(layer.weight, std=1e-3)
            nn.init.zeros_(layer.bias)

    def forward(self, crops: torch.Tensor) -> list[tuple[int, torch.Tensor]]:
        x = self.stem(crops.float().mul_(1 / 127.5).sub_(1.0))
        outputs: list[tuple[int, torch.Tensor]] = []
        for stack, (hourglass, top, heads) in enumerate(zip(self.hourglasses, self.tops, self.heads, strict=True)):
            features = hourglass(x)
            high = top(features[0])
            sources = {1: high, **{2**level: maps for level, maps in enumerate(features) if level}}
            maps = [head(sources[scale]) for scale, head in zip(self.scales, heads, strict=True)]
            outputs += zip(self.scales, maps, strict=True)
            if stack < len(self.remap_features):
                x = x + self.remap_features[stack](high) + self.remap_heatmaps[stack](maps[0])
        sized = [
            m if s == 1 else functional.interpolate(m, scale_factor=s, mode="bilinear")
            for s, m in zip(self.scales, maps, strict=True)
        ]
        y = self.regression(self.regression_in(torch.cat(sized, dim=1)))[0]
        return [*outputs, (1, maps[0] + self.correction(self.regression_top(y)))]


def render(keypoints: torch.Tensor, size: int, stride: int) -> torch.Tensor:
    """Ground truth heatmaps (B, K, size, size) of keypoints (B, K, 2) in crop pixels."""
    centre = ((keypoints + 0.5) / stride - 0.5)[..., None]
    gauss = torch.exp(-((torch.arange(size) - centre) ** 2) / 2)
    return gauss[:, :, 1, :, None] * gauss[:, :, 0, None, :]


def loss_of(outputs: list[tuple[int, torch.Tensor]], keypoints: torch.Tensor) -> torch.Tensor:
    """Equation 1 for every head, the truth drawn once a scale."""
    truths: dict[int, torch.Tensor] = {}
    for scale, maps in outputs:
        if scale not in truths:
            truth = render(keypoints, maps.shape[-1], 4 * scale)
            truths[scale] = truth.contiguous(memory_format=torch.channels_last)
    terms = [((maps - truths[scale]) ** 2).sum(dim=(2, 3)).mean() for scale, maps in outputs]
    return torch.stack(terms).sum()


def make() -> tuple:
    """Step, multiplication and facts for the settings in the command line."""
    given = json.loads(sys.argv[1])
    torch.set_num_threads(given["threads"])
    torch.manual_seed(0)
    shape = [given[key] for key in ("stacks", "channels", "depth", "scales", "keypoints")]
    network = Network(*shape).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, eps=1e-7, fused=True)
    batch, (height, width) = given["batch"], given["input_size"]
    crops = torch.randint(0, 255, (batch, 3, height, width), dtype=torch.uint8)
    crops = crops.contiguous(memory_format=torch.channels_last)
    keypoints = torch.rand(batch, given["keypoints"], 2) * height
    matrix = torch.randn(MATRIX, MATRIX)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(network(crops), keypoints)
        loss.backward()
        optimizer.step()
        loss.item()

    parameters = sum(p.numel() for p in network.parameters())
    facts = {"version": f"PyTorch {torch.__version__}", "trainable_parameters": parameters}
    return step, lambda: torch.mm(matrix, matrix), facts


if __name__ == "__main__":
    serve(make)
