"""Every network by its name, so that a weights card is enough to build one."""

import importlib
import inspect

from torch import nn

from workflow_scripts.lib.models.aggregator import Aggregator
from workflow_scripts.lib.models.autoencoder import Autoencoder
from workflow_scripts.lib.models.encoder import PatchEncoder
from workflow_scripts.lib.models.sfcn import SFCN
from workflow_scripts.lib.models.unet import UNet
from workflow_scripts.lib.study.errors import StudyError

NETWORKS = {network.__name__: network for network in (PatchEncoder, Aggregator, SFCN, UNet, Autoencoder)}
# imported when one is built: 2D backbones
LAZY = {
    "Backbone": "workflow_scripts.lib.models.backbones",
    "Classifier": "workflow_scripts.lib.models.classifier",
}


def build(architecture: dict) -> nn.Module:
    """Build a network with fresh weights.

    Parameters
    ----------
    architecture : dict
        ``name`` and the arguments of the network's constructor, as the property ``architecture`` gives them;
        arguments left out have their defaults.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    StudyError
        If the name is unknown, or an argument is unknown or impossible.
    """
    arguments = dict(architecture)
    name = arguments.pop("name", None)
    if name not in NETWORKS and name not in LAZY:
        raise StudyError(f"network '{name}' is unknown; there are {', '.join([*NETWORKS, *LAZY])}")
    network = NETWORKS[name] if name in NETWORKS else getattr(importlib.import_module(LAZY[name]), name)
    known = list(inspect.signature(network).parameters)
    if unknown := sorted(set(arguments) - set(known)):
        raise StudyError(f"{name} has no argument '{unknown[0]}'; it has {', '.join(known)}")
    try:
        return network(**arguments)
    except StudyError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:
        raise StudyError(f"{name} cannot be built from {arguments}: {error}") from error
