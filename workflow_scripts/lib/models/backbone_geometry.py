"""What a ResNet or DenseNet must look like for published weights to mean in it what they meant where they were made."""

import copy

import torch
from torch import nn

from workflow_scripts.lib.study.errors import StudyError

PIXELS = 256
EPS, MOMENTUM = 1e-5, 0.1
# sizes of maps by what torch prints of a network: a process builds the same one many times
_MAPS: dict[str, dict[str, str]] = {}


def width(family: str, sizes: dict) -> int:
    """Length of the vector that a backbone of these sizes gives."""
    if family == "ResNet":
        return sizes["planes"][-1] * (4 if sizes["bottleneck"] else 1)
    channels = sizes["init"]
    for number, layers in enumerate(sizes["blocks"]):
        channels = (channels if number == 0 else channels // 2) + layers * sizes["growth"]
    return channels


def check(backbone: nn.Module) -> None:
    """Refuse a network that differs from the published geometry, as after a changed default of a library.

    Weights load into many networks that are not the one they come from: stride and padding are in no tensor.

    Parameters
    ----------
    backbone : Backbone
        Its modules are listed, and the sizes of its groups' maps for images of 256 pixels are found without
        computing any value.

    Raises
    ------
    StudyError
        Names up to three differences.
    """
    wanted = {**layers_wanted(backbone.family, backbone.sizes), **maps_wanted(backbone.family, backbone.sizes)}
    printed = repr(backbone)
    if printed not in _MAPS:
        _MAPS[printed] = maps_found(backbone)
    found = {**layers_found(backbone), **_MAPS[printed]}
    names = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
    if names:
        said = [f"{name} is {found.get(name, 'absent')}, expected {wanted.get(name, 'absent')}" for name in names[:3]]
        raise StudyError(
            f"the {backbone.family} that was built is not the published network ({len(names)} differences): "
            f"{'; '.join(said)}. Weights would load and mean something else. Use the locked version of MONAI."
        )


def layers_found(backbone: nn.Module) -> dict[str, str]:
    """List every convolution, normalisation and pooling of a network, in words."""
    found = {}
    for name, layer in backbone.named_modules():
        if isinstance(layer, nn.Conv2d):
            found[name] = _convolution(
                layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding
            ) + ("" if layer.bias is None else ", with bias")
            if layer.groups != 1 or set(layer.dilation) != {1}:
                found[name] += f", groups {layer.groups}, dilation {layer.dilation}"
        elif isinstance(layer, nn.modules.batchnorm._BatchNorm):
            found[name] = _normalisation(layer.num_features, layer.eps, layer.momentum)
            if not (layer.affine and layer.track_running_stats):
                found[name] += ", without scale or running statistics"
        elif isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
            found[name] = _pooling(type(layer).__name__, layer.kernel_size, layer.stride, layer.padding)
    return found


def layers_wanted(family: str, sizes: dict) -> dict[str, str]:
    """List every convolution, normalisation and pooling of the published network of these sizes, in words."""
    return {"ResNet": _resnet, "DenseNet": _densenet}[family](**sizes)


def maps_found(backbone: nn.Module) -> dict[str, str]:
    """Give the size of each group's maps, channels x height x width, for images of 256 pixels."""
    tensors = [*backbone.parameters(), *backbone.buffers()]
    # a copy whose tensors have shapes and no numbers, so that nothing of the network itself changes
    without = {id(tensor): _without_numbers(tensor) for tensor in tensors}
    twin = copy.deepcopy(backbone, without).eval()
    found = {}
    for name in backbone.groups:
        getattr(twin, name).register_forward_hook(
            lambda module, given, maps, name=name: found.update({f"maps of {name}": _size(maps.shape[1:])})
        )
    with torch.no_grad():
        vectors = twin(torch.empty(1, 3, PIXELS, PIXELS, device="meta"))
    return {**found, "output": _size(vectors.shape[1:])}


def _without_numbers(tensor: torch.Tensor) -> torch.Tensor:
    empty = torch.empty_like(tensor, device="meta")
    return nn.Parameter(empty, requires_grad=False) if isinstance(tensor, nn.Parameter) else empty


def maps_wanted(family: str, sizes: dict) -> dict[str, str]:
    """Give the sizes that :func:`maps_found` must find."""
    half, quarter = PIXELS // 2, PIXELS // 4
    if family == "ResNet":
        times, first = (4 if sizes["bottleneck"] else 1), sizes["planes"][0]
        maps = {"conv1": (first, half), "bn1": (first, half), "relu": (first, half), "maxpool": (first, quarter)}
        for number, planes in enumerate(sizes["planes"]):
            maps[f"layer{number + 1}"] = (planes * times, quarter >> number)
        sizes_of = {name: _size((channels, side, side)) for name, (channels, side) in maps.items()}
        sizes_of["avgpool"] = _size((width(family, sizes),))
    else:
        channels, side = sizes["init"], quarter
        maps = {"conv0": (channels, half), "norm0": (channels, half), "relu0": (channels, half)}
        maps["pool0"] = (channels, quarter)
        for number, layers in enumerate(sizes["blocks"], start=1):
            channels += layers * sizes["growth"]
            maps[f"denseblock{number}"] = (channels, side)
            if number < len(sizes["blocks"]):
                channels, side = channels // 2, side // 2
                maps[f"transition{number}"] = (channels, side)
        maps["norm5"] = (channels, side)
        sizes_of = {name: _size((channels, side, side)) for name, (channels, side) in maps.items()}
    return {**{f"maps of {name}": size for name, size in sizes_of.items()}, "output": _size((width(family, sizes),))}


def _resnet(layers: list[int], planes: list[int], bottleneck: bool) -> dict[str, str]:
    wanted = {
        "conv1": _convolution(3, planes[0], 7, 2, 3),
        "bn1": _normalisation(planes[0]),
        "maxpool": _pooling("MaxPool2d", 3, 2, 1),
    }
    before, times = planes[0], 4 if bottleneck else 1
    for stage, (blocks, inner) in enumerate(zip(layers, planes, strict=True), start=1):
        for block in range(blocks):
            stride = 2 if stage > 1 and block == 0 else 1
            # channels in, channels out, kernel, stride of each convolution of the block
            if bottleneck:
                convolutions = [(before, inner, 1, 1), (inner, inner, 3, stride), (inner, inner * 4, 1, 1)]
            else:
                convolutions = [(before, inner, 3, stride), (inner, inner, 3, 1)]
            name = f"layer{stage}.{block}"
            for number, (given, made, kernel, step) in enumerate(convolutions, start=1):
                wanted[f"{name}.conv{number}"] = _convolution(given, made, kernel, step, kernel // 2)
                wanted[f"{name}.bn{number}"] = _normalisation(made)
            if stride != 1 or before != inner * times:
                wanted[f"{name}.downsample.0"] = _convolution(before, inner * times, 1, stride, 0)
                wanted[f"{name}.downsample.1"] = _normalisation(inner * times)
            before = inner * times
    return wanted


def _densenet(init: int, growth: int, blocks: list[int]) -> dict[str, str]:
    wanted = {
        "conv0": _convolution(3, init, 7, 2, 3),
        "norm0": _normalisation(init),
        "pool0": _pooling("MaxPool2d", 3, 2, 1),
    }
    channels = init
    for number, layers in enumerate(blocks, start=1):
        for layer in range(1, layers + 1):
            name = f"denseblock{number}.denselayer{layer}.layers"
            wanted[f"{name}.norm1"] = _normalisation(channels)
            wanted[f"{name}.conv1"] = _convolution(channels, 4 * growth, 1, 1, 0)
            wanted[f"{name}.norm2"] = _normalisation(4 * growth)
            wanted[f"{name}.conv2"] = _convolution(4 * growth, growth, 3, 1, 1)
            channels += growth
        if number < len(blocks):
            wanted[f"transition{number}.norm"] = _normalisation(channels)
            wanted[f"transition{number}.conv"] = _convolution(channels, channels // 2, 1, 1, 0)
            wanted[f"transition{number}.pool"] = _pooling("AvgPool2d", 2, 2, 0)
            channels //= 2
    return {**wanted, "norm5": _normalisation(channels)}


def _convolution(given: int, made: int, kernel: object, stride: object, padding: object) -> str:
    return f"convolution {given} -> {made}, kernel {_one(kernel)}, stride {_one(stride)}, padding {_one(padding)}"


def _normalisation(channels: int, eps: float = EPS, momentum: float = MOMENTUM) -> str:
    return f"batch normalisation of {channels}, eps {eps}, momentum {momentum}"


def _pooling(kind: str, kernel: object, stride: object, padding: object) -> str:
    return f"{kind}, kernel {_one(kernel)}, stride {_one(stride)}, padding {_one(padding)}"


def _one(value: object) -> object:
    """Say 3 x 3 as 3; anything uneven as it is."""
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
