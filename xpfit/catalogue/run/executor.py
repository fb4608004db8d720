"""Pieces of work done one after the other, or on the workers of Dask."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

from threadpoolctl import threadpool_limits

from ...errors import InputError, OutputError

TASKS_AHEAD = 10_000
"""Tasks that Dask knows of at a time, more than there are workers: 10 KB each."""


@dataclass(frozen=True)
class Outcome:
    """Outcome of a piece of work.

    Attributes
    ----------
    task : object
    value : object
        Returned by the work; None if it failed.
    reason : str
        Why it failed, or empty.
    n_attempts : int
    """

    task: Any
    value: Any = None
    reason: str = ""
    n_attempts: int = 1


def attempt(work: Callable, job, task, retries: int, *arguments) -> Outcome:
    """Do a piece of work, again if it fails.

    Parameters
    ----------
    work : callable
        Called with `job`, `task` and `arguments`.
    job, task : object
    retries : int
        Attempts after the first.
    *arguments
        Passed on.

    Returns
    -------
    Outcome

    Raises
    ------
    OutputError
        Without another attempt: that output cannot be written is not the fault of the task.
    """
    for n_attempts in range(1, retries + 2):
        try:
            return Outcome(task, work(job, task, *arguments), n_attempts=n_attempts)
        except OutputError:
            raise
        except Exception as error:  # one task must not stop the others
            reason = str(error) if isinstance(error, InputError) else repr(error)
    return Outcome(task, None, reason, n_attempts)


Executor = Callable[..., Iterator[Outcome]]
"""Called as (work, job, tasks, retries, *arguments); yields outcomes in any order."""


def one_by_one(work: Callable, job, tasks: Iterable, retries: int, *arguments) -> Iterator[Outcome]:
    """Do pieces of work in this process."""
    for task in tasks:
        yield attempt(work, job, task, retries, *arguments)


@contextmanager
def executor_of(
    n_workers: int, scheduler: str | None = None, *, dashboard: bool = False
) -> Iterator[Executor]:
    """Executor of the work: this process for one worker, Dask for more.

    Parameters
    ----------
    n_workers : int
        Processes of a local cluster, with one thread each.
    scheduler : str, optional
        Address of a Dask scheduler, whose workers are used instead. They must have access to
        the same files under the same names.
    dashboard : bool
        Whether a local cluster shows Dask's dashboard, to users of this machine; its address is
        printed on standard error.

    Yields
    ------
    Executor

    Raises
    ------
    InputError
        If Dask is not installed, or the scheduler does not answer.
    """
    if n_workers < 1:
        raise InputError(f"at least one worker is needed, got {n_workers}")
    if scheduler is None and n_workers == 1:
        yield one_by_one
        return
    try:
        from distributed import Client
    except ImportError as reason:
        raise InputError(
            "several workers need Dask: python -m pip install 'xpfit[scale]', or --workers 1"
        ) from reason
    if scheduler is not None:
        try:
            client = Client(scheduler, timeout=30)
        except (OSError, ValueError) as error:
            raise InputError(
                f"no Dask scheduler answers at {scheduler} ({error}); start one with "
                "'dask scheduler', or leave out --scheduler"
            ) from error
        with client:
            yield dask_executor(client)
        return
    with local_cluster(n_workers, dashboard=dashboard) as cluster, Client(cluster) as client:
        if dashboard:
            print(f"Dask's dashboard: {cluster.dashboard_link}", file=sys.stderr)
        yield dask_executor(client)


_LOOPBACK = "127.0.0.1"

_NO_PAGES = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}
"""Settings without which Dask shows its state, without asking who wants to know."""


@contextmanager
def local_cluster(n_workers: int, *, dashboard: bool = False):
    """Dask workers on this machine, with one thread each.

    Parameters
    ----------
    n_workers : int
    dashboard : bool
        Whether it shows Dask's dashboard, on a free port. Nothing listens to other machines.

    Yields
    ------
    distributed.LocalCluster

    Notes
    -----
    By default Dask's workers return memory to the system at once (MALLOC_TRIM_THRESHOLD_), which
    costs fits a quarter of their time in page faults; here they keep it.
    """
    import dask
    from distributed import LocalCluster

    key = "distributed.nanny.pre-spawn-environ"
    environment = dict(dask.config.get(key, {}))
    environment.pop("MALLOC_TRIM_THRESHOLD_", None)
    before = dict(os.environ)
    try:
        with (
            dask.config.set({key: environment} | ({} if dashboard else _NO_PAGES)),
            LocalCluster(
                n_workers=n_workers,
                threads_per_worker=1,
                host=_LOOPBACK,
                dashboard_address=f"{_LOOPBACK}:0",
                scheduler_kwargs={"dashboard": dashboard},
            ) as cluster,
        ):
            yield cluster
    finally:
        # Dask sets the environment of its workers (OMP_NUM_THREADS) in this process, too.
        os.environ.clear()
        os.environ.update(before)


def dask_executor(client) -> Executor:
    """Do pieces of work on Dask's workers.

    Parameters
    ----------
    client : distributed.Client

    Returns
    -------
    Executor
        A task whose worker dies is given to another by Dask, a few times
        (``distributed.scheduler.allowed-failures``). Tasks whose workers have died that often are
        tried again at the end, one by one: most of them only shared a worker with the faulty one.
    """
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    def execute(work, job, tasks, retries, *arguments):
        # Sent once to each worker, not with every task. Scattered data would be lost with the last
        # worker; the result of a task is computed again.
        job = client.submit(_itself, job, pure=False)

        def submit(task):
            return client.submit(_on_worker, work, job, task, retries, *arguments, pure=False)

        waiting, suspects = iter(tasks), []
        futures = {submit(task): task for task in islice(waiting, TASKS_AHEAD)}
        completed = as_completed(futures)
        try:
            for future in completed:
                task = futures.pop(future)
                for following in islice(waiting, 1):
                    futures[added := submit(following)] = following
                    completed.add(added)
                try:
                    yield future.result()
                except KilledWorker:
                    suspects.append(task)
        finally:
            client.cancel(list(futures))
        for task in suspects:
            try:
                yield submit(task).result()
            except KilledWorker as error:
                yield Outcome(task, None, f"its workers died: {error}")

    return execute


def _on_worker(*arguments) -> Outcome:
    """`attempt`, with one thread for BLAS."""
    _limit_blas()
    return attempt(*arguments)


@lru_cache(maxsize=1)
def _limit_blas():
    """Limit BLAS for good: threads of one worker must not undo each other's limits."""
    return threadpool_limits(1)


def _itself(job):
    """The argument."""
    return job
