"""The guard against leakage: a participant stands on one side of a split only."""

from collections.abc import Iterable

from workflow_scripts.lib.study.errors import LeakageError


def refuse_overlap(left_ids: Iterable[str], right_ids: Iterable[str], left_name: str, right_name: str) -> None:
    """Refuse two groups that share a participant.

    Parameters
    ----------
    left_ids, right_ids : iterable of str
        Participant ids (not scan ids: two visits of one person are one participant).
    left_name, right_name : str
        What the groups are for, for the message.

    Raises
    ------
    LeakageError
        Names up to five shared participants and how to mend it.
    """
    shared = sorted({str(one) for one in left_ids} & {str(one) for one in right_ids})
    if shared:
        more = f" and {len(shared) - 5} more" if len(shared) > 5 else ""
        raise LeakageError(
            f"participants in both {left_name} and {right_name}: {', '.join(shared[:5])}{more}. "
            "Scores on people seen in training are too good; give each participant to one of the two."
        )
