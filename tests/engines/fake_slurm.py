"""sbatch, srun, sacct and scancel that start processes on this machine, as far as submitit calls them."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path


def install(folder: Path) -> Path:
    """The folder of the four commands, for $PATH. What they note of jobs is in FOLDER/jobs.

    Args:
        folder: is made.
    """
    (folder / "bin").mkdir(parents=True)
    (folder / "jobs").mkdir()
    for name in ("sbatch", "srun", "sacct", "scancel"):
        file = folder / "bin" / name
        file.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} {name} {folder / "jobs"} "$@"\n')
        file.chmod(0o755)
    return folder / "bin"


def sbatch(jobs: Path, file: str) -> None:
    script = Path(file).read_text()
    if "--partition=none" in script:
        sys.exit("sbatch: error: invalid partition specified: none")
    number = 1 + len(list(jobs.glob("*.sh")))
    (jobs / f"{number}.sh").write_text(script)
    array = re.search(r"--array=0-(\d+)", script)
    for index in range(int(array[1]) + 1) if array else [None]:
        name = str(number) if index is None else f"{number}_{index}"
        own = {} if index is None else {"SLURM_ARRAY_JOB_ID": str(number), "SLURM_ARRAY_TASK_ID": str(index)}
        ending = f"bash {jobs / f'{number}.sh'}; echo $? > {jobs / name}.exit"
        process = subprocess.Popen(
            ["bash", "-c", ending],
            env={**os.environ, "SLURM_JOB_ID": str(number), **own},
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        (jobs / name).write_text(str(process.pid))
    sys.stdout.write(f"Submitted batch job {number}\n")


def srun(jobs: Path, *words: str) -> None:
    del jobs
    options, command = list(words), []
    files = {}
    while options:
        word = options.pop(0)
        if word in ("--output", "--error"):
            files[word] = options.pop(0)
        elif not word.startswith("--"):
            command = [word, *options]
            break
    number, index = os.environ["SLURM_JOB_ID"], os.environ.get("SLURM_ARRAY_TASK_ID", "")
    for stream, name in ((1, "--output"), (2, "--error")):
        path = re.sub("%[jAat]", lambda sign: {"%a": index, "%t": "0"}.get(sign[0], number), files[name])
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), stream)
    os.environ.update(SLURM_PROCID="0", SLURM_LOCALID="0", SLURM_NODEID="0", SLURM_NTASKS="1", SLURM_JOB_NUM_NODES="1")
    os.execvp(command[0], command)


def sacct(jobs: Path, *words: str) -> None:
    asked = {number for flag, number in zip(words, words[1:], strict=False) if flag == "-j"}
    sys.stdout.write("JobID|State|NodeList\n")
    for file in jobs.iterdir():
        if not file.suffix and file.name.partition("_")[0] in asked:
            sys.stdout.write(f"{file.name}|{state(file)}|here\n")


def state(job: Path) -> str:
    if (ending := job.with_name(f"{job.name}.exit")).exists():
        return "COMPLETED" if ending.read_text() == "0\n" else "FAILED"
    return "RUNNING" if Path(f"/proc/{job.read_text()}").exists() else "FAILED"


def scancel(jobs: Path, name: str) -> None:
    os.killpg(int((jobs / name).read_text()), signal.SIGTERM)


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
