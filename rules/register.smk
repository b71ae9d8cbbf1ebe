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
    threads: config["cohort"]["processes"]
    resources:
        mem_mb=lambda wildcards, threads: 300 + 1200 * threads,
        runtime=120,
    params:
        code=code_hash("register/register_scans"),
        grid=config["grid"],
        kept="results/register/kept",
    script:
        "../workflow_scripts/register/register_scans.py"


rule collect_qc:
    """Decide which scans go on, and say of the others why not."""
    input:
        scans="results/cohort/scans.tsv",
        preprocessed=expand(
            "results/preprocess/preprocess_scans/{batch}.tsv", batch=batches()
        ),
        brains=expand("results/preprocess/preprocess_scans/{batch}", batch=batches()),
        registered=expand(
            "results/register/register_scans/{batch}.tsv", batch=batches()
        ),
        overrides=qc_overrides,
    output:
        scans="results/qc/scans.tsv",
        included="results/qc/included.tsv",
        with_volume="results/qc/with_volume.tsv",
        excluded="results/qc/excluded.tsv",
        tools="results/qc/tools.tsv",
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
        mem_mb=1500,
        runtime=20,
    params:
        code=code_hash("register/collect_qc"),
        features=config["features"],
        qc=pick(
            "qc",
            "checks",
            "outliers",
            "mixed_tools",
            "overrides",
            "max_excluded_fraction",
        ),
    script:
        "../workflow_scripts/register/collect_qc.py"


rule make_qc_page:
    """Make the page on which a person leafs through the scans and decides by hand."""
    input:
        scans="results/qc/scans.tsv",
        volumes=expand("results/register/register_scans/{batch}", batch=batches()),
    output:
        page=directory("results/qc/page"),
    log:
        "results/logs/make_qc_page/make_qc_page.log",
    benchmark:
        "results/benchmarks/make_qc_page/make_qc_page.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        code=code_hash("register/make_qc_page"),
        checks=config["qc"]["checks"],
    script:
        "../workflow_scripts/register/make_qc_page.py"
