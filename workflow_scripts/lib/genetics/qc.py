"""Quality control of genotypes, one filter a step, in the order of the published study.

Order matters: an allele frequency judged before or after people leave differs. Each step reads the original files with
the lists of people and variants that the steps before left, so no intermediate copy is written.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from workflow_scripts.lib.genetics import tools
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study.errors import StudyError

LOGGER = logging.getLogger(__name__)
COMMON = "0.05"  # least minor allele frequency for sex check and kinship; rare variants carry little and bias KING
LEAST_X_VARIANTS = 1000  # with 79 markers plink called 164 of 2,806 people wrong, with 1,172 one
# Parts of X that men have twice, by build (base pairs, from 1)
PSEUDOAUTOSOMAL = {
    "hg19": [(1, 2_699_520), (154_931_044, 155_260_560)],
    "hg38": [(1, 2_781_479), (155_701_383, 156_030_895)],
}
STEP_COLUMNS = ["step", "filter", "people", "variants", "people_removed", "variants_removed"]
REMOVED_COLUMNS = ["kind", "id", "step", "reason"]


@dataclass
class Chain:
    """The state between steps.

    Attributes
    ----------
    source : pathlib.Path
        Prefix of the genotypes.
    folder : pathlib.Path
        Where lists are written.
    samples : pandas.DataFrame
        People left: ``fid``, ``participant_id``.
    variants : pandas.Index
        Ids of variants left, a repeated id as often as it occurs.
    unique : bool
        Whether repeated ids have been dealt with.
    steps, removed : list of dict
        Rows of the result.
    """

    source: Path
    folder: Path
    samples: pd.DataFrame
    limits: Limits
    variants: pd.Index | None = None
    unique: bool = False

    def __post_init__(self) -> None:
        self.steps: list[dict] = []
        self.removed: list[pd.DataFrame] = []

    def arguments(self, variants: list[str] | None = None) -> list[str]:
        """Write the lists; return plink2's arguments that name genotypes, people and variants left (or those given)."""
        keep, extract = self.folder / "keep.txt", self.folder / "extract.txt"
        tools.write_ids(self.samples, keep)
        given = [*tools.genotype_arguments(self.source), "--keep", str(keep)]
        variants = self.variants if variants is None else variants
        if variants is not None:
            extract.write_text("\n".join(variants) + "\n")
            given += ["--extract", str(extract)]
        # identical copies of a variant share their id, so a list cannot tell them apart
        return given + (["--rm-dup", "exclude-mismatch"] if self.unique else [])

    def lists(self, name: str, flags: list[str]) -> tuple[pd.DataFrame, pd.Index]:
        """Run one filter and return the people and the ids of variants that pass it."""
        out = self.folder / name
        tools.run(
            tools.find("plink2"),
            [*self.arguments(), *flags, "--write-samples", "--write-snplist", "allow-dups"],
            out,
            self.limits,
        )
        return tools.read_ids(f"{out}.id"), pd.Index(Path(f"{out}.snplist").read_text().split(), dtype=str)

    def leave(
        self, step: str, text: str, samples: pd.DataFrame, variants: pd.Index, reasons: dict[str, str] | None = None
    ) -> None:
        """Note what a step removed and go on with the rest."""
        before = self.variants if self.variants is not None else variants
        gone = self.samples["participant_id"][~self.samples["participant_id"].isin(samples["participant_id"])]
        ids = before[~before.isin(variants)].unique()
        for kind, names in (("person", gone), ("variant", ids)):
            reason = [(reasons or {}).get(name, text) for name in names]
            self.removed.append(pd.DataFrame({"kind": kind, "id": list(names), "step": step, "reason": reason}))
        row = [step, text, len(samples), len(variants), len(gone), len(before) - len(variants)]
        self.steps.append(dict(zip(STEP_COLUMNS, row, strict=True)))
        LOGGER.info("%s (%s): %d people and %d variants left", *row[:4])
        self.samples, self.variants = samples.reset_index(drop=True), variants
        if not len(samples) or not len(variants):
            raise StudyError(
                f"genetics: qc: after step '{step}' ({text}) {len(samples)} people and {len(variants)} variants are "
                "left. Loosen this filter or check the genotypes."
            )


def _percent(share: float) -> str:
    return f"{100 * share:g}%"


def _pick_x_markers(chain: Chain, given: list[str], settings: dict) -> list[str]:
    """Find independent common variants of X; :class:`StudyError` if there are too few to tell men from women."""
    pruning = ["--geno", str(settings["max_variant_missing"]), "--maf", COMMON, "--indep-pairwise", "50", "5", "0.2"]
    remedy = "Give genotypes with chromosome X, or set genetics: qc: check_sex: false if sex was checked before."
    plink2, arguments = tools.find("plink2"), [*chain.arguments(), *given, *pruning]
    try:
        tools.run(plink2, arguments, chain.folder / "x", chain.limits)
    except StudyError as error:
        raise StudyError(f"the sex check found no usable variants on chromosome X. {remedy}\n{error}") from error
    markers = (chain.folder / "x.prune.in").read_text().split()
    if len(markers) < LEAST_X_VARIANTS:
        raise StudyError(
            f"the sex check found {len(markers)} independent common variants on chromosome X; below "
            f"{LEAST_X_VARIANTS} it calls many people wrong. {remedy}"
        )
    return markers


def check_sex(chain: Chain, sex: pd.Series, settings: dict) -> None:
    """Remove people whose recorded sex differs from the one that heterozygosity on X shows.

    Parameters
    ----------
    sex : pandas.Series
        Recorded sex (F, M) by participant.
    """
    folder, build = chain.folder, settings["build"]
    recorded = pd.DataFrame({"SEX": sex.reindex(chain.samples["participant_id"]).map({"M": 1, "F": 2}).fillna(0)})
    tools.write_ids(chain.samples, folder / "sex.txt", recorded.astype(int))
    ranges = "".join(f"X {first} {last} par\n" for first, last in PSEUDOAUTOSOMAL[build])
    (folder / "par.txt").write_text(ranges)
    given = ["--update-sex", str(folder / "sex.txt"), "--chr", "X", "--exclude", "bed1", str(folder / "par.txt")]
    given += ["--rm-dup", "force-first"]
    markers = _pick_x_markers(chain, given, settings)
    tools.run(tools.find("plink2"), [*chain.arguments(markers), *given, "--make-bed"], folder / "x", chain.limits)
    low, high = settings["sex_f_female"], settings["sex_f_male"]
    arguments = ["--bfile", str(folder / "x"), "--check-sex", str(low), str(high)]
    tools.run(tools.find("plink1.9"), arguments, folder / "sex", chain.limits)
    report = pd.read_csv(folder / "sex.sexcheck", sep=r"\s+", dtype={"IID": str})
    wrong = report[(report["STATUS"] == "PROBLEM") & (report["PEDSEX"] != 0)]
    names = {0: "unclear", 1: "M", 2: "F"}
    reasons = {
        row.IID: f"recorded {names[row.PEDSEX]}, genotypes {names[row.SNPSEX]} (F on X {row.F:.3f})"
        for row in wrong.itertuples()
    }
    left = chain.samples[~chain.samples["participant_id"].isin(reasons)]
    text = f"recorded and genetic sex differ (female below {low:g}, male above {high:g}; {len(markers)} variants)"
    chain.leave("sex", text, left, chain.variants, reasons)


def remove_relatives(chain: Chain, settings: dict) -> None:
    """Keep a largest set of people of whom no two are related (KING-robust kinship)."""
    out, limit = chain.folder / "king", str(settings["max_kinship"])
    flags = ["--maf", COMMON, "--king-cutoff", limit, "--make-king-table", "--king-table-filter", limit]
    tools.run(tools.find("plink2"), [*chain.arguments(), *flags], out, chain.limits)
    left = tools.read_ids(f"{out}.king.cutoff.in.id")
    pairs = pd.read_csv(f"{out}.kin0", sep="\t", dtype={"IID1": str, "IID2": str, "#IID1": str})
    pairs.columns = [column.lstrip("#") for column in pairs.columns]
    reasons: dict[str, list[str]] = {}
    for pair in pairs.itertuples():
        for one, other in ((pair.IID1, pair.IID2), (pair.IID2, pair.IID1)):
            reasons.setdefault(one, []).append(f"kinship {pair.KINSHIP:.3f} with {other}")
    joined = {person: "; ".join(found) for person, found in reasons.items()}
    chain.leave("relatives", f"kinship above {limit}", left, chain.variants, joined)


def remove_duplicates(chain: Chain) -> None:
    """Keep one of variants with one id and equal calls, none if calls differ, one of equal place and alleles."""
    out = chain.folder / "duplicates"
    flags = ["--rm-dup", "exclude-mismatch", "list", "--make-just-pvar", "cols="]
    tools.run(tools.find("plink2"), [*chain.arguments(), *flags], out, chain.limits)
    table = pd.read_csv(f"{out}.pvar", sep="\t", comment=None, dtype=str)
    again = table.duplicated(["#CHROM", "POS", "REF", "ALT"])
    reasons = {name: "same place and alleles as another variant" for name in table["ID"][again]}
    repeated = chain.variants[chain.variants.duplicated()].unique()
    reasons |= {name: "id stands several times with different calls" for name in repeated}
    left = pd.Index(table["ID"][~again], dtype=str)
    chain.leave("duplicates", "duplicated variants", chain.samples, left, reasons)
    # one of these stays, so it is no removed id; the count of the step has it
    kept = repeated[repeated.isin(left)]
    rows = pd.DataFrame({"kind": "variant", "id": kept, "step": "duplicates", "reason": "further copies of this id"})
    chain.removed.append(rows)
    chain.unique = True


def quality_control(
    source: str | Path, people: pd.DataFrame, settings: dict, out: str | Path, folder: Path, limits: Limits
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Run all steps and write what is left to ``out.pgen``, ``.pvar`` and ``.psam``.

    Parameters
    ----------
    source : path
        Prefix of .pgen/.pvar/.psam or .bed/.bim/.fam files.
    people : pandas.DataFrame
        Whom to keep: ``participant_id``, ``sex`` (F, M; as recorded).
    settings : dict
        Config section ``genetics: qc``.
    folder : pathlib.Path
        An empty folder for working files.

    Returns
    -------
    steps : pandas.DataFrame
        One row a step, counts after it.
    removed : pandas.DataFrame
        ``kind`` (person, variant), ``id``, ``step``, ``reason``.

    References
    ----------
    .. [1] Marees et al., Int J Methods Psychiatr Res 27:e1608, 2018.
    .. [2] Manichaikul et al., Bioinformatics 26:2867, 2010 (KING).
    """
    wanted = people["participant_id"].tolist()
    samples = tools.match_people(tools.read_samples(source), wanted, str(source))
    chain = Chain(Path(source), folder, samples, limits)
    chain.leave("start", "people with the role gwas and a sample", *chain.lists("start", []))
    if settings["check_sex"]:
        check_sex(chain, people.set_index("participant_id")["sex"], settings)
    chain.leave("autosomes", "not on an autosome", *chain.lists("autosomes", ["--autosome"]))
    remove_relatives(chain, settings)
    missing, frequency = settings["max_variant_missing"], settings["min_maf"]
    text = f"more than {_percent(missing)} of calls missing"
    chain.leave("variant_missingness", text, *chain.lists("geno", ["--geno", str(missing)]))
    text = f"minor allele frequency below {_percent(frequency)}"
    chain.leave("frequency", text, *chain.lists("maf", ["--maf", str(frequency)]))
    remove_duplicates(chain)
    limit = settings["min_hwe_p"]
    chain.leave("hwe", f"Hardy-Weinberg p below {limit:g}", *chain.lists("hwe", ["--hwe", str(limit)]))
    missing = settings["max_person_missing"]
    text = f"more than {_percent(missing)} of calls missing"
    chain.leave("person_missingness", text, *chain.lists("mind", ["--mind", str(missing)]))
    sex = people.set_index("participant_id")["sex"].reindex(chain.samples["participant_id"]).map({"M": 1, "F": 2})
    tools.write_ids(chain.samples, folder / "sex.txt", pd.DataFrame({"SEX": sex.fillna(0).astype(int)}))
    final = [*chain.arguments(), "--update-sex", str(folder / "sex.txt"), "--make-pgen"]
    tools.run(tools.find("plink2"), final, Path(out), limits)
    return pd.DataFrame(chain.steps), pd.concat(chain.removed, ignore_index=True)
