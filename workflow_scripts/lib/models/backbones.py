"""Networks that turn a 2D image into a vector: ResNet and DenseNet with the geometry and groups of torchvision's."""

from collections import OrderedDict

import torch
from torch import nn

from workflow_scripts.lib.models import backbone_geometry
from workflow_scripts.lib.study.errors import StudyError

# what a backbone of a family is made of, with the sizes of the published one
SIZES = {
    "ResNet": {"layers": [3, 4, 6, 3], "planes": [64, 128, 256, 512], "bottleneck": True},
    "DenseNet": {"init": 64, "growth": 32, "blocks": [6, 12, 24, 16]},
}
BUILT_IN = {"ResNet50": {"family": "ResNet"}, "DenseNet121": {"family": "DenseNet"}}

# MONAI's defaults for these are another network (stem of stride 1, bias beside the shortcut's convolution), which takes
# the same tensors or all but four of them
RESNET_SWITCHES = {"conv1_t_stride": 2, "bias_downsample": False}


def spec(name: str, backbones: dict | None = None) -> dict:
    """Say how a backbone is built, by its name in the config.

    Parameters
    ----------
    name : str
        ``ResNet50``, ``DenseNet121``, or a key of ``backbones``.
    backbones : dict, optional
        Config section ``radiology: backbones``: a family and sizes each. Sizes left out are those of the family's
        built-in network. An entry may not change a built-in name.

    Returns
    -------
    dict
        An architecture for :func:`workflow_scripts.lib.models.registry.build`.

    Raises
    ------
    StudyError
        If the name, the family or a size is unknown.
    """
    known = {**(backbones or {}), **BUILT_IN}
    if taken := sorted(set(backbones or {}) & set(BUILT_IN)):
        raise StudyError(f"radiology.backbones: '{taken[0]}' is built in. Give your network another name.")
    if name not in known:
        raise StudyError(f"backbone '{name}' is unknown; there are {', '.join(sorted(known))} (radiology.backbones)")
    sizes = dict(known[name])
    family = sizes.pop("family", None)
    return {"name": "Backbone", "family": family, "sizes": _complete(family, sizes)}


def _complete(family: str | None, sizes: dict) -> dict:
    if family not in SIZES:
        raise StudyError(f"backbone of family '{family}': there are {', '.join(SIZES)}")
    if unknown := sorted(set(sizes) - set(SIZES[family])):
        raise StudyError(f"a {family} has no size '{unknown[0]}'; it has {', '.join(SIZES[family])}")
    full = {**SIZES[family], **sizes}
    for key, value in full.items():
        numbers = value if isinstance(value, list | tuple) else [value]
        published = SIZES[family][key]
        if isinstance(published, bool):
            right = isinstance(value, bool)
        else:
            right = isinstance(published, list) == isinstance(value, list | tuple) and all(
                isinstance(number, int) and not isinstance(number, bool) and number > 0 for number in numbers
            )
            right = right and (family != "ResNet" or len(numbers) == len(published)) and len(numbers) > 0
        if not right:
            raise StudyError(f"a {family} with {key} {value}: expected something like {published}")
    return {key: list(value) if isinstance(value, list | tuple) else value for key, value in full.items()}


class Backbone(nn.Module):
    """A convolutional network without its last layer, cut into the groups that structures freeze and unfreeze.

    The modules of the groups are MONAI's. Each group is a child of its name, so that the tensors of a ResNet have
    torchvision's names. What was built is compared with the published geometry before it is given out.

    Parameters
    ----------
    family : str
        ``ResNet`` or ``DenseNet``.
    sizes : dict, optional
        ResNet: ``layers`` (blocks of the four stages), ``planes`` (their widths), ``bottleneck`` (three convolutions
        a block, the output four times as wide; or two). DenseNet: ``init`` (width of the stem), ``growth``, ``blocks``
        (layers of each dense block). Left out: those of ResNet50 and DenseNet121.

    Attributes
    ----------
    features : int
        Length of the vector.
    groups : list of str
        From input to output: torchvision's top-level children without the last (ResNet), or the children of its
        ``features`` (DenseNet).

    Raises
    ------
    StudyError
        If a size is impossible, or the network that was built has another geometry.

    References
    ----------
    He et al., CVPR 2016; Huang et al., CVPR 2017. The stride of a bottleneck sits in its 3 x 3 convolution.
    """

    def __init__(self, family: str = "ResNet", sizes: dict | None = None) -> None:
        super().__init__()
        self.family, self.sizes = family, _complete(family, sizes or {})
        parts = {"ResNet": _resnet, "DenseNet": _densenet}[family](**self.sizes)
        self.groups = list(parts)
        for name, module in parts.items():
            self.add_module(name, module)
        # torchvision's DenseNet pools outside its groups
        self._tail = nn.Sequential(nn.ReLU(), *_pool()) if family == "DenseNet" else nn.Identity()
        self.features = backbone_geometry.width(family, self.sizes)
        backbone_geometry.check(self)

    @property
    def architecture(self) -> dict:
        """What a weights card says about this network."""
        return {"name": "Backbone", "family": self.family, "sizes": self.sizes}

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Batch x 3 x H x W, float32, prepared as the weights want it -> batch x features."""
        return self.run(images, 0, len(self.groups))

    def run(self, x: torch.Tensor, first: int, last: int) -> torch.Tensor:
        """Apply groups ``first`` to ``last - 1``.

        Parameters
        ----------
        x : torch.Tensor
            Images if ``first`` is 0, else what group ``first - 1`` gave. It is left as it is.
        first, last : int
            0 <= first <= last <= number of groups. With ``first == last`` the input is given back.

        Returns
        -------
        torch.Tensor
            Maps of group ``last - 1``, or vectors (batch x features) after the last group.

        Raises
        ------
        StudyError
            If the range lies outside.
        """
        if not 0 <= first <= last <= len(self.groups):
            raise StudyError(f"groups {first} to {last} of a backbone that has {len(self.groups)}")
        for name in self.groups[first:last]:
            x = getattr(self, name)(x)
        return self._tail(x) if first < last == len(self.groups) else x

    def cam_layers(self) -> list[nn.Module]:
        """Give the layers whose maps Grad-CAM averages: the last two stages of a ResNet, the last dense block."""
        names = ["layer3", "layer4"] if self.family == "ResNet" else [f"denseblock{len(self.sizes['blocks'])}"]
        return [getattr(self, name) for name in names]


def _pool() -> tuple[nn.Module, nn.Module]:
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(1)


def _resnet(layers: list[int], planes: list[int], bottleneck: bool) -> dict[str, nn.Module]:
    from monai.networks.nets import ResNet  # costs seconds, and only those who build a backbone need it

    whole = ResNet(
        "bottleneck" if bottleneck else "basic",
        layers,
        planes,
        spatial_dims=2,
        n_input_channels=3,
        feed_forward=False,
        **RESNET_SWITCHES,
    )
    parts = OrderedDict(conv1=whole.conv1, bn1=whole.bn1, relu=nn.ReLU(), maxpool=whole.maxpool)
    parts.update({f"layer{number}": getattr(whole, f"layer{number}") for number in range(1, 5)})
    # a ReLU of its own: MONAI's works in place and would spoil maps that were kept
    return {**parts, "avgpool": nn.Sequential(*_pool())}


def _densenet(init: int, growth: int, blocks: list[int]) -> dict[str, nn.Module]:
    from monai.networks.nets import DenseNet

    whole = DenseNet(2, 3, 1, init_features=init, growth_rate=growth, block_config=blocks)
    return {name: nn.ReLU() if name == "relu0" else module for name, module in whole.features.named_children()}
