"""Conversion to AD within some years of a scan, and what is not known about it."""

import logging

import pandas as pd

from workflow_scripts.lib.cohort.select import as_numbers

AD = "AD"
TOLERANCE = 1e-6  # years: a difference of two ages is not exact
# what becomes of a scan without a label
CENSORED = "left unconverted before the window ended"
ALREADY = "AD already"
UNDATED = "AD at a scan of unknown age"
logger = logging.getLogger(__name__)


def conversion_label(
    conversion_years: pd.Series, followup_years: pd.Series, window: float, slack: float = 0.0
) -> pd.Series:
    """Label scans by conversion within a window, leaving out those that cannot be known.

    * 1: converted after the scan and at most ``window`` years after it, whatever came later.
    * 0: seen unconverted for the whole window: converted later, or never seen to convert and followed for at least
      ``window`` years (less ``slack``).
    * missing: left the study unconverted before the window ended (censored), or had converted by the scan.

    Parameters
    ----------
    conversion_years : pandas.Series
        Years from the scan to the first AD diagnosis, 0 or less if that was at the scan or before; missing if never
        seen.
    followup_years : pandas.Series
        Years from the scan to the last visit with a diagnosis.
    window : float
        Years.
    slack : float
        Years by which the last visit may come before the end of the window: a visit planned after 24 months may take
        place after 23. It gives no conversion more time.

    Returns
    -------
    pandas.Series of float
        1, 0 or missing.
    """
    conversion = pd.to_numeric(conversion_years, errors="coerce")
    followup = pd.to_numeric(followup_years, errors="coerce")
    label = pd.Series(float("nan"), index=conversion.index)
    inside = conversion <= window + TOLERANCE
    label[(conversion > TOLERANCE) & inside] = 1.0
    label[conversion.notna() & ~inside] = 0.0
    label[conversion.isna() & (followup >= window - slack - TOLERANCE)] = 0.0
    return label


def complete_history(scans: pd.DataFrame) -> pd.DataFrame:
    """Give every scan its years to conversion and to the last visit; what the table leaves out follows from diagnoses.

    The scans of a participant are visits: the first with diagnosis AD is the conversion, the last with any diagnosis
    ends the follow-up. Cells that the table fills in stand.

    Parameters
    ----------
    scans : pandas.DataFrame
        participant_id, scan_id, age (years), diagnosis, and perhaps conversion_years, followup_years.

    Returns
    -------
    pandas.DataFrame
        Index of ``scans``: conversion_years, followup_years (float, missing where unknown); converted (bool): AD at
        the scan or at an earlier one, and who went back to MCI or CN after AD stays converted; undated (bool): the
        participant had AD at some scan, but its age is missing and nothing else says when.
    """
    person, age = scans["participant_id"], as_numbers(scans, "age")
    diagnosis = scans["diagnosis"]
    first = age.where(diagnosis == AD).groupby(person).transform("min")
    last = age.where(diagnosis.notna()).groupby(person).transform("max")
    given = {
        name: as_numbers(scans, name) if name in scans else pd.Series(float("nan"), index=scans.index)
        for name in ("conversion_years", "followup_years")
    }
    late = given["conversion_years"] > first - age + TOLERANCE
    if late.any():
        row = scans[late].iloc[0]
        logger.warning(
            "%d scans have a conversion_years later than the participant's first scan with diagnosis AD, e.g. %s "
            "(%s years, that scan after %.4g); conversion_years stands. Correct one of them.",
            late.sum(),
            row["scan_id"],
            row["conversion_years"],
            (first - age)[late].iloc[0],
        )
    conversion = given["conversion_years"].fillna(first - age)
    undated = ((diagnosis == AD) & age.isna()).groupby(person).transform("any")
    return pd.DataFrame(
        {
            "conversion_years": conversion,
            "followup_years": given["followup_years"].fillna(last - age),
            "converted": (diagnosis == AD) | (age >= first - TOLERANCE),
            "undated": undated & conversion.isna(),
        }
    )


def label_conversion(scans: pd.DataFrame, window: float, slack: float = 0.0) -> tuple[pd.Series, pd.Series]:
    """Label scans by conversion, and say why the others have no label.

    Parameters
    ----------
    scans : pandas.DataFrame
        See :func:`complete_history`; all scans of the participants, since they are each other's visits.
    window, slack : float
        See :func:`conversion_label`.

    Returns
    -------
    label : pandas.Series of float
        1, 0 or missing.
    why : pandas.Series of str
        Empty where the label is known.
    """
    history = complete_history(scans)
    label = conversion_label(history["conversion_years"], history["followup_years"], window, slack)
    already = history["converted"] | (history["conversion_years"] <= TOLERANCE)
    label = label.mask(already | history["undated"])
    why = pd.Series("", index=scans.index, dtype=object)
    why[label.isna()] = CENSORED
    why[history["undated"]] = UNDATED
    why[already] = ALREADY
    return label, why
