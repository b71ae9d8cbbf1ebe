import pytest

from tests.finetune import small_fits
from workflow_scripts.lib.study.errors import StudyError

PUBLISHED = {"learning_rate": [1e-2, 1e-3, 1e-4], "dropout": [0, 0.3, 0.5]}


def test_nine_settings_in_the_order_of_the_config():
    settings = small_fits.options(**PUBLISHED).settings
    assert [one.number for one in settings] == list(range(9))
    assert [one.parameters for one in settings[:4]] == [
        "learning_rate=0.01 dropout=0",
        "learning_rate=0.01 dropout=0.3",
        "learning_rate=0.01 dropout=0.5",
        "learning_rate=0.001 dropout=0",
    ]
    assert len({one.parameters for one in settings}) == 9


def test_each_setting_has_its_learning_rate_and_the_shared_rest():
    options = small_fits.options(early_stopping=5, **PUBLISHED)
    schedules = [options.schedule_of(setting) for setting in options.settings]
    assert [one.learning_rate for one in schedules] == [1e-2] * 3 + [1e-3] * 3 + [1e-4] * 3
    assert {(one.epochs, one.batch, one.patience) for one in schedules} == {(2, 4, 5)}
    assert small_fits.options().schedule.patience is None


@pytest.mark.parametrize("change", [{"fits_at_once": 4}, {"checkpoint_epochs": 7}, {"learning_rate": [0.5]}])
def test_what_changes_no_fit_is_not_in_its_identity(change):
    assert small_fits.options(**change).identity == small_fits.options().identity


CHANGES = [
    {"epochs": 3},
    {"batch": 5},
    {"precision": "bfloat16"},
    {"shift": 1},
    {"early_stopping": 2},
    {"seed": 2},
    {"model": "other"},
    {"weight_decay": 0},
    {"optimizer": "sgd"},
    {"augmentation": {"flip": 0.5}},
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_a_fit_is_in_its_identity(change):
    assert small_fits.options(**change).identity != small_fits.options().identity


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"precision": "float16"}, "float16"),
        ({"fits_at_once": 0}, "fits_at_once"),
        ({"shift": -1}, "shift"),
        ({"learning_rate": []}, "at least one value"),
        ({"learning_rate": [0.0]}, "learning_rate=0"),
        ({"dropout": [1.0]}, "dropout=1"),
        ({"early_stopping": 0}, "patience"),
    ],
)
def test_impossible_options_are_refused(change, said):
    with pytest.raises(StudyError, match=said):
        small_fits.options(**change)
