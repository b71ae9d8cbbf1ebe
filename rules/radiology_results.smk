# What the fits of the 2D arm show: statistics, explanations, a page.


rule collect_grid:
    """Join the fits of all jobs of a grid; the validation set chooses a cell for each dataset and weights."""
    input:
        fits=grid_parts("fits.tsv"),
        scores=grid_parts("scores.parquet"),
        curves=grid_parts("curves.tsv"),
    output:
        fits="results/radiology/collect_grid/{grid}/fits.tsv",
        scores="results/radiology/collect_grid/{grid}/scores.parquet",
        curves="results/radiology/collect_grid/{grid}/curves.tsv",
        selection="results/radiology/collect_grid/{grid}/selection.tsv",
    log:
        "results/logs/collect_grid/{grid}.log",
    benchmark:
        "results/benchmarks/collect_grid/{grid}.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        code=code_hash("radiology/collect_grid"),
        cells=lambda w: [
            cell["cell"] for cell in cells.expand(config["radiology"], w.grid)
        ],
        splits=of_grid("splits"),
        seeds=of_grid("seeds"),
    script:
        "../workflow_scripts/radiology/collect_grid.py"


rule compare_grid:
    """Mixed models, planned contrasts, tests between selected models, intervals and curves of a grid."""
    input:
        fits="results/radiology/collect_grid/{grid}/fits.tsv",
        scores="results/radiology/collect_grid/{grid}/scores.parquet",
        selection="results/radiology/collect_grid/{grid}/selection.tsv",
        images=lambda w: expand(
            "results/radiology/index_images/{dataset}/images.tsv",
            dataset=grid_datasets(w.grid),
        ),
        splits=lambda w: expand(
            "results/radiology/draw_splits/{dataset}.tsv",
            dataset=grid_datasets(w.grid),
        ),
    output:
        effects="results/radiology/compare_grid/{grid}/effects.tsv",
        variances="results/radiology/compare_grid/{grid}/variances.tsv",
        contrasts="results/radiology/compare_grid/{grid}/contrasts.tsv",
        tests="results/radiology/compare_grid/{grid}/tests.tsv",
        ranks="results/radiology/compare_grid/{grid}/ranks.tsv",
        grouping="results/radiology/compare_grid/{grid}/grouping.tsv",
        intervals="results/radiology/compare_grid/{grid}/intervals.tsv",
        roc="results/radiology/compare_grid/{grid}/roc.tsv",
        calibration="results/radiology/compare_grid/{grid}/calibration.tsv",
    log:
        "results/logs/compare_grid/{grid}.log",
    benchmark:
        "results/benchmarks/compare_grid/{grid}.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        code=code_hash("radiology/compare_grid"),
        seed=config["seed"],
        # in the order of input.images and input.splits
        datasets=grid_entries,
        statistics=config["radiology"]["statistics"],
    script:
        "../workflow_scripts/radiology/compare_grid.py"


rule explain_grid:
    """Show where the kept classifiers of a grid look, and whether that means anything."""
    input:
        weights=grid_parts("weights"),
        images=lambda w: expand(
            "results/radiology/index_images/{dataset}/images.tsv",
            dataset=grid_datasets(w.grid),
        ),
        pixels=lambda w: expand(
            "results/radiology/index_images/{dataset}/{file}.npy",
            dataset=grid_datasets(w.grid),
            file=["images", "masks"],
        ),
        splits=lambda w: expand(
            "results/radiology/draw_splits/{dataset}.tsv",
            dataset=grid_datasets(w.grid),
        ),
    output:
        measures="results/radiology/explain_grid/{grid}/measures.tsv",
        summary="results/radiology/explain_grid/{grid}/summary.tsv",
        randomisation="results/radiology/explain_grid/{grid}/randomisation.tsv",
        panels="results/radiology/explain_grid/{grid}/panels.tsv",
        pictures="results/radiology/explain_grid/{grid}/panels.npz",
    log:
        "results/logs/explain_grid/{grid}.log",
    benchmark:
        "results/benchmarks/explain_grid/{grid}.tsv"
    conda:
        "../envs/study.yaml"
    threads: radiology_resource("threads")
    resources:
        mem_mb=radiology_resource("mem_mb"),
        runtime=radiology_resource("runtime"),
        gpu=radiology_resource("gpu"),
    params:
        code=code_hash("radiology/explain_grid"),
        seed=config["seed"],
        datasets=grid_entries,
        explain=config["radiology"]["explain"],
        n_bootstrap=config["radiology"]["statistics"]["n_bootstrap"],
        level=config["radiology"]["statistics"]["level"],
    script:
        "../workflow_scripts/radiology/explain_grid.py"


rule radiology_page:
    """Write the page of the 2D arm: datasets, groups, models, effects, tests, explanations, in words and tables."""
    input:
        counts=of_datasets("index_images/{dataset}/counts.tsv"),
        dropped=of_datasets("index_images/{dataset}/dropped.tsv"),
        groups=of_datasets("group_images/{dataset}/groups.tsv"),
        pairs=of_datasets("group_images/{dataset}/pairs.tsv"),
        conflicts=of_datasets("group_images/{dataset}/conflicts.tsv"),
        fits=of_grids("results/radiology/collect_grid/{grid}/fits.tsv"),
        selection=of_grids("results/radiology/collect_grid/{grid}/selection.tsv"),
        effects=of_grids("results/radiology/compare_grid/{grid}/effects.tsv"),
        variances=of_grids("results/radiology/compare_grid/{grid}/variances.tsv"),
        contrasts=of_grids("results/radiology/compare_grid/{grid}/contrasts.tsv"),
        tests=of_grids("results/radiology/compare_grid/{grid}/tests.tsv"),
        ranks=of_grids("results/radiology/compare_grid/{grid}/ranks.tsv"),
        grouping=of_grids("results/radiology/compare_grid/{grid}/grouping.tsv"),
        # explained and randomisation: grids with keep_weights only
        explained=expand(
            "results/radiology/explain_grid/{grid}/summary.tsv", grid=kept_grids()
        ),
        randomisation=expand(
            "results/radiology/explain_grid/{grid}/randomisation.tsv",
            grid=kept_grids(),
        ),
        pictures=expand("results/figures/{name}.png", name=IMAGE_FIGURES),
    output:
        page=report(
            "results/radiology/radiology_page/report.html",
            caption="../workflow_scripts/figures/captions/radiology_page.rst",
            category="Transfer to images",
            labels={"shows": "the page"},
        ),
    log:
        "results/logs/radiology_page/radiology_page.log",
    benchmark:
        "results/benchmarks/radiology_page/radiology_page.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=15,
    params:
        code=code_hash("radiology/radiology_page"),
        # in the order of the inputs of each kind
        names={"dataset": radiology_datasets(), "grid": grids()},
        explained=kept_grids(),
        titles=image_titles(),
        # addresses as seen from the page
        links={
            name: f"../group_images/{name}/pairs.html" for name in radiology_datasets()
        },
    script:
        "../workflow_scripts/radiology/radiology_page.py"


rule plan_radiology:
    """Tell cells, fits, jobs, parameters and memory of all grids; needs the counts of images only. It speaks each time."""
    input:
        counts=expand(
            "results/radiology/index_images/{name}/counts.tsv",
            name=radiology_datasets(),
        ),
    log:
        "results/logs/plan_radiology/plan_radiology.log",
    localrule: True
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_hash("radiology/plan_radiology"),
        radiology=config["radiology"],
        datasets=radiology_datasets(),
        text="results/plan_radiology.txt",
    script:
        "../workflow_scripts/radiology/plan_radiology.py"
