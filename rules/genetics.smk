# From traits and genotypes to loci, and what other programs take on from there.


rule make_phenotypes:
    """Put traits and covariates of the same people side by side, and say what each trait and covariate costs."""
    input:
        gaps=[] if own_traits() else "results/brainage/gaps.tsv",
        scans=[] if own_traits() else "results/cohort/scans.tsv",
        roles=[] if own_traits() else "results/cohort/roles.tsv",
        features=[] if own_traits() else "results/features/harmonised.tsv",
        traits=config["genetics"]["phenotypes"] or [],
        covariates=config["genetics"]["covariates"]["table"] or [],
        components="results/genetics/genetic_pcs/components.tsv",
        people="results/genetics/genotype_qc/people.txt",
    output:
        phenotypes="results/genetics/make_phenotypes/phenotypes.tsv",
        covariates="results/genetics/make_phenotypes/covariates.tsv",
        losses="results/genetics/make_phenotypes/losses.tsv",
    log:
        "results/logs/make_phenotypes/make_phenotypes.log",
    benchmark:
        "results/benchmarks/make_phenotypes/make_phenotypes.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code_hash("genetics/make_phenotypes"),
        traits=traits(),
        phenotype=config["genetics"]["phenotype"],
        people=config["genetics"]["people"],
        covariates=config["genetics"]["covariates"],
        gwas=pick_from(config["genetics"]["gwas"], "transform", "max_vif"),
    script:
        "../workflow_scripts/genetics/make_phenotypes.py"


rule fit_regenie:
    """Fit the whole-genome regression of every trait, whose predictions REGENIE's tests are given (its step 1)."""
    input:
        genotypes=multiext(
            "results/genetics/thin_genotypes/genotypes", ".bed", ".bim", ".fam"
        ),
        phenotypes=rules.make_phenotypes.output.phenotypes,
        covariates=rules.make_phenotypes.output.covariates,
    output:
        predictions=directory("results/genetics/fit_regenie/predictions"),
        entered="results/genetics/fit_regenie/entered.tsv",
    log:
        "results/logs/fit_regenie/fit_regenie.log",
    benchmark:
        "results/benchmarks/fit_regenie/fit_regenie.tsv"
    conda:
        "../envs/study.yaml"
    threads: 16
    resources:
        # --lowmem keeps predictions of level 0 on disk; published experience: 12 GB for 500,000 variants
        mem_mb=16000,
        runtime=1440,
    params:
        code=code_hash("genetics/fit_regenie"),
    script:
        "../workflow_scripts/genetics/fit_regenie.py"


rule gwas:
    """Test every variant of a part of the genome for association with all traits, in one run."""
    input:
        genotypes=multiext(
            "results/genetics/filter_variants/{part}", ".pgen", ".pvar", ".psam"
        ),
        phenotypes=rules.make_phenotypes.output.phenotypes,
        covariates=rules.make_phenotypes.output.covariates,
        predictions=rules.fit_regenie.output.predictions if regenie() else [],
    output:
        results=expand("results/genetics/gwas/{{part}}/{trait}.tsv.gz", trait=traits()),
        entered="results/genetics/gwas/{part}/entered.tsv",
    log:
        "results/logs/gwas/{part}.log",
    benchmark:
        "results/benchmarks/gwas/{part}.tsv"
    conda:
        "../envs/study.yaml"
    # 30,000 people, 3 traits, 26 covariates: 4.1 ms of one core a variant, so 8 to 10 minutes for chromosome 2 of
    # 10 million variants on 8 threads, 90 for all in one part; writing results adds 0.02 ms a variant and trait
    threads: 8
    resources:
        mem_mb=4000,
        runtime=480,
    params:
        code=code_hash("genetics/gwas"),
        gwas=pick_from(config["genetics"]["gwas"], "tool", "max_vif", "residualize"),
    script:
        "../workflow_scripts/genetics/gwas.py"


rule merge_gwas:
    """Join the parts of the genome, sum the traits up and choose the points that the figure shows."""
    input:
        results=expand(
            "results/genetics/gwas/{part}/{trait}.tsv.gz",
            part=genetics_parts(),
            trait=traits(),
        ),
        entered=expand(
            "results/genetics/gwas/{part}/entered.tsv", part=genetics_parts()
        ),
    output:
        results=expand("results/genetics/merge_gwas/{trait}.tsv.gz", trait=traits()),
        summary="results/genetics/merge_gwas/summary.tsv",
        points="results/genetics/merge_gwas/points.tsv.gz",
        entered="results/genetics/merge_gwas/entered.tsv",
    log:
        "results/logs/merge_gwas/merge_gwas.log",
    benchmark:
        "results/benchmarks/merge_gwas/merge_gwas.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        # a trait at a time, 51 bytes a variant and twice that while parts are joined; files have 29 bytes a variant
        mem_mb=lambda wildcards, input: 1000 + int(3 * input.size_mb),
        runtime=120,
    params:
        code=code_hash("genetics/merge_gwas"),
        traits=traits(),
        gwas=pick_from(config["genetics"]["gwas"], "threshold", "suggestive"),
    script:
        "../workflow_scripts/genetics/merge_gwas.py"


rule find_loci:
    """Find loci by linkage (FUMA's rules), their genes, and whether a catalogue knows them."""
    input:
        results=expand("results/genetics/merge_gwas/{trait}.tsv.gz", trait=traits()),
        genotypes=expand(
            "results/genetics/filter_variants/{part}.pgen", part=genetics_parts()
        ),
        variants=expand(
            "results/genetics/filter_variants/{part}.pvar", part=genetics_parts()
        ),
        samples=expand(
            "results/genetics/filter_variants/{part}.psam", part=genetics_parts()
        ),
        people="results/genetics/genotype_qc/people.txt",
        reference=reference_files(),
        genes=config["genetics"]["genes"]["table"] or [],
        catalogue=config["genetics"]["catalogue"]["table"] or [],
    output:
        loci="results/genetics/find_loci/loci.tsv",
        leads="results/genetics/find_loci/leads.tsv",
        independent="results/genetics/find_loci/independent.tsv",
        candidates="results/genetics/find_loci/candidates.tsv",
        genes="results/genetics/find_loci/genes.tsv",
        linkage="results/genetics/find_loci/linkage.tsv.gz",
        regions="results/genetics/find_loci/regions.tsv.gz",
    log:
        "results/logs/find_loci/find_loci.log",
    benchmark:
        "results/benchmarks/find_loci/find_loci.tsv"
    conda:
        "../envs/study.yaml"
    threads: 2
    resources:
        mem_mb=by_scale(2000, 10000),
        runtime=120,
    params:
        code=code_hash("genetics/find_loci"),
        traits=traits(),
        parts=genetics_parts(),
        chromosomes=[str(number) for number in range(1, 23)],
        build=config["genetics"]["build"],
        loci=config["genetics"]["loci"],
        reference=config["genetics"]["reference"],
        genes=config["genetics"]["genes"],
        catalogue=config["genetics"]["catalogue"],
    script:
        "../workflow_scripts/genetics/find_loci.py"


rule annotate_peaks:
    """Intersect variants with open chromatin of cell types."""
    input:
        results=expand("results/genetics/merge_gwas/{trait}.tsv.gz", trait=traits()),
        loci=rules.find_loci.output.loci,
        peaks=peak_files(),
    output:
        overlaps="results/genetics/annotate_peaks/overlaps.tsv.gz",
        summary="results/genetics/annotate_peaks/summary.tsv",
        regions="results/genetics/annotate_peaks/regions.tsv.gz",
    log:
        "results/logs/annotate_peaks/annotate_peaks.log",
    benchmark:
        "results/benchmarks/annotate_peaks/annotate_peaks.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=by_scale(2000, 6000),
        runtime=60,
    params:
        code=code_hash("genetics/annotate_peaks"),
        traits=traits(),
        build=config["genetics"]["build"],
        peaks=config["genetics"]["peaks"],
        loci=pick_from(config["genetics"]["loci"], "p", "shown", "flank_kb"),
    script:
        "../workflow_scripts/genetics/annotate_peaks.py"
