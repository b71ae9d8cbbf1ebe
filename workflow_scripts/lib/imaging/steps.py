"""The work on one scan in each stage, as the processes of a batch do it: made, or taken from what was kept.

Heavy imports stand inside the functions: the process that hands out the work never pays for them.
"""

from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.keep import Keep, file_state

BRAIN, VOLUME, PICTURE = "brain.nii.gz", "registered.nii.gz", "picture.jpg"
# a brain out of place has no white matter where it should be: its overlap says better what is wrong
IN_PLACE = 0.8
SOURCE = ("kind", "t1w", "image", "subject", "found", "reason")


def preprocess_step(scan: dict, keep: Keep, settings: dict) -> dict:
    """Preprocess one scan.

    Parameters
    ----------
    scan : dict
        Row of the scans table.
    keep : Keep
    settings : dict
        Config section ``preprocess``.

    Returns
    -------
    dict
        ``row``: of the batch's table; ``features``: ``icv`` (mm^3) and features by name, empty if set aside. The
        brain lies in the keep.
    """
    from workflow_scripts.lib.imaging.qc.metrics import contrast_and_noise
    from workflow_scripts.lib.imaging.sources import preprocess, source_state
    from workflow_scripts.lib.imaging.volumes import save_volume

    key = keep.key({name: str(scan[name]) for name in SOURCE}, source_state(scan))
    if kept := keep.read(scan["scan_id"], key):
        return kept
    try:
        result = preprocess(scan, settings)
    except StudyError as error:
        return set_aside(str(error))
    files = () if result.brain is None else (BRAIN,)
    folder = keep.start(scan["scan_id"])
    if files:
        save_volume(result.brain, result.affine, folder / BRAIN)
        result.numbers.update(contrast_and_noise(result.brain, result.affine))
    row = {"passed": True, "tool": result.tool, "tool_version": result.version, "volume": bool(files)}
    record = {"row": row | result.numbers, "features": {"icv": result.icv} | result.features}
    keep.write(scan["scan_id"], key, record, files)
    return record


def set_aside(reason: str) -> dict:
    """Return what stands for a scan without a result."""
    return {"row": {"passed": False, "reason": reason}, "features": {}}


def register_step(brain: dict, keep: Keep, grid: dict) -> dict:
    """Register one brain to the template.

    Parameters
    ----------
    brain : dict
        ``scan_id``, ``file``.
    keep : Keep
    grid : dict
        Config section ``grid``.

    Returns
    -------
    dict
        ``row``: of the batch's table. The registered volume and its picture lie in the keep.
    """
    import nibabel as nib
    import numpy as np

    from workflow_scripts.lib.imaging import contract, registration
    from workflow_scripts.lib.imaging.grid import Grid
    from workflow_scripts.lib.imaging.qc import pictures
    from workflow_scripts.lib.imaging.volumes import save_volume

    key = keep.key(file_state(brain["file"]))
    if kept := keep.read(brain["scan_id"], key):
        return kept
    image, target = nib.load(brain["file"]), Grid(grid["spacing_mm"])
    data = image.get_fdata(dtype=np.float32)
    try:
        transform = registration.estimate(data, image.affine, grid["estimate_spacing_mm"], grid["parameters"])
    except RuntimeError as error:  # ITK's own failures, e.g. no overlap at all
        return set_aside(f"registration failed ({str(error).splitlines()[0]})")
    volume = registration.apply(data, image.affine, transform, target)
    overlap = registration.overlap(volume, target.spacing)
    if overlap > IN_PLACE:
        try:
            where = f"registered volume of {brain['scan_id']}"
            contract.check_array(contract.registered_contract(grid), volume, target.affine, where)
        except StudyError as error:
            return set_aside(str(error))
    folder = keep.start(brain["scan_id"])
    save_volume(volume, target.affine, folder / VOLUME)
    pictures.save(pictures.draw(volume, target.spacing), folder / PICTURE)
    record = {"row": {"passed": True, "overlap": overlap} | registration.numbers(transform)}
    keep.write(brain["scan_id"], key, record, (VOLUME, PICTURE))
    return record
