"""The actors of Ray that measure blocks, and what happens if one of them is lost.

The driver hands out blocks of missing work, at most two to a worker. A worker writes shards into
the run folder and returns their names. If a worker is gone, what it wrote is found in the folder,
and the rest of its blocks is handed out again. Ray's ``ActorPool`` would lose them.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import ceil, inf
from pathlib import Path
from typing import Any

from ..core.errors import ConjureError, InputError
from ..core.text import first_line, number_of
from .blocks import Block, Pace, Pending
from .remote import Facts, Order, Outcome, Recipe
from .stopping import Stopped, check_stop

IN_FLIGHT = 2  # blocks of a worker: one that it computes, and the next
ATTEMPTS = 3  # workers that a block may end before the run gives up
_TICK = 0.5  # seconds between two looks at signals and at new nodes
_PATIENCE = 20.0  # seconds without any worker, after which the run says so


@dataclass(frozen=True)
class RayOptions:
    """What the user asked for.

    workers:         how many; None is as many as the nodes have room for, also later ones
    gpus_per_worker: 0 to 1; None is 1 where the cluster has GPUs and the device may be one, else 0
    address:         of a cluster; None is $RAY_ADDRESS, else a Ray on this machine alone
    device:          what the process was asked for; None is cuda where there is one
    """

    workers: int | None = None
    gpus_per_worker: float | None = None
    address: str | None = None
    device: str | None = None


@dataclass(eq=False)
class _Member:
    """One actor.

    placed: whether a node has room for it
    ready:  whether it has loaded its process
    jobs:   the blocks it was given, the one it computes first
    """

    actor: Any
    placed: bool = False
    ready: bool = False
    jobs: deque[Block] = field(default_factory=deque)


class RayCrew:
    """The actors of a run. Lost ones are replaced, and added nodes get new ones."""

    def __init__(
        self, options: RayOptions, load: Callable[..., Any], say: Callable[[str], object]
    ) -> None:
        import ray

        self._ray: Any = ray
        self._say = say
        self._gpus = _gpus(options, self._ray.cluster_resources().get("GPU", 0))
        self._wanted = options.workers
        environment = {} if self._gpus else {"CUDA_VISIBLE_DEVICES": ""}
        if "HF_HUB_OFFLINE" in os.environ:
            environment["HF_HUB_OFFLINE"] = os.environ["HF_HUB_OFFLINE"]
        self._arguments = (load, str(Path.cwd()), environment)
        self._class = _actor_class(ray, self._gpus)
        self._members: list[_Member] = []
        self._calls: dict[Any, tuple[_Member, Block | str]] = {}  # in flight, and on which worker
        self._keys: dict[str, Mapping[str, Any]] = {}
        self._unlucky = 0  # workers in a row that were lost before they were ready
        self._waits_since: float | None = None
        self.workers = self._count()
        if options.workers is not None and self._started_here(options):
            self._check_room(options.workers)

    @staticmethod
    def _started_here(options: RayOptions) -> bool:
        return options.address is None and "RAY_ADDRESS" not in os.environ

    def _check_room(self, workers: int) -> None:
        there = self._ray.cluster_resources().get("GPU", 0)
        if workers * self._gpus > there:
            raise InputError(
                f"{number_of(workers, 'worker')} with {self._gpus:g} GPUs each need more than the "
                f"{there:g} here: give fewer --workers, or smaller --gpus-per-worker"
            )

    def _count(self) -> int:
        """How many workers there should be now."""
        if self._wanted is not None:
            return self._wanted
        room = 0
        for node in self._nodes():
            has = node["Resources"]
            cpus = int(has.get("CPU", 0))
            room += min(cpus, int(has.get("GPU", 0) / self._gpus)) if self._gpus else cpus
        return max(1, room)

    def _nodes(self) -> list[dict[str, Any]]:
        return [node for node in self._ray.nodes() if node["Alive"]]

    # ------------------------------------------------------------------ questions

    def first(self, recipe: Recipe) -> Facts:
        """Let every worker load a process; what the first of them says of it."""
        self._recruit(recipe)
        for member in self._members:
            if member.ready:
                self._prepare(member, recipe)
        facts: Facts = self._answer(recipe, lambda actor: actor.ready.remote(recipe, None))
        self._keys[repr(recipe)] = facts.key
        return facts

    def ask(self, recipe: Recipe, method: str, *arguments: Any) -> Any:
        return self._answer(recipe, lambda actor: actor.ask.remote(recipe, method, arguments))

    def _answer(self, recipe: Recipe, call: Callable[[Any], Any]) -> Any:
        """What one worker answers: the first that is ready. Another is asked if it is lost."""
        reason = ""
        for _ in range(ATTEMPTS):
            member = self._any_ready(recipe)
            ref = call(member.actor)
            try:
                return self._ray.get(ref)
            except self._ray.exceptions.RayError as error:
                reason = self._why(error)
                self._lose(member)
        raise ConjureError(f"{ATTEMPTS} workers were lost, one after the other: {reason}")

    def _any_ready(self, recipe: Recipe) -> _Member:
        while True:
            for member in self._members:
                if member.ready:
                    return member
            self._recruit(recipe)
            for _ in self._finished():
                pass  # no block is in flight: workers that are ready, or lost

    # ------------------------------------------------------------------ work

    def run(
        self, order: Order, pending: Pending, batch_size: int
    ) -> Iterator[tuple[Block, Outcome]]:
        """See ``remote.Crew``."""
        pace = Pace(batch_size, self.workers)
        stopped: Stopped | None = None
        try:
            while self._busy() or (pending and stopped is None):
                if stopped is None:
                    stopped = _asked()
                    if stopped is not None:
                        self._stop()
                    else:
                        self._recruit(order.recipe)
                        pace.workers = self.workers
                        self._hand_out(order, pending, pace)
                for block, outcome in self._finished():
                    if outcome.lost is None:
                        pace.took(block.cost, outcome.seconds)
                    yield block, outcome
        finally:
            if self._busy():  # it ends early: nothing takes up what comes
                self.close()
        if stopped is not None:
            raise stopped

    def _busy(self) -> bool:
        return any(member.jobs for member in self._members)

    def _hand_out(self, order: Order, pending: Pending, pace: Pace) -> None:
        """Fill the workers' hands, those with the fewest blocks first."""
        order = replace(order, sharing=self._sharing())
        while pending:
            free = [m for m in self._members if m.ready and len(m.jobs) < IN_FLIGHT]
            if not free:
                return
            member = min(free, key=lambda one: len(one.jobs))
            block = pending.take(pace.size(pending.cost))
            member.jobs.append(block)
            self._calls[member.actor.measure.remote(order, block)] = member, block

    def _sharing(self) -> int:
        """How many workers share the memory that one of them finds free."""
        if self._gpus:
            return ceil(1 / self._gpus)
        return ceil(self.workers / max(1, len(self._nodes())))

    def _finished(self) -> Iterator[tuple[Block, Outcome]]:
        """The calls that have ended by now, after a tick at most."""
        if not self._calls:
            time.sleep(_TICK)
            return
        done, _ = self._ray.wait(list(self._calls), num_returns=1, timeout=_TICK)
        self._tell_waiting()
        for ref in done:
            if ref not in self._calls:  # of a worker that was found lost meanwhile
                continue
            member, block = self._calls.pop(ref)
            try:
                found = self._ray.get(ref)
            except self._ray.exceptions.RayError as error:
                why = self._why(error)
                # A worker that dies fails all that it has; an error is of the call itself.
                own = getattr(error, "cause", None) is not None
                blamed = block if own and isinstance(block, Block) else None
                yield from self._failed(member, blamed, why)
                continue
            member.placed = True
            if isinstance(block, str):
                member.ready = member.ready or block == "ready"
                self._unlucky = 0 if member.ready else self._unlucky
            else:
                member.jobs.remove(block)
                yield block, found

    def _why(self, error: Exception) -> str:
        """Why a call failed, in a line. Raises what a worker itself refused."""
        cause = getattr(error, "cause", None)
        if isinstance(cause, ConjureError):
            raise cause from None
        if cause is not None:
            return f"{type(cause).__name__}: {first_line(cause)}"
        if isinstance(error, self._ray.exceptions.OutOfMemoryError):
            return "the machine has run out of memory"
        return f"the worker is gone ({first_line(error)})"

    def _failed(
        self, member: _Member, block: Block | None, why: str
    ) -> Iterator[tuple[Block, Outcome]]:
        """A call has failed: its worker goes, and its blocks go back.

        block: the one to blame; None is the first of the worker's, which it was computing
        """
        if not member.ready:
            self._unlucky += 1
            if self._unlucky >= ATTEMPTS:
                raise ConjureError(
                    f"{self._unlucky} workers in a row were lost while they started: {why}"
                )
        for job in (jobs := self._lose(member)):
            tried = job.attempts + (job is (block or jobs[0]))
            if tried >= ATTEMPTS:
                first = " and ".join(f"{text!r:.60}" for text in job.pairs[0])
                raise ConjureError(
                    f"{number_of(tried, 'worker')} failed at the same "
                    f"{number_of(len(job.pairs), 'pair')}, the first of them {first}: {why}"
                )
            yield replace(job, attempts=tried), Outcome(lost=why)

    def _lose(self, member: _Member) -> list[Block]:
        """Forget a worker; returns the blocks that it had."""
        if member in self._members:
            self._members.remove(member)
        self._calls = {ref: call for ref, call in self._calls.items() if call[0] is not member}
        with suppress(Exception):  # it is gone already
            self._ray.kill(member.actor)
        jobs, member.jobs = [*member.jobs], deque()
        return jobs

    # ------------------------------------------------------------------ workers

    def _recruit(self, recipe: Recipe) -> None:
        """Start as many workers as there should be; those without a place wait for a node."""
        self.workers = self._count()
        while len(self._members) < self.workers:
            member = _Member(self._class.remote(*self._arguments))
            self._members.append(member)
            self._prepare(member, recipe)

    def _prepare(self, member: _Member, recipe: Recipe) -> None:
        key = self._keys.get(repr(recipe))
        self._calls[member.actor.placed.remote()] = member, "placed"
        self._calls[member.actor.ready.remote(recipe, key)] = member, "ready"

    def _tell_waiting(self) -> None:
        """Say so, once, where no node has room for a worker."""
        now = time.monotonic()
        if any(member.placed for member in self._members):
            self._waits_since = None
        elif self._waits_since is None:
            self._waits_since = now
        elif now > self._waits_since + _PATIENCE:
            self._waits_since = inf
            needs = "1 CPU" + (f" and {self._gpus:g} GPU" if self._gpus else "")
            self._say(f"waiting for a worker: each needs a node with {needs} free")

    def _stop(self) -> None:
        """Ask all workers to end their blocks early; what is finished is written."""
        for member in self._members:
            if member.jobs:
                member.actor.stop.remote()

    def close(self) -> None:
        """End all workers."""
        for member in [*self._members]:
            self._lose(member)


def _asked() -> Stopped | None:
    """What a signal has asked for."""
    try:
        check_stop()
    except Stopped as error:
        return error
    return None


def _gpus(options: RayOptions, there: float) -> float:
    """The GPUs of a worker. Raises InputError where they do not fit the device."""
    wants = options.device is None or options.device.startswith("cuda")
    if options.gpus_per_worker is None:
        gpus = 1.0 if there and wants else 0.0
    else:
        gpus = options.gpus_per_worker
    if not gpus and options.device is not None and wants:
        raise InputError(
            f"--device {options.device} needs a GPU, and the workers get none: "
            + ("leave --gpus-per-worker out" if there else "the cluster has none")
        )
    return gpus


def _actor_class(ray: Any, gpus: float) -> Any:
    """``Worker`` as an actor. ``stop`` has a thread of its own, so that a block can be stopped."""
    from .worker import Worker

    class Actor(Worker):
        placed = ray.method(concurrency_group="control")(Worker.placed)
        stop = ray.method(concurrency_group="control")(Worker.stop)

    Actor.__name__ = "ConjureWorker"
    options = {"num_cpus": 1, "num_gpus": gpus, "concurrency_groups": {"control": 1}}
    return ray.remote(**options)(Actor)
