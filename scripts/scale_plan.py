"""What a run over very many stars would take, projected from measured rates (benchmark_run.py)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

HOUR = 3600.0

MEMORY_LIMIT = 16e9
"""Bytes that a machine is taken to have for each of the things that grow with the stars."""

ROWS_PER_PART = 50_000
"""Rows of a file of a chunk (xpfit.catalogue.run.work)."""

ROWS_PER_PARTITION = 110_000
"""Rows of a partition of at most 250,000: a cell that is divided by four has a quarter of more."""


@dataclass(frozen=True)
class Stage:
    """Rates of a stage of the work.

    Attributes
    ----------
    name : str
    seconds : float
        Of one core, per star.
    bytes : float
        On disk when the stage is done, per star.
    """

    name: str
    seconds: float
    bytes: float = 0.0


@dataclass(frozen=True)
class Rates:
    """What was measured.

    Attributes
    ----------
    stages : tuple of Stage
        One after the other.
    worker_bytes : float
        Peak memory of a worker.
    chunk_seconds : float
        Time in the main process, per chunk: it is not divided by the number of workers.
    efficiency : float
        Speed of several workers over that of one, times their number.
    stars_per_chunk : int
        A file of the archive is one chunk.
    store : Stage, optional
        Of a store of prepared spectra, which a run from files of the archive does without.
    """

    stages: tuple[Stage, ...]
    worker_bytes: float
    chunk_seconds: float = 0.0
    efficiency: float = 1.0
    stars_per_chunk: int = 65_000
    store: Stage | None = None


@dataclass(frozen=True)
class Row:
    """A stage of a projected run: hours of one core, hours on all machines, bytes on disk."""

    name: str
    core_hours: float
    hours: float
    bytes: float


@dataclass(frozen=True)
class Growth:
    """Something that grows with the number of stars.

    Attributes
    ----------
    what, where : str
        Where it is: in the main process, in every worker, or on disk.
    unit : str
        What there is one of for each `n`.
    n, each : float
        Number, and bytes of one.
    """

    what: str
    where: str
    unit: str
    n: float
    each: float

    @property
    def bytes(self) -> float:
        """All together."""
        return self.n * self.each

    @property
    def fits(self) -> bool:
        """Whether it fits into `MEMORY_LIMIT`, if it is in memory."""
        return self.where == "disk" or self.bytes <= MEMORY_LIMIT


@dataclass(frozen=True)
class Plan:
    """A projected run."""

    n_star: int
    machines: int
    cores: int
    rows: tuple[Row, ...]
    main_hours: float
    machine_bytes: float
    growth: tuple[Growth, ...]

    @property
    def hours(self) -> float:
        """From beginning to end; what the main process does in turn is not hidden by the rest."""
        return sum(row.hours for row in self.rows) + self.main_hours

    @property
    def main_bytes(self) -> float:
        """Memory of the main process."""
        return sum(g.bytes for g in self.growth if g.where == "main")


def project(rates: Rates, n_star: int, machines: int = 1, cores: int = 1) -> Plan:
    """Project a run.

    Parameters
    ----------
    rates : Rates
    n_star : int
    machines, cores : int
        Machines, and workers on each.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError
        If a number is not positive.
    """
    if min(n_star, machines, cores) < 1:
        raise ValueError("numbers of stars, machines and cores must be positive")
    workers = machines * cores
    speed = workers * (rates.efficiency if workers > 1 else 1.0)
    rows = tuple(
        Row(stage.name, n_star * stage.seconds / HOUR, n_star * stage.seconds / HOUR / speed,
            n_star * stage.bytes)
        for stage in rates.stages
    )  # fmt: skip
    n_chunk = -(-n_star // rates.stars_per_chunk)
    return Plan(
        n_star,
        machines,
        cores,
        rows,
        n_chunk * rates.chunk_seconds / HOUR,
        cores * rates.worker_bytes,
        growth(n_star, rates.stars_per_chunk),
    )


def growth(n_star: int, stars_per_chunk: int) -> tuple[Growth, ...]:
    """What of a run grows with the number of stars, from sizes measured on 200,000 chunks.

    Parameters
    ----------
    n_star, stars_per_chunk : int

    Returns
    -------
    tuple of Growth
    """
    chunks = -(-n_star // stars_per_chunk)
    parts = chunks * -(-stars_per_chunk // ROWS_PER_PART)
    partitions = -(-n_star // ROWS_PER_PARTITION)
    return (
        Growth("chunks planned", "main", "chunk", chunks, 285),
        Growth("outcomes of chunks", "main", "part", parts, 925),
        Growth("tasks that Dask knows of (at most 10,000)", "main", "task",
               min(chunks, 10_000), 6300),
        Growth("partitions: which rows of which parts", "main", "piece",
               2 * parts + partitions, 300),
        Growth("footers collected in _metadata (up to 1000)", "main", "partition",
               partitions if partitions <= 1000 else 0, 1e6),
        Growth("rows of one partition (at most 250,000)", "worker", "row",
               min(n_star, 250_000), 4 * 624),
        Growth("ids of one store (50 million at a time)", "worker", "star",
               min(n_star, 50_000_000), 25),
        Growth("manifest.jsonl", "disk", "line", chunks + partitions, 290),
        Growth("--astrometry as one table", "worker", "star", n_star, 216),
    )  # fmt: skip


def text_of(plan: Plan, store: Stage | None = None) -> str:
    """A plan as text.

    Parameters
    ----------
    plan : Plan
    store : Stage, optional
        Of a store of prepared spectra.

    Returns
    -------
    str
    """
    workers = plan.machines * plan.cores
    title = f"{plan.n_star:,} stars on {plan.machines} x {plan.cores} = {workers} cores"
    lines = [title, _cells("stage", ("core-hours", "hours", "TB on disk"))]
    lines += [_cells(r.name, _numbers(r.core_hours, r.hours, r.bytes / 1e12)) for r in plan.rows]
    lines.append(_cells("in turn (main)", _numbers(plan.main_hours, plan.main_hours, 0.0)))
    total = sum(r.core_hours for r in plan.rows) + plan.main_hours
    disk = sum(r.bytes for r in plan.rows) / 1e12
    lines.append(_cells("together", _numbers(total, plan.hours, disk)))
    lines.append(
        f"memory: {plan.machine_bytes / 1e9:.1f} GB a machine for its workers, "
        f"{plan.main_bytes / 1e9:.2f} GB for what grows in the main process"
    )
    if store:
        size, time = plan.n_star * store.bytes / 1e12, plan.n_star * store.seconds / HOUR
        lines.append(
            f"a store of prepared spectra would have {size:.1f} TB, and take {time:,.0f} "
            "core-hours to write and read"
        )
    return "\n".join(lines)


def growth_text(items: Iterable[Growth]) -> str:
    """What grows, as text."""
    lines = [f"{'what grows':46}{'where':>8}{'number':>15}{'bytes each':>12}{'GB':>10}"]
    lines += [
        f"{g.what:46}{g.where:>8}{g.n:15,.0f}{g.each:12,.0f}{g.bytes / 1e9:10.2f}"
        + ("" if g.fits else "  does not fit: prepare file by file, each with its own table")
        for g in items
    ]
    return "\n".join(lines)


def _cells(first: str, others: Sequence[str]) -> str:
    """A line of a table."""
    return f"{first:16}" + "".join(f"{other:>14}" for other in others)


def _numbers(*values: float) -> list[str]:
    """Numbers with as many digits as they need."""
    return [f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in values]
