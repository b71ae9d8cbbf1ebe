import itertools

import pytest
import torch

from workflow_scripts.lib.models.encoder import PatchEncoder
from workflow_scripts.lib.study.errors import StudyError

# sizes in voxels of 4 mm of the nine regions; the right side is tried with odd sizes
SIZES = {
    "medial_temporal": (14, 30, 18),
    "lateral_temporal": (14, 28, 22),
    "parietal": (20, 28, 22),
    "occipital": (18, 20, 18),
    "subcortical": (14, 20, 16),
    "cingulate": (8, 30, 18),
    "medial_frontal": (12, 32, 30),
    "anterior_frontal": (16, 20, 24),
    "posterior_frontal": (18, 24, 26),
}


def test_parameter_count_is_the_documented_one():
    encoder = PatchEncoder(64)
    # 13 convolutions with bias and 13 normalisations, counted by hand from the table of channels
    channels = [1, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64, 128, 64]
    convolutions = sum(27 * before * after + after + 2 * after for before, after in itertools.pairwise(channels))
    assert convolutions == 808_824
    assert sum(p.numel() for p in encoder.convolutions.parameters()) == convolutions
    assert sum(p.numel() for p in encoder.parameters()) == 817_080


def test_strides_stand_where_published():
    strides = [layer.stride[0] for layer in PatchEncoder().convolutions if isinstance(layer, torch.nn.Conv3d)]
    assert [number for number, stride in enumerate(strides, start=1) if stride == 2] == [2, 5, 8, 11, 13]
    assert len(strides) == 13


@pytest.mark.parametrize("side", ["L", "R"])
@pytest.mark.parametrize("region", SIZES)
def test_every_location_gives_a_vector(region, side):
    size = SIZES[region] if side == "L" else tuple(n + 1 for n in SIZES[region])
    encoder = PatchEncoder(64).eval()
    with torch.no_grad():
        assert encoder(torch.rand(2, 1, *size)).shape == (2, 64)


@pytest.mark.parametrize("size", [(1, 1, 1), (33, 5, 64), (7, 40, 2)])
def test_any_size_is_encoded(size):
    with torch.no_grad():
        vectors = PatchEncoder(10).eval()(torch.rand(3, 1, *size))
    assert vectors.shape == (3, 10)
    assert torch.isfinite(vectors).all()


def test_samples_do_not_see_each_other_when_frozen():
    encoder = PatchEncoder(16).eval()
    patches = torch.rand(4, 1, 9, 12, 10)
    with torch.no_grad():
        torch.testing.assert_close(encoder(patches)[2:3], encoder(patches[2:3]), rtol=1e-4, atol=1e-5)


def test_intensity_scale_is_taken_out_by_the_statistics():
    torch.manual_seed(0)
    one, other = PatchEncoder(16).eval(), PatchEncoder(16).eval()
    other.load_state_dict(one.state_dict())
    one.set_intensity(0.5, 0.2)
    other.set_intensity(50.0, 20.0)
    patches = torch.rand(2, 1, 9, 12, 10)
    with torch.no_grad():
        torch.testing.assert_close(one(patches), other(100 * patches), rtol=1e-4, atol=1e-5)


def test_constant_patches_are_refused():
    with pytest.raises(StudyError, match="one value only"):
        PatchEncoder().set_intensity(3.0, 0.0)


def test_gradient_reaches_every_parameter():
    encoder = PatchEncoder(8)
    encoder(torch.rand(4, 1, 33, 12, 10)).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in encoder.parameters())
    assert encoder.convolutions[0].weight.grad.abs().sum() > 0


def test_its_vector_is_the_representation():
    encoder = PatchEncoder(7).eval()
    patches = torch.rand(2, 1, 24, 30, 26)
    with torch.no_grad():
        assert torch.equal(encoder.features(patches), encoder(patches))
