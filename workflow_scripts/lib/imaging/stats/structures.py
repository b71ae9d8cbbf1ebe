"""Names and numbers of the structures, as in FreeSurferColorLUT.txt and the statistics of real subjects.

https://surfer.nmr.mgh.harvard.edu/fswiki/FsTutorial/AnatomicalROI/FreeSurferColorLUT. The DKT protocol (Klein and
Tourville 2012, doi:10.3389/fnins.2012.00171) has the Desikan-Killiany regions but three, with other borders.
"""

HEMISPHERES = ("lh", "rh")
# the regions of the Desikan-Killiany atlas in the order of its colour table
DK = (
    *("bankssts", "caudalanteriorcingulate", "caudalmiddlefrontal", "cuneus", "entorhinal", "fusiform"),
    *("inferiorparietal", "inferiortemporal", "isthmuscingulate", "lateraloccipital", "lateralorbitofrontal"),
    *("lingual", "medialorbitofrontal", "middletemporal", "parahippocampal", "paracentral", "parsopercularis"),
    *("parsorbitalis", "parstriangularis", "pericalcarine", "postcentral", "posteriorcingulate", "precentral"),
    *("precuneus", "rostralanteriorcingulate", "rostralmiddlefrontal", "superiorfrontal", "superiorparietal"),
    *("superiortemporal", "supramarginal", "frontalpole", "temporalpole", "transversetemporal", "insula"),
)
DK_ONLY = ("bankssts", "frontalpole", "temporalpole")
DKT = tuple(region for region in DK if region not in DK_ONLY)
# rows of old surface statistics that are no region
NO_REGION = ("unknown", "corpuscallosum")
# the segmentation's number -> the structure of aseg.stats
ASEG = {
    **{4: "Left-Lateral-Ventricle", 5: "Left-Inf-Lat-Vent", 7: "Left-Cerebellum-White-Matter"},
    **{8: "Left-Cerebellum-Cortex", 10: "Left-Thalamus", 11: "Left-Caudate", 12: "Left-Putamen", 13: "Left-Pallidum"},
    **{14: "3rd-Ventricle", 15: "4th-Ventricle", 16: "Brain-Stem", 17: "Left-Hippocampus", 18: "Left-Amygdala"},
    **{24: "CSF", 26: "Left-Accumbens-area", 28: "Left-VentralDC", 30: "Left-vessel", 31: "Left-choroid-plexus"},
    **{43: "Right-Lateral-Ventricle", 44: "Right-Inf-Lat-Vent", 46: "Right-Cerebellum-White-Matter"},
    **{47: "Right-Cerebellum-Cortex", 49: "Right-Thalamus", 50: "Right-Caudate", 51: "Right-Putamen"},
    **{52: "Right-Pallidum", 53: "Right-Hippocampus", 54: "Right-Amygdala", 58: "Right-Accumbens-area"},
    **{60: "Right-VentralDC", 62: "Right-vessel", 63: "Right-choroid-plexus", 72: "5th-Ventricle"},
    **{77: "WM-hypointensities", 78: "Left-WM-hypointensities", 79: "Right-WM-hypointensities"},
    **{80: "non-WM-hypointensities", 81: "Left-non-WM-hypointensities", 82: "Right-non-WM-hypointensities"},
    **{85: "Optic-Chiasm", 251: "CC_Posterior", 252: "CC_Mid_Posterior", 253: "CC_Central"},
    **{254: "CC_Mid_Anterior", 255: "CC_Anterior"},
}
CALLOSUM = (251, 252, 253, 254, 255)
# FreeSurfer leaves these out of aseg.stats, FastSurfer does not
CEREBRAL_WHITE = {2: "Left-Cerebral-White-Matter", 41: "Right-Cerebral-White-Matter"}
# structures of aseg.stats that are seldom there or of no use: usually zero, or no tissue of interest
SELDOM = {30, 62, 72, 78, 79, 80, 81, 82, 85}
# the cortex in a segmentation: number -> hemisphere and region; 4 is the corpus callosum of an old atlas
CORTEX = {
    1000 * side + number: (hemisphere, region)
    for side, hemisphere in enumerate(HEMISPHERES, start=1)
    for number, region in zip([n for n in range(1, 36) if n != 4], DK, strict=True)
}


def cortical_feature(hemisphere: str, region: str, measure: str, atlas: str) -> str:
    """Name a cortical feature; ``atlas`` is ``DK`` or ``DKT``, whose regions must not be taken for one another's."""
    return "_".join([hemisphere, *(["DKT"] if atlas == "DKT" else []), region, measure])


def segmentation_feature(name: str) -> str:
    """Give a subcortical structure the name it has since FreeSurfer 7."""
    return name.removesuffix("-Proper") if name.endswith("-Thalamus-Proper") else name
