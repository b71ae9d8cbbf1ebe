rule collect_features:
    """Collect the regional features of the usable scans in one table."""
    input:
        brains=expand("results/preprocess/preprocess_scans/{batch}", batch=batches()),
        included="results/qc/included.tsv",
        qc="results/qc/scans.tsv",
    output:
        features="results/features/features.tsv",
        assignment="results/features/assignment.tsv",
        provenance="results/features/provenance.tsv",
    log:
        "results/logs/collect_features/collect_features.log",
    benchmark:
        "results/benchmarks/collect_features/collect_features.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("features/collect_features"),
        features=config["features"],
    script:
        "../workflow_scripts/features/collect_features.py"


rule harmonise:
    """Take the sites out of the features with ComBat estimated on training participants."""
    input:
        features="results/features/features.tsv",
        scans="results/cohort/scans.tsv",
    output:
        features="results/features/harmonised.tsv",
        model="results/features/combat.json",
    log:
        "results/logs/harmonise/harmonise.log",
    benchmark:
        "results/benchmarks/harmonise/harmonise.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        code=code_hash("features/harmonise"),
        harmonise=config["harmonise"],
    script:
        "../workflow_scripts/features/harmonise.py"


rule assess_sites:
    """Say how well sites can be told from the features before and after harmonisation."""
    input:
        measured="results/features/features.tsv",
        harmonised="results/features/harmonised.tsv",
        scans="results/cohort/scans.tsv",
    output:
        sites="results/features/sites.tsv",
    log:
        "results/logs/assess_sites/assess_sites.log",
    benchmark:
        "results/benchmarks/assess_sites/assess_sites.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        code=code_hash("features/assess_sites"),
        seed=config["seed"],
        covariates=config["harmonise"]["covariates"],
        level=config["probe"]["level"],
    script:
        "../workflow_scripts/features/assess_sites.py"


rule select_features:
    """Make a representation of some of the regional features, harmonised or as measured."""
    input:
        features=lambda wildcards: (
            "results/features/harmonised.tsv"
            if config["features"]["subsets"][wildcards.subset]["harmonised"]
            else "results/features/features.tsv"
        ),
        included="results/qc/included.tsv",
    output:
        representation="results/embed/{subset}.tsv",
    log:
        "results/logs/select_features/{subset}.log",
    benchmark:
        "results/benchmarks/select_features/{subset}.tsv"
    wildcard_constraints:
        subset=any_of(config["features"]["subsets"]),
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("features/select_features"),
        list=lambda wildcards: (
            config["features"]["subsets"][wildcards.subset]["list"]
            or config["features"]["list"]
        ),
    script:
        "../workflow_scripts/features/select_features.py"
