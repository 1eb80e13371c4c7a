"""`gristmill`: the entry point, which loads only the command that was asked for."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Sequence

import click

from gristmill._version import __version__
from gristmill.core.errors import GristmillError

INTERRUPTED = 130

COMMANDS = {
    "init": "Start a small working project in a new folder.",
    "run": "Run a pipeline file; steps that are up to date are not run again.",
    "explain": "Print the plan: what would run, what is cached, and why.",
    "runs": "List the runs of a project, or show one.",
    "artifacts": "List what is stored, by kind, step and time.",
    "why": "Say why a step ran, or why it was up to date.",
    "logs": "Print what the steps of a run printed, and why one failed.",
    "diff": "Say what is different between two runs.",
    "gc": "Remove the results of old runs that nothing refers to.",
    "lineage": "Trace a prediction, a label or any artifact back to its data.",
    "export": "Hand a run to a colleague as a folder, or to an MLflow server.",
    "label": "Apply labelling functions to data and combine votes into labels.",
    "validate": "Profile data, infer a schema, or check data against one.",
    "train": "Train a text classifier on labelled data and write a bundle.",
    "job": "Train any model, or search over many, as a Python file describes.",
    "predict": "Answer every row of a table with a bundle, into a file.",
    "watch": "Answer the frames of a video, recomputing only what changed.",
    "occlude": "Show which parts of a picture an answer depends on.",
    "serve": "Serve bundles, registered models and routes over them by HTTP.",
    "feedback": "Tell what was true of kept predictions; gather it as gold.",
    "models": "List the registered models, or the versions of one.",
    "history": "Print who decided what of a model, when and why.",
    "promote": "Make a version of a model the one that answers.",
    "rollback": "Make the version before the live one answer again.",
    "monitor": "Compare what is served with training; retrain if it must be.",
    "replay": "Say what other policies would have lost on logged predictions.",
    "engines": "List the engines that work can run on, or try one.",
    "datasets": "List the example data sets, or fetch one.",
}

EXIT_CODES = """\b
Exit codes:
  0  done                        6  a step failed
  1  other error                 7  the project cannot be used
  2  wrong call                  8  the bundle is damaged
  3  the data broke its schema   9  training cannot go on
  4  a gate said no              10 the server cannot start
  5  data cannot be read         130 stopped with Ctrl-C
"""


class _LazyGroup(click.Group):
    """A group whose commands live in modules of their own, imported when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"gristmill.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise click.UsageError(f"{error.message} {_near(args[0])}", ctx) from error


def _near(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, COMMANDS, n=1)
    return f"Did you mean '{near[0]}'?" if near else "See 'gristmill --help'."


@click.group(
    cls=_LazyGroup, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="gristmill")
@click.option("--quiet", "-q", is_flag=True, help="No progress, only results and errors.")
@click.option("--debug", is_flag=True, envvar="GRISTMILL_DEBUG", help="Show tracebacks of errors.")
@click.pass_context
def cli(ctx: click.Context, quiet: bool, debug: bool) -> None:
    """From raw data to a served, monitored model.

    \b
    label -> validate -> train -> serve

    \b
    gristmill init spam && cd spam && gristmill run
    starts a project that works at once.
    """
    from gristmill.cli.reporter import open_reporter
    from gristmill.core.progress import reporting

    ctx.obj = {"debug": debug}
    if not quiet:
        ctx.with_resource(reporting(open_reporter()))


def run(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; every error is printed, none escapes."""
    arguments = list(sys.argv[1:] if args is None else args)
    debug = "--debug" in arguments or bool(os.environ.get("GRISTMILL_DEBUG"))
    try:
        code = cli.main(args=arguments, prog_name="gristmill", standalone_mode=False)
    except (click.Abort, KeyboardInterrupt) as stop:
        told = str(stop.__cause__ or stop)  # click makes one of the other
        click.echo(f"stopped: {told}" if told else "stopped", err=True)
        return INTERRUPTED
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (BrokenPipeError, SystemExit):  # the second is how click leaves when a pipe breaks
        return _quiet_pipe()
    except Exception as error:
        return _explain(error, debug)
    return code if isinstance(code, int) else 0  # click hands over the code of ctx.exit


def main() -> None:
    """Run the command line and leave with its exit code."""
    code = run()
    # The process ends: of PyTorch's objects the collector would look for cycles for seconds.
    gc.freeze()
    sys.exit(code)


def _explain(error: Exception, debug: bool) -> int:
    from gristmill.cli.failures import as_gristmill_error
    from gristmill.cli.output import print_error

    if debug:
        import traceback

        from gristmill.core.redaction import redacted

        click.echo(redacted("".join(traceback.format_exception(error))), err=True, nl=False)
    known = error if isinstance(error, GristmillError) else as_gristmill_error(error)
    print_error(known)
    return known.exit_code


def _quiet_pipe() -> int:
    """Leave silently when the reader of our output (`| head`) has gone away."""
    from gristmill.cli.output import drop_output

    drop_output()
    return 0
