"""No participant on both sides of a split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_scripts.lib.cohort.guard import refuse_overlap
from workflow_scripts.lib.study.errors import LeakageError, StudyError

people = st.sets(st.integers(0, 30).map(lambda number: f"p{number:02d}"))


@given(people, people)
def test_exactly_overlapping_groups_are_refused(left, right):
    shared = sorted(left & right)
    if not shared:
        assert refuse_overlap(left, right, "training", "testing") is None
        return
    with pytest.raises(LeakageError) as error:
        refuse_overlap(left, right, "training", "testing")
    message = str(error.value)
    assert message.startswith(f"participants in both training and testing: {', '.join(shared[:5])}")
    assert (f"and {len(shared) - 5} more" in message) == (len(shared) > 5)


def test_a_leak_is_a_fault_that_the_user_can_mend():
    with pytest.raises(StudyError, match="give each participant to one of the two"):
        refuse_overlap(iter(["a"]), ["b", "a"], "pretraining", "evaluation")


def test_numbers_and_text_are_the_same_person():
    with pytest.raises(LeakageError, match="7"):
        refuse_overlap([7], ["7"], "a", "b")
