# Heritability, genetic correlation, and the cell types and genes that carry them.


rule munge_sumstats:
    """Write the results as LD score regression wants them, and how many variants each filter dropped."""
    input:
        results=expand("results/genetics/merge_gwas/{trait}.tsv.gz", trait=traits()),
        snps=config["genetics"]["munge"]["snps"] or [],
    output:
        munged=expand(
            "results/genetics/munge_sumstats/{trait}.sumstats.gz", trait=traits()
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
        mem_mb=by_scale(1000, 8000),
        runtime=by_scale(30, 120),
    params:
        code=code_hash("genetics/munge_sumstats"),
        munge=config["genetics"]["munge"],
        traits=traits(),
    script:
        "../workflow_scripts/genetics/munge_sumstats.py"


rule make_ld_scores:
    """Compute LD scores of every variant, of all peaks together, and of the peaks of each cell type."""
    input:
        genotypes=multiext(
            "results/genetics/filter_variants/{part}", ".pgen", ".pvar", ".psam"
        ),
        people="results/genetics/genotype_qc/people.txt",
        reference=reference_files(),
        peaks=peak_files(),
        snps=config["genetics"]["munge"]["snps"] or [],
    output:
        scores=directory("results/genetics/make_ld_scores/{part}"),
    log:
        "results/logs/make_ld_scores/{part}.log",
    benchmark:
        "results/benchmarks/make_ld_scores/{part}.tsv"
    conda:
        "../envs/study.yaml"
    threads: by_scale(1, 4)
    resources:
        mem_mb=by_scale(2000, 8000),
        runtime=by_scale(30, 240),
    params:
        code=code_hash("genetics/make_ld_scores"),
        ldsc=pick_ldsc("window_cm", "window_kb", "min_maf", "people"),
        reference=config["genetics"]["reference"],
        peaks=config["genetics"]["peaks"],
        build=config["genetics"]["build"],
        snps=config["genetics"]["munge"]["snps"],
        chromosomes=sources.chromosomes(config["genetics"]),
        seed=config["seed"],
    script:
        "../workflow_scripts/genetics/make_ld_scores.py"


rule run_ldsc:
    """Estimate heritability of every trait and genetic correlation of every two by LD score regression."""
    input:
        munged=rules.munge_sumstats.output.munged,
        scores=ld_score_folders(),
        given=score_files(),
    output:
        heritability="results/genetics/run_ldsc/heritability.tsv",
        correlation="results/genetics/run_ldsc/correlation.tsv",
    log:
        "results/logs/run_ldsc/run_ldsc.log",
    benchmark:
        "results/benchmarks/run_ldsc/run_ldsc.tsv"
    conda:
        "../envs/tools.yaml"
    threads: 2
    resources:
        mem_mb=by_scale(1000, 10000),
        runtime=by_scale(30, 120),
    params:
        code=code_hash("genetics/run_ldsc"),
        ldsc=pick_ldsc("scores", "common", "two_step", "max_chi2", "blocks"),
        traits=traits(),
    script:
        "../workflow_scripts/genetics/run_ldsc.py"


rule partition_heritability:
    """Partition heritability by cell types' open chromatin, and test each cell type."""
    input:
        munged=rules.munge_sumstats.output.munged,
        scores=ld_score_folders(),
        given=score_files(),
        cell_types=config["genetics"]["ldsc"]["scores"]["cell_types"] or [],
    output:
        partitioned="results/genetics/partition_heritability/partitioned.tsv",
        cell_types="results/genetics/partition_heritability/cell_types.tsv",
    log:
        "results/logs/partition_heritability/partition_heritability.log",
    benchmark:
        "results/benchmarks/partition_heritability/partition_heritability.tsv"
    conda:
        "../envs/tools.yaml"
    threads: 2
    resources:
        mem_mb=by_scale(1000, 10000),
        runtime=by_scale(30, 240),
    params:
        code=code_hash("genetics/partition_heritability"),
        ldsc=pick_ldsc("scores", "common", "max_chi2", "blocks", "fdr"),
        traits=traits(),
    script:
        "../workflow_scripts/genetics/partition_heritability.py"


rule make_grm:
    """Make the genetic relatedness matrix of a part of the genome (plink2, GCTA's format)."""
    input:
        genotypes=multiext(
            "results/genetics/filter_variants/{part}", ".pgen", ".pvar", ".psam"
        ),
        people="results/genetics/genotype_qc/people.txt",
        extract=config["genetics"]["greml"]["extract"] or [],
    output:
        matrix=multiext(
            "results/genetics/make_grm/{part}", ".grm.bin", ".grm.N.bin", ".grm.id"
        ),
    log:
        "results/logs/make_grm/{part}.log",
    benchmark:
        "results/benchmarks/make_grm/{part}.tsv"
    wildcard_constraints:
        part=any_of(genetics_parts()),
    conda:
        "../envs/study.yaml"
    threads: by_scale(2, 16)
    resources:
        # plink2 holds the matrix twice in double precision: 11 GB for 26,000 people
        mem_mb=by_scale(2000, 24000),
        runtime=by_scale(30, 480),
    params:
        code=code_hash("genetics/make_grm"),
        greml=pick_from(config["genetics"]["greml"], "extract"),
    script:
        "../workflow_scripts/genetics/make_grm.py"


rule run_greml:
    """Estimate heritabilities and genetic correlations by GREML, all from one eigendecomposition."""
    input:
        matrices=expand(
            "results/genetics/make_grm/{part}.grm.bin", part=genetics_parts()
        ),
        about=expand(
            "results/genetics/make_grm/{part}.grm.{end}",
            part=genetics_parts(),
            end=["N.bin", "id"],
        ),
        phenotypes=rules.make_phenotypes.output.phenotypes,
        covariates=rules.make_phenotypes.output.covariates,
        # BOLT-REML takes genotypes
        genotypes=expand(
            "results/genetics/filter_variants/{part}.pgen",
            part=(
                genetics_parts()
                if config["genetics"]["greml"]["tool"] == "bolt"
                else []
            ),
        ),
    output:
        heritability="results/genetics/run_greml/heritability.tsv",
        correlation="results/genetics/run_greml/correlation.tsv",
    log:
        "results/logs/run_greml/run_greml.log",
    benchmark:
        "results/benchmarks/run_greml/run_greml.tsv"
    conda:
        "../envs/study.yaml"
    threads: by_scale(2, 16)
    resources:
        # the matrix and its eigenvectors in double precision, 16 bytes a pair of people: 11 GB for 26,000
        mem_mb=by_scale(2000, 20000),
        runtime=by_scale(30, 480),
    params:
        code=code_hash("genetics/run_greml"),
        greml=config["genetics"]["greml"],
        level=0.95,
    script:
        "../workflow_scripts/genetics/run_greml.py"


rule score_genes:
    """Score every gene by the association of its variants, given their linkage (MAGMA's mean model)."""
    input:
        results=expand("results/genetics/merge_gwas/{trait}.tsv.gz", trait=traits()),
        genotypes=expand(
            "results/genetics/filter_variants/{part}.pgen", part=genetics_parts()
        ),
        people="results/genetics/genotype_qc/people.txt",
        reference=reference_files(),
        genes=config["genetics"]["genes"]["table"] or [],
    output:
        scores=expand("results/genetics/score_genes/{trait}.tsv.gz", trait=traits()),
        correlation="results/genetics/score_genes/correlation.tsv.gz",
    log:
        "results/logs/score_genes/score_genes.log",
    benchmark:
        "results/benchmarks/score_genes/score_genes.tsv"
    conda:
        "../envs/study.yaml"
    threads: by_scale(1, 4)
    resources:
        mem_mb=by_scale(2000, 16000),
        runtime=by_scale(30, 480),
    params:
        code=code_hash("genetics/score_genes"),
        traits=traits(),
        chromosomes=[str(number) for number in range(1, 23)],
        build=config["genetics"]["build"],
        genes=pick_from(config["genetics"]["genes"], "build"),
        reference=config["genetics"]["reference"],
        settings=config["genetics"]["gene_scores"],
        seed=config["seed"],
    script:
        "../workflow_scripts/genetics/score_genes.py"


rule enrich_cell_types:
    """Test which cell types express the associated genes (FUMA's regression); without expression, say so."""
    input:
        scores=expand(
            "results/genetics/score_genes/{trait}.tsv.gz",
            trait=traits() if expression_files() else [],
        ),
        correlation=(
            "results/genetics/score_genes/correlation.tsv.gz"
            if expression_files()
            else []
        ),
        expression=expression_files(),
    output:
        cell_types="results/genetics/enrich_cell_types/cell_types.tsv",
        counts="results/genetics/enrich_cell_types/counts.tsv",
    log:
        "results/logs/enrich_cell_types/enrich_cell_types.log",
    benchmark:
        "results/benchmarks/enrich_cell_types/enrich_cell_types.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code_hash("genetics/enrich_cell_types"),
        traits=traits(),
        expression=config["genetics"]["expression"],
        genes=pick_from(config["genetics"]["genes"], "table"),
    script:
        "../workflow_scripts/genetics/enrich_cell_types.py"
