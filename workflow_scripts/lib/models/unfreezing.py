"""Structures: which groups of a backbone's layers learn, and what its batch normalisation does meanwhile."""

import dataclasses
import re

from workflow_scripts.lib.models.backbones import Backbone
from workflow_scripts.lib.models.classifier import POLICIES, Classifier
from workflow_scripts.lib.models.heads import count_parameters
from workflow_scripts.lib.study.errors import StudyError


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a structure means for one backbone.

    Parameters
    ----------
    structure : str
        Its name.
    groups : tuple of str
        The groups with parameters that learn, input to output.
    first : int
        Index of the first of them in the backbone's groups; the number of groups if none learns.
    parameters : int
        Of the backbone that learn. The head always learns and is not counted.
    """

    structure: str
    groups: tuple[str, ...]
    first: int
    parameters: int


def plan(backbone: Backbone, structure: str) -> Plan:
    """Find out what a structure frees.

    Parameters
    ----------
    backbone : Backbone
        On any device.
    structure : str
        ``freezeall``, ``unfreezeall``, or ``unfreezetopN``: the last N groups.

    Returns
    -------
    Plan

    Raises
    ------
    StudyError
        If the structure is unknown, N is larger than the number of groups, or the N-th group has no parameters: then
        the structure is the same as a smaller one, which is named.
    """
    total = len(backbone.groups)
    named = {"freezeall": 0, "unfreezeall": total}
    numbered = re.fullmatch(r"unfreezetop([1-9]\d*)", structure)
    if structure not in named and not numbered:
        raise StudyError(
            f"structure '{structure}' is unknown; there are freezeall, unfreezeall and unfreezetop1 to "
            f"unfreezetop{total}"
        )
    top = int(numbered[1]) if numbered else named[structure]
    if top > total:
        raise StudyError(f"structure '{structure}': the backbone has {total} groups: {', '.join(backbone.groups)}")
    counts = [count_parameters(getattr(backbone, name)) for name in backbone.groups]
    if numbered and not counts[total - top]:
        smaller = next((number for number in range(top - 1, 0, -1) if counts[total - number]), 0)
        same = f"unfreezetop{smaller}" if smaller else "freezeall"
        raise StudyError(
            f"structure '{structure}' frees nothing new: its group '{backbone.groups[total - top]}' has no parameters, "
            f"so it is the same as '{same}' ({sum(counts[total - smaller :]) if smaller else 0:,} parameters). "
            f"Use '{same}'."
        )
    learning = [index for index in range(total - top, total) if counts[index]]
    return Plan(
        structure=structure,
        groups=tuple(backbone.groups[index] for index in learning),
        first=learning[0] if learning else total,
        parameters=sum(counts[index] for index in learning),
    )


def apply(classifier: Classifier, plan: Plan, batch_norm: str = "frozen") -> None:
    """Make a classifier learn as a plan says, and go to training mode.

    Parameters
    ----------
    classifier : Classifier
        Changed in place: which parameters require gradients, and ``batch_norm``.
    plan : Plan
        Of this classifier's backbone.
    batch_norm : str
        ``frozen`` or ``adapted``; see :class:`Classifier`.

    Raises
    ------
    StudyError
        If the policy is unknown.
    """
    if batch_norm not in POLICIES:
        raise StudyError(f"batch_norm '{batch_norm}' is unknown; there are {' and '.join(POLICIES)}")
    for name in classifier.backbone.groups:
        getattr(classifier.backbone, name).requires_grad_(name in plan.groups)
    classifier.head.requires_grad_(True)
    classifier.batch_norm = batch_norm
    classifier.train()
