"""Trained patch encoders and the patch store in; one token for each location and included scan out."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from workflow_scripts.lib.imaging.contract import check_same, from_json
from workflow_scripts.lib.imaging.names import PATCHES
from workflow_scripts.lib.models import weights
from workflow_scripts.lib.models.encoder import PatchEncoder
from workflow_scripts.lib.pretrain import runs
from workflow_scripts.lib.pretrain.data import PatchSource
from workflow_scripts.lib.pretrain.levels import encode
from workflow_scripts.lib.study import files, log, tables


def main(snakemake):
    """Entry point of rule ``encode_patches``."""
    given, params = snakemake.input, snakemake.params
    device = runs.use_device(snakemake.threads)
    scans = tables.read_table(given.included, "included").sort_values("scan_id")
    tokens = {}
    for patch in runs.chunk_members(PATCHES, snakemake.wildcards.chunk, params.patches_per_job):
        encoder = PatchEncoder(params.representation)
        file = Path(given.weights) / f"{patch}.safetensors"
        card = weights.load_weights(encoder, file)
        # read as a stream: each patch is used once, so nothing is gained by keeping it
        source = PatchSource(given.shards, patch, scans["scan_id"].tolist(), device, resident_bytes=0)
        check_same(source.contract, from_json(card["input"]["volume"], str(file)), f"patches for {file}")
        encoder.to(device, memory_format=torch.channels_last_3d)
        tokens[patch] = torch.from_numpy(encode(encoder, source))
    with files.atomic(snakemake.output.tokens) as temporary:
        save_file(tokens, temporary)
    tables.write_table(scans[["scan_id", "participant_id"]], snakemake.output.scans, "included")


if __name__ == "__main__":
    log.run(main, snakemake)
