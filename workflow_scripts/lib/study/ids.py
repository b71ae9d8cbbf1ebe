"""Participants' ids as cards carry them: hashed."""

import hashlib
from collections.abc import Iterable

SALT = "brainrep weights card: "


def participant_hash(participant_id: str) -> str:
    """Hash a participant's id: 16 hexadecimal digits of SHA-256 with the salt of this study's cards.

    Cards travel with weights and models, so they carry no ids. The salt is fixed and public: whoever holds a list of
    ids can see which of them trained a model, which is the purpose.
    """
    return hashlib.sha256(f"{SALT}{participant_id}".encode()).hexdigest()[:16]


def participant_hashes(participant_ids: Iterable[str]) -> list[str]:
    """Hash distinct participants, sorted, so that their order tells nothing."""
    return sorted({participant_hash(participant) for participant in participant_ids})
