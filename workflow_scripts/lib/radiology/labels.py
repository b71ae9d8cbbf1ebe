"""Label maps: which class a label of the user's becomes, which labels are left out, what the study has to be told."""

from dataclasses import dataclass

from workflow_scripts.lib.study.errors import StudyError

BENIGN_NORMAL = "normal counted as benign, as published by Frees et al.; it makes the task easier"


@dataclass(frozen=True)
class LabelMap:
    """What the config says of a dataset's labels.

    Attributes
    ----------
    classes : dict of str to int
        Label -> class; classes are 0, 1, .. without a gap.
    drop : tuple of str
        Labels that are left out.
    positive : int
        The class whose probability is the score.
    """

    classes: dict[str, int]
    drop: tuple[str, ...]
    positive: int

    @property
    def count(self) -> int:
        """Number of classes."""
        return len(set(self.classes.values()))

    def note(self, label: str) -> str | None:
        """Say what must be known of a label that shares its class with others."""
        number = self.classes.get(label)
        others = sorted(other for other, given in self.classes.items() if given == number and other != label)
        if number is None or not others:
            return None
        if label == "normal" and "benign" in others:
            return BENIGN_NORMAL
        return f"{label} is one class with {', '.join(others)}"

    @property
    def notes(self) -> list[str]:
        """What must be said of labels that share a class, once a pair."""
        said = {label: note for label in sorted(self.classes) if (note := self.note(label))}
        if said.get("normal") == BENIGN_NORMAL:
            return [BENIGN_NORMAL, *(note for note in said.values() if "normal" not in note)]
        first = {self.classes[label]: note for label, note in reversed(said.items())}
        return [first[number] for number in sorted(first)]


def read_label_map(name: str, entry: dict) -> LabelMap:
    """Check what the config says of a dataset's labels.

    Parameters
    ----------
    name : str
        The dataset's name in config.
    entry : dict
        Its entry: ``classes``, and perhaps ``drop`` and ``positive`` (by default the highest class).

    Raises
    ------
    StudyError
        For a gap in the class numbers, fewer than two classes, a label that is mapped and dropped, a positive class
        that does not exist.
    """
    where = f"radiology.datasets.{name}"
    classes, drop = entry.get("classes") or {}, entry.get("drop") or []
    for label in [*classes, *drop]:
        if isinstance(label, bool):
            word = "yes" if label else "no"
            raise StudyError(
                f"{where}: found the label {label}; YAML reads an unquoted {word} as {label}. Write '{word}' in quotes."
            )
    classes = {str(label): number for label, number in classes.items()}
    numbers = sorted(set(classes.values()))
    if numbers != list(range(len(numbers))) or len(numbers) < 2:
        found = ", ".join(map(str, numbers)) or "none"
        raise StudyError(
            f"{where}.classes: found class numbers {found}; expected 0, 1, .. without a gap, at least two. "
            "Number them anew, for example {benign: 0, malignant: 1}."
        )
    both = sorted({str(label) for label in drop} & set(classes))
    if both:
        raise StudyError(f"{where}: label '{both[0]}' stands in classes and in drop. Remove it from one.")
    positive = entry.get("positive")
    positive = numbers[-1] if positive is None else positive
    if positive not in numbers:
        raise StudyError(
            f"{where}.positive: found {positive!r}, expected one of {', '.join(map(str, numbers))} (a class number). "
            "Correct it or leave it out; the highest class is then the positive one."
        )
    return LabelMap(classes, tuple(str(label) for label in drop), positive)
