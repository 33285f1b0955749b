"""Take the measurements: every one in a process of its own, the contenders in turn, round after round.

Interleaving is what makes ratios trustworthy on a noisy machine: a slow minute hits all contenders
of a round alike, and the ratio is taken within the round. The order rotates from round to round.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from benchmarks.checkouts import Checkout
from benchmarks.child import MARK
from benchmarks.disk import file_folder
from benchmarks.environments import ROOT, Interpreter, environment, versions
from benchmarks.model import Contender, Scenario

_FOLDERS = re.compile(r"(/[^\s/'\":]+)+/")
"""Folders in messages, which are nobody's business in results that are passed on."""
CHILD_TIMEOUT = 900.0
"""Seconds after which a measurement counts as failed."""


@dataclass(frozen=True)
class PreparedContender:
    """A contender ready to be measured: with its checkout, if it has one."""

    contender: Contender
    checkout: Checkout | None = None

    @property
    def packages(self) -> tuple[str, ...]:
        """What its environment needs."""
        return self.checkout.dependencies if self.checkout else self.contender.packages

    @property
    def label(self) -> str:
        """The name of its environment. Contenders without needs share one."""
        return self.contender.name if self.packages else "plain"

    def python(self, interpreter: Interpreter) -> str:
        """Return the Python to measure it with."""
        return environment(interpreter, self.label, self.packages)

    def versions(self, interpreter: Interpreter) -> dict[str, str]:
        """Return what is measured: the versions of its packages, or the commit of its checkout."""
        installed = versions(self.python(interpreter), self.packages)
        return {**installed, "commit": self.checkout.commit} if self.checkout else installed


@dataclass
class Sample:
    """The figures of one scenario for one contender in one round, or why there are none."""

    interpreter: str
    scenario: str
    contender: str
    round: int
    figures: dict[str, float] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    interpreters: Sequence[Interpreter]
    scenarios: Sequence[Scenario]
    contenders: Sequence[PreparedContender]
    rounds: int
    quick: bool

    def prepare(self) -> None:
        """Make all environments before the first measurement, so that no installer disturbs one."""
        missing = {
            (interpreter.name, prepared.label): (interpreter, prepared.label, prepared.packages)
            for interpreter in self.interpreters
            for prepared in self.contenders
        }
        with ThreadPoolExecutor() as installers:
            list(installers.map(lambda wanted: environment(*wanted), missing.values()))

    def run(self) -> list[Sample]:
        """Take all measurements and say on standard error how it goes."""
        begin, samples = time.monotonic(), []
        for scenario in self.scenarios:
            for sample in self._rounds(scenario):
                samples.append(sample)
                _tell(sample, time.monotonic() - begin)
        return samples

    def _rounds(self, scenario: Scenario) -> Iterator[Sample]:
        taking = [
            (interpreter, prepared)
            for interpreter in self.interpreters
            for prepared in self.contenders
            if prepared.contender.adapter in scenario.contenders
        ]
        for number in range(self.rounds):
            turn = number % max(1, len(taking))
            for interpreter, prepared in taking[turn:] + taking[:turn]:
                if number < scenario.rounds(prepared.contender, self.rounds):
                    yield self._measure(scenario, prepared, interpreter, number)

    def _measure(
        self, scenario: Scenario, prepared: PreparedContender, interpreter: Interpreter, number: int
    ) -> Sample:
        sample = Sample(interpreter.name, scenario.name, prepared.contender.name, number)
        order = {
            "adapter": f"{scenario.adapters}.{prepared.contender.adapter}",
            "scenario": scenario.function,
            "sizes": scenario.sizes(prepared.contender.name, quick=self.quick),
        }
        try:
            sample.figures = _child(prepared.python(interpreter), prepared.checkout, order)
        except MeasurementError as error:
            print(error, file=sys.stderr)
            sample.error = _FOLDERS.sub("", str(error).splitlines()[-1])
        except subprocess.TimeoutExpired:
            sample.error = f"not done after {CHILD_TIMEOUT:g} s"
        return sample


class MeasurementError(RuntimeError):
    """A measuring process failed; the message ends with its last words."""


def _child(python: str, checkout: Checkout | None, order: Mapping[str, object]) -> dict[str, float]:
    """Run one measurement and return its figures. What files it leaves in its temporary folder are removed."""
    command = [python, "-m", "benchmarks.child", json.dumps(order)]
    with tempfile.TemporaryDirectory(dir=file_folder()) as folder:
        env = {**_quiet(checkout), "TMPDIR": folder}
        done = subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=CHILD_TIMEOUT
        )
    for line in done.stdout.splitlines():
        if line.startswith(MARK):
            return dict(json.loads(line.removeprefix(MARK)))
    raise MeasurementError(done.stderr.strip()[-3000:] or f"exit {done.returncode} without a word")


def _quiet(checkout: Checkout | None) -> dict[str, str]:
    """Return an environment in which nothing of Python's own is switched on, such as asyncio's debug mode."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, "PYTHONPATH": str(checkout.source)} if checkout else kept


def _tell(sample: Sample, elapsed: float) -> None:
    figures = " ".join(f"{key}={value:.4g}" for key, value in sample.figures.items())
    print(
        f"{elapsed:6.0f} s  {sample.scenario:<24}{sample.interpreter:<16}{sample.contender:<11}"
        f"#{sample.round + 1}  {figures or f'FAILED: {sample.error}'}",
        file=sys.stderr,
    )
