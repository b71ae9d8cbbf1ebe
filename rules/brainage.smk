rule estimate_gaps:
    """Fit a normative model of age on each representation and compute everybody's brain-age gap."""
    input:
        representations=expand(
            "results/embed/{representation}.tsv", representation=gap_representations()
        ),
        scans="results/cohort/scans.tsv",
        roles="results/cohort/roles.tsv",
        included="results/qc/included.tsv",
    output:
        gaps="results/brainage/gaps.tsv",
        metrics="results/brainage/metrics.tsv",
        correlations="results/brainage/correlations.tsv",
        buckets="results/brainage/buckets.tsv",
        models=expand(
            "results/brainage/models/{representation}.json",
            representation=gap_representations(),
        ),
    log:
        "results/logs/estimate_gaps/estimate_gaps.log",
    benchmark:
        "results/benchmarks/estimate_gaps/estimate_gaps.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        code=code_hash("brainage/estimate_gaps"),
        seed=config["seed"],
        representations=gap_representations(),
        brainage=config["brainage"],
    script:
        "../workflow_scripts/brainage/estimate_gaps.py"
