import itertools

import numpy as np
import pandas as pd
import pytest

from tests.genetics.conftest import QC, control, genetics
from workflow_scripts.lib.genetics import bed, qc, tools
from workflow_scripts.lib.study.errors import StudyError


def removed_at(cleaned, step, kind):
    table = cleaned.removed
    return set(table.loc[(table["step"] == step) & (table["kind"] == kind), "id"])


def test_every_planted_sex_error_is_found(study, cleaned):
    truth = study.phantom.people.set_index("participant_id")
    planted = set(truth.index[truth["fault"] == "sex_error"])
    recorded = study.people.set_index("participant_id")["sex"]
    swapped = truth[truth["fault"] == "duplicate"]
    # a sample that is another person's may show another sex too
    planted |= {person for person, row in swapped.iterrows() if recorded[person] != recorded[row["relative_of"]]}
    found = removed_at(cleaned, "sex", "person")
    assert planted <= found
    # two X of one woman may be alike over tens of megabases by chance: then her sex is unclear, not a man's
    reasons = cleaned.removed.set_index("id")["reason"]
    assert len(found - planted) <= 1
    assert all("genotypes unclear" in reasons[person] for person in found - planted)


def test_no_planted_relatives_stay_together(study, cleaned):
    truth = study.phantom.people.dropna(subset="relative_of")
    assert len(truth) == 8
    kept = set(tools.read_samples(cleaned.prefix)["participant_id"])
    pairs = zip(truth["participant_id"], truth["relative_of"], strict=True)
    assert not [pair for pair in pairs if set(pair) <= kept]


def test_only_relatives_leave_as_relatives(study, cleaned):
    truth = study.phantom.people.dropna(subset="relative_of")
    assert removed_at(cleaned, "relatives", "person") <= {*truth["participant_id"], *truth["relative_of"]}


def test_people_with_missing_calls_are_found(study, cleaned):
    truth = study.phantom.people
    planted = set(truth.loc[truth["fault"] == "missingness", "participant_id"])
    assert removed_at(cleaned, "person_missingness", "person") == planted


def test_planted_missingness_is_found(study, cleaned):
    truth = study.phantom.variants
    found, planted = removed_at(cleaned, "variant_missingness", "variant"), truth["fault"] == "missingness"
    assert set(truth.loc[planted, "id"]) <= found
    # people with missing calls, who leave only later, push a few more over the limit
    assert len(found) <= planted.sum() + 8


@pytest.mark.parametrize(("step", "fault"), [("hwe", "hwe"), ("duplicates", "duplicate")])
def test_planted_variants_are_found_and_no_other(study, cleaned, step, fault):
    truth = study.phantom.variants
    assert removed_at(cleaned, step, "variant") == set(truth.loc[truth["fault"] == fault, "id"])


def test_one_copy_of_a_duplicated_variant_stays(study, cleaned):
    kept = pd.read_csv(f"{cleaned.prefix}.pvar", sep="\t", dtype=str)["ID"]
    truth = study.phantom.variants
    assert kept.is_unique
    assert set(truth.loc[truth["fault"] == "duplicate", "id"]) <= set(kept)


def test_counts_of_steps_add_up(cleaned):
    steps = cleaned.steps
    for what in ("people", "variants"):
        assert (steps[what].diff().iloc[1:] == -steps[f"{what}_removed"].iloc[1:]).all()
    kept = pd.read_csv(f"{cleaned.prefix}.pvar", sep="\t", dtype=str)
    assert steps["variants"].iloc[-1] == len(kept)
    assert steps["people"].iloc[-1] == len(tools.read_samples(cleaned.prefix))


def test_missingness_and_frequency_filters_agree_with_numpy(study, cleaned):
    gone = removed_at(cleaned, "sex", "person") | removed_at(cleaned, "relatives", "person")
    genotypes = study.phantom.genotypes
    people = ~genotypes.samples["participant_id"].isin(gone).to_numpy()
    autosomal = (genotypes.variants["chrom"] != "X").to_numpy()
    calls, ids = genotypes.calls[autosomal][:, people], genotypes.variants["id"][autosomal]
    missing = calls < 0
    frequency = np.where(missing, 0, calls).sum(axis=1) / 2 / (~missing).sum(axis=1)
    low = missing.mean(axis=1) > QC["max_variant_missing"]
    rare = ~low & (np.minimum(frequency, 1 - frequency) < QC["min_maf"])
    assert removed_at(cleaned, "variant_missingness", "variant") == set(ids[low])
    assert removed_at(cleaned, "frequency", "variant") == set(ids[rare])


def test_kept_people_are_unrelated_by_another_measure(study, cleaned):
    """Robust kinship of KING from counts of calls, written out for pairs (Manichaikul 2010, eq. 11)."""
    kept = tools.read_samples(cleaned.prefix)["participant_id"].tolist()
    genotypes = study.phantom.genotypes
    calls = genotypes.calls[(genotypes.variants["chrom"] != "X").to_numpy()]
    frequency = np.where(calls < 0, 0, calls).mean(axis=1) / 2
    calls = calls[np.minimum(frequency, 1 - frequency) > 0.05]
    place = {name: index for index, name in enumerate(genotypes.samples["participant_id"])}
    worst = 0.0
    for one, other in itertools.combinations(kept, 2):
        a, b = calls[:, place[one]], calls[:, place[other]]
        both = (a >= 0) & (b >= 0)
        a, b = a[both], b[both]
        het = min((a == 1).sum(), (b == 1).sum())
        shared, opposite = ((a == 1) & (b == 1)).sum(), (np.abs(a - b) == 2).sum()
        kinship = (shared - 2 * opposite) / (2 * het) + 0.5 - 0.25 * ((a == 1).sum() + (b == 1).sum()) / het
        worst = max(worst, kinship)
    assert worst < 0.1  # plink2 used slightly other variants


def small(tmp_path, calls, ids, chrom="1"):
    count = calls.shape[1]
    variants = pd.DataFrame({"chrom": chrom, "id": ids, "cm": 0.0, "pos": np.arange(len(ids)) * 10 + 70_000_000})
    samples = pd.DataFrame({"participant_id": [f"p{row}" for row in range(count)], "sex": "F"})
    bed.write_bed(bed.Genotypes(samples, variants.assign(alt="T", ref="G"), calls), tmp_path / "small")
    return tmp_path / "small", samples


def run(tmp_path, prefix, people, **changes):
    settings = genetics(prefix, chromosomes=[1], **changes)
    folder = tmp_path / "control"
    folder.mkdir()
    done = control(settings, people, folder)
    return done.steps, done.removed


def test_variants_without_ids_are_filtered_one_by_one(plink, tmp_path):
    calls = np.random.default_rng(0).binomial(2, 0.4, (300, 60)).astype(np.int8)
    calls[:7, :20] = -1
    prefix, people = small(tmp_path, calls, ["."] * 300)
    steps, removed = run(tmp_path, prefix, people, check_sex=False)
    assert steps.set_index("step").loc["variant_missingness", "variants"] == 293
    assert "1:70000000:G:T" in set(removed["id"])


def test_copies_with_different_calls_all_leave(plink, tmp_path):
    calls = np.random.default_rng(0).binomial(2, 0.4, (300, 60)).astype(np.int8)
    ids = [f"v{row}" for row in range(300)]
    ids[11] = "v10"
    prefix, people = small(tmp_path, calls, ids)
    steps, removed = run(tmp_path, prefix, people, check_sex=False)
    assert steps.set_index("step").loc["duplicates", "variants_removed"] == 2
    assert removed.loc[removed["id"] == "v10", "reason"].tolist() == ["id stands several times with different calls"]


@pytest.mark.parametrize("chrom", ["1", "X"])
def test_too_few_variants_on_x_are_refused_with_the_remedy(plink, tmp_path, chrom):
    calls = np.random.default_rng(0).binomial(2, 0.4, (300, 60)).astype(np.int8)
    prefix, people = small(tmp_path, calls, [f"v{row}" for row in range(300)], chrom)
    with pytest.raises(StudyError, match="check_sex: false"):
        run(tmp_path, prefix, people)


def test_a_filter_that_leaves_nothing_is_named(plink, tmp_path):
    calls = np.zeros((50, 60), np.int8)
    calls[:, 0] = 1
    prefix, people = small(tmp_path, calls, [f"v{row}" for row in range(50)])
    with pytest.raises(StudyError):
        run(tmp_path, prefix, people, check_sex=False)


def test_missing_calls_of_a_person_are_judged_over_all_parts():
    one = pd.DataFrame({"participant_id": ["a", "b", "c"], "missing": [9, 0, 3], "calls": 100})
    other = pd.DataFrame({"participant_id": ["c", "b", "a"], "missing": [4, 12, 0], "calls": 200})
    # 9, 12 and 7 of 300; a share that is exactly the limit may stay
    assert set(qc.people_missing([one, other], 0.03)) == {"b"}
    assert set(qc.people_missing([one, other], 0.02)) == {"a", "b", "c"}


def test_reasons_of_all_parts_are_joined_in_one_file(tmp_path):
    columns = qc.REMOVED_COLUMNS
    tables = [pd.DataFrame([["variant", f"v{row}", "hwe", "x"]], columns=columns) for row in range(2)]
    for row, table in enumerate(tables):
        table.to_csv(tmp_path / f"{row}.tsv.gz", sep="\t", index=False)
    last = pd.DataFrame([["person", "p", "person_missingness", "y"]], columns=columns)
    qc.join_removed([tmp_path / "0.tsv.gz", tmp_path / "1.tsv.gz"], last, tmp_path / "all.tsv.gz")
    joined = pd.read_csv(tmp_path / "all.tsv.gz", sep="\t")
    pd.testing.assert_frame_equal(joined, pd.concat([*tables, last], ignore_index=True), check_dtype=False)


def test_kinship_of_few_variants_that_would_take_most_people_is_refused(plink, tmp_path):
    """One stretch that most people have alike looks like kinship where nothing else is looked at."""
    random = np.random.default_rng(0)
    calls = random.binomial(2, 0.4, (60, 60)).astype(np.int8)
    calls[:, :40] = np.where(random.random((60, 40)) < 0.95, calls[:, :1], calls[:, :40])
    prefix, people = small(tmp_path, calls, [f"v{row}" for row in range(60)])
    with pytest.raises(StudyError, match=r"KING saw \d+ nearly common variants.*genetics: qc: kinship"):
        run(tmp_path, prefix, people, check_sex=False)
