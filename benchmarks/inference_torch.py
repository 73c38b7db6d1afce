"""The same network in PyTorch, as a user of PyTorch would run it: its layers as they are, batch normalisation too."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn


class Network(nn.Module):
    """Layers of a Keras functional model, by the description that `inference.py` writes."""

    def __init__(self, layers: list[dict], weights: dict[str, np.ndarray]):
        super().__init__()
        self.steps = [(one["name"], one["inputs"]) for one in layers]
        self.made = nn.ModuleDict({one["name"]: module(one, weights) for one in layers})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) float32 of 0 to 255 to heatmaps (B, K, h, w)."""
        found = {"": x}
        for name, inputs in self.steps:
            found[name] = self.made[name](*(found[one] for one in inputs))
        return found[self.steps[-1][0]]


class Add(nn.Module):
    def forward(self, *x: torch.Tensor) -> torch.Tensor:
        total = x[0]
        for other in x[1:]:
            total = total + other
        return total


class Concatenate(nn.Module):
    def forward(self, *x: torch.Tensor) -> torch.Tensor:
        return torch.cat(x, dim=1)


class Rescaling(nn.Module):
    def __init__(self, scale: float, offset: float):
        super().__init__()
        self.scale, self.offset = scale, offset

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale + self.offset


def module(layer: dict, weights: dict[str, np.ndarray]) -> nn.Module:
    """One layer, with its weights."""
    kind, given = layer["kind"], layer.get("weights", 0)
    arrays = [torch.from_numpy(weights[f"{layer['name']}/{i}"]) for i in range(given)]
    if kind == "convolution":
        out, each, side = arrays[0].shape[3], arrays[0].shape[2], arrays[0].shape[0]
        # Keras's `same` of an even kernel and stride 2, and of an odd one and stride 1, is symmetric
        made = nn.Conv2d(each, out, side, layer["stride"], (side - layer["stride"] + 1) // 2, bias=len(arrays) > 1)
        made.weight.data = arrays[0].permute(3, 2, 0, 1).contiguous()
        if len(arrays) > 1:
            made.bias.data = arrays[1]
        return made
    if kind == "normalisation":
        made = nn.BatchNorm2d(len(arrays[0]), eps=layer["epsilon"])
        made.weight.data, made.bias.data, made.running_mean, made.running_var = arrays
        return made
    if kind == "up":
        corners = False if layer["how"] == "bilinear" else None
        return nn.Upsample(scale_factor=layer["factor"], mode=layer["how"], align_corners=corners)
    plain = {"relu": nn.ReLU, "add": Add, "concatenate": Concatenate}
    if kind == "pool":
        return nn.MaxPool2d(layer["factor"])
    return Rescaling(layer["scale"], layer["offset"]) if kind == "rescaling" else plain[kind]()


def load(folder: Path) -> Network:
    """The network that `inference.py` described in `folder`, ready to be asked."""
    layers = json.loads((folder / "layers.json").read_text(encoding="utf-8"))
    with np.load(folder / "layers.npz") as weights:
        return Network(layers, dict(weights)).eval()
