# Figures of the 2D arm: one each for all grids.


rule factor_boxes:
    """Show validation scores of all fits by each factor that varies."""
    input:
        fits=of_grids("results/radiology/collect_grid/{grid}/fits.tsv"),
    output:
        png=report(
            "results/figures/factor_boxes.png",
            caption="../workflow_scripts/figures/captions/factor_boxes.rst",
            category="Transfer to images",
            labels={"shows": "scores by factor"},
        ),
        pdf="results/figures/factor_boxes.pdf",
        csv="results/figures/factor_boxes.csv",
    log:
        "results/logs/factor_boxes/factor_boxes.log",
    benchmark:
        "results/benchmarks/factor_boxes/factor_boxes.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=15,
    params:
        code=code_hash("figures/factor_boxes"),
        grids=grids(),
        titles=image_titles(),
    script:
        "../workflow_scripts/figures/factor_boxes.py"


rule unfreezing_points:
    """Show AUCs against how much of the backbone learns."""
    input:
        fits=of_grids("results/radiology/collect_grid/{grid}/fits.tsv"),
    output:
        png=report(
            "results/figures/unfreezing_points.png",
            caption="../workflow_scripts/figures/captions/unfreezing_points.rst",
            category="Transfer to images",
            labels={"shows": "unfreezing"},
        ),
        pdf="results/figures/unfreezing_points.pdf",
        csv="results/figures/unfreezing_points.csv",
    log:
        "results/logs/unfreezing_points/unfreezing_points.log",
    benchmark:
        "results/benchmarks/unfreezing_points/unfreezing_points.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/unfreezing_points"),
        grids=grids(),
        titles=image_titles(),
    script:
        "../workflow_scripts/figures/unfreezing_points.py"


rule grid_curves:
    """Show loss and validation scores by epoch of the selected models."""
    input:
        curves=of_grids("results/radiology/collect_grid/{grid}/curves.tsv"),
        selection=of_grids("results/radiology/collect_grid/{grid}/selection.tsv"),
    output:
        png=report(
            "results/figures/grid_curves.png",
            caption="../workflow_scripts/figures/captions/grid_curves.rst",
            category="Transfer to images",
            labels={"shows": "training of the selected models"},
        ),
        pdf="results/figures/grid_curves.pdf",
        csv="results/figures/grid_curves.csv",
    log:
        "results/logs/grid_curves/grid_curves.log",
    benchmark:
        "results/benchmarks/grid_curves/grid_curves.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/grid_curves"),
        grids=grids(),
        titles=image_titles(),
    script:
        "../workflow_scripts/figures/grid_curves.py"


rule roc_curves:
    """Show ROC curves of the selected models with bands, and their AUCs with intervals."""
    input:
        roc=of_grids("results/radiology/compare_grid/{grid}/roc.tsv"),
        intervals=of_grids("results/radiology/compare_grid/{grid}/intervals.tsv"),
    output:
        png=report(
            "results/figures/roc_curves.png",
            caption="../workflow_scripts/figures/captions/roc_curves.rst",
            category="Transfer to images",
            labels={"shows": "ROC curves"},
        ),
        pdf="results/figures/roc_curves.pdf",
        csv="results/figures/roc_curves.csv",
    log:
        "results/logs/roc_curves/roc_curves.log",
    benchmark:
        "results/benchmarks/roc_curves/roc_curves.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/roc_curves"),
        grids=grids(),
        titles=image_titles(),
    script:
        "../workflow_scripts/figures/roc_curves.py"


rule image_calibration:
    """Show how often images are positive against the probability that the selected models give them."""
    input:
        calibration=of_grids("results/radiology/compare_grid/{grid}/calibration.tsv"),
    output:
        png=report(
            "results/figures/image_calibration.png",
            caption="../workflow_scripts/figures/captions/image_calibration.rst",
            category="Transfer to images",
            labels={"shows": "calibration"},
        ),
        pdf="results/figures/image_calibration.pdf",
        csv="results/figures/image_calibration.csv",
    log:
        "results/logs/image_calibration/image_calibration.log",
    benchmark:
        "results/benchmarks/image_calibration/image_calibration.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/image_calibration"),
        grids=grids(),
        titles=image_titles(),
    script:
        "../workflow_scripts/figures/image_calibration.py"


rule grid_effects:
    """Show contrasts of weights and heads: published, and with intervals of settings and of patients."""
    input:
        contrasts=of_grids("results/radiology/compare_grid/{grid}/contrasts.tsv"),
        effects=of_grids("results/radiology/compare_grid/{grid}/effects.tsv"),
        fits=of_grids("results/radiology/collect_grid/{grid}/fits.tsv"),
    output:
        png=report(
            "results/figures/grid_effects.png",
            caption="../workflow_scripts/figures/captions/grid_effects.rst",
            category="Transfer to images",
            labels={"shows": "effects of weights and heads"},
        ),
        pdf="results/figures/grid_effects.pdf",
        csv="results/figures/grid_effects.csv",
    log:
        "results/logs/grid_effects/grid_effects.log",
    benchmark:
        "results/benchmarks/grid_effects/grid_effects.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/grid_effects"),
        grids=grids(),
        titles=image_titles(),
    script:
        "../workflow_scripts/figures/grid_effects.py"


rule duplicate_pairs:
    """Draw pairs of images that may not be parted, of all datasets."""
    input:
        images=of_datasets("index_images/{dataset}/images.tsv"),
        pixels=of_datasets("index_images/{dataset}/images.npy"),
        masks=of_datasets("index_images/{dataset}/masks.npy"),
        pairs=of_datasets("group_images/{dataset}/pairs.tsv"),
    output:
        png=report(
            "results/figures/duplicate_pairs.png",
            caption="../workflow_scripts/figures/captions/duplicate_pairs.rst",
            category="Transfer to images",
            labels={"shows": "pairs of copies"},
        ),
        pdf="results/figures/duplicate_pairs.pdf",
        csv="results/figures/duplicate_pairs.csv",
    log:
        "results/logs/duplicate_pairs/duplicate_pairs.log",
    benchmark:
        "results/benchmarks/duplicate_pairs/duplicate_pairs.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=15,
    params:
        code=code_hash("figures/duplicate_pairs"),
        datasets={
            name: config["radiology"]["datasets"][name]
            for name in radiology_datasets()
        },
    script:
        "../workflow_scripts/figures/duplicate_pairs.py"


rule grouping_inflation:
    """Draw the test AUC with groups kept whole and with groups parted."""
    input:
        grouping=of_grids("results/radiology/compare_grid/{grid}/grouping.tsv"),
    output:
        png=report(
            "results/figures/grouping_inflation.png",
            caption="../workflow_scripts/figures/captions/grouping_inflation.rst",
            category="Transfer to images",
            labels={"shows": "groups ignored"},
        ),
        pdf="results/figures/grouping_inflation.pdf",
        csv="results/figures/grouping_inflation.csv",
    log:
        "results/logs/grouping_inflation/grouping_inflation.log",
    benchmark:
        "results/benchmarks/grouping_inflation/grouping_inflation.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=15,
    params:
        code=code_hash("figures/grouping_inflation"),
        grids={name: image_titles()["grid"][name] for name in grids()},
        datasets=image_titles()["dataset"],
    script:
        "../workflow_scripts/figures/grouping_inflation.py"


rule gradcam_panels:
    """Show images with their Grad-CAM maps: the surest right and wrong predictions of each explained cell."""
    input:
        panels=expand(
            "results/radiology/explain_grid/{grid}/panels.tsv", grid=kept_grids()
        ),
        pictures=expand(
            "results/radiology/explain_grid/{grid}/panels.npz", grid=kept_grids()
        ),
    output:
        png=report(
            "results/figures/gradcam_panels.png",
            caption="../workflow_scripts/figures/captions/gradcam_panels.rst",
            category="Transfer to images",
            labels={"shows": "maps of cases"},
        ),
        pdf="results/figures/gradcam_panels.pdf",
        csv="results/figures/gradcam_panels.csv",
    log:
        "results/logs/gradcam_panels/gradcam_panels.log",
    benchmark:
        "results/benchmarks/gradcam_panels/gradcam_panels.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_hash("figures/gradcam_panels"),
        grids=kept_grids(),
        datasets=config["radiology"]["datasets"],
    script:
        "../workflow_scripts/figures/gradcam_panels.py"


rule gradcam_measures:
    """Show what Grad-CAM maps are worth: energy in the lesion, pointing, insertion, deletion, maps without learned weights."""
    input:
        summary=expand(
            "results/radiology/explain_grid/{grid}/summary.tsv", grid=kept_grids()
        ),
        randomisation=expand(
            "results/radiology/explain_grid/{grid}/randomisation.tsv",
            grid=kept_grids(),
        ),
    output:
        png=report(
            "results/figures/gradcam_measures.png",
            caption="../workflow_scripts/figures/captions/gradcam_measures.rst",
            category="Transfer to images",
            labels={"shows": "measures of maps"},
        ),
        pdf="results/figures/gradcam_measures.pdf",
        csv="results/figures/gradcam_measures.csv",
    log:
        "results/logs/gradcam_measures/gradcam_measures.log",
    benchmark:
        "results/benchmarks/gradcam_measures/gradcam_measures.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/gradcam_measures"),
        grids=kept_grids(),
        datasets=config["radiology"]["datasets"],
    script:
        "../workflow_scripts/figures/gradcam_measures.py"


rule volume_gradcam:
    """Show the mean 3D Grad-CAM maps of a network that was trained on labels."""
    input:
        table="results/pretrain/{method}/explain_volumes/targets.tsv",
        arrays="results/pretrain/{method}/explain_volumes/maps.npz",
    output:
        png=report(
            "results/figures/volume_gradcam/{method}.png",
            caption="../workflow_scripts/figures/captions/volume_gradcam.rst",
            category="Pretraining",
            labels={"shows": "evidence of {method}"},
        ),
        pdf="results/figures/volume_gradcam/{method}.pdf",
        csv="results/figures/volume_gradcam/{method}.csv",
    log:
        "results/logs/volume_gradcam/{method}.log",
    benchmark:
        "results/benchmarks/volume_gradcam/{method}.tsv"
    wildcard_constraints:
        method=any_of(multitask_methods()),
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_hash("figures/volume_gradcam"),
    script:
        "../workflow_scripts/figures/volume_gradcam.py"
