rule probe_representation:
    """Ask one representation every task with a linear head, leaving people out many times over."""
    input:
        representation="results/embed/{representation}.tsv",
        tasks="results/cohort/tasks.tsv",
        included="results/qc/included.tsv",
    output:
        scores="results/probe/probe_representation/{representation}.parquet",
    log:
        "results/logs/probe_representation/{representation}.log",
    benchmark:
        "results/benchmarks/probe_representation/{representation}.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        code=code_hash("probe/probe_representation"),
        seed=config["seed"],
        probe=pick(
            "probe",
            "n_resamples",
            "n_test",
            "test_fraction",
            "stratify",
            "c",
            "alpha",
            "min_participants",
        ),
    script:
        "../workflow_scripts/probe/probe_representation.py"


rule compare_ablations:
    """Compare what the config names as ablations, on each task."""
    input:
        scores=expand(
            "results/probe/probe_representation/{representation}.parquet",
            representation=config["pretrain"]["ablations"],
        ),
        tasks="results/cohort/tasks.tsv",
    output:
        summary="results/probe/compare_ablations/summary.tsv",
        comparisons="results/probe/compare_ablations/comparisons.tsv",
        coverage="results/probe/compare_ablations/coverage.tsv",
    log:
        "results/logs/compare_ablations/compare_ablations.log",
    benchmark:
        "results/benchmarks/compare_ablations/compare_ablations.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code_hash("probe/compare_ablations"),
        seed=config["seed"],
        representations=config["pretrain"]["ablations"],
        probe=pick("probe", *COMPARE_KEYS),
    script:
        "../workflow_scripts/probe/compare_ablations.py"


rule compare_probes:
    """Compare the representations on each task: as published, and with tests that hold for the population."""
    input:
        scores=expand(
            "results/probe/probe_representation/{representation}.parquet",
            representation=representations(),
        ),
        tasks="results/cohort/tasks.tsv",
    output:
        resamples="results/probe/compare_probes/resamples.tsv",
        heldout="results/probe/compare_probes/heldout.parquet",
        coverage="results/probe/compare_probes/coverage.tsv",
        summary="results/probe/compare_probes/summary.tsv",
        comparisons="results/probe/compare_probes/comparisons.tsv",
        sensitivity="results/probe/compare_probes/sensitivity.tsv",
    log:
        "results/logs/compare_probes/compare_probes.log",
    benchmark:
        "results/benchmarks/compare_probes/compare_probes.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=2500,
        runtime=60,
    params:
        code=code_hash("probe/compare_probes"),
        seed=config["seed"],
        representations=representations(),
        probe=pick("probe", *COMPARE_KEYS),
    script:
        "../workflow_scripts/probe/compare_probes.py"


rule report_comparisons:
    """Write the page of all comparisons: both kinds of p, what each test is conditional on, which scans are compared."""
    input:
        comparisons="results/probe/compare_probes/comparisons.tsv",
        summary="results/probe/compare_probes/summary.tsv",
        sensitivity="results/probe/compare_probes/sensitivity.tsv",
        coverage="results/probe/compare_probes/coverage.tsv",
        heldout="results/probe/compare_probes/heldout.parquet",
        forest="results/figures/comparison_forest.png",
        by_resamples="results/figures/permutation_sensitivity.png",
    output:
        page=report(
            "results/probe/compare_probes/report.html",
            caption="../workflow_scripts/figures/captions/comparison_report.rst",
            category="Probes",
            labels={"shows": "comparisons in numbers"},
        ),
    log:
        "results/logs/report_comparisons/report_comparisons.log",
    benchmark:
        "results/benchmarks/report_comparisons/report_comparisons.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("probe/report_comparisons"),
        tasks=config["tasks"],
        probe=pick(
            "probe",
            "permutation",
            "p_rule",
            "n_permutations",
            "n_swaps",
            "n_bootstrap",
            "level",
            "reference",
        ),
    script:
        "../workflow_scripts/probe/report_comparisons.py"


rule explain_features:
    """Ask how much of the regional features a linear map of each representation explains, and the other way round."""
    input:
        representations=expand(
            "results/embed/{representation}.tsv",
            representation=[*methods(), *config["representations"]],
        ),
        features="results/embed/features.tsv",
        roles="results/cohort/roles.tsv",
    output:
        explained="results/probe/explain_features/explained.tsv",
    log:
        "results/logs/explain_features/explain_features.log",
    benchmark:
        "results/benchmarks/explain_features/explain_features.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code_hash("probe/explain_features"),
        seed=config["seed"],
        names=[*methods(), *config["representations"]],
        interpret=pick("interpret", "alpha", "folds", "n_bootstrap", "level"),
    script:
        "../workflow_scripts/probe/explain_features.py"


rule rank_regions:
    """Ask which locations carry a method's predictions: what scores lose without each, and what attention says."""
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
        scores="results/probe/probe_representation/{method}.parquet",
        tasks="results/cohort/tasks.tsv",
        included="results/qc/with_volume.tsv",
    output:
        ranked="results/probe/rank_regions/{method}.tsv",
    log:
        "results/logs/rank_regions/{method}.log",
    benchmark:
        "results/benchmarks/rank_regions/{method}.tsv"
    wildcard_constraints:
        method=any_of(patch_methods()),
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code_hash("probe/rank_regions"),
        representation=config["pretrain"]["representation"],
        probe=pick("probe", "n_test", "test_fraction", "stratify", "c", "alpha"),
        continuous_metric=config["probe"]["continuous_metric"],
        interpret=pick("interpret", "tasks", "n_resamples", "reading", "level"),
    script:
        "../workflow_scripts/probe/rank_regions.py"


rule calibrate_tests:
    """Simulate studies of one published design under a true null and planted differences, and count what each test rejects."""
    output:
        counts="results/probe/calibrate_tests/{cell}/{chunk}.tsv",
    log:
        "results/logs/calibrate_tests/{cell}/{chunk}.log",
    benchmark:
        "results/benchmarks/calibrate_tests/{cell}/{chunk}.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        code=code_hash("probe/calibrate_tests"),
        seed=config["seed"],
        calibration=pick(
            "calibration",
            "designs",
            "simulations",
            "power_simulations",
            "simulations_per_job",
            "effects",
            "auc",
            "columns",
            "shared",
            "c",
            "n_permutations",
            "n_swaps",
            "n_bootstrap",
        ),
    script:
        "../workflow_scripts/probe/calibrate_tests.py"


rule collect_calibration:
    """Add the counts of all chunks up: the share of simulated studies that each test rejects."""
    input:
        counts=expand(
            "results/probe/calibrate_tests/{cell}/{chunk}.tsv",
            cell=calibration_cells(),
            chunk=calibration_chunks(),
        ),
    output:
        calibration="results/probe/collect_calibration/calibration.tsv",
    log:
        "results/logs/collect_calibration/collect_calibration.log",
    benchmark:
        "results/benchmarks/collect_calibration/collect_calibration.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    params:
        code=code_hash("probe/collect_calibration"),
    script:
        "../workflow_scripts/probe/collect_calibration.py"
