"""The scripts of quality control: from the stages' tables on disk to the tables and the page of the study."""

import logging
from types import SimpleNamespace

import pandas as pd
import pytest
from PIL import Image

from tests.imaging.qc.qc_study import WANTED, settings, study
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.register import collect_qc, make_qc_page


def write_study(folder, parts):
    """Write the stages' tables in two batches; returns what the rule gives its script."""
    scans, made, placed, features = parts
    tables.write_table(scans, folder / "scans.tsv", "scans")
    given = SimpleNamespace(scans=folder / "scans.tsv", preprocessed=[], registered=[], brains=[])
    for batch, ids in (("000", scans["scan_id"][:3]), ("001", scans["scan_id"][3:])):
        for table, name, paths in ((made, "made", given.preprocessed), (placed, "placed", given.registered)):
            paths.append(folder / f"{name}_{batch}.tsv")
            tables.write_table(table[table["scan_id"].isin(ids)], paths[-1], "stage_scans")
        given.brains.append(folder / batch)
        part = features[features["scan_id"].isin(ids)].dropna(axis=1, how="all")
        tables.write_table(part, folder / batch / "features.tsv", "features")
    return given


def collect(folder, parts, **changes):
    names = {"scans": "tsv", "included": "tsv", "with_volume": "tsv", "excluded": "tsv", "tools": "tsv", "page": "html"}
    output = SimpleNamespace(**{name: folder / "qc" / f"{name}.{suffix}" for name, suffix in names.items()})
    params = SimpleNamespace(qc=settings(max_excluded_fraction=0.5) | changes, features={"list": WANTED})
    given = write_study(folder, parts)
    collect_qc.main(SimpleNamespace(input=given, output=output, params=params))
    return {
        name: tables.read_table(getattr(output, name), schema)
        for name, schema in (
            ("scans", "qc_scans"),
            ("included", "included"),
            ("with_volume", "included"),
            ("excluded", "excluded"),
            ("tools", "qc_tools"),
        )
    } | {"page": output.page.read_text()}


def test_tables_and_page_of_a_study_with_two_faults(tmp_path, caplog):
    parts = study(
        made__passed={1: False},
        made__reason={1: "truncated <here>"},
        placed__overlap={3: 0.4},
        made__volume={5: False},
        made__tool_version={5: "2"},
    )
    scans, made, placed, features = parts
    with caplog.at_level(logging.WARNING):
        found = collect(tmp_path, (scans, made, placed.drop(index=[1, 5]), features.drop(index=1)))
    assert found["included"]["scan_id"].tolist() == ["sub-1_1", "sub-3_1", "sub-5_1", "sub-6_1"]
    assert found["included"]["volume"].tolist() == [True, True, True, False]
    assert found["with_volume"]["scan_id"].tolist() == ["sub-1_1", "sub-3_1", "sub-5_1"]
    assert found["excluded"].values.tolist() == [
        ["sub-2_1", "preprocess", "truncated <here>"],
        ["sub-4_1", "qc", "overlap with the template is 0.40, expected at least 0.85"],
    ]
    assert found["tools"]["scans"].tolist() == [4, 1]
    assert "truncated &lt;here&gt;" in found["page"]
    assert "sub-4_1 set aside by qc: overlap" in caplog.text
    assert "1 scans go on with flag mixed_tools" in caplog.text
    assert "cohort adni mixes tools or versions (4 scans by embedded 1, 1 scans by embedded 2)" in caplog.text


def test_decisions_by_hand_are_read_from_their_table(tmp_path):
    path = tmp_path / "overrides.tsv"
    path.write_text("scan_id\tdecision\treason\nsub-4_1\tinclude\tfine\nsub-1_1\texclude\tmoved\n")
    found = collect(tmp_path, study(placed__overlap={3: 0.4}), overrides=str(path))
    assert found["excluded"]["scan_id"].tolist() == ["sub-1_1"]
    assert found["scans"].set_index("scan_id").loc["sub-4_1", "override_reason"] == "fine"


def test_a_decision_on_an_unknown_scan_stops_the_study(tmp_path):
    path = tmp_path / "overrides.tsv"
    path.write_text("scan_id\tdecision\treason\nsub-44_1\tinclude\tfine\n")
    with pytest.raises(StudyError, match="found 'sub-44_1'"):
        collect(tmp_path, study(), overrides=str(path))


def test_the_tables_are_written_before_too_many_lost_scans_stop_the_study(tmp_path):
    with pytest.raises(StudyError, match="2 of 6 scans were set aside"):
        collect(tmp_path, study(placed__overlap={0: 0.1, 1: 0.1}), max_excluded_fraction=0.2)
    assert len(pd.read_csv(tmp_path / "qc" / "excluded.tsv", sep="\t")) == 2


def test_the_page_is_made_from_tables_and_pictures(tmp_path):
    collect(tmp_path, study())
    volumes = tmp_path / "volumes"
    volumes.mkdir()
    Image.new("RGB", (8, 8)).save(volumes / "sub-1_1.jpg")
    make_qc_page.main(
        SimpleNamespace(
            input=SimpleNamespace(scans=tmp_path / "qc" / "scans.tsv", volumes=[volumes]),
            output=SimpleNamespace(page=tmp_path / "page"),
            params=SimpleNamespace(checks=settings()["checks"]),
        )
    )
    assert "sub-6_1" in (tmp_path / "page" / "data.js").read_text()
    assert [path.name for path in (tmp_path / "page" / "pictures").iterdir()] == ["sub-1_1.jpg"]
