"""Limits of the numbers, and how a number outside them is put into words."""

from dataclasses import dataclass

import pandas as pd

# number -> (in words, unit); the checks that config may set, in the order in which they are made
WORDS = {
    "overlap": ("overlap with the template", ""),
    "scale": ("scale factor to the template", ""),
    "grey_white_contrast": ("contrast of grey and white matter", ""),
    "contrast_to_noise": ("contrast to noise of grey and white matter", ""),
    "noise_percent": ("noise in percent of white matter", ""),
    "brain_ml": ("brain volume", " ml"),
    "cortex_ml": ("cortex volume", " ml"),
    "thickness_mm": ("mean cortical thickness", " mm"),
    "brain_to_icv": ("brain to intracranial volume", ""),
    "euler": ("Euler number", ""),
    "outlier_features": ("number of outlying features", ""),
}
# what every scan with a volume must have: not to be measurable is a fault
NEEDED = ("overlap", "scale", "grey_white_contrast")


@dataclass(frozen=True)
class Check:
    """Limits of one number.

    Parameters
    ----------
    name : str
        Of :data:`WORDS`.
    low, high : float or None
        Smallest and largest value that passes.
    does : {"exclude", "flag", "nothing"}
        What befalls a scan outside the limits.
    """

    name: str
    low: float | None
    high: float | None
    does: str

    def expected(self) -> str:
        """Put the limits into words: ``at least 0.85``, ``0.7 to 1.4``."""
        unit = WORDS[self.name][1]
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}{unit}"
        return f"at least {self.low:g}{unit}" if self.low is not None else f"at most {self.high:g}{unit}"

    def outside(self, values: pd.Series) -> pd.Series:
        """Tell which values lie outside the limits; missing ones do not."""
        low = values < self.low if self.low is not None else pd.Series(False, index=values.index)
        return low | (values > self.high) if self.high is not None else low

    def say(self, value: float) -> str:
        """Put a value outside the limits into words, with digits enough to see that it is outside."""
        what, unit = WORDS[self.name]
        if pd.isna(value):
            return f"{what} could not be measured, expected {self.expected()}"
        digits = 0 if abs(value) >= 100 or value == int(value) else 2
        while digits < 9 and not self.outside(pd.Series([float(f"{value:.{digits}f}")])).all():
            digits += 1
        return f"{what} is {value:.{digits}f}{unit}, expected {self.expected()}"


def make_checks(settings: dict) -> list[Check]:
    """Read config section ``qc: checks``; checks that do nothing or have no limit are left out."""
    found = [
        Check(name, settings[name].get("min"), settings[name].get("max"), settings[name]["does"])
        for name in WORDS
        if name in settings
    ]
    return [check for check in found if check.does != "nothing" and (check.low is not None or check.high is not None)]
