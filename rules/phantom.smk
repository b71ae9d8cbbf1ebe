# The embedded study: people, genes, visits and scans with planted truth in results/phantom/truth.


rule simulate_people:
    """Draw the people of the embedded study."""
    output:
        people="results/phantom/truth/people.tsv",
    log:
        "results/logs/simulate_people/simulate_people.log",
    benchmark:
        "results/benchmarks/simulate_people/simulate_people.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("phantom/simulate_people"),
        seed=config["seed"],
        phantom=pick("phantom", "population", "clinical", "own_offset_sd_years"),
    script:
        "../workflow_scripts/phantom/simulate_people.py"


rule simulate_genotypes:
    """Give the people of the phantom study genomes with planted loci, relatives and faults.

    The images need the brain-age offset that the genomes cause, so this comes before them.
    """
    input:
        people="results/phantom/truth/people.tsv",
    output:
        bed="results/phantom/genotypes.bed",
        bim="results/phantom/genotypes.bim",
        fam="results/phantom/genotypes.fam",
        loci="results/phantom/truth/loci.tsv",
        people="results/phantom/truth/genetics_people.tsv",
        variants="results/phantom/truth/genetics_variants.tsv",
    log:
        "results/logs/simulate_genotypes/simulate_genotypes.log",
    benchmark:
        "results/benchmarks/simulate_genotypes/simulate_genotypes.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=15,
    params:
        code=code_hash("phantom/simulate_genotypes"),
        seed=config["seed"],
        genotypes=config["phantom"]["genotypes"],
    script:
        "../workflow_scripts/phantom/simulate_genotypes.py"


rule simulate_participants:
    """Turn people into visits and write the participants table."""
    input:
        people="results/phantom/truth/people.tsv",
        genetics="results/phantom/truth/genetics_people.tsv",
    output:
        participants="results/phantom/participants.tsv",
        truth="results/phantom/truth/scans.tsv",
    log:
        "results/logs/simulate_participants/simulate_participants.log",
    benchmark:
        "results/benchmarks/simulate_participants/simulate_participants.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("phantom/simulate_participants"),
        seed=config["seed"],
        phantom=pick("phantom", "heads", "faults", "real_scans"),
        scans_per_job=config["cohort"]["scans_per_job"],
        label_columns=config["cohort"]["label_columns"],
    script:
        "../workflow_scripts/phantom/simulate_participants.py"


rule simulate_neuropathology:
    """Draw what is found post mortem in people of the clinical cohort."""
    input:
        people="results/phantom/truth/people.tsv",
    output:
        findings="results/phantom/neuropathology.tsv",
        truth="results/phantom/truth/neuropathology.tsv",
    log:
        "results/logs/simulate_neuropathology/simulate_neuropathology.log",
    benchmark:
        "results/benchmarks/simulate_neuropathology/simulate_neuropathology.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("phantom/simulate_neuropathology"),
        seed=config["seed"],
        neuropathology=config["phantom"]["neuropathology"],
    script:
        "../workflow_scripts/phantom/simulate_neuropathology.py"


rule simulate_scans:
    """Render the scans of a batch: anatomy, ageing, disease, pose and scanner."""
    input:
        truth="results/phantom/truth/scans.tsv",
    output:
        scans=directory("results/phantom/simulate_scans/{batch}"),
    log:
        "results/logs/simulate_scans/{batch}.log",
    benchmark:
        "results/benchmarks/simulate_scans/{batch}.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        code=code_hash("phantom/simulate_scans"),
        seed=config["seed"],
        phantom=pick("phantom", "scan_spacing_mm", "anatomy_spacing_mm"),
    script:
        "../workflow_scripts/phantom/simulate_scans.py"


rule simulate_annotations:
    """Draw genes, expression and open chromatin that fit the genotypes of the embedded study."""
    input:
        variants="results/phantom/genotypes.bim",
        loci="results/phantom/truth/loci.tsv",
    output:
        genes="results/phantom/annotations/genes.tsv",
        expression="results/phantom/annotations/expression.tsv",
        peaks=directory("results/phantom/annotations/peaks"),
    log:
        "results/logs/simulate_annotations/simulate_annotations.log",
    benchmark:
        "results/benchmarks/simulate_annotations/simulate_annotations.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    params:
        code=code_hash("phantom/simulate_annotations"),
        seed=config["seed"],
    script:
        "../workflow_scripts/phantom/simulate_annotations.py"


rule simulate_genetics:
    """Simulate the genetics study: thousands of people with genotypes and traits and no images (envs/genes.yaml)."""
    output:
        bed="results/phantom/genetics/genotypes.bed",
        bim="results/phantom/genetics/genotypes.bim",
        fam="results/phantom/genetics/genotypes.fam",
        reference_bed="results/phantom/genetics/reference.bed",
        reference_bim="results/phantom/genetics/reference.bim",
        reference_fam="results/phantom/genetics/reference.fam",
        traits="results/phantom/genetics/traits.tsv",
        catalogue="results/phantom/genetics/catalogue.tsv",
        genes="results/phantom/genetics/genes.tsv",
        expression="results/phantom/genetics/expression.tsv",
        peaks=directory("results/phantom/genetics/peaks"),
        truth_people="results/phantom/genetics/truth/people.tsv",
        truth_variants="results/phantom/genetics/truth/variants.tsv",
        truth_loci="results/phantom/genetics/truth/loci.tsv",
        truth_heritability="results/phantom/genetics/truth/heritability.tsv",
        truth_correlation="results/phantom/genetics/truth/correlation.tsv",
        truth_annotations="results/phantom/genetics/truth/annotations.tsv",
    log:
        "results/logs/simulate_genetics/simulate_genetics.log",
    benchmark:
        "results/benchmarks/simulate_genetics/simulate_genetics.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=20,
    params:
        code=code_hash("phantom/simulate_genetics"),
        seed=config["seed"],
        genetics=config["phantom"]["genetics"],
    script:
        "../workflow_scripts/phantom/simulate_genetics.py"


rule simulate_images:
    """Simulate a set of 2D images as its user would have it: a table beside pictures, and what was planted in them."""
    output:
        images="results/phantom/images/{images}/images.tsv",
        pictures=directory("results/phantom/images/{images}/pictures"),
        truth="results/phantom/truth/images_{images}.tsv",
    log:
        "results/logs/simulate_images/{images}.log",
    benchmark:
        "results/benchmarks/simulate_images/{images}.tsv"
    wildcard_constraints:
        images="lesions|slices|textures|shapes",
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("phantom/simulate_images"),
        seed=config["seed"],
        images=config["phantom"]["images"],
    script:
        "../workflow_scripts/phantom/simulate_images.py"
