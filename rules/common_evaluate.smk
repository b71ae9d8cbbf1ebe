# What the rules of learning curves and of the calibration ask of the config; common.smk has the rest.


def curve_representation(model):
    """Name the table that a linear model of the learning curves reads."""
    name = config["finetune"]["models"][model]["representation"]
    return f"results/embed/{name}.tsv"


def curve_weights(wildcards):
    """List the weights that a network of the learning curves starts from; none if it starts from random ones."""
    entry = config["finetune"]["models"][wildcards.model]
    return weights_of(entry["method"]) if entry["start"] == "pretrained" else []


def curve_shards(wildcards):
    """List the shards of the store that a network of the learning curves reads."""
    kind = "volumes" if volume_of(curve_method(wildcards.model)) else "patches"
    return expand(f"results/patches/extract_{kind}/{{batch}}", batch=batches())


def curve_network(model):
    """Give what decides the size of a model's networks and of what they read."""
    method = curve_method(model)
    entry = config["pretrain"]["methods"][method]
    return {
        "objective": entry["objective"],
        "volume": volume_of(method),
        "representation": config["pretrain"]["representation"],
        "width": entry.get("width"),
        "spacing": config["grid"]["spacing_mm"],
    }


def curve_parts(ending):
    """List a file of every job of the learning curves: its fits (fits.tsv) or its scores (parquet)."""
    section = config["finetune"]
    jobs = -(-section["repeats"] // section["repeats_per_job"])
    return expand(
        f"results/finetune/fit_linear/{{model}}.{ending}",
        model=curve_models("linear"),
    ) + expand(
        f"results/finetune/fit_networks/{{model}}/{{task}}_{{n}}_{{chunk}}.{ending}",
        model=curve_models("network"),
        task=section["tasks"],
        n=section["sizes"],
        chunk=[f"{number:02d}" for number in range(jobs)],
    )


def finetune_resource(key):
    """Give a resource of the jobs that finetune networks."""
    return config["finetune"]["resources"][key]


def calibration_chunks():
    """List the chunks of simulations of a design, "00", "01" and so on."""
    settings = config["calibration"]
    most = max(settings["simulations"], settings["power_simulations"])
    jobs = -(-most // settings["simulations_per_job"])
    return [f"{number:02d}" for number in range(jobs)]
