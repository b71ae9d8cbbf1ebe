import pytest
import torch

from workflow_scripts.lib.models.preprocessing import RULES, prepare
from workflow_scripts.lib.study.errors import StudyError

# a pixel of red 255, green 127, blue 0, and a grey one of 51 (a fifth), by hand to four digits
BY_HAND = {
    # blue, green, red: (0 - .40760) / .225, (.49804 - .45796) / .224, (1 - .48502) / .229
    "caffe_seed": ([-1.8116, 0.1789, 2.2488], [-0.9227, -1.1516, -1.2446]),
    # red, green, blue: (1 - .485) / .229, (.49804 - .456) / .224, (0 - .406) / .225
    "imagenet_rgb": ([2.2489, 0.1877, -1.8044], [-1.2445, -1.1429, -0.9156]),
    # blue, green, red: -127.5 / 127.5, -.5 / 127.5, 127.5 / 127.5
    "radimagenet_pm1": ([-1.0, -0.0039, 1.0], [-0.6, -0.6, -0.6]),
}


def test_every_rule_has_numbers_here():
    assert set(BY_HAND) == set(RULES)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
@pytest.mark.parametrize("rule", BY_HAND)
def test_pixels_become_the_numbers_computed_by_hand(rule, dtype):
    colour, grey = BY_HAND[rule]
    pixel = torch.tensor([255, 127, 0], dtype=dtype).view(1, 3, 1, 1).expand(2, 3, 2, 5)
    found = prepare(pixel, rule)
    assert (found.shape, found.dtype) == ((2, 3, 2, 5), torch.float32)
    torch.testing.assert_close(found[1, :, 1, 4], torch.tensor(colour), rtol=0, atol=6e-5)
    one = torch.full((2, 1, 2, 5), 51, dtype=dtype)
    torch.testing.assert_close(prepare(one, rule)[0, :, 1, 3], torch.tensor(grey), rtol=0, atol=6e-5)


@pytest.mark.parametrize("rule", BY_HAND)
def test_one_grey_channel_is_three_equal_ones(rule):
    grey = torch.randint(0, 256, (2, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    before = grey.clone()
    assert torch.equal(prepare(grey, rule), prepare(grey.repeat(1, 3, 1, 1), rule))
    assert torch.equal(grey, before)


def test_the_order_of_channels_matters_to_colour_alone():
    """For grey images BGR with caffe's numbers is RGB with ImageNet's up to which channel comes first, and 0.01."""
    generator = torch.Generator().manual_seed(1)
    grey = torch.randint(0, 256, (1, 1, 4, 4), dtype=torch.uint8, generator=generator)
    shift = (prepare(grey, "caffe_seed").flip(1) - prepare(grey, "imagenet_rgb")).abs().max()
    assert 0 < shift < 0.01
    colour = torch.randint(0, 256, (1, 3, 4, 4), dtype=torch.uint8, generator=generator)
    assert (prepare(colour, "caffe_seed") - prepare(colour, "imagenet_rgb")).abs().max() > 0.5


@pytest.mark.parametrize(
    ("images", "rule", "message"),
    [
        (torch.zeros(1, 3, 2, 2), "caffe", "'caffe' is unknown; there are caffe_seed, imagenet_rgb, radimagenet_pm1"),
        (torch.zeros(1, 4, 2, 2), "caffe_seed", r"images of \(1, 4, 2, 2\)"),
        (torch.zeros(3, 2, 2), "caffe_seed", "expected batch x 1 or 3 channels"),
        (torch.zeros(1, 3, 2, 2, dtype=torch.int16), "caffe_seed", "torch.int16: expected uint8"),
    ],
)
def test_other_images_are_refused(images, rule, message):
    with pytest.raises(StudyError, match=message):
        prepare(images, rule)
