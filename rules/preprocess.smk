rule preprocess_scans:
    """Turn each T1w scan of a batch into a brain and regional features; set broken ones aside with the reason."""
    input:
        scans="results/cohort/scans.tsv",
        files=scan_files,
    output:
        brains=directory("results/preprocess/preprocess_scans/{batch}"),
        table="results/preprocess/preprocess_scans/{batch}.tsv",
    log:
        "results/logs/preprocess_scans/{batch}.log",
    benchmark:
        "results/benchmarks/preprocess_scans/{batch}.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=2500,
        runtime=120,
    params:
        code=code_hash("preprocess/preprocess_scans"),
        preprocess=config["preprocess"],
    script:
        "../workflow_scripts/preprocess/preprocess_scans.py"
