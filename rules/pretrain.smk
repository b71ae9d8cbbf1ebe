# Training at two levels or on whole volumes, and representations. A job that is killed resumes from
# results/pretrain/{method}/checkpoints, which no rule declares, so that Snakemake never deletes it. The folder tensorboard
# beside it holds the curves of running jobs: tensorboard --logdir results/pretrain


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
    wildcard_constraints:
        method=any_of(patch_trained()),
    conda:
        "../envs/study.yaml"
    threads: pretrain_resource("threads")
    resources:
        mem_mb=pretrain_resource("mem_mb"),
        runtime=pretrain_resource("runtime"),
        gpu=pretrain_resource("gpu"),
    params:
        code=code_hash("pretrain/pretrain_patches"),
        seed=config["seed"],
        pretrain=pretrain_settings("patch"),
        patches_per_job=config["pretrain"]["patches_per_job"],
        checkpoints="results/pretrain/{method}/checkpoints",
        curves="results/pretrain/{method}/tensorboard",
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
    threads: pretrain_resource("threads")
    resources:
        mem_mb=pretrain_resource("mem_mb"),
        runtime=pretrain_resource("runtime"),
        gpu=pretrain_resource("gpu"),
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
    threads: pretrain_resource("threads")
    resources:
        mem_mb=pretrain_resource("mem_mb"),
        runtime=pretrain_resource("runtime"),
        gpu=pretrain_resource("gpu"),
    params:
        code=code_hash("pretrain/pretrain_image"),
        seed=config["seed"],
        pretrain=pretrain_settings("image"),
        checkpoints="results/pretrain/{method}/checkpoints",
        curves="results/pretrain/{method}/tensorboard",
    script:
        "../workflow_scripts/pretrain/pretrain_image.py"


rule pretrain_volume:
    """Train a network that reads whole volumes: Models Genesis, LSSL, the SFCN on labels, or two views of the image."""
    input:
        shards=expand("results/patches/extract_volumes/{batch}", batch=batches()),
        scans="results/cohort/scans.tsv",
        roles="results/cohort/roles.tsv",
        included="results/qc/with_volume.tsv",
        features="results/features/harmonised.tsv",
        assignment="results/features/assignment.tsv",
    output:
        weights="results/pretrain/{method}/pretrain_volume/weights.safetensors",
        card="results/pretrain/{method}/pretrain_volume/weights.json",
        training="results/pretrain/{method}/pretrain_volume/training.tsv",
        sets="results/pretrain/{method}/pretrain_volume/sets.tsv",
    log:
        "results/logs/pretrain_volume/{method}.log",
    benchmark:
        "results/benchmarks/pretrain_volume/{method}.tsv"
    wildcard_constraints:
        method=any_of(volume_trained()),
    conda:
        "../envs/study.yaml"
    threads: pretrain_resource("threads")
    resources:
        mem_mb=pretrain_resource("mem_mb"),
        runtime=pretrain_resource("runtime"),
        gpu=pretrain_resource("gpu"),
    params:
        code=code_hash("pretrain/pretrain_volume"),
        seed=config["seed"],
        pretrain=pretrain_settings("volume"),
        volume=lambda wildcards: volume_of(wildcards.method),
        validation_share=config["pretrain"]["validation_share"],
        checkpoints="results/pretrain/{method}/checkpoints",
        curves="results/pretrain/{method}/tensorboard",
    script:
        "../workflow_scripts/pretrain/pretrain_volume.py"


rule predict_targets:
    """Predict the labels that a network was trained on, for every scan, and score them by set and cohort, new cohorts apart."""
    input:
        weights="results/pretrain/{method}/pretrain_volume/weights.safetensors",
        card="results/pretrain/{method}/pretrain_volume/weights.json",
        sets="results/pretrain/{method}/pretrain_volume/sets.tsv",
        shards=expand("results/patches/extract_volumes/{batch}", batch=batches()),
        scans="results/cohort/scans.tsv",
        included="results/qc/with_volume.tsv",
    output:
        predictions="results/pretrain/{method}/predict_targets/predictions.tsv",
        metrics="results/pretrain/{method}/predict_targets/metrics.tsv",
    log:
        "results/logs/predict_targets/{method}.log",
    benchmark:
        "results/benchmarks/predict_targets/{method}.tsv"
    conda:
        "../envs/study.yaml"
    threads: pretrain_resource("threads")
    resources:
        mem_mb=pretrain_resource("mem_mb"),
        runtime=pretrain_resource("runtime"),
        gpu=pretrain_resource("gpu"),
    params:
        code=code_hash("pretrain/predict_targets"),
        seed=config["seed"],
        n_bootstrap=config["interpret"]["n_bootstrap"],
        level=config["probe"]["level"],
        targets=lambda wildcards: config["pretrain"]["methods"][wildcards.method][
            "targets"
        ],
    script:
        "../workflow_scripts/pretrain/predict_targets.py"


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
        method=any_of(patch_trained()),
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


rule embed_volume:
    """Give each usable scan its representation: its volume through a trained network."""
    input:
        weights="results/pretrain/{method}/pretrain_volume/weights.safetensors",
        card="results/pretrain/{method}/pretrain_volume/weights.json",
        shards=expand("results/patches/extract_volumes/{batch}", batch=batches()),
        included="results/qc/with_volume.tsv",
    output:
        representation="results/embed/{method}.tsv",
    log:
        "results/logs/embed_volume/{method}.log",
    benchmark:
        "results/benchmarks/embed_volume/{method}.tsv"
    wildcard_constraints:
        method=any_of(volume_trained()),
    conda:
        "../envs/study.yaml"
    threads: pretrain_resource("threads")
    resources:
        mem_mb=pretrain_resource("mem_mb"),
        runtime=pretrain_resource("runtime"),
        gpu=pretrain_resource("gpu"),
    params:
        code=code_hash("pretrain/embed_volume"),
    script:
        "../workflow_scripts/pretrain/embed_volume.py"


rule embed_encoder:
    """Give each usable scan its representation: its volume through an encoder of the user's."""
    input:
        shards=expand("results/patches/extract_volumes/{batch}", batch=batches()),
        included="results/qc/with_volume.tsv",
        roles="results/cohort/roles.tsv",
    output:
        representation="results/embed/{encoder}.tsv",
    log:
        "results/logs/embed_encoder/{encoder}.log",
    benchmark:
        "results/benchmarks/embed_encoder/{encoder}.tsv"
    wildcard_constraints:
        encoder=any_of(own_encoders()),
    conda:
        "../envs/study.yaml"
    threads: pretrain_resource("threads")
    resources:
        mem_mb=pretrain_resource("mem_mb"),
        runtime=pretrain_resource("runtime"),
        gpu=pretrain_resource("gpu"),
    params:
        code=code_hash("pretrain/embed_encoder"),
        entry=lambda wildcards: config["representations"][wildcards.encoder],
        state=lambda wildcards: encoder_state(wildcards.encoder),
    script:
        "../workflow_scripts/pretrain/embed_encoder.py"


rule embed_table:
    """Give each usable scan the representation that a table of the user's holds."""
    input:
        table=lambda wildcards: config["representations"][wildcards.table],
        included="results/qc/included.tsv",
    output:
        representation="results/embed/{table}.tsv",
    log:
        "results/logs/embed_table/{table}.log",
    benchmark:
        "results/benchmarks/embed_table/{table}.tsv"
    wildcard_constraints:
        table=any_of(own_tables()),
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_hash("pretrain/embed_table"),
    script:
        "../workflow_scripts/pretrain/embed_table.py"


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


rule export_bundle:
    """Write the trained networks of a method as a MONAI bundle, to be used or shared without this workflow."""
    input:
        weights=method_weights,
    output:
        bundle=directory("results/pretrain/{method}/export_bundle"),
    log:
        "results/logs/export_bundle/{method}.log",
    benchmark:
        "results/benchmarks/export_bundle/{method}.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        code=code_hash("pretrain/export_bundle"),
    script:
        "../workflow_scripts/pretrain/export_bundle.py"


rule explain_volumes:
    """Show where in the brain a network that was trained on labels finds its evidence, in people it has not seen."""
    input:
        weights="results/pretrain/{method}/pretrain_volume/weights.safetensors",
        card="results/pretrain/{method}/pretrain_volume/weights.json",
        sets="results/pretrain/{method}/pretrain_volume/sets.tsv",
        shards=expand("results/patches/extract_volumes/{batch}", batch=batches()),
        scans="results/cohort/scans.tsv",
        included="results/qc/with_volume.tsv",
    output:
        table="results/pretrain/{method}/explain_volumes/targets.tsv",
        arrays="results/pretrain/{method}/explain_volumes/maps.npz",
    log:
        "results/logs/explain_volumes/{method}.log",
    benchmark:
        "results/benchmarks/explain_volumes/{method}.tsv"
    wildcard_constraints:
        method=any_of(multitask_methods()),
    conda:
        "../envs/study.yaml"
    threads: pretrain_resource("threads")
    resources:
        mem_mb=pretrain_resource("mem_mb"),
        runtime=pretrain_resource("runtime"),
        gpu=pretrain_resource("gpu"),
    params:
        code=code_hash("pretrain/explain_volumes"),
        seed=config["seed"],
        scans=config["radiology"]["explain"]["scans"],
        targets=lambda wildcards: config["pretrain"]["methods"][wildcards.method][
            "targets"
        ],
    script:
        "../workflow_scripts/pretrain/explain_volumes.py"
