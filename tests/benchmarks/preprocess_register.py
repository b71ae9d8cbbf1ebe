"""Time the embedded backend and registration beside the plain route of antspyx, on one real scan, one thread each.

    ./run python -m tests.benchmarks.preprocess_register [volume]

Both routes work at 1 mm. Plain: N4 and Similarity with antspyx's own settings, after the same brain extraction; antspyx
resamples in both directions after every registration, which is part of its step.
Each runs in a process of its own, one after the other; times are cpu seconds.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1", "ANTS_RANDOM_SEED": "20"}

COLIN = "/usr/share/mricron/templates/ch2.nii.gz"
ROUTES = ("embedded", "plain")
# at published scale (envs/paper.yaml)
SETTINGS = {"spacing_mm": 1, "n4_iterations": [50, 50, 50], "atlas_spacing_mm": 2, "syn_iterations": [40, 20, 10]}
GRID = {"spacing_mm": 1, "estimate_spacing_mm": 2, "parameters": 7}


# functions of the embedded backend whose time is told apart, and the step they are
PARTS = {
    "extract_brain": "brain",
    "correct_bias": "N4",
    "classify_tissue": "tissue (not in the plain route)",
    "carry_labels": "regions (not in the plain route)",
}


class Clock:
    """Cpu seconds of named steps, in the order in which they were stopped."""

    def __init__(self) -> None:
        self.steps: dict[str, float] = {}
        self.start = time.process_time()

    def stop(self, step: str) -> None:
        """Give the time since the last stop to a step."""
        now = time.process_time()
        self.steps[step] = self.steps.get(step, 0.0) + now - self.start
        self.start = now

    def watch(self, function: Callable, step: str) -> Callable:
        """Wrap a function so that its time goes to a step and what came before to another."""

        def watched(*arguments: object) -> object:
            self.stop("masks and copies")
            result = function(*arguments)
            self.stop(step)
            return result

        return watched


def run_embedded(path: str) -> tuple[dict, list]:
    """Preprocess and register as the rules do; return cpu seconds by step and the transform."""
    from workflow_scripts.lib.imaging import registration
    from workflow_scripts.lib.imaging.backends import embedded
    from workflow_scripts.lib.imaging.grid import Grid
    from workflow_scripts.lib.imaging.volumes import read_scan

    for spacing in (1.0, 2.0, 4.0):
        registration.template(spacing)  # once a job, not once a scan
    clock = Clock()
    for name, step in PARTS.items():
        setattr(embedded, name, clock.watch(getattr(embedded, name), step))
    image = read_scan(path)
    clock.stop("read")
    result = embedded.run(image, "auto", SETTINGS)
    clock.stop("masks and copies")
    transform = registration.estimate(
        result.brain, result.affine, GRID["estimate_spacing_mm"], parameters=GRID["parameters"]
    )
    clock.stop("transform")
    registration.apply(result.brain, result.affine, transform, Grid(GRID["spacing_mm"]))
    clock.stop("resample")
    return clock.steps, transform.tolist()


def run_plain(path: str) -> tuple[dict, list]:
    """Do the same with antspyx's own settings: no tissue and no regions; return cpu seconds and the transform."""
    import numpy as np
    from scipy import ndimage

    from workflow_scripts.lib.imaging import registration
    from workflow_scripts.lib.imaging.ants_tools import Workspace, ants, matrix_of, to_ants
    from workflow_scripts.lib.imaging.backends import embedded
    from workflow_scripts.lib.imaging.volumes import conform, foreground, read_scan

    registration.template(1.0)
    clock = Clock()
    data, affine = conform(read_scan(path), 1.0)
    clock.stop("read")
    inside = foreground(data)
    mask = ndimage.binary_fill_holes(inside if inside.sum() < 2.2e6 else embedded.extract_brain(data))
    clock.stop("brain")
    corrected = ants.n4_bias_field_correction(
        to_ants(data * mask, affine), mask=to_ants(mask.astype(np.float32), affine)
    )
    brain = to_ants(corrected.numpy() * mask, affine)
    clock.stop("N4")
    fixed = to_ants(*registration.fixed_brain(1.0))
    with Workspace() as prefix:
        found = ants.registration(fixed, brain, "Similarity", outprefix=prefix)
        clock.stop("transform")
        return clock.steps, matrix_of(found["fwdtransforms"][0]).tolist()


def run_one(route: str, path: str) -> None:
    """Run one route in this process and print what was measured as JSON."""
    steps, transform = {"embedded": run_embedded, "plain": run_plain}[route](path)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"steps": steps, "transform": transform, "peak_mb": peak_mb}))


def compare(path: str) -> None:
    """Run both routes, each in its own process, and print them side by side."""
    import numpy as np

    from workflow_scripts.lib.imaging import registration

    found = {}
    for route in ROUTES:
        command = [sys.executable, "-m", "tests.benchmarks.preprocess_register", "--route", route, path]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found[route] = json.loads(output.splitlines()[-1])
    for route, result in found.items():
        print(f"{route}: {sum(result['steps'].values()):.1f} cpu s, peak memory {result['peak_mb']:.0f} MB")
        for step, seconds in result["steps"].items():
            print(f"  {seconds:7.1f}  {step}")
    same = {
        route: sum(seconds for step, seconds in found[route]["steps"].items() if "not in the plain" not in step)
        for route in ROUTES
    }
    print(f"plain / embedded: {same['plain'] / same['embedded']:.1f} in the steps that both have")
    for step in ("N4", "transform"):
        print(f"plain / embedded: {found['plain']['steps'][step] / found['embedded']['steps'][step]:.1f} in {step}")
    apart = registration.distance(*[np.array(found[route]["transform"]) for route in ROUTES], spacing=4.0)
    print(f"the two transforms put the brain {apart.mean():.2f} mm apart on average, {apart.max():.2f} mm at most")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--route"]:
        run_one(*sys.argv[2:])
    else:
        volume = sys.argv[1] if len(sys.argv) > 1 else COLIN
        if not Path(volume).exists():
            sys.exit(f"{volume}: file not found. Name a T1w volume, or install Colin27: apt-get install mricron-data")
        compare(volume)
