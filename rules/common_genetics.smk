# What the rules of genetics ask of the config: parts of the genome, files, traits.
from workflow_scripts.lib.genetics import sources
from workflow_scripts.lib.genetics.trait_names import read_traits

GENETICS = "results/genetics"
# where one file of another program's format is converted whole before jobs of a chromosome each read it
CONVERTED = f"{GENETICS}/convert_genotypes/genotypes"


def genetics_parts():
    """List the parts of the genotypes that jobs work on: "all", or a chromosome each."""
    return sources.parts(config["genetics"])


def imported_parts():
    """List the parts that are read: those of genetics_parts(), and X for the sex check."""
    return sources.imported_parts(config["genetics"])


def by_scale(small, large):
    """Choose a resource: genotypes of one chromosome a job are those of tens of thousands of people."""
    return large if sources.is_split(config["genetics"]) else small


def own_traits():
    """Whether the traits of genetics come from a table of the user's instead of brain age gaps."""
    return config["genetics"]["phenotypes"] is not None


def traits():
    """List the traits of genetics: representations with a brain age gap, or columns of the user's table."""
    section = config["genetics"]
    if not own_traits():
        return gap_representations()
    named = section["covariates"]
    return read_traits(
        section["phenotypes"],
        section["traits"],
        [*named["numeric"], *named["categorical"]],
    )


def regenie():
    """Whether the association is REGENIE's, which needs a first step over the whole genome."""
    return config["genetics"]["gwas"]["tool"] == "regenie"


def role_tables(name):
    """Name a table of the cohort from which people with the role gwas are read, none with the user's own table."""
    return [] if own_traits() else f"results/cohort/{name}.tsv"


def import_settings():
    """Give what reading the genotypes depends on."""
    settings = pick("genetics", "genotypes", "chromosomes", "split", "sample")
    qc = {
        key: config["genetics"]["qc"][key] for key in ("check_sex", "min_info", "info")
    }
    if sources.is_converted(config["genetics"]):
        settings["genotypes"] = f"{CONVERTED}.pgen"
    return settings | {"qc": qc}


def convert_settings():
    """Give what converting the genotypes whole depends on."""
    settings = pick("genetics", "genotypes", "chromosomes", "split", "sample")
    return settings | {"qc": {"check_sex": config["genetics"]["qc"]["check_sex"]}}


def convert_files(wildcards):
    """List the files that are converted whole."""
    return sources.source(config["genetics"], sources.ALL).files


def source_files(wildcards):
    """List the files that a part is read from: genotypes, and the table of imputation quality if config names one."""
    settings = import_settings()
    info = sources.info_table(settings, wildcards.part)
    files = sources.source(settings, wildcards.part).files
    return files + ([info] if info else [])


def imported(ending, parts=None):
    """List a file of every part that import_genotypes makes, in the order of the parts."""
    chosen = genetics_parts() if parts is None else parts
    return expand(f"{GENETICS}/import_genotypes/{{part}}{ending}", part=chosen)


def sex_files(wildcards):
    """List the fileset with chromosome X, if sex is checked."""
    part = sources.sex_part(config["genetics"])
    return (
        multiext(f"{GENETICS}/import_genotypes/{part}", ".pgen", ".pvar", ".psam")
        if part
        else []
    )


def common_files(ending):
    """List a file of the variants that kinship is estimated from, of every part; none with a user's table of kinship."""
    if config["genetics"]["qc"]["kinship"]:
        return []
    return expand(f"{GENETICS}/pick_common/{{part}}{ending}", part=genetics_parts())


def filtered(*endings):
    """List files of every part after quality control of its variants, ending by ending."""
    return [
        file
        for ending in endings
        for file in expand(
            f"{GENETICS}/filter_variants/{{part}}{ending}", part=genetics_parts()
        )
    ]


def people_lists():
    """List the user's tables that decide who stays: exclusions, ancestry, kinship."""
    section = config["genetics"]
    ancestry = [section["ancestry"]["table"]] if section["ancestry"] else []
    kinship = [section["qc"]["kinship"]] if section["qc"]["kinship"] else []
    return [*section["exclude"], *ancestry, *kinship]


def people_settings():
    """Give what the filters of people depend on."""
    keys = (
        "check_sex",
        "sex_f_female",
        "sex_f_male",
        "max_kinship",
        "kinship",
        "max_variant_missing",
    )
    return pick("genetics", "exclude", "ancestry", "build") | {
        "qc": {key: config["genetics"]["qc"][key] for key in keys}
    }


def variant_settings():
    """Give what the filters of variants depend on."""
    return {
        key: config["genetics"]["qc"][key]
        for key in ("max_variant_missing", "min_maf", "min_hwe_p")
    }


def component_files(wildcards):
    """List what components are computed from: thinned genotypes, the user's table, or nothing if there are none."""
    settings = config["genetics"]["pcs"]
    if not settings["count"]:
        return []
    if settings["table"]:
        return [settings["table"]]
    return multiext(f"{GENETICS}/thin_genotypes/genotypes", ".bed", ".bim", ".fam")


def reference_files():
    """List the files of the linkage panel, if config names one: by chromosome where its path holds {chrom}."""
    path = config["genetics"]["reference"]
    if path is None:
        return []
    stems = [path.replace("{chrom}", str(number)) for number in range(1, 23)]
    stems = list(dict.fromkeys(stems))
    # the embedded study makes its panel, so that no file need be there yet
    made = [f"{stem}{end}" for stem in stems for end in (".bed", ".bim", ".fam")]
    kept = [f"{stem}{end}" for stem in stems for end in (".pgen", ".pvar", ".psam")]
    there = [name for name in made + kept if Path(name).exists()]
    return there or made


def peak_files():
    """List the files of open chromatin, so that a changed one reruns; the folder itself if the study makes it."""
    folder = config["genetics"]["peaks"]["folder"]
    if folder is None:
        return []
    made = folder.startswith("results/") or not Path(folder).is_dir()
    return folder if made else sorted(map(str, Path(folder).iterdir()))


def score_files():
    """List the precomputed LD scores that config names, by their prefixes; @ stands for the chromosome."""
    scores = config["genetics"]["ldsc"]["scores"].values()
    starts = [path.partition("@")[0] for path in scores if path]
    cut = [start.rpartition("/") for start in starts]
    found = [
        file for folder, _, name in cut for file in Path(folder or ".").glob(f"{name}*")
    ]
    return sorted(str(file) for file in found if file.is_file())


def has_peaks():
    """Whether config names open chromatin of cell types."""
    return config["genetics"]["peaks"]["folder"] is not None


def ld_score_folders():
    """List the folders of the study's own LD scores: none if config names files for all that is run."""
    given = config["genetics"]["ldsc"]["scores"]
    named = given["univariate"] and given["weights"]
    cells = not has_peaks() or (given["baseline"] and given["cell_types"])
    if named and cells:
        return []
    return expand("results/genetics/make_ld_scores/{part}", part=genetics_parts())


def has_cell_types():
    """Whether heritability is partitioned: there are peaks, or LD scores of cell types."""
    return has_peaks() or config["genetics"]["ldsc"]["scores"]["cell_types"] is not None


def partition_files(name):
    """Name a table of partitioned heritability; none if there is nothing to partition it by."""
    made = f"results/genetics/partition_heritability/{name}.tsv"
    return made if has_cell_types() else []


def pick_ldsc(*keys):
    """Take some keys of config section genetics: ldsc."""
    return {key: config["genetics"]["ldsc"][key] for key in keys}


def has_genes():
    """Whether there is a table of genes to score."""
    return config["genetics"]["genes"]["table"] is not None


def expression_files():
    """List the expression tables of config: none, one, or several by name; none without a table of genes."""
    table = config["genetics"]["expression"]["table"]
    if table is None or not has_genes():
        return []
    return list(table.values()) if isinstance(table, dict) else [table]


wildcard_constraints:
    part=any_of(imported_parts()),
