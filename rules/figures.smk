# One rule a figure: PDF and PNG, source data beside them, caption in the report.


rule registrations:
    """Show registered brains in the template's outline, the least certain first."""
    input:
        scans="results/qc/scans.tsv",
        volumes=expand("results/register/register_scans/{batch}", batch=batches()),
    output:
        png=report(
            "results/figures/registrations.png",
            caption="../workflow_scripts/figures/captions/registrations.rst",
            category="Quality control",
            labels={"shows": "registrations"},
        ),
        pdf="results/figures/registrations.pdf",
        csv="results/figures/registrations.csv",
    log:
        "results/logs/registrations/registrations.log",
    benchmark:
        "results/benchmarks/registrations/registrations.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/registrations"),
        pictures=config["qc"]["pictures"],
    script:
        "../workflow_scripts/figures/registrations.py"


rule planted_truth:
    """Show how much of what was planted is found again."""
    input:
        truth="results/phantom/truth/scans.tsv",
        rendered=expand("results/phantom/simulate_scans/{batch}", batch=batches()),
        loci="results/phantom/truth/loci.tsv",
        qc="results/qc/scans.tsv",
        features="results/features/features.tsv",
        harmonised="results/features/harmonised.tsv",
        gaps="results/brainage/gaps.tsv",
        tests=rules.gwas.output.results,
    output:
        png=report(
            "results/figures/planted_truth.png",
            caption="../workflow_scripts/figures/captions/planted_truth.rst",
            category="Planted truth",
            labels={"shows": "planted and measured"},
        ),
        pdf="results/figures/planted_truth.pdf",
        csv="results/figures/planted_truth.csv",
        summary="results/phantom/recovery.tsv",
    log:
        "results/logs/planted_truth/planted_truth.log",
    benchmark:
        "results/benchmarks/planted_truth/planted_truth.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/planted_truth"),
        representations=gap_representations(),
    script:
        "../workflow_scripts/figures/planted_truth.py"


rule training_curves:
    """Show the losses of every training."""
    input:
        patches=expand(
            "results/pretrain/{method}/pretrain_patches/{chunk}",
            method=patch_methods(),
            chunk=pretrain_chunks(),
        ),
        images=expand(
            "results/pretrain/{method}/pretrain_image/training.tsv",
            method=patch_methods(),
        ),
        volumes=expand(
            "results/pretrain/{method}/pretrain_volume/training.tsv",
            method=volume_methods(),
        ),
    output:
        png=report(
            "results/figures/training_curves.png",
            caption="../workflow_scripts/figures/captions/training_curves.rst",
            category="Pretraining",
            labels={"shows": "losses"},
        ),
        pdf="results/figures/training_curves.pdf",
        csv="results/figures/training_curves.csv",
    log:
        "results/logs/training_curves/training_curves.log",
    benchmark:
        "results/benchmarks/training_curves/training_curves.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/training_curves"),
        patch_methods=patch_methods(),
        volume_methods=volume_methods(),
    script:
        "../workflow_scripts/figures/training_curves.py"


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
    script:
        "../workflow_scripts/figures/permutation_sensitivity.py"


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


rule brainage_scatter:
    """Show predicted against true age."""
    input:
        gaps="results/brainage/gaps.tsv",
        metrics="results/brainage/metrics.tsv",
    output:
        png=report(
            "results/figures/brainage_scatter.png",
            caption="../workflow_scripts/figures/captions/brainage_scatter.rst",
            category="Brain age",
            labels={"shows": "predicted age"},
        ),
        pdf="results/figures/brainage_scatter.pdf",
        csv="results/figures/brainage_scatter.csv",
    log:
        "results/logs/brainage_scatter/brainage_scatter.log",
    benchmark:
        "results/benchmarks/brainage_scatter/brainage_scatter.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/brainage_scatter"),
    script:
        "../workflow_scripts/figures/brainage_scatter.py"


rule gap_correlation:
    """Show how the gaps of the representations go together (Reynolds et al., Figure 3a)."""
    input:
        correlations="results/brainage/correlations.tsv",
    output:
        png=report(
            "results/figures/gap_correlation.png",
            caption="../workflow_scripts/figures/captions/gap_correlation.rst",
            category="Brain age",
            labels={"shows": "correlation of gaps"},
        ),
        pdf="results/figures/gap_correlation.pdf",
        csv="results/figures/gap_correlation.csv",
    log:
        "results/logs/gap_correlation/gap_correlation.log",
    benchmark:
        "results/benchmarks/gap_correlation/gap_correlation.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/gap_correlation"),
        level=config["brainage"]["level"],
    script:
        "../workflow_scripts/figures/gap_correlation.py"


rule manhattan:
    """Show the association study of every gap."""
    input:
        points="results/genetics/gwas/points.tsv.gz",
    output:
        png=report(
            "results/figures/manhattan.png",
            caption="../workflow_scripts/figures/captions/manhattan.rst",
            category="Genetics",
            labels={"shows": "Manhattan and QQ"},
        ),
        pdf="results/figures/manhattan.pdf",
        csv="results/figures/manhattan.csv",
    log:
        "results/logs/manhattan/manhattan.log",
    benchmark:
        "results/benchmarks/manhattan/manhattan.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/manhattan"),
    script:
        "../workflow_scripts/figures/manhattan.py"


rule report:
    """Put figures, captions, tables of exclusions and run times on one page that opens without a network."""
    input:
        figures=expand("results/figures/{name}.png", name=FIGURES),
        excluded="results/qc/excluded.html",
    output:
        "results/report.html",
    log:
        "results/logs/report/report.log",
    localrule: True
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        code=code_hash("figures/report"),
        config=config,
    script:
        "../workflow_scripts/figures/report.py"
