"""The back ends that the suites of models run on: a new one is an entry of `BACKENDS`."""

from collections.abc import Collection

import pytest
import torch

# The back end, and whether it compiles for each model: what is dear to compile is then tested as slow.
BACKENDS = {"reference": False, "cpp": True}


def on_every_backend(
    models: Collection[str], dear: Collection[str] = (), dtypes: Collection[torch.dtype] = (torch.float64,)
) -> list:
    """Parameters (model, dtype, back end) of a suite.

    Args:
        models: Their names.
        dear: Those whose kernels take long to compile.
        dtypes: Precisions; all but the first are tested as slow.
    """
    return [
        pytest.param(
            (model, dtype, backend),
            id=f"{model}-{dtype}-{backend}",
            marks=[pytest.mark.slow] if (compiles and model in dear) or dtype != next(iter(dtypes)) else [],
        )
        for model in models
        for dtype in dtypes
        for backend, compiles in BACKENDS.items()
    ]
