"""Malformed participants tables, BIDS datasets and configs of inputs."""

from tests.cohort.folders import bids, entry, touch
from tests.malformed.case import Case
from tests.malformed.inputs import (
    COLUMNS,
    annexed,
    aside,
    config,
    dataset,
    ignored,
    in_latin,
    participants,
    refusal,
    same_run_twice,
)

CASES = [
    Case(
        "participants",
        "impossible age",
        "refused",
        "{folder}/participants.tsv, line 2, column 'age': found 430, expected at most 120. Age at the scan in "
        "years (0 to 120). Correct the value or leave out the row.",
        lambda folder: refusal(participants(folder, f"{COLUMNS} age t1w", "a 1 x s 430 a.nii")),
    ),
    Case(
        "participants",
        "a scan on two lines",
        "refused",
        "{folder}/participants.tsv: participant_id + session_id 'a 1' stands on lines 2, 3; it must name one row."
        " Remove the repeated row or give it its own id.",
        lambda folder: refusal(participants(folder, f"{COLUMNS} t1w", "a 1 x s a.nii", "a 1 x s a.nii")),
    ),
    Case(
        "participants",
        "misspelt column",
        "refused",
        "{folder}/participants.tsv: unknown column 'agee'. Known: participant_id, session_id, cohort, site, "
        "scanner, age, sex, diagnosis, amyloid, amyloid_years, conversion_years, followup_years, t1w, freesurfer, "
        "fastsurfer, image, split. Correct the name, drop the column, or (participants only) declare it in config "
        "under cohort: label_columns.",
        lambda folder: refusal(participants(folder, f"{COLUMNS} t1w agee", "a 1 x s a.nii 70")),
    ),
    Case(
        "participants",
        "underscore in an id",
        "refused",
        "{folder}/participants.tsv, line 2, column 'participant_id': found 'a_1', expected text of the form "
        "[A-Za-z0-9-]+. Study id of the participant, letters, digits and hyphens. Correct the value or leave out "
        "the row.",
        lambda folder: refusal(participants(folder, f"{COLUMNS} t1w", "a_1 1 x s a.nii")),
    ),
    Case(
        "participants",
        "neither volume nor subject folder",
        "refused",
        "{folder}/participants.tsv, line 2: found nothing, expected one of t1w, freesurfer and fastsurfer. Name "
        "what the scan is to be read from, and only that.",
        lambda folder: refusal(participants(folder, f"{COLUMNS} t1w", "a 1 x s n/a")),
    ),
    Case(
        "participants",
        "volume and subject folder on one line",
        "refused",
        "{folder}/participants.tsv, line 2: found t1w and freesurfer, expected one of t1w, freesurfer and "
        "fastsurfer. Name what the scan is to be read from, and only that.",
        lambda folder: refusal(participants(folder, f"{COLUMNS} t1w freesurfer", "a 1 x s a.nii fs/a")),
    ),
    Case(
        "participants",
        "one volume missing",
        "set aside",
        "{folder}/b.nii does not exist",
        lambda folder: aside(participants(folder, f"{COLUMNS} t1w", "a 1 x s a.nii", "b 1 x s b.nii")),
    ),
    Case(
        "participants",
        "all volumes missing",
        "refused",
        "cohort: inputs: mine: 2 of 2 scans cannot be read, e.g. {folder}/b.nii does not exist. Correct "
        "{folder}/participants.tsv or what it names.",
        lambda folder: refusal(participants(folder, f"{COLUMNS} t1w", "a 1 x s b.nii", "b 1 x s c.nii")),
    ),
    Case(
        "participants",
        "subject folder missing",
        "set aside",
        "{folder}/fs/b does not exist",
        lambda folder: aside(
            participants(folder, f"{COLUMNS} t1w fastsurfer", "a 1 x s a.nii n/a", "b 1 x s n/a fs/b")
        ),
    ),
    Case(
        "participants",
        "more cells than columns",
        "refused",
        "{folder}/participants.tsv: rows have more cells than the header has names. Remove tabs at the ends of rows.",
        lambda folder: refusal(participants(folder, f"{COLUMNS} t1w", "a 1 x s a.nii surplus")),
    ),
    Case(
        "participants",
        "header alone",
        "refused",
        "cohort: inputs: mine: no scan in {folder}/participants.tsv. Correct the input or drop it.",
        lambda folder: refusal(participants(folder, f"{COLUMNS} t1w")),
    ),
    Case(
        "bids",
        "no subject folder",
        "refused",
        "{folder}: holds no folder sub-LABEL, so it is no BIDS dataset. Give its root, or another kind.",
        lambda folder: refusal(entry("bids", touch(folder, "notes.txt"))),
    ),
    Case(
        "bids",
        "dot in the folder's name",
        "refused",
        "{folder}/study.v2: the name of a BIDS dataset's folder may hold no dot. Rename it, or make a link "
        "without one to it.",
        lambda folder: refusal(entry("bids", bids(folder / "study.v2", "01"))),
    ),
    Case(
        "bids",
        "sessions without a T1w volume",
        "refused",
        "cohort: inputs: mine: no scan in {folder}. Left out: 1, e.g. {folder}/sub-01 (no T1w volume). Correct "
        "the input or drop it.",
        lambda folder: refusal(entry("bids", touch(folder, "sub-01/anat/sub-01_T2w.nii.gz"))),
    ),
    Case(
        "bids",
        "two acquisitions in a session",
        "set aside",
        "the session has 2 T1w volumes that differ in acq (acq-mprage, acq-spgr); name the one to take, e.g. "
        "filters: {acq: mprage}",
        lambda folder: aside(same_run_twice(folder)),
    ),
    Case(
        "bids",
        "link without content",
        "set aside",
        "{folder}/sub-02/anat/sub-02_T1w.nii.gz is a link to nothing; with git-annex or DataLad, get its content first",
        lambda folder: aside(annexed(folder)),
    ),
    Case(
        "bids",
        "hyphen in a label",
        "ignored",
        "{folder}/sub-a-b: no BIDS label; letters and digits may follow sub-",
        lambda folder: ignored(entry("bids", touch(bids(folder, "01"), "sub-a-b/anat/sub-a-b_T1w.nii.gz"))),
    ),
    Case(
        "bids",
        "sex as a number",
        "refused",
        "{folder}/participants.tsv, line 2, column 'sex': found '1', expected F, M, female, male or other. "
        "Numbers do not say which is which: translate them, or give the input a table of people.",
        lambda folder: refusal(dataset(folder, "participant_id sex", "sub-01 1", "sub-02 2")),
    ),
    Case(
        "bids",
        "age in words",
        "refused",
        "{folder}/participants.tsv, line 2, column 'age': found 'old', expected a number. Correct it or write n/a.",
        lambda folder: refusal(dataset(folder, "participant_id age", "sub-01 old")),
    ),
    Case(
        "bids",
        "age of more than 120",
        "refused",
        "{folder}/participants.tsv, line 2, column 'age': found 300, expected 0 to 120 years. Correct it or write n/a.",
        lambda folder: refusal(dataset(folder, "participant_id age", "sub-01 300")),
    ),
    Case(
        "bids",
        "unknown diagnosis",
        "refused",
        "{folder}/participants.tsv, line 2, column 'diagnosis': found 'control', expected one of CN, MCI, AD, SCZ, BD. "
        "Give the input a table of people with these words, or without that column.",
        lambda folder: refusal(dataset(folder, "participant_id diagnosis", "sub-01 control")),
    ),
    Case(
        "bids",
        "commas in participants.tsv",
        "refused",
        "{folder}/participants.tsv: column 'participant_id' is missing. Found columns: participant_id,age. A BIDS"
        " table is separated by tabs and names its columns in the first line.",
        lambda folder: refusal(dataset(folder, "participant_id,age", "sub-01,70")),
    ),
    Case(
        "bids",
        "ragged participants.tsv",
        "refused",
        "{folder}/participants.tsv, line 2: found 3 cells, expected 2 as in the header. Write n/a where nothing "
        "is known, and one tab between cells.",
        lambda folder: refusal(dataset(folder, "participant_id\tage", "sub-01\t70\tF")),
    ),
    Case(
        "bids",
        "column twice in participants.tsv",
        "refused",
        "{folder}/participants.tsv: column 'age' stands twice. Remove one or rename it.",
        lambda folder: refusal(dataset(folder, "participant_id age age", "sub-01 70 71")),
    ),
    Case(
        "bids",
        "participant on two lines",
        "refused",
        "{folder}/participants.tsv: participant_id 'sub-01' stands on lines 2 and 3. Remove one; what differs "
        "between visits belongs in the subjects' sessions.tsv.",
        lambda folder: refusal(dataset(folder, "participant_id age", "sub-01 70", "sub-01 71")),
    ),
    Case(
        "bids",
        "participants.tsv not in UTF-8",
        "refused",
        "{folder}/participants.tsv: not in UTF-8 (byte 28). Save it as UTF-8.",
        lambda folder: refusal(in_latin(folder)),
    ),
    Case(
        "bids",
        "participant without data",
        "ignored",
        "sub-09: in {folder}/participants.tsv, but without a T1w volume that is wanted",
        lambda folder: ignored(dataset(folder, "participant_id age", "sub-01 70", "sub-09 71")),
    ),
    Case(
        "config",
        "key of an earlier version",
        "refused",
        "config: cohort: unknown key 'participants'. Write inputs: [{name: mine, kind: participants, path: "
        "participants.tsv}].",
        lambda folder: config({"name": "a", "kind": "volumes", "path": str(folder)}, participants="people.tsv"),
    ),
    Case(
        "config",
        "misspelt key of an input",
        "refused",
        "config: cohort.inputs.0: unknown key 'strem'. Did you mean 'stream'?",
        lambda folder: config({"name": "a", "kind": "freesurfer", "path": str(folder), "strem": "long"}),
    ),
    Case(
        "config",
        "unknown kind of input",
        "refused",
        "config: cohort.inputs.0.kind: found 'dicom', expected one of participants, bids, freesurfer, fastsurfer,"
        " tables, brains, volumes. What lies there.",
        lambda folder: config({"name": "a", "kind": "dicom", "path": str(folder)}),
    ),
    Case(
        "config",
        "input without a path",
        "refused",
        "config: cohort.inputs.0: key 'path' is missing. See config.yaml for what it does.",
        lambda folder: config({"name": "a", "kind": "bids"}),
    ),
    Case(
        "config",
        "path that is not there",
        "refused",
        "config: cohort.inputs: a: '{folder}/none' is not a folder. Correct the path.",
        lambda folder: config({"name": "a", "kind": "bids", "path": str(folder / "none")}),
    ),
    Case(
        "config",
        "one name for two inputs",
        "refused",
        "config: cohort.inputs: the name 'a' stands 2 times. Give every input its own.",
        lambda folder: config(*[{"name": "a", "kind": "volumes", "path": str(folder)}] * 2),
    ),
    Case(
        "config",
        "ids that are no regular expression",
        "refused",
        "config: cohort.inputs: a: ids: '(?P<participant>' is not a regular expression (missing ), unterminated "
        "subpattern at position 0). Correct it.",
        lambda folder: config({"name": "a", "kind": "brains", "path": str(folder), "ids": "(?P<participant>"}),
    ),
    Case(
        "config",
        "ids without a participant",
        "refused",
        "config: cohort.inputs: a: ids: '(?P<session>.*)' has the groups: session; expected participant and "
        "perhaps session. Write for example (?P<participant>[0-9]+)_(?P<session>[0-9]+).",
        lambda folder: config({"name": "a", "kind": "brains", "path": str(folder), "ids": "(?P<session>.*)"}),
    ),
]
