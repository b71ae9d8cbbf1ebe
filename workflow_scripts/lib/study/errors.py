"""Errors that a user can mend."""


class StudyError(ValueError):
    """A fault in the user's config, tables or files; its message says what to change."""


class LeakageError(StudyError):
    """A participant stands on both sides of a split."""
