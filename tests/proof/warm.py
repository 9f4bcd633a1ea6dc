"""An interpreter that has imported everything and forks a release for each line of its standard input.

Starting Python and importing torch takes four seconds, a fork a few milliseconds; what runs in the child is the real
command all the same. Stays out: what it does inside (``planted``).
"""

from __future__ import annotations

import json
import os
import sys

import matplotlib.pyplot
import pyarrow.parquet
import scipy.stats
import sklearn.ensemble
import sklearn.linear_model
import sklearn.neural_network
import transformers.models.llama.modeling_llama
from dagster._cli import create_dagster_cli

from tests.proof import planted

PRELOADED = (
    matplotlib.pyplot,
    pyarrow.parquet,
    scipy.stats,
    sklearn.ensemble,
    sklearn.linear_model,
    sklearn.neural_network,
    transformers.models.llama.modeling_llama,
)


def serve() -> None:
    """Fork a release for each line of standard input, in an interpreter that has imported everything.

    A line is a JSON object: ``{"environment", "arguments", "output"}`` starts ``dagster *arguments`` in a process group
    of its own and is answered with its pid; ``{"poll": pid}`` is answered with its exit status, or null.
    """
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            pid, status = os.waitpid(request["poll"], os.WNOHANG)
            print(json.dumps(os.waitstatus_to_exitcode(status) if pid else None), flush=True)
            continue
        pid = os.fork()
        if pid:
            print(pid, flush=True)
            continue
        os.setsid()
        output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.update(request["environment"])
        planted.begin_to_watch()
        create_dagster_cli()(args=request["arguments"], prog_name="dagster")


if __name__ == "__main__":
    serve()
