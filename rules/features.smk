rule collect_features:
    """Collect the regional features of the usable scans in one table."""
    input:
        brains=expand("results/preprocess/preprocess_scans/{batch}", batch=batches()),
        included="results/qc/included.tsv",
        qc="results/qc/scans.tsv",
    output:
        features="results/features/features.tsv",
        assignment="results/features/assignment.tsv",
        provenance="results/features/provenance.tsv",
    log:
        "results/logs/collect_features/collect_features.log",
    benchmark:
        "results/benchmarks/collect_features/collect_features.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("features/collect_features"),
        features=config["features"],
    script:
        "../workflow_scripts/features/collect_features.py"


rule harmonise:
    """Take the sites out of the features with ComBat estimated on training participants."""
    input:
        features="results/features/features.tsv",
        scans="results/cohort/scans.tsv",
    output:
        features="results/features/harmonised.tsv",
        model="results/features/combat.json",
    log:
        "results/logs/harmonise/harmonise.log",
    benchmark:
        "results/benchmarks/harmonise/harmonise.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        code=code_hash("features/harmonise"),
        harmonise=config["harmonise"],
    script:
        "../workflow_scripts/features/harmonise.py"
