"""Nothing in but the config; what a step of each network costs on this machine out."""

import pandas as pd

from workflow_scripts.lib.finetune import measure, starts
from workflow_scripts.lib.finetune.options import Options
from workflow_scripts.lib.pretrain import runs
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``measure_fit``."""
    params, device, rows = snakemake.params, runs.use_device(1), []
    for model, network in params.networks.items():
        options = Options.from_config(params.fit, model, params.seed)
        start = starts.untrained(**network)
        for at_once in sorted({1, options.fits_at_once}):
            rows.append(measure.measure_fit(options, start, network["spacing"], device, at_once))
    tables.write_table(pd.DataFrame(rows), snakemake.output.costs, "fit_costs")


if __name__ == "__main__":
    log.run(main, snakemake)
