rule probe_representation:
    """Ask one representation every task with a linear head, leaving people out many times over."""
    input:
        representation="results/embed/{representation}.tsv",
        tasks="results/cohort/tasks.tsv",
        included="results/qc/included.tsv",
    output:
        scores="results/probe/probe_representation/{representation}.parquet",
    log:
        "results/logs/probe_representation/{representation}.log",
    benchmark:
        "results/benchmarks/probe_representation/{representation}.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        code=code_hash("probe/probe_representation"),
        seed=config["seed"],
        probe=pick(
            "probe",
            "n_resamples",
            "n_test",
            "test_fraction",
            "stratify",
            "c",
            "alpha",
            "min_participants",
        ),
    script:
        "../workflow_scripts/probe/probe_representation.py"


rule compare_probes:
    """Compare the representations on each task: as published, and with a test that holds for the population."""
    input:
        scores=expand(
            "results/probe/probe_representation/{representation}.parquet",
            representation=representations(),
        ),
        tasks="results/cohort/tasks.tsv",
    output:
        resamples="results/probe/compare_probes/resamples.tsv",
        summary="results/probe/compare_probes/summary.tsv",
        comparisons="results/probe/compare_probes/comparisons.tsv",
        sensitivity="results/probe/compare_probes/sensitivity.tsv",
    log:
        "results/logs/compare_probes/compare_probes.log",
    benchmark:
        "results/benchmarks/compare_probes/compare_probes.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code_hash("probe/compare_probes"),
        seed=config["seed"],
        representations=representations(),
        probe=pick(
            "probe", "permutation", "n_permutations", "level", "continuous_metric"
        ),
    script:
        "../workflow_scripts/probe/compare_probes.py"
