"""The guard against leakage: a participant stands on one side of a split only."""

from collections.abc import Iterable, Mapping

from workflow_scripts.lib.study.errors import LeakageError

SHOWN = 5  # that a message names


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
        more = f" and {len(shared) - SHOWN} more" if len(shared) > SHOWN else ""
        raise LeakageError(
            f"participants in both {left_name} and {right_name}: {', '.join(shared[:SHOWN])}{more}. "
            "Scores on people seen in training are too good; give each participant to one of the two."
        )


def refuse_duplicates(pairs: Iterable[tuple[str, str, str]], participants: Mapping[str, str]) -> None:
    """Refuse one image, or one row of features, under two scan ids.

    Under two participants, no split by participant keeps it on one side. Under two sessions of one participant, a
    change over time would be made of nothing.

    Parameters
    ----------
    pairs : iterable of (str, str, str)
        Two scan ids and what is the same of them: ``the same image``.
    participants : mapping
        scan_id -> participant_id.

    Raises
    ------
    LeakageError
        Names up to five pairs of scans with their participants, and how to mend it.
    """
    lines = []
    for a, b, what in pairs:
        people = participants[a], participants[b]
        if people[0] == people[1]:
            lines.append(f"{a} and {b}: {what}, under two sessions of participant {people[0]}")
        else:
            lines.append(f"{a} and {b}: {what}, under the participants {people[0]} and {people[1]}")
    if lines:
        more = [f"and {len(lines) - SHOWN} more pairs"] if len(lines) > SHOWN else []
        raise LeakageError(
            "scans stand under two ids, so that one of them could train and the other test:\n  "
            + "\n  ".join(lines[:SHOWN] + more)
            + "\nDrop one row of each pair, correct its path, or exclude it by hand (qc: overrides)."
        )
