# Self-supervised training at two levels, and representations. A job that is killed resumes from
# results/pretrain/{method}/checkpoints, which no rule declares, so that Snakemake never deletes it.


rule pretrain_patches:
    """Train the encoders of a chunk of locations, each on its own, from augmented views of their patches."""
    input:
        shards=expand("results/patches/extract_patches/{batch}", batch=batches()),
        scans="results/cohort/scans.tsv",
        roles="results/cohort/roles.tsv",
        included="results/qc/with_volume.tsv",
        features="results/features/harmonised.tsv",
        assignment="results/features/assignment.tsv",
    output:
        weights=directory("results/pretrain/{method}/pretrain_patches/{chunk}"),
    log:
        "results/logs/pretrain_patches/{method}_{chunk}.log",
    benchmark:
        "results/benchmarks/pretrain_patches/{method}_{chunk}.tsv"
    conda:
        "../envs/study.yaml"
    threads: config["pretrain"]["resources"]["threads"]
    resources:
        mem_mb=config["pretrain"]["resources"]["mem_mb"],
        runtime=config["pretrain"]["resources"]["runtime"],
        gpu=config["pretrain"]["resources"]["gpu"],
    params:
        code=code_hash("pretrain/pretrain_patches"),
        seed=config["seed"],
        pretrain=pretrain_settings("patch", "augmentation"),
        patches_per_job=config["pretrain"]["patches_per_job"],
        checkpoints="results/pretrain/{method}/checkpoints",
    script:
        "../workflow_scripts/pretrain/pretrain_patches.py"


rule encode_patches:
    """Take the patches of all usable scans through the frozen encoders of a chunk of locations."""
    input:
        weights="results/pretrain/{method}/pretrain_patches/{chunk}",
        shards=expand("results/patches/extract_patches/{batch}", batch=batches()),
        included="results/qc/with_volume.tsv",
    output:
        tokens="results/pretrain/{method}/encode_patches/{chunk}.safetensors",
        scans="results/pretrain/{method}/encode_patches/{chunk}.tsv",
    log:
        "results/logs/encode_patches/{method}_{chunk}.log",
    benchmark:
        "results/benchmarks/encode_patches/{method}_{chunk}.tsv"
    conda:
        "../envs/study.yaml"
    threads: config["pretrain"]["resources"]["threads"]
    resources:
        mem_mb=config["pretrain"]["resources"]["mem_mb"],
        runtime=config["pretrain"]["resources"]["runtime"],
        gpu=config["pretrain"]["resources"]["gpu"],
    params:
        code=code_hash("pretrain/encode_patches"),
        representation=config["pretrain"]["representation"],
        patches_per_job=config["pretrain"]["patches_per_job"],
    script:
        "../workflow_scripts/pretrain/encode_patches.py"


rule pretrain_image:
    """Train the aggregator on frozen tokens; the views of a scan are two random halves of its locations."""
    input:
        tokens=expand(
            "results/pretrain/{{method}}/encode_patches/{chunk}.safetensors",
            chunk=pretrain_chunks(),
        ),
        token_scans=expand(
            "results/pretrain/{{method}}/encode_patches/{chunk}.tsv",
            chunk=pretrain_chunks(),
        ),
        scans="results/cohort/scans.tsv",
        roles="results/cohort/roles.tsv",
        included="results/qc/with_volume.tsv",
        features="results/features/harmonised.tsv",
        assignment="results/features/assignment.tsv",
    output:
        weights="results/pretrain/{method}/pretrain_image/weights.safetensors",
        card="results/pretrain/{method}/pretrain_image/weights.json",
        training="results/pretrain/{method}/pretrain_image/training.tsv",
    log:
        "results/logs/pretrain_image/{method}.log",
    benchmark:
        "results/benchmarks/pretrain_image/{method}.tsv"
    conda:
        "../envs/study.yaml"
    threads: config["pretrain"]["resources"]["threads"]
    resources:
        mem_mb=config["pretrain"]["resources"]["mem_mb"],
        runtime=config["pretrain"]["resources"]["runtime"],
        gpu=config["pretrain"]["resources"]["gpu"],
    params:
        code=code_hash("pretrain/pretrain_image"),
        seed=config["seed"],
        pretrain=pretrain_settings("image"),
        checkpoints="results/pretrain/{method}/checkpoints",
    script:
        "../workflow_scripts/pretrain/pretrain_image.py"


rule embed:
    """Give each usable scan its representation: all its tokens through the trained aggregator."""
    input:
        weights="results/pretrain/{method}/pretrain_image/weights.safetensors",
        card="results/pretrain/{method}/pretrain_image/weights.json",
        tokens=expand(
            "results/pretrain/{{method}}/encode_patches/{chunk}.safetensors",
            chunk=pretrain_chunks(),
        ),
        token_scans=expand(
            "results/pretrain/{{method}}/encode_patches/{chunk}.tsv",
            chunk=pretrain_chunks(),
        ),
        included="results/qc/with_volume.tsv",
    output:
        representation="results/embed/{method}.tsv",
    log:
        "results/logs/embed/{method}.log",
    benchmark:
        "results/benchmarks/embed/{method}.tsv"
    wildcard_constraints:
        method="|".join(methods()),
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code_hash("pretrain/embed"),
        representation=config["pretrain"]["representation"],
    script:
        "../workflow_scripts/pretrain/embed.py"


rule embed_features:
    """Make the regional features a representation like any other."""
    input:
        features="results/features/harmonised.tsv",
        included="results/qc/included.tsv",
    output:
        representation="results/embed/features.tsv",
    log:
        "results/logs/embed_features/features.log",
    benchmark:
        "results/benchmarks/embed_features/features.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("pretrain/embed_features"),
    script:
        "../workflow_scripts/pretrain/embed_features.py"
