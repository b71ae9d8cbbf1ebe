# Genotypes: read once, filtered step by step, thinned for components.


rule convert_genotypes:
    """Convert one large .bgen, .vcf or .bcf file once, before jobs of one chromosome each read it."""
    input:
        convert_files,
    output:
        genotypes=multiext(CONVERTED, ".pgen", ".pvar", ".psam"),
    log:
        "results/logs/convert_genotypes/convert_genotypes.log",
    benchmark:
        "results/benchmarks/convert_genotypes/convert_genotypes.tsv"
    conda:
        "../envs/study.yaml"
    threads: by_scale(2, 16)
    resources:
        mem_mb=by_scale(2000, 32000),
        runtime=by_scale(60, 1440),
    params:
        code=code_hash("genetics/convert_genotypes"),
        genetics=convert_settings(),
    script:
        "../workflow_scripts/genetics/convert_genotypes.py"


rule import_genotypes:
    """Read a part of the genotypes once: wanted people, wanted chromosomes, well imputed variants."""
    input:
        genotypes=source_files,
        phenotypes=config["genetics"]["phenotypes"] or [],
        scans=role_tables("scans"),
        roles=role_tables("roles"),
    output:
        genotypes=multiext(
            "results/genetics/import_genotypes/{part}", ".pgen", ".pvar", ".psam"
        ),
        steps="results/genetics/import_genotypes/{part}.steps.tsv",
    log:
        "results/logs/import_genotypes/{part}.log",
    benchmark:
        "results/benchmarks/import_genotypes/{part}.tsv"
    conda:
        "../envs/study.yaml"
    threads: by_scale(2, 8)
    resources:
        mem_mb=by_scale(2000, 16000),
        runtime=by_scale(30, 480),
    params:
        code=code_hash("genetics/import_genotypes"),
        genetics=import_settings(),
    script:
        "../workflow_scripts/genetics/import_genotypes.py"


rule pick_common:
    """Pick the common variants of a part, thinned, that kinship is estimated from."""
    input:
        genotypes=multiext(
            "results/genetics/import_genotypes/{part}", ".pgen", ".pvar", ".psam"
        ),
    output:
        genotypes=multiext(
            "results/genetics/pick_common/{part}", ".bed", ".bim", ".fam"
        ),
    log:
        "results/logs/pick_common/{part}.log",
    benchmark:
        "results/benchmarks/pick_common/{part}.tsv"
    conda:
        "../envs/study.yaml"
    threads: by_scale(2, 4)
    resources:
        mem_mb=by_scale(2000, 8000),
        runtime=by_scale(30, 120),
    params:
        code=code_hash("genetics/pick_common"),
        kinship_variants=config["genetics"]["qc"]["kinship_variants"],
        build=config["genetics"]["build"],
    script:
        "../workflow_scripts/genetics/pick_common.py"


rule filter_people:
    """Filter people: exclusions, ancestry, sex, relatives, with a count after each."""
    input:
        genotypes=imported(".pgen"),
        variants=imported(".pvar"),
        samples=imported(".psam"),
        steps=imported(".steps.tsv", imported_parts()),
        x=sex_files,
        common=common_files(".bed"),
        common_lists=common_files(".bim") + common_files(".fam"),
        lists=people_lists(),
    output:
        people="results/genetics/filter_people/people.txt",
        repeated="results/genetics/filter_people/repeated.txt",
        steps="results/genetics/filter_people/steps.tsv",
        removed="results/genetics/filter_people/removed.tsv.gz",
    log:
        "results/logs/filter_people/filter_people.log",
    benchmark:
        "results/benchmarks/filter_people/filter_people.tsv"
    conda:
        "../envs/study.yaml"
    threads: by_scale(2, 16)
    resources:
        mem_mb=by_scale(2000, 32000),
        runtime=by_scale(30, 720),
    params:
        code=code_hash("genetics/filter_people"),
        genetics=people_settings(),
        parts=genetics_parts(),
    script:
        "../workflow_scripts/genetics/filter_people.py"


rule filter_variants:
    """Filter the variants of a part: missing calls, frequency, duplicates, Hardy-Weinberg, with a count after each."""
    input:
        genotypes=multiext(
            "results/genetics/import_genotypes/{part}", ".pgen", ".pvar", ".psam"
        ),
        people=rules.filter_people.output.people,
        repeated=rules.filter_people.output.repeated,
    output:
        genotypes=multiext(
            "results/genetics/filter_variants/{part}", ".pgen", ".pvar", ".psam"
        ),
        steps="results/genetics/filter_variants/{part}.steps.tsv",
        removed="results/genetics/filter_variants/{part}.removed.tsv.gz",
        missing="results/genetics/filter_variants/{part}.missing.tsv",
    log:
        "results/logs/filter_variants/{part}.log",
    benchmark:
        "results/benchmarks/filter_variants/{part}.tsv"
    conda:
        "../envs/study.yaml"
    threads: by_scale(2, 8)
    resources:
        mem_mb=by_scale(2000, 16000),
        runtime=by_scale(30, 240),
    params:
        code=code_hash("genetics/filter_variants"),
        qc=variant_settings(),
    script:
        "../workflow_scripts/genetics/filter_variants.py"


rule genotype_qc:
    """Filter people by missing calls over all parts, and join the counts of all steps."""
    input:
        people=rules.filter_people.output.people,
        people_steps=rules.filter_people.output.steps,
        people_removed=rules.filter_people.output.removed,
        steps=filtered(".steps.tsv"),
        missing=filtered(".missing.tsv"),
        removed=filtered(".removed.tsv.gz"),
    output:
        people="results/genetics/genotype_qc/people.txt",
        steps="results/genetics/genotype_qc/steps.tsv",
        removed="results/genetics/genotype_qc/removed.tsv.gz",
    log:
        "results/logs/genotype_qc/genotype_qc.log",
    benchmark:
        "results/benchmarks/genotype_qc/genotype_qc.tsv"
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=code_hash("genetics/genotype_qc"),
        max_person_missing=config["genetics"]["qc"]["max_person_missing"],
    script:
        "../workflow_scripts/genetics/genotype_qc.py"


rule thin_genotypes:
    """Thin the genotypes of all parts to independent common variants, for components and REGENIE."""
    input:
        genotypes=filtered(".pgen"),
        lists=filtered(".pvar", ".psam"),
        people=rules.genotype_qc.output.people,
    output:
        genotypes=multiext(
            "results/genetics/thin_genotypes/genotypes", ".bed", ".bim", ".fam"
        ),
    log:
        "results/logs/thin_genotypes/thin_genotypes.log",
    benchmark:
        "results/benchmarks/thin_genotypes/thin_genotypes.tsv"
    conda:
        "../envs/study.yaml"
    threads: by_scale(2, 8)
    resources:
        mem_mb=by_scale(2000, 16000),
        runtime=by_scale(30, 480),
    params:
        code=code_hash("genetics/thin_genotypes"),
        pcs={
            key: config["genetics"]["pcs"][key]
            for key in (
                "count",
                "prune_window",
                "prune_step",
                "prune_r2",
                "min_maf",
                "max_variants",
            )
        },
        build=config["genetics"]["build"],
        parts=genetics_parts(),
    script:
        "../workflow_scripts/genetics/thin_genotypes.py"


rule genetic_pcs:
    """Make the principal components of ancestry that the association adjusts for: computed, or the user's."""
    input:
        genotypes=component_files,
        people=rules.genotype_qc.output.people,
    output:
        components="results/genetics/genetic_pcs/components.tsv",
        eigenvalues="results/genetics/genetic_pcs/eigenvalues.tsv",
    log:
        "results/logs/genetic_pcs/genetic_pcs.log",
    benchmark:
        "results/benchmarks/genetic_pcs/genetic_pcs.tsv"
    conda:
        "../envs/study.yaml"
    threads: by_scale(2, 16)
    resources:
        mem_mb=by_scale(2000, 32000),
        runtime=by_scale(30, 480),
    params:
        code=code_hash("genetics/genetic_pcs"),
        pcs={key: config["genetics"]["pcs"][key] for key in ("count", "table")},
        seed=config["seed"],
    script:
        "../workflow_scripts/genetics/genetic_pcs.py"


rule plan_genetics:
    """Tell people, variants, jobs, hours, memory and disk of genetics before it is launched. It has no output: it speaks each time."""
    input:
        genotypes=[
            sources.source(config["genetics"], part).files for part in genetics_parts()
        ],
        phenotypes=config["genetics"]["phenotypes"] or [],
        scans=role_tables("scans"),
        roles=role_tables("roles"),
    log:
        "results/logs/plan_genetics/plan_genetics.log",
    localrule: True
    conda:
        "../envs/study.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("genetics/plan_genetics"),
        genetics=pick("genetics", "genotypes", "chromosomes", "split", "sample"),
        traits=len(traits()),
        # where files do not say how many variants they hold: imputed genotypes of good quality
        assumed=10_000_000,
        # a list to extract is HapMap3's or of that size
        related=1_200_000 if config["genetics"]["greml"]["extract"] else None,
        text="results/plan_genetics.txt",
    script:
        "../workflow_scripts/genetics/plan_genetics.py"
