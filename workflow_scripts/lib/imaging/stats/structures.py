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
# the gyri and sulci of the Destrieux atlas (aparc.a2009s) in the order of its colour table, as FreeSurfer 6 writes them
DESTRIEUX = (
    *("G_and_S_frontomargin", "G_and_S_occipital_inf", "G_and_S_paracentral", "G_and_S_subcentral"),
    *("G_and_S_transv_frontopol", "G_and_S_cingul-Ant", "G_and_S_cingul-Mid-Ant", "G_and_S_cingul-Mid-Post"),
    *("G_cingul-Post-dorsal", "G_cingul-Post-ventral", "G_cuneus", "G_front_inf-Opercular", "G_front_inf-Orbital"),
    *("G_front_inf-Triangul", "G_front_middle", "G_front_sup", "G_Ins_lg_and_S_cent_ins", "G_insular_short"),
    *("G_occipital_middle", "G_occipital_sup", "G_oc-temp_lat-fusifor", "G_oc-temp_med-Lingual"),
    *("G_oc-temp_med-Parahip", "G_orbital", "G_pariet_inf-Angular", "G_pariet_inf-Supramar", "G_parietal_sup"),
    *("G_postcentral", "G_precentral", "G_precuneus", "G_rectus", "G_subcallosal", "G_temp_sup-G_T_transv"),
    *("G_temp_sup-Lateral", "G_temp_sup-Plan_polar", "G_temp_sup-Plan_tempo", "G_temporal_inf", "G_temporal_middle"),
    *("Lat_Fis-ant-Horizont", "Lat_Fis-ant-Vertical", "Lat_Fis-post", "Pole_occipital", "Pole_temporal"),
    *("S_calcarine", "S_central", "S_cingul-Marginalis", "S_circular_insula_ant", "S_circular_insula_inf"),
    *("S_circular_insula_sup", "S_collat_transv_ant", "S_collat_transv_post", "S_front_inf", "S_front_middle"),
    *("S_front_sup", "S_interm_prim-Jensen", "S_intrapariet_and_P_trans", "S_oc_middle_and_Lunatus"),
    *("S_oc_sup_and_transversal", "S_occipital_ant", "S_oc-temp_lat", "S_oc-temp_med_and_Lingual"),
    *("S_orbital_lateral", "S_orbital_med-olfact", "S_orbital-H_Shaped", "S_parieto_occipital", "S_pericallosal"),
    *("S_postcentral", "S_precentral-inf-part", "S_precentral-sup-part", "S_suborbital", "S_subparietal"),
    *("S_temporal_inf", "S_temporal_sup", "S_temporal_transverse"),
)
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
    """Name a cortical feature.

    Parameters
    ----------
    hemisphere : {"lh", "rh"}
    region : str
    measure : {"thickness", "volume"}
    atlas : {"DK", "DKT", "Destrieux"}
        The name holds it unless it is ``DK``: regions of one atlas must not be taken for another's.
    """
    return "_".join([hemisphere, *([] if atlas == "DK" else [atlas]), region, measure])


def destrieux_region(name: str) -> str:
    """Give a region of the Destrieux atlas its long name; versions of FreeSurfer shorten ``_and_`` to ``&``."""
    return name.replace("lG", "lg").replace("&", "_and_")


def segmentation_feature(name: str) -> str:
    """Give a subcortical structure the name it has since FreeSurfer 7."""
    return name.removesuffix("-Proper") if name.endswith("-Thalamus-Proper") else name
