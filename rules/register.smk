rule register_scans:
    """Bring the brains of a batch onto the template grid, with a picture and a number for each."""
    input:
        brains="results/preprocess/preprocess_scans/{batch}",
        table="results/preprocess/preprocess_scans/{batch}.tsv",
    output:
        volumes=directory("results/register/register_scans/{batch}"),
        table="results/register/register_scans/{batch}.tsv",
    log:
        "results/logs/register_scans/{batch}.log",
    benchmark:
        "results/benchmarks/register_scans/{batch}.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=120,
    params:
        code=code_hash("register/register_scans"),
        grid=config["grid"],
    script:
        "../workflow_scripts/register/register_scans.py"


rule collect_qc:
    """Decide which scans go on, and say of the others why not."""
    input:
        scans="results/cohort/scans.tsv",
        preprocessed=expand(
            "results/preprocess/preprocess_scans/{batch}.tsv", batch=batches()
        ),
        registered=expand(
            "results/register/register_scans/{batch}.tsv", batch=batches()
        ),
    output:
        scans="results/qc/scans.tsv",
        included="results/qc/included.tsv",
        excluded="results/qc/excluded.tsv",
        page=report(
            "results/qc/excluded.html",
            caption="../workflow_scripts/figures/captions/excluded.rst",
            category="Quality control",
            labels={"shows": "scans set aside"},
        ),
    log:
        "results/logs/collect_qc/collect_qc.log",
    benchmark:
        "results/benchmarks/collect_qc/collect_qc.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("register/collect_qc"),
        qc=pick(
            "qc", "min_overlap", "scale_range", "min_contrast", "max_excluded_fraction"
        ),
    script:
        "../workflow_scripts/register/collect_qc.py"
