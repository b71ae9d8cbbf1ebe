import pytest
import torch
from torch.nn import functional

from tests.models.small_backbones import build, images, moved, shared, snapshot
from workflow_scripts.lib.models import unfreezing
from workflow_scripts.lib.models.classifier import Classifier
from workflow_scripts.lib.models.heads import count_parameters
from workflow_scripts.lib.study.errors import StudyError

LAYERS = ("layer1", "layer2", "layer3", "layer4")


@pytest.fixture(scope="module")
def resnet50():
    return shared("ResNet50")


@pytest.fixture(scope="module")
def densenet121():
    return shared("DenseNet121")


@pytest.mark.parametrize(
    ("structure", "groups", "first", "parameters"),
    [
        ("freezeall", (), 9, 0),
        ("unfreezetop2", LAYERS[3:], 7, 14_964_736),
        ("unfreezetop3", LAYERS[2:], 6, 22_063_104),
        ("unfreezetop4", LAYERS[1:], 5, 23_282_688),
        ("unfreezetop5", LAYERS, 4, 23_498_496),
        ("unfreezetop8", ("bn1", *LAYERS), 1, 23_498_624),
        ("unfreezetop9", ("conv1", "bn1", *LAYERS), 0, 23_508_032),
        ("unfreezeall", ("conv1", "bn1", *LAYERS), 0, 23_508_032),
    ],
)
def test_what_a_structure_frees_in_resnet50(resnet50, structure, groups, first, parameters):
    assert unfreezing.plan(resnet50, structure) == unfreezing.Plan(structure, groups, first, parameters)


@pytest.mark.parametrize(
    ("structure", "same"),
    [("unfreezetop1", "freezeall"), ("unfreezetop6", "unfreezetop5"), ("unfreezetop7", "unfreezetop5")],
)
def test_a_structure_that_frees_nothing_new_is_refused(resnet50, structure, same):
    with pytest.raises(StudyError, match=f"frees nothing new.*Use '{same}'"):
        unfreezing.plan(resnet50, structure)
    with pytest.raises(StudyError, match=r"group 'relu' has no parameters.*23,498,496"):
        unfreezing.plan(resnet50, "unfreezetop7")


def test_densenet_has_groups_too(densenet121):
    """The published code saw one child there, so that its unfreezetop1 freed everything."""
    top = unfreezing.plan(densenet121, "unfreezetop1")
    assert top == unfreezing.Plan("unfreezetop1", ("norm5",), 11, 2048)
    counts = [unfreezing.plan(densenet121, f"unfreezetop{top}").parameters for top in (2, 3, 4, 5, 6, 7, 8, 11, 12)]
    assert counts == sorted(set(counts)) and counts[-1] == count_parameters(densenet121) == 6_953_856
    for empty in (9, 10):
        with pytest.raises(StudyError, match="Use 'unfreezetop8'"):
            unfreezing.plan(densenet121, f"unfreezetop{empty}")


@pytest.mark.parametrize("structure", ["top3", "unfreezetop0", "unfreezetop", "unfreezetop-1", "all"])
def test_unknown_structures_are_refused(resnet50, structure):
    with pytest.raises(StudyError, match="there are freezeall, unfreezeall and unfreezetop1 to unfreezetop9"):
        unfreezing.plan(resnet50, structure)


def test_more_groups_than_there_are_are_refused(resnet50, densenet121):
    with pytest.raises(StudyError, match="the backbone has 9 groups: conv1"):
        unfreezing.plan(resnet50, "unfreezetop10")
    assert unfreezing.plan(densenet121, "unfreezetop11").first == 1


def started(name, structure, policy, head="NonLinear", dropout=0.5):
    torch.manual_seed(4)
    classifier = Classifier(build(name), {"name": head, "classes": 2, "filters": 2, "dropout": dropout})
    plan = unfreezing.plan(classifier.backbone, structure)
    unfreezing.apply(classifier, plan, policy)
    return classifier, plan


def train(classifier, inputs, first=0, steps=4):
    """Take some steps; weight decay, as it moves whatever the optimiser is wrongly given."""
    optimiser = torch.optim.Adam(classifier.parameters(), lr=1e-2, weight_decay=0.1)
    torch.manual_seed(6)
    y = torch.arange(len(inputs)) % 2
    for _ in range(steps):
        optimiser.zero_grad()
        functional.cross_entropy(classifier(inputs, first), y).backward()
        optimiser.step()
    return classifier


STRUCTURES = [("bottle", "freezeall"), ("bottle", "unfreezetop2"), ("dense", "unfreezetop2"), ("small", "unfreezeall")]


@pytest.mark.parametrize("policy", ["frozen", "adapted"])
@pytest.mark.parametrize(("name", "structure"), STRUCTURES)
def test_what_moves_while_training(name, structure, policy):
    classifier, plan = started(name, structure, policy)
    assert count_parameters(classifier.backbone, trainable=True) == plan.parameters
    assert count_parameters(classifier.head, trainable=True) == count_parameters(classifier.head) > 0
    before = snapshot(classifier.backbone)
    train(classifier, images(8, 32))
    went = moved(classifier.backbone, before)
    buffers = {key for key, _ in classifier.backbone.named_buffers()}
    of_plan = {key for key, _ in classifier.backbone.named_parameters() if key.split(".")[0] in plan.groups}
    assert went - buffers == of_plan
    assert went & buffers == (buffers if policy == "adapted" else set())


@pytest.mark.parametrize(("name", "structure"), STRUCTURES)
def test_kept_features_are_exact_when_batch_normalisation_is_frozen(name, structure):
    x = images(8, 32)
    direct, plan = started(name, structure, "frozen")
    kept, _ = started(name, structure, "frozen")
    with torch.no_grad():
        features = kept.features(x, plan.first)
    train(direct, x)
    train(kept, features, plan.first)
    assert not moved(kept, snapshot(direct))
    assert torch.equal(kept.eval()(x), direct.eval()(x))


def test_kept_features_are_not_when_it_adapts():
    x = images(8, 32)
    direct, plan = started("bottle", "freezeall", "adapted")
    kept, _ = started("bottle", "freezeall", "adapted")
    with torch.no_grad():
        features = kept.eval().features(x)
    kept.train()
    train(direct, x)
    train(kept, features, plan.first)
    assert (direct.eval()(x) - kept.eval()(x)).abs().max() > 0.01


def test_another_plan_undoes_the_last():
    classifier, _ = started("small", "unfreezeall", "adapted")
    unfreezing.apply(classifier, unfreezing.plan(classifier.backbone, "freezeall"))
    assert classifier.batch_norm == "frozen"
    assert count_parameters(classifier.backbone, trainable=True) == 0


def test_unknown_policies_are_refused():
    classifier, plan = started("small", "freezeall", "frozen")
    with pytest.raises(StudyError, match="'eval' is unknown; there are frozen and adapted"):
        unfreezing.apply(classifier, plan, "eval")
