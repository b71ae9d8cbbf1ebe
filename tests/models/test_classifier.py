import pytest
import torch
from torch import nn

from tests.models.small_backbones import CONFIG, build, images, moved, snapshot
from workflow_scripts.lib.models import registry
from workflow_scripts.lib.models.backbones import spec
from workflow_scripts.lib.models.classifier import Classifier
from workflow_scripts.lib.models.heads import HEADS
from workflow_scripts.lib.models.weights import load_any, save_weights
from workflow_scripts.lib.study.errors import StudyError

CARD = {"input": {}, "intensity": "", "participants": [], "seed": 1, "metrics": {}, "source": ""}


@torch.no_grad()
@pytest.mark.parametrize("head", HEADS)
def test_a_classifier_comes_back_from_its_file(tmp_path, head):
    settings = {"name": head, "classes": 3, "filters": 2, "kernel": 3, "ratio": 0.7, "dropout": 0.2, "faithful": True}
    classifier = Classifier(build("dense"), settings).eval()
    save_weights(classifier, tmp_path / "fit.safetensors", CARD)
    again, card = load_any(tmp_path / "fit.safetensors")
    assert again.architecture == card["architecture"] == classifier.architecture
    assert not moved(again, snapshot(classifier))
    x = images()
    assert torch.equal(again(x), classifier(x)) and again(x).shape == (2, 3)


@torch.no_grad()
@pytest.mark.parametrize("name", CONFIG)
def test_features_stand_in_for_images_at_every_group(name):
    classifier, x = Classifier(build(name), {"name": "Linear", "classes": 2}).eval(), images()
    logits = classifier(x)
    for first in range(len(classifier.backbone.groups) + 1):
        assert torch.equal(classifier(classifier.features(x, first), first), logits)
    assert classifier.features(x).shape == (2, classifier.backbone.features)


def norms(module):
    return {layer.training for layer in module.modules() if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)}


def test_which_batch_normalisation_trains():
    classifier = Classifier(spec("small", CONFIG), {"name": "Conv", "classes": 2, "filters": 2})
    assert classifier.training and (norms(classifier.backbone), norms(classifier.head)) == ({False}, {True})
    classifier.batch_norm = "adapted"
    assert norms(classifier.train().backbone) == {True}
    assert norms(classifier.eval()) == {False}
    classifier.batch_norm = "frozen"
    assert classifier.train() is classifier and norms(classifier.backbone) == {False}


def test_the_backbone_given_is_the_one_used():
    backbone = build("small")
    before = snapshot(backbone)
    assert Classifier(backbone, {"name": "Linear"}).backbone is backbone
    assert not moved(backbone, before)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ({"name": "Linear", "features": 11}, "a head for 11 features on a backbone of 10"),
        ({"name": "Linear", "width": 3}, "head has no argument 'width'"),
        ({"classes": 2}, "name"),
    ],
)
def test_heads_that_do_not_fit_are_refused(head, message):
    with pytest.raises(StudyError, match=message):
        registry.build({"name": "Classifier", "backbone": spec("small", CONFIG), "head": head})
