"""The command: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks.catalogue import CONTENDERS, SCENARIOS
from benchmarks.checkouts import UnknownCommitError, checkout_of, working_copy
from benchmarks.environments import ROOT, EnvironmentSetupError, Interpreter, environment
from benchmarks.model import BEFORE, OURS, Contender
from benchmarks.report import PLOT, RESULTS, Report
from benchmarks.runner import Plan, PreparedContender

KEPT = ROOT / "benchmarks" / "results"
SCRATCH = KEPT / "scratch"
ROUNDS = 5
PLOTTING = ("matplotlib",)


def main() -> int:
    """Measure, write the results, and return 1 if a measurement of ours failed."""
    options = _options()
    try:
        plan = _plan(options)
        plan.prepare()
    except (EnvironmentSetupError, UnknownCommitError) as error:
        print(error, file=sys.stderr)
        return 2
    report = Report(plan, plan.run())
    folder = options.out or _default_folder(options)
    report.write(folder)
    print(report.markdown())
    if not options.no_plot:
        _plot(folder)
    return any(sample.error for sample in report.samples if sample.contender == OURS)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes and one round, under two minutes")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, metavar="CONTENDER", help=", ".join(CONTENDERS))
    parser.add_argument("--python", action="append", metavar="PATH", help="interpreter; may be repeated")
    parser.add_argument("--rounds", type=_positive, metavar="N", help=f"{ROUNDS}, or 1 when quick")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the results go")
    parser.add_argument("--against", metavar="REF", help="another commit to measure beside this checkout")
    parser.add_argument("--no-plot", action="store_true", help="tables only, without the environment for plotting")
    return parser.parse_args()


def _plan(options: argparse.Namespace) -> Plan:
    found = [Interpreter.at(command) for command in options.python or [sys.executable]]
    return Plan(
        interpreters=list(dict.fromkeys(found)),
        scenarios=[SCENARIOS[name] for name in options.only or SCENARIOS],
        contenders=_contenders(options),
        rounds=options.rounds or (1 if options.quick else ROUNDS),
        quick=options.quick,
    )


def _contenders(options: argparse.Namespace) -> list[PreparedContender]:
    chosen = [CONTENDERS[name] for name in options.contenders or CONTENDERS]
    contenders = [
        PreparedContender(contender, working_copy() if contender.from_checkout else None) for contender in chosen
    ]
    if options.against:
        checkout = checkout_of(options.against)
        before = Contender(BEFORE, f"before ({checkout.commit})", CONTENDERS[OURS].adapter, from_checkout=True)
        contenders.append(PreparedContender(before, checkout))
    return contenders


def _default_folder(options: argparse.Namespace) -> Path:
    """Only a full run replaces the results kept in the repository."""
    partial = options.quick or options.only or options.contenders or options.against
    return SCRATCH if partial else KEPT


def _plot(folder: Path) -> None:
    """Draw in an environment that has matplotlib; without one there are the tables still."""
    try:
        python = environment(Interpreter.at(sys.executable), "plot", PLOTTING)
    except EnvironmentSetupError as error:
        print(f"no plot: {error}", file=sys.stderr)
        return
    command = [python, "-m", "benchmarks.plot", str((folder / RESULTS).resolve()), str((folder / PLOT).resolve())]
    subprocess.run(command, cwd=ROOT, check=True)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
