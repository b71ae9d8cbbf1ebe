rule make_cohort:
    """Take the scans of all inputs and give each its batch, roles, split and labels."""
    input:
        phantom=participants_table,
        index=INDEX["index"] if own_inputs(config) else [],
    output:
        scans="results/cohort/scans.tsv",
        roles="results/cohort/roles.tsv",
        tasks="results/cohort/tasks.tsv",
        task_counts="results/cohort/task_counts.tsv",
    log:
        "results/logs/make_cohort/make_cohort.log",
    benchmark:
        "results/benchmarks/make_cohort/make_cohort.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("cohort/make_cohort"),
        cohort=pick("cohort", "scans_per_job", "label_columns", "roles"),
        phantom=phantom_name(),
        tasks=config["tasks"],
        min_participants=config["probe"]["min_participants"],
    script:
        "../workflow_scripts/cohort/make_cohort.py"
