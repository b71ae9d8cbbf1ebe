rule segment_scans:
    """Segment the T1w volumes of a batch with FastSurfer, on a GPU if config gives one."""
    input:
        scans=batch_scans,
        files=scan_files,
    output:
        table="results/preprocess/segment_scans/{batch}.tsv",
    log:
        "results/logs/segment_scans/{batch}.log",
    benchmark:
        "results/benchmarks/segment_scans/{batch}.tsv"
    conda:
        "../envs/study.yaml"
    threads: tool_resource("threads")
    resources:
        mem_mb=tool_resource("memory_mb"),
        runtime=tool_minutes(),
        gpu=config["preprocess"]["tool"]["gpu"],
    params:
        code=code_hash("preprocess/segment_scans"),
        preprocess=tool_settings(),
        state=batch_state,
        subjects=SUBJECTS,
    script:
        "../workflow_scripts/preprocess/segment_scans.py"


rule reconstruct_scans:
    """Run FreeSurfer on the T1w volumes of a batch, or FastSurfer's surfaces after its segmentations."""
    input:
        scans=batch_scans,
        files=scan_files,
        segmented=segmented_scans,
    output:
        table="results/preprocess/reconstruct_scans/{batch}.tsv",
    log:
        "results/logs/reconstruct_scans/{batch}.log",
    benchmark:
        "results/benchmarks/reconstruct_scans/{batch}.tsv"
    conda:
        "../envs/study.yaml"
    threads: tool_resource("threads")
    resources:
        mem_mb=tool_resource("memory_mb"),
        runtime=tool_minutes(),
    params:
        code=code_hash("preprocess/reconstruct_scans"),
        preprocess=tool_settings(),
        state=batch_state,
        subjects=SUBJECTS,
    script:
        "../workflow_scripts/preprocess/reconstruct_scans.py"


rule preprocess_scans:
    """Turn each scan of a batch into a brain and regional features, or read what other tools made of it.

    Scans that cannot be used are set aside with the reason. What is made of a scan is kept: a rerun of the batch, after
    a kill or with further scans, makes only what is new.
    """
    input:
        scans=batch_scans,
        files=scan_files,
        reconstructed=reconstructed_scans,
    output:
        brains=directory("results/preprocess/preprocess_scans/{batch}"),
        table="results/preprocess/preprocess_scans/{batch}.tsv",
    log:
        "results/logs/preprocess_scans/{batch}.log",
    benchmark:
        "results/benchmarks/preprocess_scans/{batch}.tsv"
    conda:
        "../envs/study.yaml"
    threads: config["cohort"]["processes"]
    resources:
        mem_mb=lambda wildcards, threads: 500 + scan_mb() * threads,
        runtime=120,
    params:
        code=code_hash("preprocess/preprocess_scans"),
        preprocess=preprocess_settings(),
        inputs=batch_inputs,
        state=batch_state,
        kept="results/preprocess/kept",
    script:
        "../workflow_scripts/preprocess/preprocess_scans.py"
