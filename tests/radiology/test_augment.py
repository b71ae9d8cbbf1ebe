import numpy as np
import pytest
import torch
from scipy import ndimage

from workflow_scripts.lib.radiology import augment
from workflow_scripts.lib.radiology.augment import Moves
from workflow_scripts.lib.study.errors import StudyError

NOTHING = {"flip": 0.0, "rotation_degrees": 0.0, "shift": 0.0, "scale": 0.0, "shear_degrees": 0.0}
STILL = np.array([1.0, 0.0, 0.0, 1.0, 0.0, 0.0])


def picture(side=32, channels=1, images=1):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (images, channels, side, side), dtype=np.uint8))


def by_scipy(image, move, fill):
    """The same move by scipy: the matrix is composed here from what each part means, in pixels, y before x."""
    flip, angle, shear, factor, right, down = move
    side = len(image)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])  # of (x, y)
    forward = turn @ (factor * np.eye(2)) @ np.array([[1, np.tan(shear)], [0, 1]]) @ np.diag([flip, 1])
    swap = np.array([[0, 1], [1, 0]])
    back = swap @ np.linalg.inv(forward) @ swap
    centre = np.full(2, (side - 1) / 2)
    offset = centre - back @ (centre + side * np.array([down, right]))
    return ndimage.affine_transform(image.astype(float), back, offset, order=1, mode="grid-constant", cval=fill)


@pytest.mark.parametrize("side", [32, 45])
@pytest.mark.parametrize(
    "move",
    [
        STILL,
        [-1, 0, 0, 1, 0, 0],
        [1, 0.3, 0, 1, 0, 0],
        [1, 0, 0.2, 1, 0, 0],
        [1, 0, 0, 1.2, 0, 0],
        [1, 0, 0, 1, 0.1, -0.05],
        [-1, -0.15, 0.1, 0.9, -0.08, 0.1],
    ],
)
def test_moves_are_those_of_scipy(side, move):
    image = picture(side)
    moved = augment.apply(image, np.array([move], dtype=float), Moves(fill=90.0))
    right = by_scipy(image[0, 0].numpy(), move, 90.0)
    np.testing.assert_allclose(moved[0, 0].numpy(), right, atol=0.02)  # of 255; float32 places


def test_a_bright_point_goes_where_the_words_say():
    """Turned by 90 degrees from x to y: what was right of the centre is below it. Shifts go right and down."""
    image = torch.zeros(1, 1, 9, 9, dtype=torch.uint8)
    image[0, 0, 4, 7] = 255
    turned = augment.apply(image, np.array([[1, np.pi / 2, 0, 1, 0, 0]]), Moves(fill=0.0))
    assert turned[0, 0].argmax() == 7 * 9 + 4
    shifted = augment.apply(image, np.array([[1, 0, 0, 1, 1 / 9, 2 / 9]]), Moves(fill=0.0))
    assert shifted[0, 0].argmax() == 6 * 9 + 8
    assert shifted.max() == pytest.approx(255, abs=0.01)


@pytest.mark.parametrize("moves", [Moves(), Moves(**{**NOTHING, "flip": 1.0})])
def test_identity_and_flip_are_exact(moves):
    images = picture(64, 3, 2)
    drawn = np.stack([STILL, STILL * [-1, 1, 1, 1, 1, 1]])
    moved = augment.apply(images, drawn, moves)
    assert moved.dtype == torch.float32
    assert torch.equal(moved[0], images[0].float()) and torch.equal(moved[1], images[1].flip(-1).float())


def test_flips_alone_copy_pixels_of_any_side():
    images = picture(45, 1, 2)
    moved = augment.apply(images, np.stack([STILL, STILL * [-1, 1, 1, 1, 1, 1]]), Moves(**{**NOTHING, "flip": 0.5}))
    assert torch.equal(moved, torch.stack([images[0], images[1].flip(-1)]).float())


def test_a_view_depends_on_image_and_epoch_alone():
    moves, ids = Moves(), ["a", "b", "c"]
    all_of_them = augment.draw(moves, ids, 3, 7, "lesions")
    np.testing.assert_array_equal(augment.draw(moves, ["c", "a"], 3, 7, "lesions"), all_of_them[[2, 0]])
    for other in ((4, 7, "lesions"), (3, 8, "lesions"), (3, 7, "slices")):
        assert (augment.draw(moves, ids, *other)[:, 1] != all_of_them[:, 1]).all()
    images = picture(32, 1, 3)
    together = augment.apply(images, all_of_them, moves)
    for place in range(3):
        alone = augment.apply(images[place : place + 1], all_of_them[place : place + 1], moves)
        assert torch.equal(alone[0], together[place])


def test_draws_stay_within_their_bounds_and_fill_them():
    moves = Moves(flip=0.3, rotation_degrees=20, shift=0.1, scale=0.2, shear_degrees=5)
    drawn = augment.draw(moves, [f"i{number}" for number in range(2000)], 0, 1, "lesions")
    assert (drawn[:, 0] < 0).mean() == pytest.approx(0.3, abs=0.04)
    bounds = [np.radians(20), np.radians(5), 0.2, 0.1, 0.1]
    for column, (bound, middle) in enumerate(zip(bounds, [0, 0, 1, 0, 0], strict=True), start=1):
        away = drawn[:, column] - middle
        assert np.abs(away).max() <= bound and np.ptp(away) > 1.95 * bound


def test_nothing_to_draw_leaves_images_as_they_are():
    moves, images = Moves(**NOTHING), picture(40, 3, 4)
    moved = augment.apply(images, augment.draw(moves, list("abcd"), 0, 0, "d"), moves)
    assert torch.equal(moved, images.float())


def test_what_comes_in_is_the_fill():
    image = torch.full((1, 1, 32, 32), 200, dtype=torch.uint8)
    moved = augment.apply(image, np.array([[1, 0, 0, 1, 0.25, 0]]), Moves(fill=10.0))[0, 0]
    assert (moved[:, :7] == 10).all() and (moved[:, 9:] == 200).all()


@pytest.mark.parametrize(
    "wrong", [{"flip": 2}, {"scale": 1.0}, {"shift": -0.1}, {"rotation_degrees": -1}, {"fill": 300}, {"turn": 3}]
)
def test_impossible_moves_are_refused(wrong):
    with pytest.raises(StudyError, match=r"radiology.augmentation"):
        augment.from_config(wrong)
