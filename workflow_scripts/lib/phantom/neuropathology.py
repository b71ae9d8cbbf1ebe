"""What is found post mortem in the people of the phantom study, from the factors planted in their brains.

ADNC begins with amyloid and grows with the severity of disease at death, which also shrinks the brain; LBD is likelier
with it; CAA follows the hidden factor, which regional volumes cannot see; TDP-43 follows nothing.
"""

import numpy as np
import pandas as pd

from workflow_scripts.lib.study.seeds import generator

# severity at death (1: a typical patient with AD at the first visit) at which each grade of ADNC begins, what amyloid
# adds to it, and its error
ADNC = (0.25, 1.1, 1.65)
ADNC_AMYLOID = 0.4
ADNC_ERROR = 0.15
# hidden amplitude at which each grade of CAA begins, and its error
CAA = (0.3, 0.7, 1.0)
CAA_ERROR = 0.15
# log odds of LBD without disease, and what a unit of severity adds
LBD = (-2.0, 2.0)
TDP43 = 0.35  # share of the people
WAIT = (0.2, 3.0)  # years from the last clinical visit to death


def draw_findings(people: pd.DataFrame, settings: dict, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw who of the clinical cohort died, when, and what was found.

    Parameters
    ----------
    people : pandas.DataFrame
        From :func:`workflow_scripts.lib.phantom.people.draw_people`: participant_id, cohort, age and followup_years
        (years), severity and its yearly rate, hidden, amyloid.
    settings : dict
        ``died``: share of the clinical cohort.
    seed : int

    Returns
    -------
    findings : pandas.DataFrame
        Schema ``neuropathology``: participant_id, age_at_death (years, after every visit), adnc and caa (0 to 3), lbd
        and tdp43 (0, 1).
    truth : pandas.DataFrame
        Schema ``planted_neuropathology``.
    """
    random = generator(seed, "neuropathology")
    clinical = people[people["cohort"] == "clinical"].reset_index(drop=True)
    count = len(clinical)
    died = random.permutation(count) < round(settings["died"] * count)
    # a second visit is at most 2.4 years after the first and follow-up at least 4.5, so that no visit follows death
    years = clinical["followup_years"] + random.uniform(*WAIT, count)
    severity = clinical["severity"] + clinical["rate"] * years
    load = severity + ADNC_AMYLOID * clinical["amyloid"] + random.normal(0, ADNC_ERROR, count)
    lbd = 1 / (1 + np.exp(-(LBD[0] + LBD[1] * severity)))
    findings = pd.DataFrame(
        {
            "participant_id": clinical["participant_id"],
            "age_at_death": (clinical["age"] + years).round(2),
            "adnc": np.digitize(load, ADNC),
            "lbd": (random.random(count) < lbd).astype(int),
            "tdp43": (random.random(count) < TDP43).astype(int),
            "caa": np.digitize(clinical["hidden"] + random.normal(0, CAA_ERROR, count), CAA),
        }
    )
    truth = clinical[["participant_id", "hidden", "amyloid"]].assign(severity_at_death=severity)
    return findings[died].reset_index(drop=True), truth[died].reset_index(drop=True)
