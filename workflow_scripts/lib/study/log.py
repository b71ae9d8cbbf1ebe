"""Start a rule's script: its log file, its uncaught errors."""

import logging
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from workflow_scripts.lib.study.errors import StudyError

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def run(main: Callable[[object], None], snakemake: object) -> None:
    """Run ``main(snakemake)`` with messages and uncaught errors in the rule's log.

    Parameters
    ----------
    main : callable
        The entry point of the script.
    snakemake : object
        The object that Snakemake puts into the script.

    Raises
    ------
    SystemExit
        With status 1 if ``main`` raised: the traceback is in the log, the last line on the terminal.
    """
    path = Path(str(snakemake.log[0]))
    path.parent.mkdir(parents=True, exist_ok=True)
    handlers = [logging.FileHandler(path, mode="w"), logging.StreamHandler(sys.stderr)]
    handlers[1].setLevel(logging.WARNING)
    logging.basicConfig(level=logging.INFO, format=FORMAT, handlers=handlers, force=True)
    logging.captureWarnings(True)
    logger = logging.getLogger(snakemake.rule)
    logger.info("wildcards %s, threads %s", dict(snakemake.wildcards.items()), snakemake.threads)
    try:
        main(snakemake)
    except Exception as error:
        with path.open("a") as stream:
            traceback.print_exc(file=stream)
        kind = "" if isinstance(error, StudyError) else f"{type(error).__name__}: "
        print(f"{snakemake.rule}: {kind}{error}\n(details: {path})", file=sys.stderr)
        sys.exit(1)
    logger.info("done")
