# What a learned representation of a T1-weighted brain MRI adds over FreeSurfer's regional features:
# scans -> patches -> representations -> probes, brain age, genes -> figures and a report.
from snakemake.logging import logger
from snakemake.utils import min_version

from workflow_scripts.lib.study.config import (
    check_config,
    own_inputs,
    phantom_batches,
    phantom_cohorts,
    uses_phantom,
)
from workflow_scripts.lib.study.errors import StudyError

min_version("9.0")


configfile: f"{workflow.basedir}/config.yaml"


report: "workflow_scripts/figures/captions/workflow.rst"


# --- config and inputs: checked before any job, the inputs looked into once -----------------------------------------
INDEX = {
    "index": "results/cohort/inputs.tsv",
    "ignored": "results/cohort/ignored.tsv",
    "state": "results/cohort/inputs.json",
}
try:
    check_config(config)
    if "apptainer" in str(workflow.deployment_settings.deployment_method).lower():
        config["preprocess"]["tool"]["run"] = "apptainer"
    if workflow.is_main_process:
        if (
            isinstance(config["features"]["list"], list)
            or config["features"]["subsets"]
        ):
            from workflow_scripts.lib.imaging.stats.lists import check_lists

            check_lists(config["features"])
        if "genetics" in config["stages"] or (
            "figures" in config["stages"] and uses_phantom(config)
        ):
            from workflow_scripts.lib.genetics.check import check_genetics

            deployment = str(workflow.deployment_settings.deployment_method).lower()
            notes = check_genetics(
                config["genetics"],
                made=("results/",),
                with_programs="conda" not in deployment,
            )
            for note in notes:
                logger.info(note)
        if "radiology" in config["stages"]:
            from workflow_scripts.lib.radiology.check import (
                check_datasets,
                check_grids,
            )

            for note in check_datasets(
                config["radiology"],
                made=("results/",),
                names=check_grids(config["radiology"]),
            ):
                logger.info(note)
        if config["preprocess"]["backend"] != "embedded":
            from workflow_scripts.lib.imaging.backends.tool_check import check_tool

            check_tool(config["preprocess"])
        if own_inputs(config):
            from workflow_scripts.lib.cohort.start import index_inputs
            from workflow_scripts.lib.imaging.stats.tables import list_subjects

            index_inputs(
                config["cohort"],
                own_inputs(config),
                INDEX,
                row_names=list_subjects,
                first=phantom_batches(config),
                others=phantom_cohorts(config),
                together=config["preprocess"].get("longitudinal", False),
            )
except StudyError as error:
    raise WorkflowError(str(error))


# --- rules, a file a stage -----------------------------------------------------------------------------------------
include: "rules/common.smk"
include: "rules/common_evaluate.smk"
include: "rules/common_genetics.smk"
include: "rules/common_radiology.smk"
include: "rules/targets.smk"
include: "rules/phantom.smk"
include: "rules/cohort.smk"
include: "rules/preprocess.smk"
include: "rules/register.smk"
include: "rules/patches.smk"
include: "rules/features.smk"
include: "rules/pretrain.smk"
include: "rules/probe.smk"
include: "rules/finetune.smk"
include: "rules/brainage.smk"
include: "rules/genotypes.smk"
include: "rules/genetics.smk"
include: "rules/heritability.smk"
include: "rules/handoffs.smk"
include: "rules/radiology.smk"
include: "rules/radiology_results.smk"
include: "rules/figures.smk"
include: "rules/figures_evaluate.smk"
include: "rules/figures_genetics.smk"
include: "rules/figures_radiology.smk"


# --- targets -------------------------------------------------------------------------------------------------------
localrules:
    all,
    cohort,
    preprocess,
    register,
    patches,
    features,
    pretrain,
    probe,
    finetune,
    ablations,
    bundles,
    brainage,
    genetics,
    radiology,
    figures,


rule all:
    """Make the stages that config names."""
    default_target: True
    input:
        [stage_outputs(stage) for stage in config["stages"]],


rule cohort:
    """Participants, roles, splits and task labels."""
    input:
        stage_outputs("cohort"),


rule preprocess:
    """Brains and regional features of all scans."""
    input:
        stage_outputs("preprocess"),


rule register:
    """Registered brains and quality control."""
    input:
        stage_outputs("register"),


rule patches:
    """The patch store."""
    input:
        stage_outputs("patches"),


rule features:
    """Regional features, harmonised over sites."""
    input:
        stage_outputs("features"),


rule pretrain:
    """Pretrained networks and every representation."""
    input:
        stage_outputs("pretrain"),


rule probe:
    """Scores of every representation on every task, and their comparison."""
    input:
        stage_outputs("probe"),


rule finetune:
    """Learning curves of every model, and their comparison."""
    input:
        stage_outputs("finetune"),


rule ablations:
    """Scores of the ablations that config names, and their figure."""
    input:
        "results/probe/compare_ablations/comparisons.tsv",
        "results/figures/ablations_bars.png",


rule bundles:
    """Trained networks as MONAI bundles."""
    input:
        expand("results/pretrain/{method}/export_bundle", method=methods()),


rule brainage:
    """Brain age gaps."""
    input:
        stage_outputs("brainage"),


rule genetics:
    """Association of the gaps with genotypes."""
    input:
        stage_outputs("genetics"),


rule radiology:
    """Transfer of image networks to sets of 2D images: grids, statistics, explanations."""
    input:
        stage_outputs("radiology"),


rule figures:
    """All figures with their source data."""
    input:
        stage_outputs("figures"),
