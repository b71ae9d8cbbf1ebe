"""The commands for FreeSurfer and FastSurfer hold options that the tools document, and all they need."""

from pathlib import Path

import pytest

from workflow_scripts.lib.imaging.backends import fastsurfer, freesurfer
from workflow_scripts.lib.imaging.backends.tools import Tool

SUBJECTS = Path("/study/subjects")
FREESURFER = Tool("freesurfer", threads=4, options=("-3T",))
FASTSURFER = Tool("fastsurfer", threads=4, gpu=1, options=("--3T",), licence="/keys/licence.txt")

# option -> number of values. `recon-all -help`, wiki pages recon-all and LongitudinalProcessing
RECON_ALL = {"-s": 1, "-i": 1, "-sd": 1, "-all": 0, "-3T": 0, "-parallel": 0, "-openmp": 1, "-no-isrunning": 0}
RECON_ALL |= {"-base": 1, "-tp": 1, "-long": 2}
# usage text of run_fastsurfer.sh (2.4)
FAST = {"--fs_license": 1, "--sid": 1, "--sd": 1, "--t1": 1, "--vox_size": 1, "--seg_only": 0, "--surf_only": 0}
FAST |= {"--no_cereb": 0, "--no_hypothal": 0, "--3T": 0, "--threads": 1, "--device": 1, "--viewagg_device": 1}
FAST |= {"--base": 0, "--long": 1, "--tal_reg": 0, "--parallel": 0, "--allow_root": 0, "--batch": 1, "--py": 1}
# usage text of recon_surf/long_prepare_template.sh (2.4)
PREPARE = {"--tid": 1, "--t1s": "+", "--tpids": "+", "--sd": 1, "--vox_size": 1, "--device": 1, "--viewagg_device": 1}
PREPARE |= {"--batch": 1, "--py": 1, "--3T": 0}  # long_fastsurfer.sh hands it all options of run_fastsurfer.sh


def parse(arguments: list, documented: dict) -> dict[str, list]:
    """Read arguments as the tool would; an option that is not documented, or lacks a value, fails."""
    found, rest = {}, list(arguments)
    while rest:
        option = rest.pop(0)
        assert option in documented, f"{option} is not documented"
        assert option == "-tp" or option not in found, f"{option} stands there twice"
        wanted = documented[option]
        if wanted == "+":
            end = next((n for n, word in enumerate(rest) if str(word).startswith("-")), len(rest))
            values, rest = rest[:end], rest[end:]
            assert values
        else:
            values, rest = rest[:wanted], rest[wanted:]
            assert len(values) == wanted
        assert not any(str(value).startswith("-") for value in values)
        found.setdefault(option, []).extend(values)
    return found


def check_paths(command):
    """All that is a path is absolute, and all that looks like one is a path, which a container needs to know."""
    for argument in command.arguments:
        assert isinstance(argument, Path) == ("/" in str(argument)), argument
        assert not isinstance(argument, Path) or argument.is_absolute()
    assert command.done
    assert not any(Path(pattern).is_absolute() for pattern in command.done)


def test_one_scan_with_freesurfer():
    command = freesurfer.cross("sub-01_1", "scan.nii.gz", SUBJECTS, FREESURFER)
    check_paths(command)
    found = parse(command.arguments, RECON_ALL)
    assert command.program == "recon-all"
    assert found["-s"] == ["sub-01_1"]
    assert found["-i"] == [Path.cwd() / "scan.nii.gz"]
    assert found["-sd"] == [SUBJECTS]
    assert found["-openmp"] == ["4"]
    assert {"-all", "-3T", "-parallel"} <= set(found)
    assert "sub-01_1/stats/lh.aparc.stats" in command.done


def test_one_thread_runs_no_hemispheres_at_the_same_time():
    assert "-parallel" not in freesurfer.cross("a_1", "/a.nii", SUBJECTS, Tool("freesurfer")).arguments


def test_the_longitudinal_steps_of_freesurfer():
    base = freesurfer.base("sub-01", ["sub-01_1", "sub-01_2"], SUBJECTS, FREESURFER)
    check_paths(base)
    found = parse(base.arguments, RECON_ALL)
    assert found["-base"] == ["sub-01"]
    assert found["-tp"] == ["sub-01_1", "sub-01_2"]
    assert "-i" not in found
    assert "-s" not in found
    long = freesurfer.long("sub-01_2", "sub-01", SUBJECTS, FREESURFER)
    check_paths(long)
    assert parse(long.arguments, RECON_ALL)["-long"] == ["sub-01_2", "sub-01"]
    assert "sub-01_2.long.sub-01/scripts/recon-all.done" in long.done
    # steps with different flags are not comparable
    cross = freesurfer.cross("sub-01_2", "/a.nii", SUBJECTS, FREESURFER)
    tails = [command.arguments[command.arguments.index("-sd") :] for command in (cross, base, long)]
    assert tails[0] == tails[1] == tails[2]


def test_what_freesurfer_has_imported_is_not_given_again(tmp_path):
    imported = tmp_path / "sub-01_1/mri/orig/001.mgz"
    imported.parent.mkdir(parents=True)
    imported.touch()
    found = parse(freesurfer.cross("sub-01_1", "/a.nii", tmp_path, FREESURFER).arguments, RECON_ALL)
    assert "-i" not in found
    assert found["-s"] == ["sub-01_1"]
    assert "-no-isrunning" in found


def test_segmentation_and_surfaces_of_fastsurfer_are_two_commands():
    segment = fastsurfer.segment("sub-01_1", "scan.nii.gz", SUBJECTS, FASTSURFER)
    surfaces = fastsurfer.surfaces("sub-01_1", SUBJECTS, FASTSURFER)
    first, second = (parse(command.arguments, FAST) for command in (segment, surfaces))
    for command, found in ((segment, first), (surfaces, second)):
        check_paths(command)
        assert command.program == "run_fastsurfer.sh"
        assert found["--sid"] == ["sub-01_1"]
        assert found["--sd"] == [SUBJECTS]
        assert found["--vox_size"] == ["1"]
        assert found["--fs_license"] == [Path("/keys/licence.txt")]
        assert "--3T" in found
    assert first["--t1"] == [Path.cwd() / "scan.nii.gz"]
    assert first["--device"] == ["cuda"]
    assert "--seg_only" in first
    assert "--surf_only" not in first
    assert "--surf_only" in second
    assert "--seg_only" not in second
    assert "--device" not in second  # no GPU is held during the surfaces


def test_segmentation_alone_needs_no_licence():
    tool = Tool("fastsurfer", surfaces=False, licence="/keys/licence.txt")
    found = parse(fastsurfer.segment("a_1", "/a.nii", SUBJECTS, tool).arguments, FAST)
    assert "--fs_license" not in found
    assert found["--device"] == ["cpu"]
    with_volume = Tool("fastsurfer", surfaces=False, licence="/keys/licence.txt", options=("--tal_reg",))
    found = parse(fastsurfer.segment("a_1", "/a.nii", SUBJECTS, with_volume).arguments, FAST)
    assert found["--fs_license"] == [Path("/keys/licence.txt")]


@pytest.mark.parametrize("names", [["sub-01_1"], ["sub-01_1", "sub-01_2"]])
def test_the_longitudinal_steps_of_fastsurfer(names):
    t1ws = [f"/scans/{name}.nii.gz" for name in names]
    prepare = fastsurfer.prepare("sub-01", names, t1ws, SUBJECTS, FASTSURFER)
    check_paths(prepare)
    found = parse(prepare.arguments, PREPARE)
    assert found["--tid"] == ["sub-01"]
    assert found["--t1s"] == [Path(path) for path in t1ws]
    assert found["--tpids"] == names
    template = [
        step("sub-01", SUBJECTS, FASTSURFER) for step in (fastsurfer.segment_template, fastsurfer.surfaces_of_template)
    ]
    points = [
        step(names[0], "sub-01", SUBJECTS, FASTSURFER) for step in (fastsurfer.segment_long, fastsurfer.surfaces_long)
    ]
    for command in [*template, *points]:
        check_paths(command)
        assert "--t1" not in parse(command.arguments, FAST)  # taken from the template's folder
    assert all("--base" in command.arguments for command in template)
    assert all(parse(command.arguments, FAST)["--long"] == ["sub-01"] for command in points)
    assert all(parse(command.arguments, FAST)["--sid"] == [names[0]] for command in points)


def test_flags_that_the_study_sets_are_all_reserved():
    commands = [
        freesurfer.cross("a_1", "/a.nii", SUBJECTS, Tool("freesurfer", threads=2)),
        freesurfer.base("a", ["a_1"], SUBJECTS, Tool("freesurfer")),
        freesurfer.long("a_1", "a", SUBJECTS, Tool("freesurfer")),
    ]
    flags = {word for command in commands for word in command.arguments if str(word).startswith("-")}
    assert flags - {"-no-isrunning"} <= freesurfer.OWN_FLAGS
    tool = Tool("fastsurfer", licence="/keys/licence.txt")
    commands = [
        fastsurfer.segment("a_1", "/a.nii", SUBJECTS, tool),
        fastsurfer.surfaces("a_1", SUBJECTS, tool),
        fastsurfer.prepare("a", ["a_1"], ["/a.nii"], SUBJECTS, tool),
        fastsurfer.segment_long("a_1", "a", SUBJECTS, tool),
        fastsurfer.segment_template("a", SUBJECTS, tool),
    ]
    flags = {word for command in commands for word in command.arguments if str(word).startswith("-")}
    assert flags - set(fastsurfer.SKIPPED) <= fastsurfer.OWN_FLAGS
