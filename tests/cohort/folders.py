"""Small inputs of every kind, written as empty files: finding scans opens none of them."""

from workflow_scripts.lib.cohort.inputs.find import find_scans

PEOPLE = "participant_id\tsession_id\tage\tsex"


def touch(folder, *names):
    """Make empty files with their folders."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def table(path, *lines):
    """Write lines as a table; blanks stand for tabs where a line has none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(line if "\t" in line else "\t".join(line.split()) for line in lines) + "\n")
    return path


def bids(folder, *sessions, name="T1w.nii.gz"):
    """Make a BIDS dataset of sessions such as ``"01/a"`` or ``"02"``."""
    for session in sessions:
        sub, _, ses = session.partition("/")
        start = f"sub-{sub}" + (f"_ses-{ses}" if ses else "")
        touch(folder, f"sub-{sub}/{f'ses-{ses}/' if ses else ''}anat/{start}_{name}")
    return folder


def subjects(folder, *names, parts=("stats/aseg.stats", "mri/norm.mgz", "scripts/recon-all.done")):
    """Make subject folders."""
    for name in names:
        touch(folder / name, *parts)
    return folder


def entry(kind, path, **more):
    """Give an input as the checked config has it."""
    defaults = {"bids": {"runs": "first", "filters": {}}, "freesurfer": {"stream": "cross"}}
    defaults |= {name: {"pattern": "*.nii*"} for name in ("brains", "volumes")}
    return {"name": "mine", "kind": kind, "path": str(path)} | defaults.get(kind, {}) | more


def find(*inputs, rows=(), labels=()):
    """Find the scans of inputs; the exported tables have the rows named."""
    return find_scans(list(inputs), lambda paths: list(rows), labels)


def reasons(ignored):
    """Map the last part of each path ignored to the reason."""
    return {path.rsplit("/", 1)[-1]: reason for path, reason in zip(ignored["path"], ignored["reason"], strict=True)}
