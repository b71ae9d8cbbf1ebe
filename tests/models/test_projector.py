import torch

from workflow_scripts.lib.models.projector import make_projector


def test_shapes_and_defaults():
    assert make_projector(12)(torch.randn(4, 12)).shape == (4, 12)
    assert make_projector(12, hidden=30, output=5)(torch.randn(4, 12)).shape == (4, 5)


def test_it_is_not_linear():
    torch.manual_seed(0)
    head = make_projector(6).eval()
    x, y = torch.randn(2, 3, 6)
    assert not torch.allclose(head(x + y), head(x) + head(y), atol=1e-4)
