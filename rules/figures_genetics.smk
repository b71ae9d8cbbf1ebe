# Figures of genetics: PDF and PNG, source data beside them, caption in the report.


rule manhattan:
    """Show the association study of every gap."""
    input:
        points="results/genetics/merge_gwas/points.tsv.gz",
        loci="results/genetics/find_loci/loci.tsv",
        ldsc="results/genetics/run_ldsc/heritability.tsv",
    output:
        png=report(
            "results/figures/manhattan.png",
            caption="../workflow_scripts/figures/captions/manhattan.rst",
            category="Genetics",
            labels={"shows": "Manhattan and QQ"},
        ),
        pdf="results/figures/manhattan.pdf",
        csv="results/figures/manhattan.csv",
    log:
        "results/logs/manhattan/manhattan.log",
    benchmark:
        "results/benchmarks/manhattan/manhattan.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/manhattan"),
    script:
        "../workflow_scripts/figures/manhattan.py"


rule genetic_qc:
    """Show what quality control of genotypes left, and the components of ancestry."""
    input:
        steps="results/genetics/genotype_qc/steps.tsv",
        components="results/genetics/genetic_pcs/components.tsv",
        eigenvalues="results/genetics/genetic_pcs/eigenvalues.tsv",
    output:
        png=report(
            "results/figures/genetic_qc.png",
            caption="../workflow_scripts/figures/captions/genetic_qc.rst",
            category="Genetics",
            labels={"shows": "Quality control and ancestry"},
        ),
        pdf="results/figures/genetic_qc.pdf",
        csv="results/figures/genetic_qc.csv",
    log:
        "results/logs/genetic_qc/genetic_qc.log",
    benchmark:
        "results/benchmarks/genetic_qc/genetic_qc.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/genetic_qc"),
    script:
        "../workflow_scripts/figures/genetic_qc.py"


rule locus_plots:
    """Show the strongest loci: association by linkage with the lead, genes, open chromatin."""
    input:
        regions=[
            "results/genetics/find_loci/regions.tsv.gz",
            *(
                ["results/genetics/annotate_peaks/regions.tsv.gz"]
                if has_peaks()
                else []
            ),
        ],
    output:
        png=report(
            "results/figures/locus_plots.png",
            caption="../workflow_scripts/figures/captions/locus_plots.rst",
            category="Genetics",
            labels={"shows": "strongest loci"},
        ),
        pdf="results/figures/locus_plots.pdf",
        csv="results/figures/locus_plots.csv",
    log:
        "results/logs/locus_plots/locus_plots.log",
    benchmark:
        "results/benchmarks/locus_plots/locus_plots.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/locus_plots"),
    script:
        "../workflow_scripts/figures/locus_plots.py"


rule ldsc_cell_types:
    """Show in which cell types' open chromatin heritability is enriched."""
    input:
        cell_types="results/genetics/partition_heritability/cell_types.tsv",
    output:
        png=report(
            "results/figures/ldsc_cell_types.png",
            caption="../workflow_scripts/figures/captions/ldsc_cell_types.rst",
            category="Genetics",
            labels={"shows": "Heritability by cell type"},
        ),
        pdf="results/figures/ldsc_cell_types.pdf",
        csv="results/figures/ldsc_cell_types.csv",
    log:
        "results/logs/ldsc_cell_types/ldsc_cell_types.log",
    benchmark:
        "results/benchmarks/ldsc_cell_types/ldsc_cell_types.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/ldsc_cell_types"),
        fdr=config["genetics"]["ldsc"]["fdr"],
    script:
        "../workflow_scripts/figures/ldsc_cell_types.py"


rule heritability:
    """Show heritabilities and genetic correlations by GREML and by LD score regression."""
    input:
        greml_h2="results/genetics/run_greml/heritability.tsv",
        greml_rg="results/genetics/run_greml/correlation.tsv",
        ldsc_h2="results/genetics/run_ldsc/heritability.tsv",
        ldsc_rg="results/genetics/run_ldsc/correlation.tsv",
    output:
        png=report(
            "results/figures/heritability.png",
            caption="../workflow_scripts/figures/captions/heritability.rst",
            category="Genetics",
            labels={"shows": "Heritability and genetic correlation"},
        ),
        pdf="results/figures/heritability.pdf",
        csv="results/figures/heritability.csv",
    log:
        "results/logs/heritability/heritability.log",
    benchmark:
        "results/benchmarks/heritability/heritability.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/heritability"),
    script:
        "../workflow_scripts/figures/heritability.py"


rule cell_type_enrichment:
    """Show which cell types express the associated genes."""
    input:
        cell_types="results/genetics/enrich_cell_types/cell_types.tsv",
        counts="results/genetics/enrich_cell_types/counts.tsv",
    output:
        png=report(
            "results/figures/cell_type_enrichment.png",
            caption="../workflow_scripts/figures/captions/cell_type_enrichment.rst",
            category="Genetics",
            labels={"shows": "Cell types by expression"},
        ),
        pdf="results/figures/cell_type_enrichment.pdf",
        csv="results/figures/cell_type_enrichment.csv",
    log:
        "results/logs/cell_type_enrichment/cell_type_enrichment.log",
    benchmark:
        "results/benchmarks/cell_type_enrichment/cell_type_enrichment.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("figures/cell_type_enrichment"),
    script:
        "../workflow_scripts/figures/cell_type_enrichment.py"
