"""Find loci by linkage, their genes and whether they are known; from association results to tables of loci."""

import logging
from pathlib import Path

import pandas as pd

from workflow_scripts.lib.genetics import genes, ld, loci, locus_tables, novelty
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study import log, tables

LOGGER = logging.getLogger(__name__)
SMALL = ("loci", "leads", "independent", "candidates", "genes")


def main(snakemake):
    """Entry point of rule ``find_loci``."""
    given, params, rules = snakemake.input, snakemake.params, snakemake.params.loci
    parts = {part: Path(path).with_suffix("") for part, path in zip(params.parts, given.genotypes, strict=True)}
    source = ld.reference_parts(params.reference, params.chromosomes) if params.reference else parts
    keep = None if params.reference else Path(given.people)
    reads_genes, reads_known = params.genes["table"], params.catalogue["table"]
    table = genes.read_genes(reads_genes, params.genes["build"], params.build) if reads_genes else None
    known = novelty.read_catalogue(reads_known, params.catalogue, params.build) if reads_known else None
    limits = Limits(snakemake.threads, snakemake.resources.mem_mb // 2)  # the results of a trait take the other half
    collected: dict[str, list[pd.DataFrame]] = {name: [] for name in (*SMALL, "linkage")}
    for trait, path in zip(params.traits, given.results, strict=True):
        found = locus_tables.find_linked(loci.read_tested(path), source, keep, rules, limits)
        reach, near = params.genes["window_kb"], params.catalogue["distance_kb"]
        annotated, mapped = locus_tables.annotate(found, table, reach, known, near)
        LOGGER.info("%s: %d loci, %d leads", trait, len(annotated), len(found.leads))
        rows = (annotated, found.leads, found.independent, found.candidates, mapped, found.linkage)
        for name, part in zip(collected, rows, strict=True):
            part.insert(0, "trait", pd.Series(trait, part.index, dtype=str))
            collected[name].append(part)
    joined = {name: locus_tables.join(rows) for name, rows in collected.items()}
    for name in SMALL:
        tables.write_table(joined[name], snakemake.output[name], "loci" if name == "loci" else f"locus_{name}")
    locus_tables.write(joined["linkage"], snakemake.output.linkage, "locus_linkage")
    shown = locus_tables.strongest(joined["loci"], rules["shown"], rules["flank_kb"])
    regions = [locus_tables.genes_shown(shown, table)] if table is not None else []
    for trait, path in zip(params.traits, given.results, strict=True):
        wanted = shown if rules["shown_traits"] == "all" else shown[shown["trait"] == trait]
        if len(wanted):
            tested = loci.read_tested(path, ["chrom", "pos", "id", "p", "neg_log10_p"])
            regions.append(locus_tables.variants_shown(wanted, tested, trait, joined["linkage"], rules["p"]))
    locus_tables.write(locus_tables.region_table(regions), snakemake.output.regions, "locus_regions")


if __name__ == "__main__":
    log.run(main, snakemake)
