# What the rules of the 2D arm ask of the config; common.smk has the rest.

from workflow_scripts.lib.radiology import cells


def grids():
    """List the grids of fits that are in use."""
    return config["radiology"]["use"]


def radiology_datasets():
    """List the datasets that grids of fits are made on."""
    found = {
        cell["dataset"]
        for grid in grids()
        for cell in cells.expand(config["radiology"], grid)
    }
    return [name for name in config["radiology"]["datasets"] if name in found]


def backbone_weights(weights, backbone):
    """Name the file of a backbone's weights: trained here on a source dataset, or imported."""
    entry = config["radiology"]["weights"][weights]
    made_by = "pretrain_backbone" if entry["kind"] == "trained" else "import_backbone"
    return f"results/radiology/{made_by}/{weights}/{backbone}.safetensors"


def weights_of_kind(*kinds):
    """List the weights of these kinds."""
    entries = config["radiology"]["weights"]
    return [name for name, entry in entries.items() if entry["kind"] in kinds]


def chunk_needs(wildcards):
    """Tell what the cells of a job read."""
    return cells.needs(chunk_fits(wildcards))


def grid_parts(ending):
    """List a file of every job of a grid (input function of rules with the wildcard grid)."""
    return lambda wildcards: expand(
        f"results/radiology/fit_cells/{wildcards.grid}/{{chunk}}.{ending}",
        chunk=cells.chunks(config["radiology"], wildcards.grid),
    )


def backbone_entry(wildcards):
    """Give the sizes of a backbone, None for one that is built in."""
    return config["radiology"]["backbones"].get(wildcards.backbone)


def weights_entry(wildcards):
    """Give what the config says of weights, without their title and without files of other backbones."""
    entry = config["radiology"]["weights"][wildcards.weights]
    own = {key: value for key, value in entry.items() if key != "title"}
    for key in ("files", "expect"):
        if own.get(key):
            own[key] = {
                name: path
                for name, path in own[key].items()
                if name == wildcards.backbone
            }
    return own


def reduced_dataset(name):
    """Give what the config says of a dataset that its numbers depend on."""
    entry = config["radiology"]["datasets"][name]
    return {
        key: entry[key]
        for key in ("kind", "path", "classes", "drop", "positive")
        if entry.get(key) is not None
    }


def chunk_fits(wildcards):
    """List the cells of a job."""
    return cells.chunk_cells(config["radiology"], wildcards.grid, wildcards.chunk)


def of_grid(key):
    """Give a key of the wildcard's grid (function of a rule's params)."""
    return lambda wildcards: config["radiology"]["grids"][wildcards.grid][key]


def radiology_resource(key):
    """Give a resource of the jobs that train 2D networks."""
    return config["radiology"]["resources"][key]


def grid_datasets(grid):
    """List the datasets of a grid."""
    return cells.needs(cells.expand(config["radiology"], grid))["datasets"]


def dataset_entry(wildcards):
    """Give what the config says of a dataset that its numbers depend on."""
    return reduced_dataset(wildcards.dataset)


def dataset_table(wildcards):
    """Name the table of a dataset that the study makes itself; a user's own is watched by dataset_state()."""
    path = str(config["radiology"]["datasets"][wildcards.dataset]["path"])
    return path if path.startswith("results/") else []


def dataset_state(wildcards):
    """Hash what tells whether a user's own files have changed; those the study makes are watched as files."""
    if dataset_table(wildcards):
        return "made by the study"
    # here, since parsing needs not wait for pandas
    from workflow_scripts.lib.radiology.inputs import hash_state

    return hash_state(
        wildcards.dataset, config["radiology"]["datasets"][wildcards.dataset]
    )


def imported_file(key, wildcards):
    """Name the file of weights, or of expected outputs, that a backbone is imported from; nothing if there is none."""
    entry = config["radiology"]["weights"][wildcards.weights]
    return (entry.get(key) or {}).get(wildcards.backbone, [])


def kept_grids():
    """List the grids whose weights are kept, which are the ones that can be explained."""
    entries = config["radiology"]["grids"]
    return [grid for grid in grids() if entries[grid]["keep_weights"]]


def image_titles():
    """Give names in print of grids, datasets and weights; a name stands for itself where there is no title."""
    section = config["radiology"]
    return {
        kind: {
            name: (entry or {}).get("title") or name
            for name, entry in section[key].items()
        }
        for kind, key in (
            ("grid", "grids"),
            ("dataset", "datasets"),
            ("weights", "weights"),
        )
    }


def of_grids(path):
    """List a file of every grid; the path has {grid}."""
    return expand(path, grid=grids())


def grouping_weights(wildcards):
    """Name the weights whose features propose pairs of images, if any; none for images that these are trained on."""
    embedding = config["radiology"]["grouping"]["embedding"]
    if embedding is None:
        return []
    weights, backbone = embedding.split("/")
    trained_on = config["radiology"]["weights"][weights].get("dataset")
    return (
        [] if trained_on == wildcards.dataset else backbone_weights(weights, backbone)
    )


def of_datasets(path):
    """List a file of every dataset that grids of fits are made on; the path has {dataset}."""
    return expand(f"results/radiology/{path}", dataset=radiology_datasets())


def vary(key):
    """Whether a grid has cells that differ in a setting."""
    found = [cells.expand(config["radiology"], grid) for grid in grids()]
    return any(len({cell[key] for cell in members}) > 1 for members in found)


def grid_entries(wildcards):
    """Give what the config says of a grid's datasets that its results depend on."""
    entries = config["radiology"]["datasets"]
    return {
        name: {**reduced_dataset(name), "exam_score": entries[name]["exam_score"]}
        for name in grid_datasets(wildcards.grid)
    }


def grouping_settings(wildcards):
    """Give how groups are found in a dataset: as in all of them, where its own entry does not say otherwise."""
    own = config["radiology"]["datasets"][wildcards.dataset].get("grouping") or {}
    return {**config["radiology"]["grouping"], **own}
