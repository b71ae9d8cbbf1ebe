"""Malformed folders of subjects and volumes, and rows of exported tables."""

from tests.cohort.folders import entry, subjects, table, touch
from tests.malformed.case import Case
from tests.malformed.inputs import aside, ignored, refusal, with_people

CASES = [
    Case(
        "freesurfer",
        "folder of something else",
        "refused",
        "cohort: inputs: mine: no scan in {folder}. Left out: 1, e.g. {folder}/photos (has neither stats nor "
        "mri). Correct the input or drop it.",
        lambda folder: refusal(entry("freesurfer", touch(folder, "photos/a.jpg"))),
    ),
    Case(
        "freesurfer",
        "recon-all failed",
        "set aside",
        "{folder}/B: recon-all stopped with an error (scripts/recon-all.error); its log says why",
        lambda folder: aside(
            entry("freesurfer", subjects(subjects(folder, "A"), "B", parts=("mri/x", "scripts/recon-all.error")))
        ),
    ),
    Case(
        "freesurfer",
        "recon-all interrupted",
        "set aside",
        "{folder}/B: recon-all is not done (scripts/IsRunning.lh+rh); let it finish, or run it again",
        lambda folder: aside(
            entry("freesurfer", subjects(subjects(folder, "A"), "B", parts=("mri/x", "scripts/IsRunning.lh+rh")))
        ),
    ),
    Case(
        "freesurfer",
        "empty subject folder",
        "ignored",
        "{folder}/B: has neither stats nor mri",
        lambda folder: ignored(entry("freesurfer", touch(subjects(folder, "A"), "B/touch/x"))),
    ),
    Case(
        "freesurfer",
        "average subject",
        "ignored",
        "{folder}/fsaverage: a template that comes with the tool",
        lambda folder: ignored(entry("freesurfer", subjects(folder, "A", "fsaverage"))),
    ),
    Case(
        "freesurfer",
        "base template",
        "ignored",
        "{folder}/B: the base template of a longitudinal stream",
        lambda folder: ignored(entry("freesurfer", touch(subjects(folder, "A", "B"), "B/base-tps"))),
    ),
    Case(
        "freesurfer",
        "longitudinal subject in the cross-sectional stream",
        "ignored",
        "{folder}/A.long.B: of the longitudinal stream; stream: long reads it",
        lambda folder: ignored(entry("freesurfer", subjects(folder, "A", "A.long.B"))),
    ),
    Case(
        "freesurfer",
        "name that does not fit ids",
        "ignored",
        "{folder}/test: its name does not match ids: p(?P<participant>[0-9])",
        lambda folder: ignored(entry("freesurfer", subjects(folder, "p1", "test"), ids="p(?P<participant>[0-9])")),
    ),
    Case(
        "freesurfer",
        "two names of one scan",
        "refused",
        "cohort: inputs: scan 'a-1_1' is in input 'mine' ({folder}/a-1) and in input 'mine' ({folder}/a_1). One "
        "scan has one source: drop an input, narrow it, or give it ids that tell the scans apart.",
        lambda folder: refusal(entry("freesurfer", subjects(folder, "a-1", "a_1"))),
    ),
    Case(
        "freesurfer",
        "person without a subject folder",
        "set aside",
        "nothing in {folder}/data is of participant 'sub-03', session '1'",
        lambda folder: aside(with_people("freesurfer", folder, "participant_id age", "sub-01 70", "sub-03 71")),
    ),
    Case(
        "freesurfer",
        "subject folder without a person",
        "ignored",
        "{folder}/data/sub-02: no row in {folder}/people.tsv",
        lambda folder: ignored(with_people("freesurfer", folder, "participant_id age", "sub-01 70")),
    ),
    Case(
        "freesurfer",
        "two people of one subject folder",
        "refused",
        "{folder}/people.tsv: lines 2 and 3 both mean {folder}/data/sub-01. Give each row its own session_id or "
        "subject, or remove one.",
        lambda folder: refusal(with_people("freesurfer", folder, "participant_id subject", "a sub-01", "b sub-01")),
    ),
    Case(
        "fastsurfer",
        "all subjects failed",
        "refused",
        "cohort: inputs: mine: 2 of 2 scans cannot be read, e.g. {folder}/A: recon-all stopped with an error "
        "(scripts/recon-all.error); its log says why. Correct {folder} or what it names.",
        lambda folder: refusal(
            entry("fastsurfer", subjects(folder, "A", "B", parts=("mri/x", "scripts/recon-all.error")))
        ),
    ),
    Case(
        "fastsurfer",
        "base template",
        "ignored",
        "{folder}/T: the base template of a longitudinal stream",
        lambda folder: ignored(entry("fastsurfer", touch(subjects(folder, "A", "T"), "T/base-tps.fastsurfer"))),
    ),
    Case(
        "fastsurfer",
        "scan in two inputs",
        "refused",
        "cohort: inputs: scan 'A_1' is in input 'years' ({folder}/fs/A) and in input 'fast' ({folder}/fast/A). "
        "One scan has one source: drop an input, narrow it, or give it ids that tell the scans apart.",
        lambda folder: refusal(
            entry("freesurfer", subjects(folder / "fs", "A"), name="years"),
            entry("fastsurfer", subjects(folder / "fast", "A"), name="fast"),
        ),
    ),
    Case(
        "tables",
        "row without a name",
        "ignored",
        "--: its name holds neither letter nor digit",
        lambda folder: ignored({"name": "mine", "kind": "tables", "tables": ["lh.csv"]}, rows=["A", "--"]),
    ),
    Case(
        "tables",
        "no rows",
        "refused",
        "cohort: inputs: mine: no scan in lh.csv, rh.csv. Correct the input or drop it.",
        lambda folder: refusal({"name": "mine", "kind": "tables", "tables": ["lh.csv", "rh.csv"]}),
    ),
    Case(
        "tables",
        "person without a row",
        "set aside",
        "nothing in lh.csv is of participant 'B', session '1'",
        lambda folder: aside(
            {"name": "mine", "kind": "tables", "tables": ["lh.csv"]}
            | {"participants": str(table(folder / "people.tsv", "participant_id", "A", "B"))},
            rows=["A"],
        ),
    ),
    Case(
        "brains",
        "person with two sessions on one line",
        "refused",
        "{folder}/people.tsv, line 2: participant 'sub-01' has sessions 1, 2; the row must mean one of them. "
        "Write one row a scan, with session_id or subject.",
        lambda folder: refusal(
            entry("brains", touch(folder, "sub-01_ses-1.nii", "sub-01_ses-2.nii"))
            | {"participants": str(table(folder / "people.tsv", "participant_id age", "sub-01 70"))}
        ),
    ),
    Case(
        "brains",
        "unknown sex in the table of people",
        "refused",
        "{folder}/people.tsv, line 2, column 'sex': found 'woman', expected one of F, M. Recorded sex, F or M. "
        "Correct the value or leave out the row.",
        lambda folder: refusal(with_people("brains", folder, "participant_id sex", "sub-01 woman")),
    ),
    Case(
        "brains",
        "two volumes of one scan",
        "refused",
        "cohort: inputs: scan 'sub-01_1' is in input 'mine' ({folder}/sub-01_a.nii) and in input 'mine' "
        "({folder}/sub-01_b.nii). One scan has one source: drop an input, narrow it, or give it ids that tell the"
        " scans apart.",
        lambda folder: refusal(entry("brains", touch(folder, "sub-01_a.nii", "sub-01_b.nii"))),
    ),
    Case(
        "volumes",
        "no volume",
        "refused",
        "cohort: inputs: mine: no scan in {folder}. Left out: 1, e.g. {folder}/a.dcm (does not end in .nii.gz, "
        ".nii, .mgz, .mgh). Correct the input or drop it.",
        lambda folder: refusal(entry("volumes", touch(folder, "a.dcm"), pattern="*")),
    ),
    Case(
        "volumes",
        "resource fork of macOS",
        "ignored",
        "{folder}/._a.nii: hidden, for its name starts with a dot",
        lambda folder: ignored(entry("volumes", touch(folder, "a.nii", "._a.nii"))),
    ),
    Case(
        "volumes",
        "Analyze image",
        "ignored",
        "{folder}/b.img: does not end in .nii.gz, .nii, .mgz, .mgh",
        lambda folder: ignored(entry("volumes", touch(folder, "a.nii", "b.img"), pattern="*")),
    ),
]
