# What other programs take on, and the page of genetics.

HANDOFFS = config["genetics"]["handoff"]["targets"]


rule write_handoffs:
    """Write what other programs and services take: GWAS Catalog, FUMA, LDSC, MAGMA, REGENIE, GCTA, BOLT-LMM."""
    input:
        results=expand("results/genetics/merge_gwas/{trait}.tsv.gz", trait=traits()),
        munged=expand(
            "results/genetics/munge_sumstats/{trait}.sumstats.gz", trait=traits()
        ),
        phenotypes="results/genetics/make_phenotypes/phenotypes.tsv",
        covariates="results/genetics/make_phenotypes/covariates.tsv",
        people="results/genetics/genotype_qc/people.txt",
    output:
        folders=directory(
            expand("results/genetics/write_handoffs/{target}", target=HANDOFFS)
        ),
        readme="results/genetics/write_handoffs/README.txt",
        files="results/genetics/write_handoffs/files.tsv",
        validation="results/genetics/write_handoffs/validation.tsv",
    log:
        "results/logs/write_handoffs/write_handoffs.log",
    benchmark:
        "results/benchmarks/write_handoffs/write_handoffs.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        # a trait at a time: 0.6 GB a million variants here, 1.2 GB in the validator; a million variants take a minute
        # to write and two to validate
        mem_mb=lambda wildcards, input: 1500
        + int(15 * input.size_mb / len(input.results)),
        runtime=240,
    params:
        code=code_hash("genetics/write_handoffs"),
        traits=traits(),
        build=config["genetics"]["build"],
        tool=config["genetics"]["gwas"]["tool"],
        min_maf=config["genetics"]["qc"]["min_maf"],
        loci={
            **pick_from(
                config["genetics"]["loci"],
                "p",
                "candidate_p",
                "r2",
                "lead_r2",
                "merge_kb",
            ),
            "gene_kb": config["genetics"]["genes"]["window_kb"],
        },
        handoff=config["genetics"]["handoff"],
    script:
        "../workflow_scripts/genetics/write_handoffs.py"


rule genetics_page:
    """Write the page of genetics: every step in numbers and words, in one file that opens offline."""
    input:
        steps="results/genetics/genotype_qc/steps.tsv",
        losses="results/genetics/make_phenotypes/losses.tsv",
        entered="results/genetics/merge_gwas/entered.tsv",
        components="results/genetics/genetic_pcs/components.tsv",
        eigenvalues="results/genetics/genetic_pcs/eigenvalues.tsv",
        summary="results/genetics/merge_gwas/summary.tsv",
        loci="results/genetics/find_loci/loci.tsv",
        leads="results/genetics/find_loci/leads.tsv",
        genes="results/genetics/find_loci/genes.tsv",
        greml="results/genetics/run_greml/heritability.tsv",
        greml_correlation="results/genetics/run_greml/correlation.tsv",
        # [] each where the study does without (no LD score regression, no peaks, no table of expression)
        ldsc="results/genetics/run_ldsc/heritability.tsv",
        ldsc_correlation="results/genetics/run_ldsc/correlation.tsv",
        dropped="results/genetics/munge_sumstats/dropped.tsv",
        cells=partition_files("cell_types"),
        partitioned=partition_files("partitioned"),
        expression="results/genetics/enrich_cell_types/cell_types.tsv",
        peaks=("results/genetics/annotate_peaks/summary.tsv" if has_peaks() else []),
        files=rules.write_handoffs.output.files,
        validation=rules.write_handoffs.output.validation,
        # PNG files, or folders of them; by the beginning of its name each goes to its section
        # (lib/figures/genetics_text.py: FIGURES), one with another name to the end of the page
        pictures=expand("results/figures/{name}.png", name=GENETIC_FIGURES),
    output:
        page=report(
            "results/genetics/genetics_page/report.html",
            caption="../workflow_scripts/figures/captions/genetics_page.rst",
            category="Genetics",
            labels={"shows": "all of genetics on a page"},
        ),
    log:
        "results/logs/genetics_page/genetics_page.log",
    benchmark:
        "results/benchmarks/genetics_page/genetics_page.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("genetics/genetics_page"),
        build=config["genetics"]["build"],
        tool=config["genetics"]["gwas"]["tool"],
        threshold=config["genetics"]["gwas"]["threshold"],
        titles=config["genetics"]["handoff"]["titles"],
        handoffs=lambda wildcards, input: str(Path(input.files).parent),
        logs="results/logs",
        # whose commands are shown, in the order of the study
        rules=[
            "import_genotypes",
            "filter_people",
            "filter_variants",
            "genotype_qc",
            "thin_genotypes",
            "genetic_pcs",
            "fit_regenie",
            "gwas",
            "find_loci",
            "make_grm",
            "run_greml",
            "make_ld_scores",
            "munge_sumstats",
            "run_ldsc",
            "partition_heritability",
            "write_handoffs",
        ],
    script:
        "../workflow_scripts/genetics/genetics_page.py"
