# One rule a figure of what the representations are worth; the others stand in figures.smk.


rule biomarker_bars:
    """Show every task's scores by representation (Reynolds et al., Figure 2)."""
    input:
        summary="results/probe/compare_probes/summary.tsv",
    output:
        png=report(
            "results/figures/biomarker_bars.png",
            caption="../workflow_scripts/figures/captions/biomarker_bars.rst",
            category="Probes",
            labels={"shows": "scores"},
        ),
        pdf="results/figures/biomarker_bars.pdf",
        csv="results/figures/biomarker_bars.csv",
    log:
        "results/logs/biomarker_bars/biomarker_bars.log",
    benchmark:
        "results/benchmarks/biomarker_bars/biomarker_bars.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/biomarker_bars"),
        tasks=config["tasks"],
        probe=pick("probe", "level", "continuous_metric"),
    script:
        "../workflow_scripts/figures/biomarker_bars.py"


rule comparison_forest:
    """Show every representation against the reference: differences, intervals of the population, both kinds of p."""
    input:
        comparisons="results/probe/compare_probes/comparisons.tsv",
    output:
        png=report(
            "results/figures/comparison_forest.png",
            caption="../workflow_scripts/figures/captions/comparison_forest.rst",
            category="Probes",
            labels={"shows": "differences"},
        ),
        pdf="results/figures/comparison_forest.pdf",
        csv="results/figures/comparison_forest.csv",
    log:
        "results/logs/comparison_forest/comparison_forest.log",
    benchmark:
        "results/benchmarks/comparison_forest/comparison_forest.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/comparison_forest"),
        tasks=config["tasks"],
        probe=pick("probe", "reference", "level"),
    script:
        "../workflow_scripts/figures/comparison_forest.py"


rule ablations_bars:
    """Show what is left of a method's scores without its parts."""
    input:
        summary="results/probe/compare_ablations/summary.tsv",
    output:
        png=report(
            "results/figures/ablations_bars.png",
            caption="../workflow_scripts/figures/captions/ablations_bars.rst",
            category="Probes",
            labels={"shows": "ablations"},
        ),
        pdf="results/figures/ablations_bars.pdf",
        csv="results/figures/ablations_bars.csv",
    log:
        "results/logs/ablations_bars/ablations_bars.log",
    benchmark:
        "results/benchmarks/ablations_bars/ablations_bars.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/ablations_bars"),
        tasks=config["tasks"],
        probe=pick("probe", "level", "continuous_metric"),
    script:
        "../workflow_scripts/figures/ablations_bars.py"


rule permutation_sensitivity:
    """Show how p-values depend on the number of resamples in the published and in the corrected test."""
    input:
        sensitivity="results/probe/compare_probes/sensitivity.tsv",
    output:
        png=report(
            "results/figures/permutation_sensitivity.png",
            caption="../workflow_scripts/figures/captions/permutation_sensitivity.rst",
            category="Probes",
            labels={"shows": "p-values by resamples"},
        ),
        pdf="results/figures/permutation_sensitivity.pdf",
        csv="results/figures/permutation_sensitivity.csv",
    log:
        "results/logs/permutation_sensitivity/permutation_sensitivity.log",
    benchmark:
        "results/benchmarks/permutation_sensitivity/permutation_sensitivity.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/permutation_sensitivity"),
        tasks=config["tasks"],
        reference=config["probe"]["reference"],
    script:
        "../workflow_scripts/figures/permutation_sensitivity.py"


rule learning_curves:
    """Show how test AUC grows with the number of training images (Leonardsen et al.)."""
    input:
        fits="results/finetune/compare_curves/fits.tsv",
        summary="results/finetune/compare_curves/summary.tsv",
    output:
        png=report(
            "results/figures/learning_curves.png",
            caption="../workflow_scripts/figures/captions/learning_curves.rst",
            category="Learning curves",
            labels={"shows": "test AUC by size"},
        ),
        pdf="results/figures/learning_curves.pdf",
        csv="results/figures/learning_curves.csv",
    log:
        "results/logs/learning_curves/learning_curves.log",
    benchmark:
        "results/benchmarks/learning_curves/learning_curves.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/learning_curves"),
        models=config["finetune"]["models"],
        tasks=config["tasks"],
    script:
        "../workflow_scripts/figures/learning_curves.py"


rule external_tests:
    """Show how well labels are predicted in validation, in new people and in new cohorts (Leonardsen et al.)."""
    input:
        metrics=expand(
            "results/pretrain/{method}/predict_targets/metrics.tsv",
            method=multitask_methods(),
        ),
    output:
        png=report(
            "results/figures/external_tests.png",
            caption="../workflow_scripts/figures/captions/external_tests.rst",
            category="Pretraining",
            labels={"shows": "predicted labels"},
        ),
        pdf="results/figures/external_tests.pdf",
        csv="results/figures/external_tests.csv",
    log:
        "results/logs/external_tests/external_tests.log",
    benchmark:
        "results/benchmarks/external_tests/external_tests.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/external_tests"),
        methods=multitask_methods(),
        level=config["probe"]["level"],
        # published scores beside a study's own, of other data
        published=not uses_phantom(config),
    script:
        "../workflow_scripts/figures/external_tests.py"


rule variance_explained:
    """Show how much of the regional features each representation explains, and the other way round."""
    input:
        explained="results/probe/explain_features/explained.tsv",
    output:
        png=report(
            "results/figures/variance_explained.png",
            caption="../workflow_scripts/figures/captions/variance_explained.rst",
            category="Interpretation",
            labels={"shows": "variance explained"},
        ),
        pdf="results/figures/variance_explained.pdf",
        csv="results/figures/variance_explained.csv",
    log:
        "results/logs/variance_explained/variance_explained.log",
    benchmark:
        "results/benchmarks/variance_explained/variance_explained.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/variance_explained"),
        level=config["interpret"]["level"],
    script:
        "../workflow_scripts/figures/variance_explained.py"


rule region_importance:
    """Show which locations carry the predictions of each method that reads patches."""
    input:
        ranked=expand("results/probe/rank_regions/{method}.tsv", method=patch_methods()),
    output:
        png=report(
            "results/figures/region_importance.png",
            caption="../workflow_scripts/figures/captions/region_importance.rst",
            category="Interpretation",
            labels={"shows": "locations"},
        ),
        pdf="results/figures/region_importance.pdf",
        csv="results/figures/region_importance.csv",
    log:
        "results/logs/region_importance/region_importance.log",
    benchmark:
        "results/benchmarks/region_importance/region_importance.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/region_importance"),
        methods=patch_methods(),
        tasks=config["tasks"],
        level=config["interpret"]["level"],
    script:
        "../workflow_scripts/figures/region_importance.py"


rule calibration:
    """Show how often each test rejects a true null hypothesis, by the number of resamples, and planted differences."""
    input:
        calibration="results/probe/collect_calibration/calibration.tsv",
    output:
        png=report(
            "results/figures/calibration.png",
            caption="../workflow_scripts/figures/captions/calibration.rst",
            category="Probes",
            labels={"shows": "calibration of tests"},
        ),
        pdf="results/figures/calibration.pdf",
        csv="results/figures/calibration.csv",
    log:
        "results/logs/calibration/calibration.log",
    benchmark:
        "results/benchmarks/calibration/calibration.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/calibration"),
    script:
        "../workflow_scripts/figures/calibration.py"
