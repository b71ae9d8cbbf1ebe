"""A backbone and a head: from images to a logit a class."""

import inspect

import torch
from torch import nn

from workflow_scripts.lib.models.backbones import Backbone
from workflow_scripts.lib.models.heads import make_head
from workflow_scripts.lib.study.errors import StudyError

POLICIES = ("frozen", "adapted")


class Classifier(nn.Module):
    """A backbone and a head.

    Parameters
    ----------
    backbone : Backbone or dict
        The network itself, which becomes part of this one, or its architecture (:func:`backbones.spec`).
    head : dict
        ``name``, ``classes`` and other arguments of :func:`heads.make_head`; ``features`` is the backbone's.

    Attributes
    ----------
    batch_norm : str
        ``frozen``: batch normalisation of the whole backbone keeps the statistics of its weights, also while
        training, so that what frozen groups give is the same in every epoch. ``adapted``: it uses those of the batch
        while training and moves its running ones, also in frozen groups, as the published code did. The head's
        always adapts. No part of the architecture: it changes training alone.

    Raises
    ------
    StudyError
        If the head has an unknown argument or is made for vectors of another length.
    """

    def __init__(self, backbone: Backbone | dict, head: dict) -> None:
        super().__init__()
        if not isinstance(backbone, Backbone):
            backbone = Backbone(**{key: value for key, value in backbone.items() if key != "name"})
        settings = {"features": backbone.features, **head}
        known = list(inspect.signature(make_head).parameters)
        if unknown := sorted(set(settings) - set(known)):
            raise StudyError(f"a head has no argument '{unknown[0]}'; it has {', '.join(known)}")
        if settings["features"] != backbone.features:
            raise StudyError(f"a head for {settings['features']} features on a backbone of {backbone.features}")
        self.backbone = backbone
        self.head = make_head(**settings)
        self.batch_norm = "frozen"
        self.train()

    @property
    def architecture(self) -> dict:
        """What a weights card says about this network."""
        return {"name": "Classifier", "backbone": self.backbone.architecture, "head": self.head.settings}

    def forward(self, images: torch.Tensor, first: int = 0) -> torch.Tensor:
        """Give the logits.

        Parameters
        ----------
        images : torch.Tensor
            Batch x 3 x H x W, float32, prepared as the weights want it; or, with ``first``, what
            ``features(images, first)`` gave.
        first : int
            The first group to apply.

        Returns
        -------
        torch.Tensor
            Batch x classes.
        """
        return self.head(self.backbone.run(images, first, len(self.backbone.groups)))

    def features(self, images: torch.Tensor, first: int | None = None) -> torch.Tensor:
        """Give what group ``first`` gets for these images (None: what the head gets), to be kept and trained on.

        Exact in place of the images if the groups before ``first`` are frozen and ``batch_norm`` is ``frozen``.
        """
        return self.backbone.run(images, 0, len(self.backbone.groups) if first is None else first)

    def train(self, mode: bool = True) -> "Classifier":
        """Go to training mode, in which the backbone's batch normalisation stays as it is under ``frozen``."""
        super().train(mode)
        if mode and self.batch_norm == "frozen":
            for module in self.backbone.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self
