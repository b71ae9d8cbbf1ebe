"""Tell what genetics will cost before it runs: people, variants, jobs, hours, memory and disk, on the terminal."""

from workflow_scripts.lib.genetics import genotypes, headers, plan, sources
from workflow_scripts.lib.study import log, tables
from workflow_scripts.lib.study.files import atomic


def main(snakemake):
    """Entry point of rule ``plan_genetics``."""
    given, params = snakemake.input, snakemake.params
    if given.get("phenotypes"):
        people = genotypes.table_people(given.phenotypes)
    else:
        people = genotypes.wanted_people(
            tables.read_table(given.scans, "scans"), tables.read_table(given.roles, "roles")
        )
    found = [sources.source(params.genetics, part) for part in sources.parts(params.genetics)]
    samples = set(people["participant_id"]) & set(headers.read_sample_ids(found[0]))
    counts = [headers.count_variants(source) for source in found]
    known = None not in counts
    variants = sum(counts) if known else params.assumed
    table = plan.plan(max(len(samples), 1), max(variants, 1), params.traits, parts=len(found), related=params.related)
    text = plan.write_plan(table, len(samples), variants, params.traits)
    if not known:
        text = f"The files do not say how many variants they hold: {params.assumed:,} assumed.\n\n{text}"
    with atomic(params.text) as temporary:
        temporary.write_text(text)
    print(text, flush=True)


if __name__ == "__main__":
    log.run(main, snakemake)
