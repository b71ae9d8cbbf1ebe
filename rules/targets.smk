# What the study makes: its figures, and the final files of every stage.

GENETIC_FIGURES = ["manhattan", "genetic_qc", "locus_plots", "heritability"]
GENETIC_FIGURES += ["cell_type_enrichment"] if expression_files() else []
GENETIC_FIGURES += ["ldsc_cell_types"] if has_cell_types() else []
IMAGE_FIGURES = [
    "duplicate_pairs",
    "factor_boxes",
    "grid_curves",
    "roc_curves",
    "image_calibration",
]
IMAGE_FIGURES += ["unfreezing_points"] if vary("structure") else []
IMAGE_FIGURES += ["grid_effects"] if vary("weights") or vary("head") else []
IMAGE_FIGURES += ["grouping_inflation"] if vary("grouping") else []
IMAGE_FIGURES += ["gradcam_panels", "gradcam_measures"] if kept_grids() else []
COMPARISONS = ["results/probe/compare_probes/report.html"]
FIGURES = [
    "biomarker_bars",
    "brainage_scatter",
    "brainage_calibration",
    "gap_correlation",
    "group_gaps",
    "permutation_sensitivity",
]
FIGURES += ["neuropathology"] if neuropathology_table() else []
FIGURES += ["comparison_forest"] if several() else []
FIGURES += GENETIC_FIGURES if has_genetics() else []
FIGURES += ["registrations"] if has_volumes() else []
FIGURES += ["variance_explained"] if methods() else []
FIGURES += ["region_importance"] if patch_methods() else []
FIGURES += ["training_curves"] if methods() else []
FIGURES += ["external_tests"] if multitask_methods() else []
FIGURES += [f"volume_gradcam/{name}" for name in multitask_methods()]
FIGURES += ["learning_curves"] if "finetune" in config["stages"] else []
FIGURES += IMAGE_FIGURES if "radiology" in config["stages"] else []
FIGURES += ["planted_truth"] if uses_phantom(config) else []


def stage_outputs(stage):
    """List the final files of a stage."""
    return {
        "cohort": ["results/cohort/scans.tsv", "results/cohort/tasks.tsv"],
        "preprocess": expand(
            "results/preprocess/preprocess_scans/{batch}.tsv", batch=batches()
        ),
        "register": [
            "results/qc/scans.tsv",
            "results/qc/excluded.tsv",
            "results/qc/page",
            "results/figures/registrations.png",
        ],
        "patches": expand("results/patches/extract_patches/{batch}", batch=batches()),
        "features": [
            "results/features/harmonised.tsv",
            "results/features/assignment.tsv",
            "results/features/sites.tsv",
        ],
        "pretrain": expand("results/embed/{name}.tsv", name=representations())
        + expand(
            "results/pretrain/{name}/predict_targets/metrics.tsv",
            name=multitask_methods(),
        ),
        "probe": ["results/probe/compare_probes/comparisons.tsv"]
        + (COMPARISONS if several() else [])
        + (["results/probe/explain_features/explained.tsv"] if methods() else [])
        + expand("results/probe/rank_regions/{name}.tsv", name=patch_methods()),
        "finetune": ["results/finetune/compare_curves/comparisons.tsv"],
        "brainage": [
            "results/brainage/gaps.tsv",
            "results/brainage/metrics.tsv",
            "results/brainage/associate_gaps/groups.tsv",
        ]
        + expand(
            "results/brainage/apply_age_card/{name}.tsv",
            name=config["brainage"]["cards"],
        ),
        "genetics": ["results/genetics/genetics_page/report.html"]
        + expand("results/figures/{name}.png", name=GENETIC_FIGURES),
        "radiology": ["results/radiology/radiology_page/report.html"]
        + expand("results/figures/{name}.png", name=IMAGE_FIGURES),
        "figures": expand("results/figures/{name}.png", name=FIGURES),
        "report": ["results/report.html"],
    }[stage]


wildcard_constraints:
    batch=r"\d+",
    chunk=r"\d+",
    method=any_of(trained()),
    grid=any_of(grids()),
    dataset=any_of(config["radiology"]["datasets"]),
    weights=any_of(config["radiology"]["weights"]),
    cell=any_of(calibration_cells()),
    representation=any_of(dict.fromkeys(representations() + trained())),
