# Learning curves: models fitted to samples of growing size, the setting of each chosen on validation images.


rule draw_samples:
    """Draw the images that train, choose and test, from the scans that every model has."""
    input:
        tasks="results/cohort/tasks.tsv",
        included="results/qc/included.tsv",
        volumes="results/qc/with_volume.tsv" if curve_models("network") else [],
        representations=[curve_representation(name) for name in curve_models("linear")],
    output:
        samples="results/finetune/draw_samples/samples.parquet",
        pool="results/finetune/draw_samples/pool.tsv",
        sizes="results/finetune/draw_samples/sizes.tsv",
    log:
        "results/logs/draw_samples/draw_samples.log",
    benchmark:
        "results/benchmarks/draw_samples/draw_samples.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        code=code_hash("finetune/draw_samples"),
        seed=config["seed"],
        linear=curve_models("linear"),
        networks=curve_models("network"),
        finetune=pick(
            "finetune", "tasks", "sizes", "repeats", "evaluation_share", "stratify"
        ),
    script:
        "../workflow_scripts/finetune/draw_samples.py"


rule fit_linear:
    """Fit a linear model on a representation to every sample."""
    input:
        representation=lambda wildcards: curve_representation(wildcards.model),
        samples="results/finetune/draw_samples/samples.parquet",
    output:
        fits="results/finetune/fit_linear/{model}.fits.tsv",
        scores="results/finetune/fit_linear/{model}.parquet",
    log:
        "results/logs/fit_linear/{model}.log",
    benchmark:
        "results/benchmarks/fit_linear/{model}.tsv"
    wildcard_constraints:
        model=any_of(curve_models("linear")),
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=code_hash("finetune/fit_linear"),
        linear=config["finetune"]["linear"],
    script:
        "../workflow_scripts/finetune/fit_linear.py"


rule fit_networks:
    """Finetune a network on each sample of a chunk with each setting; what an interrupted job has done is kept."""
    input:
        samples="results/finetune/draw_samples/samples.parquet",
        weights=curve_weights,
        shards=curve_shards,
    output:
        fits="results/finetune/fit_networks/{model}/{task}_{n}_{chunk}.fits.tsv",
        scores="results/finetune/fit_networks/{model}/{task}_{n}_{chunk}.parquet",
    log:
        "results/logs/fit_networks/{model}/{task}_{n}_{chunk}.log",
    benchmark:
        "results/benchmarks/fit_networks/{model}/{task}_{n}_{chunk}.tsv"
    wildcard_constraints:
        model=any_of(curve_models("network")),
        task=any_of(config["finetune"]["tasks"]),
        n=r"\d+",
    conda:
        "../envs/study.yaml"
    threads: finetune_resource("threads")
    resources:
        mem_mb=finetune_resource("mem_mb"),
        runtime=finetune_resource("runtime"),
        gpu=finetune_resource("gpu"),
    params:
        code=code_hash("finetune/fit_networks"),
        seed=config["seed"],
        fit=config["finetune"]["network"],
        network=lambda wildcards: curve_network(wildcards.model),
        repeats_per_job=config["finetune"]["repeats_per_job"],
        checkpoints="results/finetune/checkpoints/{model}/{task}_{n}_{chunk}",
    script:
        "../workflow_scripts/finetune/fit_networks.py"


rule measure_fit:
    """Time a step of each network on made-up volumes, for `snakemake plan`."""
    output:
        costs="results/finetune/measure_fit/fit_costs.tsv",
    log:
        "results/logs/measure_fit/measure_fit.log",
    benchmark:
        "results/benchmarks/measure_fit/measure_fit.tsv"
    conda:
        "../envs/study.yaml"
    threads: finetune_resource("threads")
    resources:
        mem_mb=finetune_resource("mem_mb"),
        runtime=30,
        gpu=finetune_resource("gpu"),
    params:
        code=code_hash("finetune/measure_fit"),
        seed=config["seed"],
        fit=config["finetune"]["network"],
        networks={name: curve_network(name) for name in curve_models("network")},
    script:
        "../workflow_scripts/finetune/measure_fit.py"


rule compare_curves:
    """Put all fits together, summarise them, and compare the models as published and with tests that hold."""
    input:
        samples="results/finetune/draw_samples/samples.parquet",
        pool="results/finetune/draw_samples/pool.tsv",
        sizes="results/finetune/draw_samples/sizes.tsv",
        fits=curve_parts("fits.tsv"),
        scores=curve_parts("parquet"),
    output:
        fits="results/finetune/compare_curves/fits.tsv",
        scores="results/finetune/compare_curves/scores.parquet",
        summary="results/finetune/compare_curves/summary.tsv",
        comparisons="results/finetune/compare_curves/comparisons.tsv",
        results="results/finetune/compare_curves/results.md",
        page=report(
            "results/finetune/compare_curves/results.html",
            category="Learning curves",
            labels={"shows": "results in words"},
        ),
    log:
        "results/logs/compare_curves/compare_curves.log",
    benchmark:
        "results/benchmarks/compare_curves/compare_curves.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code_hash("finetune/compare_curves"),
        seed=config["seed"],
        options=pick("probe", "n_permutations", "level"),
        models=config["finetune"]["models"],
        tasks=config["tasks"],
    script:
        "../workflow_scripts/finetune/compare_curves.py"


rule plan:
    """Tell people, fits, jobs, hours and disk before anything is launched; needs no image. It has no output: it speaks each time."""
    input:
        task_counts="results/cohort/task_counts.tsv",
        tasks="results/cohort/tasks.tsv",
        costs=(
            "results/finetune/measure_fit/fit_costs.tsv"
            if curve_models("network")
            else []
        ),
    log:
        "results/logs/plan/plan.log",
    localrule: True
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("finetune/plan"),
        seed=config["seed"],
        finetune=config["finetune"],
        probe=pick("probe", "n_resamples"),
        representations=len(representations()),
        folders={"patch store": "results/patches", "fits so far": "results/finetune"},
        text="results/plan.txt",
    script:
        "../workflow_scripts/finetune/plan.py"
