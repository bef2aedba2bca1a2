"""The gates that the potential of a loop is taken through when the loop ends."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlip.workflows.learning.records import Generation, generations, potential_before
from mlip.workflows.learning.teach import VALID, data_words
from mlip.workflows.stage import as_overrides, run_verb


def try_gates(run_dir: Path, keys: Mapping[str, Any], device: str) -> None:
    """Try gates on the newest potential by `mlip eval`, in the folder of the generation that made it.

    Args:
        run_dir: Of the loop; the record of the gates lies beside its `potential.mlip`.
        keys: Of `mlip eval`: `gates`, and what the gates need; `data` are the held-out frames otherwise.
        device: Of the loop.

    Raises:
        MlipError: A gate could not be tried.
    """
    last = generations(run_dir)[-1]
    _, made = potential_before(Generation(run_dir, last.number + 1))
    words = [f"potential={run_dir / 'potential.mlip'}", f"device={device}", *data_words(last, "data", VALID)]
    run_verb(["eval", *words, *as_overrides(keys)], Generation(run_dir, made).path / "gates")
