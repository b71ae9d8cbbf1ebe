"""The published SFCN stated a second time: as torch modules with the published names, and as Keras computes it."""

import collections
import itertools

import numpy as np
import torch
from torch import nn

CHANNELS = (32, 64, 128, 256, 256, 64)
SMALL = (2, 3, 4, 5, 5, 6)


class PublishedSFCN(nn.Module):
    """Modules named as those whose weights were published; averages over a fixed window, as those do."""

    def __init__(self, channels=CHANNELS, outputs=40, window=(5, 6, 5)):
        super().__init__()
        self.feature_extractor, self.classifier = nn.Sequential(), nn.Sequential()
        for number, (before, after) in enumerate(itertools.pairwise((1, *channels))):
            if number < 5:
                layers = [nn.Conv3d(before, after, 3, padding=1), nn.BatchNorm3d(after), nn.MaxPool3d(2, 2), nn.ReLU()]
            else:
                layers = [nn.Conv3d(before, after, 1), nn.BatchNorm3d(after), nn.ReLU()]
            self.feature_extractor.add_module(f"conv_{number}", nn.Sequential(*layers))
        self.classifier.add_module("average_pool", nn.AvgPool3d(window))
        self.classifier.add_module("dropout", nn.Dropout(0.5))
        self.classifier.add_module("conv_6", nn.Conv3d(channels[-1], outputs, 1))

    def forward(self, volumes):
        return self.classifier(self.feature_extractor(volumes)).flatten(1)


def trained(network, seed=0):
    """Fill normalisations with numbers that a trained network might have; evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            for tensor in (module.weight, module.running_var):
                tensor.data = 0.3 + torch.rand(tensor.shape, generator=generator)
            for tensor in (module.bias, module.running_mean):
                tensor.data = 0.3 * torch.randn(tensor.shape, generator=generator)
    return network.eval()


def volumes(count, grid, seed=1):
    return torch.rand(count, 1, *grid, generator=torch.Generator().manual_seed(seed))


def keras_arrays(channels=SMALL, outputs=3, seed=2):
    """Layers as Keras holds them, by the last part of their names, in the order in which they are applied."""
    rng = np.random.default_rng(seed)
    layers = []
    for number, (before, after) in enumerate(itertools.pairwise((1, *channels))):
        size = 3 if number < 5 else 1
        kernel = rng.normal(size=(size, size, size, before, after)) / (size * np.sqrt(before))
        layers.append({"kernel": kernel, "bias": rng.normal(size=after)})
        positive, any_sign = rng.uniform(0.3, 1.3, (2, after)), rng.normal(scale=0.3, size=(2, after))
        layers.append(
            {
                "gamma": positive[0],
                "beta": any_sign[0],
                "moving_mean": any_sign[1],
                # small, so that an eps of 1e-5 instead of 1e-3 shows
                "moving_variance": 0.01 * positive[1],
            }
        )
    layers.append({"kernel": rng.normal(size=(channels[-1], outputs)), "bias": rng.normal(size=outputs)})
    return [{name: array.astype(np.float32) for name, array in layer.items()} for layer in layers]


def keras_forward(layers, images):
    """Apply the layers to scans x D x H x W: convolution ("same"), normalisation, ReLU, pooling; numpy alone."""
    maps = images[..., None].astype(np.float64)
    for number in range(6):
        convolution, norm = layers[2 * number], layers[2 * number + 1]
        kernel = convolution["kernel"]
        reach = kernel.shape[0] // 2
        padded = np.pad(maps, [(0, 0), *[(reach, reach)] * 3, (0, 0)])
        maps = np.zeros((*maps.shape[:4], kernel.shape[-1])) + convolution["bias"]
        for shift in np.ndindex(*kernel.shape[:3]):
            window = tuple(slice(s, s + n) for s, n in zip(shift, maps.shape[1:4], strict=True))
            maps += padded[(slice(None), *window)] @ kernel[shift]
        scale = norm["gamma"] / np.sqrt(norm["moving_variance"] + 1e-3)
        maps = np.maximum((maps - norm["moving_mean"]) * scale + norm["beta"], 0)
        if number < 5:
            even = maps[:, : maps.shape[1] // 2 * 2, : maps.shape[2] // 2 * 2, : maps.shape[3] // 2 * 2]
            size = tuple(n // 2 for n in even.shape[1:4])
            maps = even.reshape(len(even), size[0], 2, size[1], 2, size[2], 2, -1).max(axis=(2, 4, 6))
    return maps.mean(axis=(1, 2, 3)) @ layers[-1]["kernel"] + layers[-1]["bias"]


def _names(block, top, head):
    blocks = [name for number in range(5) for name in block(number)]
    return [*blocks, *top, head]


# naming -> the thirteen layers' names in order, with the separator before the parameter's name
KERAS_NAMES = {
    "pyment": _names(
        lambda n: (f"sfcn-reg_block-{n}_conv", f"sfcn-reg_block-{n}_norm"),
        ("sfcn-reg_top_conv", "sfcn-reg_top_norm"),
        "sfcn-reg_predictions",
    ),
    "pyment 2021": _names(
        lambda n: (f"Regression3DSFCN/block{n + 1}/conv", f"Regression3DSFCN/block{n + 1}/norm"),
        ("Regression3DSFCN/top/conv", "Regression3DSFCN/top/norm"),
        "Regression3DSFCN/predictions",
    ),
    "pyment dementia": _names(
        lambda n: (f"Regression3DSFCN/block{n + 1}/conv", f"Regression3DSFCN/block{n + 1}/norm"),
        ("Regression3DSFCN/top/conv", "Regression3DSFCN/top/norm"),
        "dense_3",
    ),
    "plain": [
        *itertools.chain(
            *[(f"conv3d_{n}" if n else "conv3d", f"batch_normalization{f'_{n}' if n else ''}") for n in range(6)]
        ),
        "dense",
    ],
    "plain, second network": [
        *itertools.chain(*[(f"conv3d_{n}", f"batch_normalization_{n}") for n in range(6, 12)]),
        "dense_1",
    ],
}


def keras_tensors(layers, names, suffix=":0"):
    """Name arrays as in a file: LAYER/PARAMETER:0."""
    return {
        f"{name}/{parameter}{suffix}": array
        for name, layer in zip(names, layers, strict=True)
        for parameter, array in layer.items()
    }


def port_tensors(layers):
    """Name and turn the arrays as pyment's port to torch does."""
    names = {"kernel": "weight", "gamma": "weight", "beta": "bias", "bias": "bias"}
    names |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
    found = collections.OrderedDict()
    for number, layer in enumerate(layers):
        stage = "top" if number // 2 == 5 else f"block{number // 2 + 1}"
        kind = "norm" if number % 2 else "conv"
        stem = "linear.sfcn-reg_predictions" if number == 12 else f"fn1.sfcn-reg_{stage}_{kind}"
        for parameter, array in layer.items():
            tensor = torch.from_numpy(array)
            if parameter == "kernel":
                tensor = tensor.T if tensor.ndim == 2 else tensor.permute(4, 3, 0, 1, 2)
            found[f"{stem}.{names[parameter]}"] = tensor.contiguous()
    return found
