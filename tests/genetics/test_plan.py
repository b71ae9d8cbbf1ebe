import pandas as pd
import pytest

from workflow_scripts.lib.genetics import plan
from workflow_scripts.lib.genetics.plan import Costs


def steps(*arguments, **options):
    return plan.plan(*arguments, **options).set_index("step")


def test_the_published_size_costs_what_was_measured():
    table = steps(30_000, 10_000_000, 3)
    # 4.1 ms a variant for three traits, so 10 million are 11.4 hours of a core
    assert table.loc["association", "cpu_hours"] == pytest.approx(11.4, rel=0.02)
    assert table.loc["association", "longest_minutes"] == pytest.approx(11.4 * 60 * 0.083 / 8, rel=0.02)
    assert table.loc["association", "jobs"] == 22
    # two matrices of doubles and a little
    assert 14.4 < table.loc["heritability (GREML)", "memory_gb"] < 24
    assert table.loc["import and quality control", "disk_gb"] == pytest.approx(261, rel=0.05)


def test_steps_grow_as_their_algorithms_do():
    small, large = steps(5_000, 300_000, 2), steps(10_000, 600_000, 2)
    growth = large["cpu_hours"] / small["cpu_hours"]
    assert growth["association"] == pytest.approx(4)
    assert growth["heritability (GREML)"] == pytest.approx(8, rel=0.1)  # beside pairs of traits
    assert growth["relatives (KING)"] == pytest.approx(4)  # the 200,000 variants that it looks at are there already
    assert growth["relatedness matrix"] == pytest.approx(8)
    assert (large["memory_gb"] >= small["memory_gb"]).all()


def test_traits_in_one_pass_cost_less_than_one_by_one():
    one, three = steps(30_000, 1_000_000, 1), steps(30_000, 1_000_000, 3)
    assert three.loc["association", "cpu_hours"] < 1.5 * one.loc["association", "cpu_hours"]
    assert (three["cpu_hours"] >= one["cpu_hours"]).all()


def test_measured_costs_replace_the_defaults():
    table = steps(1000, 1000, 1, costs=Costs(glm=0.0, glm_trait=1.0))
    assert table.loc["association", "cpu_hours"] * 3600 == pytest.approx(1000 / 30)


@pytest.mark.parametrize("wrong", [(0, 10, 1), (10, 0, 1), (10, 10, 0)])
def test_nothing_to_plan_is_refused(wrong):
    with pytest.raises(ValueError, match="must be above 0"):
        plan.plan(*wrong)


def test_the_text_has_every_step_and_the_sums():
    table = plan.plan(30_000, 10_000_000, 3)
    text = plan.write_plan(table, 30_000, 10_000_000, 3)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == len(table) + 3
    assert [row.split(" | ")[0].lstrip("| ") for row in rows[2:-1]] == table["step"].tolist()
    assert f"| all | {table['jobs'].sum()} | {table['cpu_hours'].sum():.1f} |" in rows[-1]
    assert isinstance(table, pd.DataFrame)
