"""Random draws belong to names, not to the order in which jobs happen to run."""

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from workflow_scripts.lib.study.seeds import derive_seed, generator

names = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x1f"), min_size=1, max_size=8), max_size=4)


@given(st.integers(0, 2**40), names)
def test_same_keys_give_the_same_numbers(seed, keys):
    assert derive_seed(seed, *keys) == derive_seed(seed, *keys)
    assert 0 <= derive_seed(seed, *keys) < 2**63
    np.testing.assert_array_equal(generator(seed, *keys).random(5), generator(seed, *keys).random(5))


@given(st.integers(0, 2**40), names, st.integers(0, 2**40), names)
def test_other_keys_give_other_numbers(seed, keys, other_seed, other_keys):
    assume((seed, keys) != (other_seed, other_keys))
    assert derive_seed(seed, *keys) != derive_seed(other_seed, *other_keys)


def test_keys_do_not_run_together_and_their_order_counts():
    assert len({derive_seed(1, *keys) for keys in (("ab", "c"), ("a", "bc"), ("abc",), ("c", "ab"))}) == 4


def test_numbers_do_not_depend_on_what_was_drawn_before():
    scans = [f"scan{number}" for number in range(6)]
    forwards = {scan: generator(20, "noise", scan).standard_normal(3) for scan in scans}
    for scan in reversed(scans):
        np.random.default_rng().random(7)
        np.testing.assert_array_equal(generator(20, "noise", scan).standard_normal(3), forwards[scan])


def test_a_number_of_another_process_is_the_same():
    # written down once: Python's own hash() would change from process to process
    assert derive_seed(20, "people", "population") == 4630740558192426124
