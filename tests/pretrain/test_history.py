import pandas as pd
import pytest

from workflow_scripts.lib.figures import training_curves
from workflow_scripts.lib.pretrain import history
from workflow_scripts.lib.study.errors import StudyError


def write(path, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    row = {"epoch": 1, "steps": 2, "learning_rate": 0.1, "loss": 3.0, "nce": 2.0, "alignment": 1.0, "uniformity": -1.0}
    pd.DataFrame([{**row, **more}]).to_csv(path, sep="\t", index=False)
    return path


def test_all_logs_are_in_one_table_that_can_be_drawn(tmp_path):
    write(tmp_path / "rnce/00/b.tsv", explained=0.5)
    write(tmp_path / "rnce/00/a.tsv", explained=0.6)
    write(tmp_path / "rnce/01/c.tsv", explained=0.7)
    write(tmp_path / "simclr/00/a.tsv")
    images = {method: write(tmp_path / f"{method}.tsv", loss=9.0) for method in ("rnce", "simclr")}
    folders = {"rnce": [tmp_path / "rnce/00", tmp_path / "rnce/01"], "simclr": [tmp_path / "simclr/00"]}
    table = history.collect(folders, images)
    assert table["location"].tolist() == ["a", "b", "c", "a", "all", "all"]
    assert table["level"].tolist() == ["patch"] * 4 + ["image"] * 2
    assert table["explained"].isna().tolist() == [False, False, False, True, True, True]
    training_curves.draw(table)


def test_a_log_of_another_form_is_refused(tmp_path):
    write(tmp_path / "00/a.tsv", surprise=1)
    with pytest.raises(StudyError, match="surprise"):
        history.collect({"rnce": [tmp_path / "00"]}, {})
