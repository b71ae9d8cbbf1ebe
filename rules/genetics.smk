rule genotype_qc:
    """Filter people and variants, one filter a step, with a count after each."""
    input:
        genotypes=genotype_files(),
        scans="results/cohort/scans.tsv",
        roles="results/cohort/roles.tsv",
    output:
        genotypes=multiext(
            "results/genetics/genotype_qc/genotypes", ".pgen", ".pvar", ".psam"
        ),
        steps="results/genetics/genotype_qc/steps.tsv",
        removed="results/genetics/genotype_qc/removed.tsv.gz",
    log:
        "results/logs/genotype_qc/genotype_qc.log",
    benchmark:
        "results/benchmarks/genotype_qc/genotype_qc.tsv"
    conda:
        "../envs/study.yaml"
    threads: 2
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code_hash("genetics/genotype_qc"),
        qc=config["genetics"]["qc"],
        build=config["genetics"]["build"],
    script:
        "../workflow_scripts/genetics/genotype_qc.py"


rule genetic_pcs:
    """Compute the principal components of ancestry that the association adjusts for."""
    input:
        genotypes=rules.genotype_qc.output.genotypes,
    output:
        components="results/genetics/genetic_pcs/components.tsv",
        eigenvalues="results/genetics/genetic_pcs/eigenvalues.tsv",
    log:
        "results/logs/genetic_pcs/genetic_pcs.log",
    benchmark:
        "results/benchmarks/genetic_pcs/genetic_pcs.tsv"
    conda:
        "../envs/study.yaml"
    threads: 2
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code_hash("genetics/genetic_pcs"),
        pcs=config["genetics"]["pcs"],
        build=config["genetics"]["build"],
        seed=config["seed"],
    script:
        "../workflow_scripts/genetics/genetic_pcs.py"


rule gwas:
    """Test every variant for association with the brain age gap of every representation, in one run of plink2."""
    input:
        gaps="results/brainage/gaps.tsv",
        scans="results/cohort/scans.tsv",
        roles="results/cohort/roles.tsv",
        features="results/features/harmonised.tsv",
        genotypes=rules.genotype_qc.output.genotypes,
        components="results/genetics/genetic_pcs/components.tsv",
    output:
        results=expand(
            "results/genetics/gwas/{representation}.tsv.gz",
            representation=gap_representations(),
        ),
        summary="results/genetics/gwas/summary.tsv",
        points="results/genetics/gwas/points.tsv.gz",
        phenotypes="results/genetics/gwas/phenotypes.tsv",
        covariates="results/genetics/gwas/covariates.tsv",
        losses="results/genetics/gwas/losses.tsv",
    log:
        "results/logs/gwas/gwas.log",
    benchmark:
        "results/benchmarks/gwas/gwas.tsv"
    conda:
        "../envs/study.yaml"
    threads: 2
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=code_hash("genetics/gwas"),
        phenotype=config["genetics"]["phenotype"],
        people=config["genetics"]["people"],
        gwas=config["genetics"]["gwas"],
        representations=gap_representations(),
    script:
        "../workflow_scripts/genetics/gwas.py"


rule munge_sumstats:
    """Write the results as LD score regression wants them, and how many variants each filter dropped."""
    input:
        results=rules.gwas.output.results,
    output:
        munged=expand(
            "results/genetics/munge_sumstats/{representation}.sumstats.gz",
            representation=gap_representations(),
        ),
        dropped="results/genetics/munge_sumstats/dropped.tsv",
    log:
        "results/logs/munge_sumstats/munge_sumstats.log",
    benchmark:
        "results/benchmarks/munge_sumstats/munge_sumstats.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        code=code_hash("genetics/munge_sumstats"),
        munge=config["genetics"]["munge"],
        representations=gap_representations(),
    script:
        "../workflow_scripts/genetics/munge_sumstats.py"
