"""Each augmentation beside MONAI, TorchIO, scipy or the long way, with the same parameters.

Patches have intensities up to about 100 and axes of odd and even, uneven length. Tolerances stand in each test.
"""

import numpy as np
import pytest
import torch
from scipy.interpolate import RegularGridInterpolator
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from workflow_scripts.lib.pretrain import transforms

SIZE = (12, 15, 10)
INSIDE = (slice(None), slice(None), slice(4, -4), slice(4, -4), slice(4, -4))


@pytest.fixture(scope="module")
def patches():
    smooth = gaussian_filter(np.random.default_rng(0).random((4, 20, 23, 18)), (0, 2, 2, 2))
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return torch.from_numpy(100 * smooth)[:, None].float()


@pytest.fixture(params=["planes", "volumes"])
def resample(request, monkeypatch):
    """Both ways of reading: the CPU's and the GPU's."""
    if request.param == "volumes":
        monkeypatch.setattr(transforms, "_read_planes", transforms._read_volumes)
    return transforms.resample


def middle(shape):
    return (torch.tensor(shape) - 1) / 2


def torchio_subject(patch, **others):
    import torchio

    images = {name: torchio.LabelMap(tensor=labels) for name, labels in others.items()}
    return torchio.Subject(patch=torchio.ScalarImage(tensor=patch), **images)


def test_rotations_are_those_of_scipy():
    angles = torch.rand(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 6 - 3
    expected = Rotation.from_euler("xyz", angles.numpy()).as_matrix()
    np.testing.assert_allclose(transforms.rotations(angles).numpy(), expected, atol=1e-12)


def test_rotation_and_scaling_are_those_of_monai(patches, resample):
    from monai.transforms import Affine

    angles = torch.tensor([[0.3, -0.2, 0.5], [0, 0, 0.4], [-0.6, 0.1, 0], [0, 0, 0]])
    zooms = torch.tensor([1.1, 0.9, 1.0, 1.2])
    shape = patches.shape[2:]
    linear = transforms.rotations(angles) * zooms[:, None, None]
    found = resample(patches, linear, middle(shape).expand(4, 3), tuple(shape))
    for patch, view, angle, zoom in zip(patches, found, angles.tolist(), zooms.tolist(), strict=True):
        reference = Affine(
            rotate_params=angle, scale_params=(zoom,) * 3, rotate_order="xyz", padding_mode="border", image_only=True
        )
        # of 100: rounding of positions to float32
        torch.testing.assert_close(view, reference(patch).as_tensor(), rtol=0, atol=2e-3)


def test_rotation_of_a_crop_off_centre_is_that_of_monai(patches, resample):
    from monai.transforms import Affine

    shape = torch.tensor(patches.shape[2:])
    linear = transforms.rotations(torch.tensor([[0.2, 0.3, -0.1]] * 4))
    centres = middle(SIZE) + torch.tensor([[0, 0, 0], [8, 8, 8], [3, 5, 2], [1, 0, 7]])
    found = resample(patches, linear, centres, SIZE)
    for patch, view, matrix, centre in zip(patches, found, linear, centres, strict=True):
        affine = torch.eye(4)
        affine[:3, :3], affine[:3, 3] = matrix, centre - (shape - 1) / 2
        reference = Affine(affine=affine, padding_mode="border", spatial_size=SIZE, image_only=True)
        torch.testing.assert_close(view, reference(patch).as_tensor(), rtol=0, atol=2e-3)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_rotation_about_an_axis_is_that_of_torchio(patches, resample, axis):
    import torchio

    degrees = [0.0, 0.0, 0.0]
    degrees[axis] = 20.0
    shape = patches.shape[2:]
    linear = transforms.rotations(torch.tensor([degrees]).deg2rad())
    # TorchIO says where voxels go, a resampling where they come from
    found = resample(patches[:1], linear.mT, middle(shape)[None], tuple(shape))
    turned = torchio.Affine(scales=(1, 1, 1), degrees=degrees, translation=(0, 0, 0))(torchio_subject(patches[0]))
    # beyond the border TorchIO has one value, so the inside is compared
    torch.testing.assert_close(found[INSIDE], turned.patch.data[None][INSIDE], rtol=0, atol=2e-3)


def test_crops_are_slices_and_those_of_monai(patches):
    from monai.transforms import SpatialCrop

    starts = torch.tensor([[0, 0, 0], [8, 8, 8], [3, 5, 2], [1, 0, 7]])
    found = transforms.crop(patches, starts, SIZE, torch.zeros(4, dtype=torch.bool))
    for patch, view, start in zip(patches, found, starts.tolist(), strict=True):
        assert torch.equal(view, patch[:, *(slice(a, a + n) for a, n in zip(start, SIZE, strict=True))])
        assert torch.equal(view, SpatialCrop(roi_start=start, roi_size=None, roi_end=np.add(start, SIZE))(patch))


def test_flips_are_those_of_monai_and_torchio(patches):
    import torchio
    from monai.transforms import Flip

    mirrored = torch.tensor([True, False, True, True])
    found = transforms.crop(patches, torch.zeros(4, 3), tuple(patches.shape[2:]), mirrored)
    assert torch.equal(found[1], patches[1])
    for row in (0, 2, 3):
        assert torch.equal(found[row], Flip(spatial_axis=0)(patches[row]).as_tensor())
        assert torch.equal(found[row], torchio.Flip(axes=0)(torchio_subject(patches[row])).patch.data)


def test_contrast_is_that_of_monai_and_torchio(patches):
    import torchio
    from monai.transforms import AdjustContrast

    patches = patches - patches.amin(dim=(1, 2, 3, 4), keepdim=True)  # MONAI also takes the minimum away
    gamma = torch.tensor([0.5, 0.8, 1.0, 2.0])
    found = transforms.contrast_(patches.clone(), gamma)
    for patch, view, power in zip(patches, found, gamma.tolist(), strict=True):
        torch.testing.assert_close(view, AdjustContrast(power)(patch).as_tensor(), rtol=1e-5, atol=1e-4)
        # TorchIO takes intensities from 0 to 1
        scaled = torchio.Gamma(power)(torchio_subject(patch / patch.max())).patch.data
        torch.testing.assert_close(view / patch.max(), scaled, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("largest", [0.8, 2.0])
def test_blur_is_that_of_scipy_up_to_the_border(patches, largest):
    sigma = torch.linspace(0.3, 1, 4) * largest
    found = transforms.blur(patches, sigma, largest)
    for patch, view, width in zip(patches, found, sigma.tolist(), strict=True):
        expected = gaussian_filter(patch[0].numpy(), width, mode="nearest", radius=int(np.ceil(4 * largest)))
        np.testing.assert_allclose(view[0].numpy(), expected, rtol=0, atol=2e-4)


def test_blur_is_that_of_monai_and_torchio_inside(patches):
    import torchio
    from monai.transforms import GaussianSmooth

    # from a voxel on MONAI's sampled Gaussian adds up to 1; it has zeros beyond the border, TorchIO mirrors
    padded = torch.nn.functional.pad(patches, (4,) * 6, mode="replicate")
    found = transforms.blur(padded, torch.full((4,), 1.0), 1.0)
    monai = GaussianSmooth(1.0, approx="sampled")
    for patch, view in zip(padded, found, strict=True):
        torchios = torchio.Blur(std=(1, 1, 1))(torchio_subject(patch)).patch.data
        for reference in (monai(patch).as_tensor(), torchios):
            torch.testing.assert_close(view[INSIDE[1:]], reference[INSIDE[1:]], rtol=0, atol=2e-3)


def test_bias_fields_lie_linearly_between_control_points(patches):
    points = torch.randn(4, 4, 4, 4, generator=torch.Generator().manual_seed(0)) * 0.3
    found = transforms.bias_(patches.clone(), points)
    shape = patches.shape[2:]
    places = np.stack(np.meshgrid(*(np.linspace(0, 3, n) for n in shape), indexing="ij"), axis=-1)
    for patch, view, point in zip(patches, found, points.numpy(), strict=True):
        field = np.exp(RegularGridInterpolator((range(4),) * 3, point)(places))
        np.testing.assert_allclose(view[0].numpy(), patch[0].numpy() * field, rtol=1e-5)
    fields = torch.nn.functional.interpolate(points[:, None], shape, mode="trilinear", align_corners=True).exp()
    torch.testing.assert_close(found, patches * fields, rtol=1e-5, atol=1e-4)


# order, and how far a field with these control points may be from TorchIO's: a plane is met, a curve is followed by
# straight lines
@pytest.mark.parametrize(("order", "coefficients", "tolerance"), [(1, 4, 1e-5), (3, 20, 0.1)])
def test_bias_fields_follow_those_of_torchio(patches, order, coefficients, tolerance):
    import torchio

    even = patches[:1, :, :, :22]  # TorchIO's polynomials need axes of even length
    values = np.random.default_rng(order).uniform(-0.2, 0.2, coefficients).tolist()

    def field(shape):
        flat = torch.ones(1, *shape)
        return torchio.BiasField(values, order)(torchio_subject(flat)).patch.data

    expected = field(even.shape[2:])
    # read the logarithm of the polynomial at the control points: on its own grid's border and thirds
    whole = field((22, 22, 22)).log()[0]
    points = whole[::7, ::7, ::7].contiguous()[None]
    found = transforms.bias_(torch.ones_like(even), points)
    assert (found[0] / expected - 1).abs().max() < tolerance
    assert expected.std() > 0.05


def test_spikes_are_those_of_torchio(patches):
    import torchio

    shape = np.array(patches.shape[2:])
    places = np.array([[0.1, 0.6, 0.9], [0.5, 0.2, 0.5], [0.99, 0.01, 0.3], [0.7, 0.7, 0.7]])
    intensity = torch.tensor([1.0, 0.3, 2.0, 0.5])
    points = np.floor(places * shape) - shape // 2
    frequencies = torch.from_numpy(points / shape).float()
    found = transforms.spike_(patches.clone(), frequencies, torch.zeros(4), intensity)
    for patch, view, place, ratio in zip(patches, found, places, intensity.tolist(), strict=True):
        reference = torchio.Spike(spikes_positions=place[None], intensity=ratio)(torchio_subject(patch))
        torch.testing.assert_close(view, reference.patch.data, rtol=0, atol=2e-3)


def test_spikes_are_those_of_monai(patches):
    from monai.transforms import KSpaceSpikeNoise

    shape = torch.tensor(patches.shape[2:])
    place, log_intensity = (4, 17, 6), 13.0
    for patch in patches:
        spectrum = torch.fft.fftshift(torch.fft.fftn(patch[0].double()))
        before = spectrum[place]
        # MONAI sets the magnitude of a point and keeps its phase
        added = (np.exp(log_intensity) - before.abs()) / spectrum.abs().max()
        frequency = (torch.tensor(place) - shape // 2) / shape
        found = transforms.spike_(
            patch[None].clone(), frequency[None], before.angle()[None].float(), added[None].float()
        )
        reference = KSpaceSpikeNoise(place, log_intensity)(patch).as_tensor()
        assert (reference - patch).std() > 10
        torch.testing.assert_close(found[0], reference, rtol=0, atol=5e-3)


def test_a_spike_is_one_point_of_k_space(patches):
    """The long way: transform, add to a point and to its mirror image, transform back."""
    patches, shape = patches.double(), patches.shape[2:]
    points = torch.tensor([[3, 0, 5], [0, 7, 0], [6, 11, 2], [9, 1, 8]])
    phases, strength = torch.tensor([0, 1, 2, 3.0]).double(), torch.tensor([0.5, 1, 2, 0]).double()
    found = transforms.spike_(patches.clone(), points.double() / torch.tensor(shape), phases, strength)
    spectrum = torch.fft.fftn(patches, dim=(2, 3, 4))
    for row, point in enumerate(points.tolist()):
        added = spectrum[row, 0, 0, 0, 0].abs() * strength[row] * torch.exp(1j * phases[row]) / 2
        spectrum[row, 0, *point] += added
        spectrum[row, 0, *(-k % n for k, n in zip(point, shape, strict=True))] += added.conj()
    back = torch.fft.ifftn(spectrum, dim=(2, 3, 4))
    assert back.imag.abs().max() < 1e-9
    torch.testing.assert_close(found, back.real, rtol=0, atol=1e-9)


def test_noise_is_that_of_monai(patches):
    from monai.transforms import RandGaussianNoise

    spreads = patches.std(dim=(1, 2, 3, 4), correction=0)
    stream = np.random.RandomState(7)
    for patch, spread in zip(patches, spreads.tolist(), strict=True):
        reference = RandGaussianNoise(prob=1, mean=0, std=0.3 * spread, sample_std=False)
        reference.set_random_state(7)
        stream.seed(7)
        stream.random_sample()  # MONAI's first number decides whether it acts
        normal = torch.from_numpy(stream.normal(0, 1, patch.shape)).float()
        found = transforms.noise_(patch[None].clone(), normal[None], torch.tensor([0.3]))
        torch.testing.assert_close(found[0], reference(patch).as_tensor(), rtol=0, atol=1e-3)


def classes_of(patches, borders):
    return (patches > 0).int() + (patches >= borders[0]).int() + (patches >= borders[1]).int()


def test_tissues_without_spread_are_those_of_torchio(patches):
    import torchio

    borders = (40.0, 60.0)
    patches = patches.clone()
    patches[:, :, 0] = 0
    labels = classes_of(patches, borders)
    assert all(label.unique().tolist() == [0, 1, 2, 3] for label in labels)
    means = torch.tensor([[30.0, 80, 10], [5, 6, 7], [50, 20, 90], [0, 1, 100]])
    found = transforms.remap(patches, torch.tensor([borders] * 4), means, torch.zeros(4, 3), torch.randn(patches.shape))
    for patch, view, mean, label in zip(patches, found, means.tolist(), labels, strict=True):
        paint = torchio.LabelsToImage("labels", mean=[0, *mean], std=[0] * 4, ignore_background=True)
        reference = paint(torchio_subject(patch, labels=label))["image_from_labels"].data
        torch.testing.assert_close(view, reference, rtol=1e-6, atol=1e-5)


def test_tissues_with_spread_have_the_moments_of_torchio():
    import torchio

    generator = torch.Generator().manual_seed(3)
    torch.manual_seed(3)  # TorchIO draws from torch's global stream
    patch = torch.rand(1, 40, 41, 42, generator=generator) * 80
    borders, mean, spread = (30.0, 60.0), [50.0, 90, 70], [4.0, 1, 8]
    labels = classes_of(patch, borders)
    found = transforms.remap(
        patch[None],
        torch.tensor([borders]),
        torch.tensor([mean]),
        torch.tensor([spread]),
        torch.randn(1, *patch.shape, generator=generator),
    )[0]
    paint = torchio.LabelsToImage("labels", mean=mean, std=spread)
    reference = paint(torchio_subject(patch, labels=labels))["image_from_labels"].data
    for tissue, (expected_mean, expected_spread) in enumerate(zip(mean, spread, strict=True), start=1):
        for image in (found, reference):
            values = image[labels == tissue]
            # four standard errors
            assert abs(values.mean() - expected_mean) < 4 * expected_spread / len(values) ** 0.5
            assert abs(values.std() / expected_spread - 1) < 4 / (2 * len(values)) ** 0.5
