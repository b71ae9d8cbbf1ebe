rule extract_patches:
    """Cut the 18 patches of the usable scans of a batch into a shard of the patch store."""
    input:
        volumes="results/register/register_scans/{batch}",
        included="results/qc/with_volume.tsv",
    output:
        shard=directory("results/patches/extract_patches/{batch}"),
    log:
        "results/logs/extract_patches/{batch}.log",
    benchmark:
        "results/benchmarks/extract_patches/{batch}.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        code=code_hash("patches/extract_patches"),
    script:
        "../workflow_scripts/patches/extract_patches.py"


rule extract_volumes:
    """Cut the whole volumes that networks read, of the usable scans of a batch, into a shard of the store."""
    input:
        volumes="results/register/register_scans/{batch}",
        included="results/qc/with_volume.tsv",
    output:
        shard=directory("results/patches/extract_volumes/{batch}"),
    log:
        "results/logs/extract_volumes/{batch}.log",
    benchmark:
        "results/benchmarks/extract_volumes/{batch}.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        code=code_hash("patches/extract_volumes"),
        volumes=volume_names(),
    script:
        "../workflow_scripts/patches/extract_volumes.py"
