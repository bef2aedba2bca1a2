"""How fast are inference and training, ours against nequip's, with the same weights?

    python benchmarks/speed.py                             # 2x32 and 4x32, up to 1,000 atoms, 1 and 2 threads
    python benchmarks/speed.py --prepare                   # only nequip's compilations: minutes each, kept
    python benchmarks/speed.py --models 4x64 'allegro 32' --atoms 128 1000 10000 --parts memory time
    python benchmarks/speed.py --device cuda
    python benchmarks/speed.py --report                    # only tables and figure, from what is there

Each row is kept in `--work` as soon as it is measured; the same command goes on where it was stopped, unless
a commit has changed `mlip/` or the benchmark. See benchmarks/README.md.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from speed_compile import cache_folder
from speed_engines import OURS, THEIRS
from speed_machine import describe_machine, memory_limit
from speed_models import MODELS
from speed_plan import PARTS, TASKS, Job, planned
from speed_report import write_results

# The same for all engines: large blocks are reused and never given back to the system between steps.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": 2**34, "MALLOC_TRIM_THRESHOLD_": 2**36, "MALLOC_TOP_PAD_": 2**26}
KEY = ("job", "model", "task", "threads", "device", "engines")


def main() -> None:
    options = parse_options()
    options.work.mkdir(parents=True, exist_ok=True)
    records = options.work / f"{options.device}.jsonl"
    records.touch()
    machine = describe_machine(options.device)
    if options.report:
        machine |= origin_of_rows(records)
    commit = machine["commit"]
    complete = True
    for job in () if options.report else planned(options):
        rows = read_rows(records, commit)
        if left := [atoms for atoms in job["atoms"] if key_of(job, atoms) not in map(key_of, rows)]:
            print(json.dumps(job), flush=True)
            limits = limits_of(job, rows, options)
            complete &= run_job(
                job | {"atoms": left, "limits": limits, "records": str(records), "commit": commit}
            )
    if not options.prepare:
        write_results(read_rows(records, commit), machine, options.results, options.device)
    if not complete:
        raise SystemExit("some jobs failed, see above; the same command tries them again")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["2x32", "4x32"])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--atoms", nargs="+", type=int, default=[128, 1000])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--engines", nargs="+", choices=(*OURS, *THEIRS), help="the first is compared with")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--seconds", type=float, default=20.0, help="of measuring, per row")
    parser.add_argument("--memory", type=float, default=16.0, help="GB that an engine may take")
    parser.add_argument("--work", type=Path, default=Path("runs/speed"), help="rows are kept here")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--prepare", action="store_true", help="only compile what nequip needs")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    options = parser.parse_args()
    if options.device == "cuda":
        options.threads = [1]
    return options


def limits_of(job: Job, rows: list[Job], options: argparse.Namespace) -> dict[str, float]:
    """Atoms that fit into the memory, by engine, as far as it was measured."""
    room = memory_limit(options.device, options.memory)
    return {
        row["engines"][0]: room / row["bytes_per_atom"]
        for row in rows
        if "bytes_per_atom" in row and (row["model"], row["task"]) == (job.get("model"), job.get("task"))
    }


def key_of(job: Job, atoms: int | None = None) -> tuple[Any, ...]:
    """What makes two rows the same."""
    return *(job.get(name) for name in KEY), job["atoms"] if atoms is None else atoms


def read_rows(records: Path, commit: str | None = None) -> list[Job]:
    """Rows of a commit, or all; a line that a kill has cut short is none."""
    lines = [line for line in records.read_text().splitlines() if line.endswith("}")]
    return [row for row in map(json.loads, lines) if commit in (None, row["commit"])]


def origin_of_rows(records: Path) -> dict[str, str]:
    """Commit and date of the last row, for a report that is written later."""
    rows = read_rows(records)
    if not rows:
        raise SystemExit(f"{records} has no rows; run without --report first")
    return {name: rows[-1][name] for name in ("commit", "date")}


def run_job(job: Job) -> bool:
    """Measure in a process of its own, in one environment for all engines; whether it ended well."""
    threads = str(job["threads"])
    environment = {"GOMP_SPINCOUNT": "1000"} | os.environ  # as the command mlip sets it
    environment |= {name: str(value) for name, value in ALLOCATOR.items()}
    environment |= {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    environment["TORCHINDUCTOR_CACHE_DIR"] = str(cache_folder() / "inductor")
    worker = Path(__file__).with_name("speed_worker.py")
    command = [sys.executable, str(worker), json.dumps(job)]
    return subprocess.run(command, env=environment, check=False).returncode == 0


if __name__ == "__main__":
    main()
