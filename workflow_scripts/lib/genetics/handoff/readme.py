"""What the README of each folder says: what is in it, where it goes, what to choose there, who may see it."""

import textwrap

PUBLIC = "Summary statistics: no data of individuals. Share them as your consent and data agreements allow."
PRIVATE = (
    "DATA OF INDIVIDUALS: one line a person. Do not publish this folder and do not send it to a web service; it is for "
    "machines on which the genotypes may be."
)

GWAS_SSF = """
GWAS-SSF v1.0, one table a trait with its metadata (NAME.tsv.gz-meta.yaml).

Where to: the GWAS Catalog, https://www.ebi.ac.uk/gwas/deposition (submission form, then the files through Globus). It
takes files of at least 100,000 variants on all of chromosomes 1 to 22. my.locuszoom.org (Upload) reads the same tables.
Choose there: genome assembly {assembly}, 1-based positions, effect allele = effect_allele, effects in units of the
trait per copy of it. Before you submit, read the metadata: ancestry, genotyping and imputation come from config
(genetics: handoff), and what config does not say is not in them.
The verdict of the Catalog's own validator is in ../validation.tsv.
"""

FUMA = """
Input of FUMA, one table a trait; parameters.tsv has what to choose so that its loci follow this study's rules.

Where to: https://fuma.ctglab.nl, SNP2GENE, New Job, one job a trait.
Choose there: {build_line}
The columns are recognised by their names; N is the sample size by variant (give the column's name N). Take lead P
{p:g}, candidate P {candidate_p:g}, r2 {r2:g} and {lead_r2:g}, merge {merge_kb:g} kb, positional mapping {gene_kb:g} kb,
reference panel 1000G Phase3 {population}. Tick MAGMA: afterwards Cell Type takes the job's MAGMA result by its job id
(published: scRNA-seq of human cortex, Allen Brain Atlas). eQTL and chromatin mapping are choices of that form and have
no counterpart here.
FUMA takes files of up to 600 MB. {size_line}
p-values below 1e-300 are written as 1e-300.
"""

LDSC = """
Summary statistics of LDSC (SNP, A1, A2, Z, N), one file a trait, made by this study's munge_sumstats.

Where to: LD score regression on your machine, with LD scores of your population; the same files are taken by services
that ask for munged statistics.
  ldsc.py --h2 TRAIT.sumstats.gz --ref-ld-chr SCORES. --w-ld-chr WEIGHTS. --out TRAIT
  ldsc.py --rg A.sumstats.gz,B.sumstats.gz --ref-ld-chr SCORES. --w-ld-chr WEIGHTS. --out A_B
  ldsc.py --h2-cts TRAIT.sumstats.gz --ref-ld-chr BASELINE. --ref-ld-chr-cts CELLS.ldcts --w-ld-chr WEIGHTS. --out TRAIT
A1 is the allele of the effect and A2 truly the other one.
"""

MAGMA = """
Input of MAGMA: TRAIT.snp_loc.txt (variant, chromosome, position; no header) and TRAIT.pval.txt (SNP, P, N).

Where to: magma on your machine (https://cncr.nl/research/magma), with a gene file of build {build} and a reference
panel of your population.
  magma --annotate window=10 --snp-loc TRAIT.snp_loc.txt --gene-loc GENES.gene.loc --out TRAIT
  magma --bfile PANEL --pval TRAIT.pval.txt use=SNP,P ncol=N --gene-annot TRAIT.genes.annot --out TRAIT
  magma --gene-results TRAIT.genes.raw --gene-covar EXPRESSION.txt --model direction-covar=greater \\
    condition-hide=Average --out TRAIT
p-values below 1e-300 are written as 1e-300; variants whose name stands there twice are left out.
"""

REGENIE = """
phenotypes.txt and covariates.txt (FID IID and one column each, NA where missing), keep.txt (FID IID, no header).
FID is 0 throughout: the study's own filesets carry no family ids. For genotypes that have them write theirs into the
first column of every file; where FID equals IID, as in UK Biobank, copy the second column.

Where to: REGENIE where the genotypes are (https://rgcgithub.github.io/regenie), with at most about 500,000
pruned variants in step 1 (this study's thin_genotypes) and all in step 2, covariates in both:
  regenie --step 1 --bed THIN --keep keep.txt --phenoFile phenotypes.txt --covarFile covariates.txt \\
    --bsize 1000 --qt --lowmem --out step1
  regenie --step 2 --pgen ALL --keep keep.txt --phenoFile phenotypes.txt --covarFile covariates.txt \\
    --pred step1_pred.list --bsize 400 --qt --out step2
Traits: {traits}. Relatives may stay in for REGENIE: then make keep.txt from all people who passed the other filters.
plink2 reads the same files (--pheno, --covar, --keep).
"""

GCTA = """
TRAIT.phen (FID IID value), covar.txt (categories), qcovar.txt (numbers), keep.txt; no headers, NA where missing.
FID is 0 throughout: the study's own filesets carry no family ids. For genotypes that have them write theirs into the
first column of every file; where FID equals IID, as in UK Biobank, copy the second column.

Where to: GCTA where the genotypes are (https://yanglab.westlake.edu.cn/software/gcta):
  gcta64 --grm GRM --pheno TRAIT.phen --covar covar.txt --qcovar qcovar.txt --keep keep.txt --reml --out TRAIT
GRM: this study's make_grm writes GCTA's own format; several parts are joined by --mgrm.
Covariates of two values stand in covar.txt, others in qcovar.txt:
  covar.txt: {discrete}
  qcovar.txt: {quantitative}
"""

BOLT = """
phenotypes.txt and covariates.txt (FID IID and one column each, NA where missing).
FID is 0 throughout: the study's own filesets carry no family ids. For genotypes that have them write theirs into the
first column of every file; where FID equals IID, as in UK Biobank, copy the second column.

Where to: BOLT-LMM where the genotypes are (https://alkesgroup.broadinstitute.org/BOLT-LMM), for over 5,000 people:
  bolt --bfile GENOTYPES --phenoFile phenotypes.txt --phenoCol TRAIT --covarFile covariates.txt \\
    {columns} \\
    --reml --modelSnps PRUNED.txt
  with --lmm, --LDscoresFile and --statsFile in place of --reml for association.
Traits: {traits}.
"""

TEXTS = {
    "gwas_ssf": (GWAS_SSF, PUBLIC),
    "fuma": (FUMA, PUBLIC),
    "ldsc": (LDSC, PUBLIC),
    "magma": (MAGMA, PUBLIC),
    "regenie": (REGENIE, PRIVATE),
    "gcta": (GCTA, PRIVATE),
    "bolt": (BOLT, PRIVATE),
}
PURPOSES = {
    "gwas_ssf": "deposit in the GWAS Catalog",
    "fuma": "loci, genes, MAGMA and cell types on FUMA's web service",
    "ldsc": "LD score regression elsewhere",
    "magma": "gene, gene set and cell type analysis with MAGMA",
    "regenie": "association with REGENIE (or plink2)",
    "gcta": "heritability and genetic correlation with GCTA",
    "bolt": "mixed models and REML with BOLT-LMM",
}
BUILD_LINES = {
    "hg19": "positions are GRCh37 (hg19), which is FUMA's own build; leave the box for GRCh38 empty.",
    "hg38": "tick 'Input is build GRCh38'; ids are then found by position and alleles.",
}


def is_private(target: str) -> bool:
    """Whether a folder holds data of individuals."""
    return TEXTS[target][1] is PRIVATE


def target_text(target: str, words: dict) -> str:
    """Return the README of a folder.

    Parameters
    ----------
    target : str
        Key of :data:`TEXTS`.
    words : dict
        What stands in the text's braces.
    """
    text, who = TEXTS[target]
    return text.format(**words).lstrip("\n") + "\n" + textwrap.fill(who, 120) + "\n"


def folder_text(targets: list[str]) -> str:
    """Return the README of the folder of all handoffs."""
    lines = [
        "Files for other programs, a folder each; the README in it says where they go and what to choose there.",
        "",
    ]
    for target in targets:
        mark = "  ** data of individuals: never public **" if is_private(target) else ""
        lines.append(f"{target + '/':<12}{PURPOSES[target]}{mark}")
    lines += [
        "",
        "files.tsv       every file: rows, bytes, what was left out and why, whether it holds data of individuals",
    ]
    lines += ["validation.tsv  what the GWAS Catalog's validator says of gwas_ssf/"]
    lines += ["", "No file has an id other than those of the study's genotypes."]
    return "\n".join(lines) + "\n"
