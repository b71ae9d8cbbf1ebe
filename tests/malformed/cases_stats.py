"""Statistics of FreeSurfer and FastSurfer that cannot be what the tools wrote."""

import shutil

from tests.malformed.case import Case
from tests.malformed.stats_faults import (
    FAST,
    SEVEN,
    after,
    copy_neighbour,
    cut,
    edit,
    exchange_columns,
    give_dkt,
    give_link,
    keep_brain_volumes_only,
    mix_people,
    mix_runs,
    rename_column,
    replace,
    swap_sides,
)

# fault, how it is made, message; the outcome of all is that the scan is set aside
FAULTS = [
    (
        "no folder stats",
        after(shutil.rmtree),
        "{folder}/sub-01 has no folder stats. Give a folder that a finished run of FreeSurfer made.",
    ),
    (
        "nothing that is read in stats",
        after(keep_brain_volumes_only),
        "{folder}/sub-01/stats has none of the statistics that are read (found brainvol.stats). Expected "
        "aseg.stats: run FreeSurfer to its end.",
    ),
    (
        "no aseg.stats",
        after(lambda stats: (stats / "aseg.stats").unlink()),
        "{folder}/sub-01/stats has no aseg.stats. Run FreeSurfer to its end, or copy the file too.",
    ),
    (
        "one hemisphere missing",
        after(lambda stats: (stats / "rh.aparc.stats").unlink()),
        "{folder}/sub-01/stats has lh.aparc.stats but no rh.aparc.stats: one hemisphere of the "
        "Desikan-Killiany atlas is missing. Run FreeSurfer to its end, or copy the file too.",
    ),
    (
        "one hemisphere of DKT missing",
        after(lambda stats: (stats / "lh.aparc.DKTatlas.mapped.stats").unlink(), FAST),
        "{folder}/sub-01/stats has rh.aparc.DKTatlas.mapped.stats but no lh.aparc.DKTatlas.mapped.stats: one "
        "hemisphere of the DKT atlas is missing. Run FastSurfer to its end, or copy the file too.",
    ),
    (
        "FastSurfer's folder given as FreeSurfer's",
        after(lambda stats: None, FAST, "freesurfer"),
        "{folder}/sub-01/stats has aseg+DKT.VINN.stats, which FastSurfer writes and FreeSurfer does not. "
        "Give the folder as kind fastsurfer.",
    ),
    (
        "FreeSurfer's folder given as FastSurfer's",
        after(lambda stats: None, SEVEN, "fastsurfer"),
        "{folder}/sub-01/stats has aseg.stats and none of the files that only FastSurfer writes, such as "
        "aseg+DKT.stats. Give the folder as kind freesurfer.",
    ),
    (
        "empty file",
        replace("aseg.stats", b""),
        "{folder}/sub-01/stats/aseg.stats: the file is empty. Copy the file again, or make it again.",
    ),
    (
        "link to content that was not fetched",
        after(give_link),
        "{folder}/sub-01/stats/aseg.stats: the link points to a file that is not here. Fetch the content "
        "first (datalad get, or git annex get).",
    ),
    (
        "pointer instead of content",
        replace("aseg.stats", b"/annex/objects/MD5E-s9586--0f.stats\n"),
        "{folder}/sub-01/stats/aseg.stats: holds only a pointer to its content. Fetch it first (datalad get, "
        "or git lfs pull).",
    ),
    (
        "zero bytes",
        replace("aseg.stats", b"# Title Segmentation Statistics\n" + bytes(4096)),
        "{folder}/sub-01/stats/aseg.stats: not a text file (it has zero bytes). Copy the file again, or make it again.",
    ),
    (
        "another kind of file",
        replace("lh.aparc.stats", b"<html>\n404 Not Found\n</html>\n"),
        "{folder}/sub-01/stats/lh.aparc.stats, line 1: found '<html>' before the line '# ColHeaders', "
        "expected a comment. Copy the file again, or make it again.",
    ),
    (
        "control character",
        edit("aseg.stats", "Left-Caudate  ", "Left-Caudate \x1b"),
        "{folder}/sub-01/stats/aseg.stats, line 40: found the control character '\\x1b', expected printable "
        "text. Copy the file again, or make it again.",
    ),
    (
        "cut in the header",
        cut("lh.aparc.stats", "# hemi lh\n"),
        "{folder}/sub-01/stats/lh.aparc.stats, line 8: found the end of the file, expected the table, after "
        "a line '# ColHeaders'. Copy the file again, or make it again.",
    ),
    (
        "cut inside a number",
        edit("rh.aparc.stats", r"^(superiorfrontal +[0-9])[\s\S]*", r"\1"),
        "{folder}/sub-01/stats/rh.aparc.stats, line 54: found the end of the file inside a line, expected a "
        "line end. Copy the file again, or make it again.",
    ),
    (
        "cut at a line end, rows stated",
        edit("aseg.stats", r"^ +7 +12 [\s\S]*", ""),
        "{folder}/sub-01/stats/aseg.stats, line 40: found 6 rows, expected '# NRows 45' as the header "
        "states. Copy the file again, or make it again.",
    ),
    (
        "cut at a line end, rows not stated",
        edit("lh.aparc.stats", r"^frontalpole[\s\S]*", ""),
        "{folder}/sub-01/stats/lh.aparc.stats: the table ends after 30 regions without insula, the last one; "
        "the file was cut short. Copy the file again, or make it again.",
    ),
    (
        "table lost",
        edit("aseg.stats", r"^ +1 +4 [\s\S]*", ""),
        "{folder}/sub-01/stats/aseg.stats, line 34: found 0 rows, expected '# NRows 45' as the header "
        "states. Copy the file again, or make it again.",
    ),
    (
        "dropped cell",
        edit("aseg.stats", r"(Left-Caudate +)[0-9.]+ +", r"\1"),
        "{folder}/sub-01/stats/aseg.stats, line 40: found 9 cells, expected 10 as in '# ColHeaders'. Copy "
        "the file again, or make it again.",
    ),
    (
        "text in a number",
        edit("aseg.stats", r"^( 12 +17 +[0-9]+ +)[0-9.]+", r"\1n.a."),
        "{folder}/sub-01/stats/aseg.stats, line 46: found 'n.a.' in column Volume_mm3 of Left-Hippocampus, "
        "expected a number. Copy the file again, or make it again.",
    ),
    (
        "infinite number",
        edit("lh.aparc.stats", r"^(insula +[0-9]+ +[0-9]+ +[0-9]+ +)[0-9.]+", r"\1inf"),
        "{folder}/sub-01/stats/lh.aparc.stats, line 61: found 'inf' in column ThickAvg of insula, expected a "
        "number. Copy the file again, or make it again.",
    ),
    (
        "negative volume",
        edit("aseg.stats", r"^( 12 +17 +[0-9]+ +)[0-9.]+", r"\1-1.0"),
        "{folder}/sub-01/stats/aseg.stats, line 46: found -1.0 in column Volume_mm3 of Left-Hippocampus, "
        "expected zero or more. Copy the file again, or make it again.",
    ),
    (
        "lost decimal point",
        edit("lh.aparc.stats", r"^(insula +[0-9]+ +[0-9]+ +[0-9]+ +)[0-9.]+", r"\g<1>2547"),
        "{folder}/sub-01/stats/lh.aparc.stats, line 61: found 0 decimals in column ThickAvg of insula, "
        "expected 3 as in the other rows. Copy the file again, or make it again.",
    ),
    (
        "structure twice",
        edit("rh.aparc.stats", r"^(cuneus .*\n)", r"\1\1"),
        "{folder}/sub-01/stats/rh.aparc.stats, line 32: found 'cuneus' again, expected each structure once "
        "(first in line 31). Copy the file again, or make it again.",
    ),
    (
        "thalamus under both names",
        edit("aseg.stats", r"49( +[0-9]+ +[0-9.]+ +)Right-Thalamus ", r"10\1Left-Thalamus-Proper "),
        "{folder}/sub-01/stats/aseg.stats, line 57: found Left-Thalamus-Proper as well as Left-Thalamus, "
        "expected one of them. Copy the file again, or make it again.",
    ),
    (
        "number and name of a structure disagree",
        edit("aseg.stats", "Left-Hippocampus ", "Right-Insula     "),
        "{folder}/sub-01/stats/aseg.stats, line 46: found SegId 17 named Right-Insula, expected "
        "Left-Hippocampus. Copy the file again, or make it again.",
    ),
    (
        "region of no atlas",
        edit("lh.aparc.stats", "^entorhinal", "entorhinol"),
        "{folder}/sub-01/stats/lh.aparc.stats, line 32: found 'entorhinol', expected a region of the "
        "Desikan-Killiany atlas. Copy the file again, or make it again.",
    ),
    (
        "DKT regions in the Desikan-Killiany file",
        after(give_dkt),
        "{folder}/sub-01/stats/lh.aparc.stats: none of bankssts, frontalpole, temporalpole; these are the "
        "regions of the DKT atlas, not of the Desikan-Killiany atlas. Copy the file again, or make it again.",
    ),
    (
        "another atlas in the header",
        edit("lh.aparc.stats", r"lh\.aparc\.annot", "lh.aparc.DKTatlas.annot"),
        "{folder}/sub-01/stats/lh.aparc.stats: found '# AnnotationFile ... lh.aparc.DKTatlas.annot' in the "
        "header, expected the Desikan-Killiany atlas. Copy the file again, or make it again.",
    ),
    (
        "hemispheres exchanged",
        after(swap_sides),
        "{folder}/sub-01/stats/lh.aparc.stats: found '# hemi rh' in the header, expected '# hemi lh' as the "
        "file's name says. Copy the file again, or make it again.",
    ),
    (
        "empty line in the table",
        edit("lh.aparc.stats", "^(cuneus .*)", r"\1\n"),
        "{folder}/sub-01/stats/lh.aparc.stats, line 32: found an empty line inside the table, expected a "
        "structure's row. Copy the file again, or make it again.",
    ),
    (
        "comment in the table",
        edit("lh.aparc.stats", "^cuneus", "#cuneus"),
        "{folder}/sub-01/stats/lh.aparc.stats, line 31: found a comment inside the table, expected a "
        "structure's row. Copy the file again, or make it again.",
    ),
    (
        "columns out of step with their description",
        edit("lh.aparc.stats", "GrayVol ThickAvg", "ThickAvg GrayVol"),
        "{folder}/sub-01/stats/lh.aparc.stats, line 61: found 'ThickAvg' as column 4, expected 'GrayVol' as "
        "'# TableCol' states. Copy the file again, or make it again.",
    ),
    (
        "columns exchanged, and their description",
        after(exchange_columns),
        "{folder}/sub-01/stats/lh.aparc.stats, line 28: found a thickness of 6535 in bankssts, expected at "
        "most 10 mm. Copy the file again, or make it again.",
    ),
    (
        "column missing",
        after(rename_column),
        "{folder}/sub-01/stats/lh.aparc.stats: no column ThickAvg; found StructName, NumVert, SurfArea, "
        "GrayVol, Thickness, ThickStd, MeanCurv, GausCurv, FoldInd, CurvInd. Copy the file again, or make it "
        "again.",
    ),
    (
        "measure without its value",
        edit("aseg.stats", "Estimated Total Intracranial Volume, [0-9.]+", "Estimated Total Intracranial Volume"),
        "{folder}/sub-01/stats/aseg.stats, line 19: found '# Measure EstimatedTotalIntraCranialVol, eTIV, "
        "Estimated Total Intracranial Volume, mm^3', expected '# Measure key, name, description, value, "
        "unit'. Copy the file again, or make it again.",
    ),
    (
        "measure with a decimal comma",
        edit("aseg.stats", r"(Mask Volume, [0-9]+)\.", r"\1,"),
        "{folder}/sub-01/stats/aseg.stats, line 16: found '# Measure Mask, MaskVol, Mask Volume, "
        "1575000,000000, mm^3', expected '# Measure key, name, description, value, unit'. Copy the file "
        "again, or make it again.",
    ),
    (
        "measure stated twice with two values",
        edit("aseg.stats", "^(# Measure lhSurfaceHoles.*) [0-9]+,(.*)", r"\g<0>\n\1 999,\2"),
        "{folder}/sub-01/stats/aseg.stats, line 18: found lhSurfaceHoles 999 unitless, expected 6 unitless "
        "as in line 17. Copy the file again, or make it again.",
    ),
    (
        "intracranial volume in ml",
        edit("aseg.stats", "1500000.000000", "1500.000000"),
        "{folder}/sub-01/stats/aseg.stats, line 19: found an intracranial volume of 1500 mm^3, expected at "
        "least 100000 mm^3. Look at the Talairach registration of this subject, mend it and run the "
        "statistics again.",
    ),
    (
        "files of two runs",
        after(mix_runs),
        "{folder}/sub-01/stats/lh.aparc.stats: found an intracranial volume of 1540000 mm^3, expected "
        "1500000 mm^3 as in aseg.stats. The files are of different runs or people: run the statistics of "
        "this subject again.",
    ),
    (
        "files of two people",
        after(mix_people),
        "{folder}/sub-01/stats/rh.aparc.stats: found '# subjectname sub-09', expected '# subjectname sub-01' "
        "as in aseg.stats. The files are of two people: copy the right ones.",
    ),
    (
        "folder copied from the neighbour",
        copy_neighbour,
        "{folder}/sub-02/stats/aseg.stats: found '# subjectname sub-01', expected sub-02; {folder}/sub-01 is "
        "there too, so these statistics were copied from it. Run the statistics of this subject again, or "
        "leave it out.",
    ),
]
CASES = [Case("stats", fault, "set aside", message, provoke) for fault, provoke, message in FAULTS]
