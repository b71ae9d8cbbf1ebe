rule estimate_gaps:
    """Fit a normative model of age on each representation and compute everybody's brain-age gap."""
    input:
        representations=expand(
            "results/embed/{representation}.tsv", representation=gap_representations()
        ),
        scans="results/cohort/scans.tsv",
        roles="results/cohort/roles.tsv",
        included="results/qc/included.tsv",
    output:
        gaps="results/brainage/gaps.tsv",
        metrics="results/brainage/metrics.tsv",
        age_bias="results/brainage/age_bias.tsv",
        correlations="results/brainage/correlations.tsv",
        buckets="results/brainage/buckets.tsv",
        models=expand(
            "results/brainage/models/{representation}.json",
            representation=gap_representations(),
        ),
    log:
        "results/logs/estimate_gaps/estimate_gaps.log",
    benchmark:
        "results/benchmarks/estimate_gaps/estimate_gaps.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        code=code_hash("brainage/estimate_gaps"),
        seed=config["seed"],
        version=study_version(),
        representations=gap_representations(),
        methods=methods(),
        features=pick("features", "list", "subsets"),
        harmonise=config["harmonise"],
        brainage=pick(
            "brainage",
            "buckets",
            "per_bucket",
            "alpha",
            "folds",
            "debias",
            "fit_on",
            "level",
        ),
    script:
        "../workflow_scripts/brainage/estimate_gaps.py"


rule apply_age_card:
    """Compute gaps of all scans by the card of a model that was trained elsewhere."""
    input:
        card=lambda wildcards: config["brainage"]["cards"][wildcards.name]["card"],
        representation=lambda wildcards: "results/embed/{}.tsv".format(
            config["brainage"]["cards"][wildcards.name]["representation"]
        ),
        scans="results/cohort/scans.tsv",
        included="results/qc/included.tsv",
    output:
        gaps="results/brainage/apply_age_card/{name}.tsv",
        metrics="results/brainage/apply_age_card/{name}.metrics.tsv",
    log:
        "results/logs/apply_age_card/{name}.log",
    benchmark:
        "results/benchmarks/apply_age_card/{name}.tsv"
    wildcard_constraints:
        name=any_of(config["brainage"]["cards"]),
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        code=code_hash("brainage/apply_age_card"),
    script:
        "../workflow_scripts/brainage/apply_age_card.py"


rule associate_gaps:
    """Test the gaps against post-mortem findings at the last scan before death, and between diagnoses."""
    input:
        representations=expand(
            "results/embed/{representation}.tsv", representation=gap_representations()
        ),
        models=expand(
            "results/brainage/models/{representation}.json",
            representation=gap_representations(),
        ),
        gaps="results/brainage/gaps.tsv",
        scans="results/cohort/scans.tsv",
        included="results/qc/included.tsv",
        neuropathology=neuropathology_table(),
        icv="results/features/harmonised.tsv" if config["brainage"]["icv"] else [],
    output:
        neuropathology="results/brainage/associate_gaps/neuropathology.tsv",
        neuropathology_people="results/brainage/associate_gaps/neuropathology_people.tsv",
        groups="results/brainage/associate_gaps/groups.tsv",
        group_people="results/brainage/associate_gaps/group_people.tsv",
    log:
        "results/logs/associate_gaps/associate_gaps.log",
    benchmark:
        "results/benchmarks/associate_gaps/associate_gaps.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        code=code_hash("brainage/associate_gaps"),
        representations=gap_representations(),
        brainage=pick("brainage", "icv", "level", "fdr"),
    script:
        "../workflow_scripts/brainage/associate_gaps.py"
