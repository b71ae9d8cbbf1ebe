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
        tests=rules.merge_gwas.output.results,
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


rule brainage_calibration:
    """Show how predicted ages go with true ages, and the gap by age before and after debiasing."""
    input:
        age_bias="results/brainage/age_bias.tsv",
        metrics="results/brainage/metrics.tsv",
    output:
        png=report(
            "results/figures/brainage_calibration.png",
            caption="../workflow_scripts/figures/captions/brainage_calibration.rst",
            category="Brain age",
            labels={"shows": "calibration"},
        ),
        pdf="results/figures/brainage_calibration.pdf",
        csv="results/figures/brainage_calibration.csv",
    log:
        "results/logs/brainage_calibration/brainage_calibration.log",
    benchmark:
        "results/benchmarks/brainage_calibration/brainage_calibration.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/brainage_calibration"),
    script:
        "../workflow_scripts/figures/brainage_calibration.py"


rule group_gaps:
    """Show the gaps by diagnosis."""
    input:
        people="results/brainage/associate_gaps/group_people.tsv",
        tests="results/brainage/associate_gaps/groups.tsv",
    output:
        png=report(
            "results/figures/group_gaps.png",
            caption="../workflow_scripts/figures/captions/group_gaps.rst",
            category="Brain age",
            labels={"shows": "gap by diagnosis"},
        ),
        pdf="results/figures/group_gaps.pdf",
        csv="results/figures/group_gaps.csv",
    log:
        "results/logs/group_gaps/group_gaps.log",
    benchmark:
        "results/benchmarks/group_gaps/group_gaps.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/group_gaps"),
    script:
        "../workflow_scripts/figures/group_gaps.py"


rule neuropathology:
    """Show the gaps by grade of post-mortem findings (Reynolds et al., Figure 4)."""
    input:
        people="results/brainage/associate_gaps/neuropathology_people.tsv",
        tests="results/brainage/associate_gaps/neuropathology.tsv",
    output:
        png=report(
            "results/figures/neuropathology.png",
            caption="../workflow_scripts/figures/captions/neuropathology.rst",
            category="Brain age",
            labels={"shows": "gap by neuropathology"},
        ),
        pdf="results/figures/neuropathology.pdf",
        csv="results/figures/neuropathology.csv",
    log:
        "results/logs/neuropathology/neuropathology.log",
    benchmark:
        "results/benchmarks/neuropathology/neuropathology.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/neuropathology"),
    script:
        "../workflow_scripts/figures/neuropathology.py"


rule report:
    """Put figures, captions, tables of exclusions and run times on one page that opens without a network."""
    input:
        figures=expand("results/figures/{name}.png", name=FIGURES),
        excluded="results/qc/excluded.html",
        comparisons=COMPARISONS if several() else [],
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
