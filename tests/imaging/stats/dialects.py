"""Subject folders and exported tables with planted values, in the dialects of the tools' versions.

The layouts follow real files; every number is drawn here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workflow_scripts.lib.imaging.stats.structures import ASEG, CALLOSUM, CEREBRAL_WHITE, CORTEX, DK, DKT, SELDOM
from workflow_scripts.lib.imaging.stats.subject import SubjectStats

SIDES = {"lh": "Left", "rh": "Right"}
# usual volumes in mm3 by the end of the name; the rest is 500
USUAL = {
    **{"Lateral-Ventricle": 9000, "Inf-Lat-Vent": 400, "Cerebellum-White-Matter": 14000, "Cerebellum-Cortex": 52000},
    **{"Thalamus": 7500, "Caudate": 3500, "Putamen": 4700, "Pallidum": 1900, "3rd-Ventricle": 1200, "Amygdala": 1600},
    **{"4th-Ventricle": 1700, "Brain-Stem": 21000, "Hippocampus": 4000, "CSF": 1100, "VentralDC": 4000},
    **{"WM-hypointensities": 1500, "Cerebral-White-Matter": 230000, "vessel": 40, "5th-Ventricle": 2},
}
EMPTY = {78, 79, 81, 82}
COLUMNS = [
    "StructName",
    "NumVert",
    "SurfArea",
    "GrayVol",
    "ThickAvg",
    "ThickStd",
    "MeanCurv",
    "GausCurv",
    "FoldInd",
    "CurvInd",
]
SEG_COLUMNS = [
    "Index",
    "SegId",
    "NVoxels",
    "Volume_mm3",
    "StructName",
    "normMean",
    "normStdDev",
    "normMin",
    "normMax",
    "normRange",
]
WHOLE = {  # name -> (key, description)
    "BrainSegVol": ("BrainSeg", "Brain Segmentation Volume"),
    "BrainSegVolNotVent": ("BrainSegNotVent", "Brain Segmentation Volume Without Ventricles"),
    "lhCortexVol": ("lhCortex", "Left hemisphere cortical gray matter volume"),
    "rhCortexVol": ("rhCortex", "Right hemisphere cortical gray matter volume"),
    "CortexVol": ("Cortex", "Total cortical gray matter volume"),
    "MaskVol": ("Mask", "Mask Volume"),
}


@dataclass(frozen=True)
class Dialect:
    """How a version writes."""

    tool: str
    version: str
    header: str  # cvs_version of mri_segstats, or FastSurfer's version
    segmentation: str = "aseg.stats"
    dkt: str | None = None
    dk: bool = True
    icv: tuple[str, str] | None = ("EstimatedTotalIntraCranialVol", "eTIV")
    measures: tuple[str, ...] = tuple(WHOLE)
    holes: bool = True
    proper: bool = False  # Left-Thalamus-Proper
    comma: bool = True  # between name and description of CortexVol
    brainvol: bool = False
    stamp: str | None = None


DIALECTS = {
    "freesurfer-5-dev": Dialect(
        **{"tool": "FreeSurfer", "version": "unknown", "header": "$Id: mri_segstats.c,v 1.75 2011/01/07 greve Exp $"},
        **{"icv": ("IntraCranialVol", "ICV"), "measures": ("lhCortexVol", "rhCortexVol", "CortexVol")},
        **{"holes": False, "proper": True, "stamp": "freesurfer-x86_64-redhat-linux-gnu-dev-20110113"},
    ),
    "freesurfer-5.3": Dialect(
        **{"tool": "FreeSurfer", "version": "5.3", "header": "$Id: mri_segstats.c,v 1.75.2.9 2013/02/16 greve Exp $"},
        **{"dkt": "aparc.DKTatlas40", "proper": True, "stamp": "freesurfer-Linux-centos6_x86_64-stable-pub-v5.3.0"},
    ),
    "freesurfer-6.0": Dialect(
        **{"tool": "FreeSurfer", "version": "6.0", "header": "$Id: mri_segstats.c,v 1.121 2016/05/31 greve Exp $"},
        **{"dkt": "aparc.DKTatlas", "proper": True, "comma": False},
        **{"stamp": "freesurfer-Linux-centos6_x86_64-stable-pub-v6.0.0-2beb96c"},
    ),
    "freesurfer-7.4": Dialect(
        **{"tool": "FreeSurfer", "version": "7.4.1", "header": "7.4.1", "dkt": "aparc.DKTatlas", "brainvol": True},
        **{"stamp": "freesurfer-linux-ubuntu22_x86_64-7.4.1-20230614-7eb8460"},
    ),
    "freesurfer-8": Dialect(
        **{"tool": "FreeSurfer", "version": "8.0.0", "header": "8.0.0", "dkt": "aparc.DKTatlas", "brainvol": True},
        **{"stamp": "freesurfer-linux-ubuntu22_x86_64-8.0.0-20250227-6facd2e"},
    ),
    "fastsurfer-seg-2.0": Dialect(
        **{"tool": "FastSurfer", "version": "unknown", "header": "", "dk": False, "icv": None, "measures": ()},
        **{"segmentation": "aparc.DKTatlas+aseg.deep.volume.stats", "holes": False},
    ),
    "fastsurfer-seg-2.2": Dialect(
        **{"tool": "FastSurfer", "version": "unknown", "header": "", "dk": False, "icv": None, "measures": ()},
        **{"segmentation": "aseg+DKT.stats", "holes": False},
    ),
    "fastsurfer-seg-2.4": Dialect(
        **{"tool": "FastSurfer", "version": "2.4.2", "header": "2.4.2", "dk": False, "icv": None},
        **{"segmentation": "aseg+DKT.VINN.stats", "measures": ("MaskVol",), "holes": False},
    ),
    "fastsurfer-full-2.4": Dialect(
        **{"tool": "FastSurfer", "version": "2.4.2", "header": "7.4.1", "dk": False, "brainvol": True},
        **{"dkt": "aparc.DKTatlas.mapped"},
    ),
}


def write_subject(
    folder: str | Path,
    dialect: str,
    seed: int,
    long: bool = False,
    name: str | None = None,
    factors: Mapping[str, float] | None = None,
    icv_mm3: float | None = None,
) -> tuple[Path, SubjectStats]:
    """Write the statistics of a subject.

    Parameters
    ----------
    folder : path
        The subject folder; its name is the subject's.
    dialect : str
        One of ``DIALECTS``.
    seed : int
    long : bool
        Write ``NAME.long.NAME_base`` beside instead.
    name : str, optional
        ``subjectname`` of the headers, if another.
    factors : mapping, optional
        Feature -> factor on its usual value.
    icv_mm3 : float, optional

    Returns
    -------
    folder : pathlib.Path
    stats : SubjectStats
        What is to be read.
    """
    style, rng, folder = DIALECTS[dialect], np.random.default_rng(seed), Path(folder)
    folder = folder.with_name(f"{folder.name}.long.{folder.name}_base") if long else folder
    stats = folder / "stats"
    stats.mkdir(parents=True)
    whole = _draw_whole(rng, style, icv_mm3)
    writer = _Writer(stats, style, name or folder.name, rng, factors or {}, whole)
    features = writer.segmentation()
    if style.dk:
        features |= writer.surfaces("aparc", "DK", DK)
    if style.dkt:
        features |= writer.surfaces(style.dkt, "DKT", DKT)
    if style.brainvol:
        (stats / "brainvol.stats").write_text("\n".join(writer.measures(WHOLE, 12)) + "\n")
    (folder / "scripts").mkdir()
    if style.stamp:
        (folder / "scripts" / "build-stamp.txt").write_text(f"{style.stamp}\n")
        (folder / "scripts" / "recon-all.done").write_text("CMDPATH recon-all\n")
    read = {
        "CortexVol": "cortex_ml",
        "BrainSegVol": "brain_segmented_ml",
        "MaskVol": "mask_ml",
    }
    seen = WHOLE if style.brainvol else style.measures
    numbers = {label: float(whole[measure]) / 1e3 for measure, label in read.items() if measure in seen}
    for side in SIDES if style.holes else ():
        holes = float(whole[f"{side}SurfaceHoles"])
        numbers |= {f"{side}_surface_holes": holes, f"{side}_euler": 2 - 2 * holes}
    if style.tool == "FastSurfer":
        numbers |= {"surfaces": float(bool(style.dkt)), "callosum_segmented": float(bool(style.dkt))}
    icv = float(whole["icv"]) if style.icv else None
    return folder, SubjectStats(features, icv, style.tool, style.version, "long" if long else "cross", numbers)


def _draw_whole(rng: np.random.Generator, style: Dialect, icv_mm3: float | None) -> dict[str, str]:
    """Draw the measures of the whole brain as they are printed."""
    icv = icv_mm3 or rng.normal(1.5e6, 1.2e5)
    left, right = rng.normal(0.155, 0.005, 2) * icv
    volumes = {"icv": icv, "BrainSegVol": 0.78 * icv, "BrainSegVolNotVent": 0.76 * icv, "MaskVol": 1.05 * icv}
    volumes |= {"lhCortexVol": left, "rhCortexVol": right, "CortexVol": left + right}
    holes = {f"{side}SurfaceHoles": str(rng.integers(5, 60)) for side in SIDES}
    return {name: f"{value:.6f}" for name, value in volumes.items()} | holes


@dataclass
class _Writer:
    stats: Path
    style: Dialect
    name: str
    rng: np.random.Generator
    factors: Mapping[str, float]
    whole: dict[str, str]

    def measures(self, names, decimals: int = 6, comma: bool = True) -> list[str]:
        lines = []
        for name in names:
            key, description = WHOLE[name]
            mark = "" if name == "CortexVol" and not comma else ","
            lines.append(f"# Measure {key}, {name}{mark} {description}, {self.whole[name]}{'0' * (decimals - 6)}, mm^3")
        return lines

    def icv(self) -> list[str]:
        if not self.style.icv:
            return []
        key, short = self.style.icv
        return [f"# Measure {key}, {short}, Estimated Total Intracranial Volume, {self.whole['icv']}, mm^3"]

    def holes(self) -> list[str]:
        return [
            f"# Measure {side}SurfaceHoles, {side}SurfaceHoles, Number of defect holes in {side} surfaces prior to "
            f"fixing, {self.whole[f'{side}SurfaceHoles']}, unitless"
            for side in (SIDES if self.style.holes else ())
        ]

    def segmentation(self) -> dict[str, float]:
        """Write the segmentation's statistics, FastSurfer's own as well; give the subcortical features."""
        own = self.style.segmentation != "aseg.stats"
        if self.style.tool == "FastSurfer":
            file = self.style.segmentation if own else "aseg+DKT.VINN.stats"
            features = self._fast_segmentation(file)
            if own:
                return features
        rows = [(number, name, self._volume(name, number)) for number, name in ASEG.items()]
        head = ["# Title Segmentation Statistics ", "# ", "# generating_program mri_segstats"]
        head += [
            f"# cvs_version {self.style.header}",
            "# cmdline mri_segstats --seg mri/aseg.mgz --sum stats/aseg.stats",
        ]
        head += ["# anatomy_type volume", "# ", "# SUBJECTS_DIR /data/subjects", f"# subjectname {self.name}"]
        if self.style.brainvol:
            head.append("# BrainVolStatsFixed-NotNeeded because voxelvolume=1mm3 ")
        head += [*self.measures(self.style.measures), *self.holes(), *self.icv()]
        head += ["# SegVolFile mri/aseg.mgz ", "# VoxelVolume_mm3 1 ", *_describe(SEG_COLUMNS)]
        body = []
        for index, (number, name, text) in enumerate(rows, start=1):
            shown = f"{name}-Proper" if self.style.proper and name.endswith("Thalamus") else name
            low, mean, high = (20.0, 70 + number % 40, 130.0) if float(text) else (0.0, 0.0, 0.0)
            numbers = f"{mean:10.4f} {9.5 if mean else 0:10.4f} {low:10.4f} {high:10.4f} {high - low:10.4f} "
            body.append(f"{index:3d} {number:3d}  {round(float(text)):8d} {text:>12s}  {shown:<30s} {numbers}")
        self._write("aseg.stats", head, SEG_COLUMNS, body, rows=True)
        return {name: float(text) for _, name, text in rows}

    def _fast_segmentation(self, file: str) -> dict[str, float]:
        whole = {n: name for n, name in (CEREBRAL_WHITE | ASEG).items() if n not in SELDOM}
        rows = [(number, name, name, self._volume(name, number, 3)) for number, name in sorted(whole.items())]
        for number, (side, region) in CORTEX.items():
            if region in DKT:
                feature = f"{side}_DKT_{region}_volume"
                rows.append((number, f"ctx-{side}-{region}", feature, self._volume(feature, number, 3)))
        head = ["# Title Segmentation Statistics", "#", "# generating_program segstats.py"]
        head += [f"# FastSurfer_version {self.style.version}"] if self.style.version != "unknown" else []
        head += ["# cmdline segstats.py --segfile mri/aparc.DKTatlas+aseg.deep.mgz", "# anatomy_type volume", "#"]
        head += self.measures(["MaskVol"]) if self.style.version != "unknown" else []
        head += ["# SegVolFile mri/aparc.DKTatlas+aseg.deep.mgz", "# SegVolFileTimestamp 2024/05/02 10:11:12"]
        head += ["# VoxelVolume_mm3 1.0", *_describe(SEG_COLUMNS)]
        body = []
        for index, (number, name, _, text) in enumerate(rows, start=1):
            mean = 60 + number % 50 if float(text) else 0
            numbers = f"{mean:8.4f} {8.25 if mean else 0:7.4f} {mean / 2:8.4f} {2 * mean:8.4f} {1.5 * mean:8.4f}"
            body.append(f"{index:3d} {number:4d} {round(float(text)):6d} {text:>10s} {name:<32s} {numbers}")
        self._write(file, head, SEG_COLUMNS, body, rows=True)
        return {feature: float(text) for _, _, feature, text in rows}

    def _volume(self, feature: str, number: int, decimals: int = 1) -> str:
        """Draw a volume; a segmentation alone has no corpus callosum."""
        lacks = number in CALLOSUM and (decimals == 3 or not (self.style.dk or self.style.dkt))
        usual = next((mm3 for end, mm3 in USUAL.items() if feature.endswith(end)), 500)
        usual = 6000 if "_DKT_" in feature else usual
        drawn = max(self.rng.normal(1, 0.1), 0.3) * usual * self.factors.get(feature, 1)
        return f"{0 if lacks or number in EMPTY else drawn:.{decimals}f}"

    def surfaces(self, file: str, atlas: str, regions: tuple[str, ...]) -> dict[str, float]:
        """Write both hemispheres' statistics of an atlas; give their features."""
        features = {}
        for side in SIDES:
            head = ["# Table of FreeSurfer cortical parcellation anatomical statistics ", "# "]
            head += ["# generating_program mris_anatomical_stats", "# cvs_version 7.4.1"]
            if self.style.tool == "FreeSurfer" and "$Id" in self.style.header:
                head[-1] = "# cvs_version $Id: mris_anatomical_stats.c,v 1.72 2011/03/02 nicks Exp $"
            head += ["# SUBJECTS_DIR /data/subjects", "# anatomy_type surface", f"# subjectname {self.name}"]
            head += [f"# hemi {side}", f"# AnnotationFile ../label/{side}.{file}.annot"]
            head += ["# Measure Cortex, NumVert, Number of Vertices, 118968, unitless"]
            head += ["# Measure Cortex, WhiteSurfArea, White Surface Total Area, 84858.5, mm^2"]
            if "MaskVol" in self.style.measures:  # from 5.3
                head += ["# Measure Cortex, MeanThickness, Mean Thickness, 2.39891, mm"]
            if not self.style.comma or self.style.brainvol:  # from 6
                head += [*self.measures(["BrainSegVol", "CortexVol"], comma=self.style.comma), *self.icv()]
            head += _describe(COLUMNS)
            body = []
            for region in regions:
                prefix = f"{side}_DKT_{region}" if atlas == "DKT" else f"{side}_{region}"
                thickness = self.rng.normal(2.5, 0.2) * self.factors.get(f"{prefix}_thickness", 1)
                volume = self.rng.normal(6000, 600) * self.factors.get(f"{prefix}_volume", 1)
                texts = f"{max(thickness, 1):.3f}", f"{max(volume, 100):.0f}"
                features |= {f"{prefix}_thickness": float(texts[0]), f"{prefix}_volume": float(texts[1])}
                counts = f"{round(volume / 2.2):5d}  {round(volume / 3):5d}  {texts[1]:>5s}"
                body.append(f"{region:<40s} {counts}  {texts[0]} 0.512     0.121     0.024       31     3.4")
            self._write(f"{side}.{file}.stats", head, COLUMNS, body)
        return features

    def _write(self, file: str, head: list[str], columns: list[str], body: list[str], rows: bool = False) -> None:
        head = [*head, *([f"# NRows {len(body)} "] if rows else []), f"# NTableCols {len(columns)} "]
        text = "\n".join([*head, f"# ColHeaders {' '.join(columns)}", *body])
        (self.stats / file).write_text(text + "\n")


def _describe(columns: list[str]) -> list[str]:
    return [f"# TableCol {number:2d} ColHeader {column} " for number, column in enumerate(columns, start=1)]
