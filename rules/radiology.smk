# The 2D arm: images, their groups and splits, weights, and grids of fits.


rule index_images:
    """Read the pictures of a dataset into arrays; those that cannot be used are set aside with the reason."""
    input:
        table=dataset_table,
    output:
        images="results/radiology/index_images/{dataset}/images.tsv",
        pixels="results/radiology/index_images/{dataset}/images.npy",
        masks="results/radiology/index_images/{dataset}/masks.npy",
        dropped="results/radiology/index_images/{dataset}/dropped.tsv",
        counts="results/radiology/index_images/{dataset}/counts.tsv",
    log:
        "results/logs/index_images/{dataset}.log",
    benchmark:
        "results/benchmarks/index_images/{dataset}.tsv"
    wildcard_constraints:
        dataset=any_of(config["radiology"]["datasets"]),
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=code_hash("radiology/index_images"),
        dataset=dataset_entry,
        state=dataset_state,
        options=pick("radiology", "size", "colour", "aspect", "max_excluded_fraction"),
    script:
        "../workflow_scripts/radiology/index_images.py"


rule group_images:
    """Find copies among the images of a dataset, and join them with exams and patients to groups that no split may part."""
    input:
        images="results/radiology/index_images/{dataset}/images.tsv",
        pixels="results/radiology/index_images/{dataset}/images.npy",
        masks="results/radiology/index_images/{dataset}/masks.npy",
        weights=grouping_weights,
    output:
        groups="results/radiology/group_images/{dataset}/groups.tsv",
        pairs="results/radiology/group_images/{dataset}/pairs.tsv",
        conflicts="results/radiology/group_images/{dataset}/conflicts.tsv",
        summary="results/radiology/group_images/{dataset}/summary.tsv",
        page="results/radiology/group_images/{dataset}/pairs.html",
    log:
        "results/logs/group_images/{dataset}.log",
    benchmark:
        "results/benchmarks/group_images/{dataset}.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        code=code_hash("radiology/group_images"),
        dataset=dataset_entry,
        grouping=grouping_settings,
    script:
        "../workflow_scripts/radiology/group_images.py"


rule draw_splits:
    """Draw numbered splits of a dataset: whole groups, and image by image as published."""
    input:
        images="results/radiology/index_images/{dataset}/images.tsv",
        groups="results/radiology/group_images/{dataset}/groups.tsv",
    output:
        splits="results/radiology/draw_splits/{dataset}.tsv",
    log:
        "results/logs/draw_splits/{dataset}.log",
    benchmark:
        "results/benchmarks/draw_splits/{dataset}.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=15,
    params:
        code=code_hash("radiology/draw_splits"),
        seed=config["seed"],
        splits=config["radiology"]["splits"],
    script:
        "../workflow_scripts/radiology/draw_splits.py"


rule import_backbone:
    """Bring weights of a file, or random ones, under this study's names; whatever differs from the published network is refused."""
    input:
        file=lambda wildcards: imported_file("files", wildcards),
        expect=lambda wildcards: imported_file("expect", wildcards),
    output:
        weights="results/radiology/import_backbone/{weights}/{backbone}.safetensors",
        card="results/radiology/import_backbone/{weights}/{backbone}.json",
    log:
        "results/logs/import_backbone/{weights}_{backbone}.log",
    benchmark:
        "results/benchmarks/import_backbone/{weights}_{backbone}.tsv"
    wildcard_constraints:
        weights=any_of(weights_of_kind("random", "files")),
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=15,
    params:
        code=code_hash("radiology/import_backbone"),
        seed=config["seed"],
        entry=weights_entry,
        backbone=backbone_entry,
    script:
        "../workflow_scripts/radiology/import_backbone.py"


rule pretrain_backbone:
    """Train a backbone on the classes of a source dataset; the epoch is chosen on images of other groups."""
    input:
        images=lambda wildcards: "results/radiology/index_images/{}/images.tsv".format(
            config["radiology"]["weights"][wildcards.weights]["dataset"]
        ),
        pixels=lambda wildcards: "results/radiology/index_images/{}/images.npy".format(
            config["radiology"]["weights"][wildcards.weights]["dataset"]
        ),
        masks=lambda wildcards: "results/radiology/index_images/{}/masks.npy".format(
            config["radiology"]["weights"][wildcards.weights]["dataset"]
        ),
        splits=lambda wildcards: "results/radiology/draw_splits/{}.tsv".format(
            config["radiology"]["weights"][wildcards.weights]["dataset"]
        ),
    output:
        weights="results/radiology/pretrain_backbone/{weights}/{backbone}.safetensors",
        card="results/radiology/pretrain_backbone/{weights}/{backbone}.json",
        rows="results/radiology/pretrain_backbone/{weights}/{backbone}.log.tsv",
    log:
        "results/logs/pretrain_backbone/{weights}_{backbone}.log",
    benchmark:
        "results/benchmarks/pretrain_backbone/{weights}_{backbone}.tsv"
    wildcard_constraints:
        weights=any_of(weights_of_kind("trained")),
    conda:
        "../envs/study.yaml"
    threads: radiology_resource("threads")
    resources:
        mem_mb=radiology_resource("mem_mb"),
        runtime=radiology_resource("runtime"),
        gpu=radiology_resource("gpu"),
    params:
        code=code_hash("radiology/pretrain_backbone"),
        seed=config["seed"],
        entry=weights_entry,
        dataset=lambda wildcards: reduced_dataset(
            config["radiology"]["weights"][wildcards.weights]["dataset"]
        ),
        backbone=backbone_entry,
        augmentation=config["radiology"]["augmentation"],
        checkpoint="results/radiology/checkpoints/{weights}_{backbone}.safetensors",
    script:
        "../workflow_scripts/radiology/pretrain_backbone.py"


rule fit_cells:
    """Train every cell of a job of a grid in every split with every seed; what an interrupted job has done is kept."""
    input:
        images=lambda wildcards: expand(
            "results/radiology/index_images/{name}/images.tsv",
            name=chunk_needs(wildcards)["datasets"],
        ),
        pixels=lambda wildcards: expand(
            "results/radiology/index_images/{name}/{file}.npy",
            name=chunk_needs(wildcards)["datasets"],
            file=["images", "masks"],
        ),
        splits=lambda wildcards: expand(
            "results/radiology/draw_splits/{name}.tsv",
            name=chunk_needs(wildcards)["datasets"],
        ),
        weights=lambda wildcards: [
            backbone_weights(*pair) for pair in chunk_needs(wildcards)["backbones"]
        ],
    output:
        fits="results/radiology/fit_cells/{grid}/{chunk}.fits.tsv",
        scores="results/radiology/fit_cells/{grid}/{chunk}.scores.parquet",
        curves="results/radiology/fit_cells/{grid}/{chunk}.curves.tsv",
        weights=directory("results/radiology/fit_cells/{grid}/{chunk}.weights"),
    log:
        "results/logs/fit_cells/{grid}_{chunk}.log",
    benchmark:
        "results/benchmarks/fit_cells/{grid}_{chunk}.tsv"
    wildcard_constraints:
        grid=any_of(grids()),
        chunk=r"\d+",
    conda:
        "../envs/study.yaml"
    threads: radiology_resource("threads")
    resources:
        mem_mb=radiology_resource("mem_mb"),
        runtime=radiology_resource("runtime"),
        gpu=radiology_resource("gpu"),
    params:
        code=code_hash("radiology/fit_cells"),
        seed=config["seed"],
        grid="{grid}",
        cells=chunk_fits,
        datasets=lambda wildcards: {
            name: reduced_dataset(name) for name in chunk_needs(wildcards)["datasets"]
        },
        augmentation=config["radiology"]["augmentation"],
        splits=of_grid("splits"),
        seeds=of_grid("seeds"),
        keep_weights=of_grid("keep_weights"),
        cache_mb=config["radiology"]["cache_mb"],
        checkpoints="results/radiology/checkpoints/{grid}_{chunk}",
    script:
        "../workflow_scripts/radiology/fit_cells.py"
