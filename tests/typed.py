"""``fewtag ...`` as typed: every call a process of its own, begun by one that has loaded torch, which takes longer than most calls do."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

_PROCESSES = multiprocessing.get_context("forkserver")
# Nothing of Hugging Face: those packages read the environment when they are loaded, and calls have their own.
_PROCESSES.set_forkserver_preload(["fewtag.cli.app", "fewtag.training.run", "fewtag.experiments.comparison", "fewtag.serving"])


def fewtag(
    *words: object, folder: Path, stdin: str = "", environment: dict[str, str] | None = None, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run the command line.

    Args:
        words: what follows ``fewtag``.
        folder: to run in.
        stdin: what it reads.
        environment: in place of that of the tests.
        timeout: in seconds.

    Raises:
        subprocess.TimeoutExpired: when it takes longer; it is killed then.
    """
    typed = [str(word) for word in words]
    with tempfile.TemporaryDirectory() as scratch:
        files = [Path(scratch) / name for name in ("stdin", "stdout", "stderr")]
        files[0].write_text(stdin, encoding="utf-8")
        process = _PROCESSES.Process(target=_call, args=(typed, folder, files, dict(environment or os.environ)))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(typed, timeout)
        printed = [path.read_text(encoding="utf-8") for path in files[1:]]
        return subprocess.CompletedProcess(typed, process.exitcode, *printed)


def _call(words: list[str], folder: Path, files: list[Path], environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, path in enumerate(files):
        opened = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115 (they live as long as the process)
        for number, mode in enumerate(("r", "w", "w"))
    )
    sys.argv = ["fewtag", *words]
    from fewtag.cli import main

    main()
