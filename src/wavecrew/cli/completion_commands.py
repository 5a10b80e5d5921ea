"""`completion`: the script by which a shell completes what is typed after `wavecrew`."""

from __future__ import annotations

import click

from wavecrew.cli.completion_scripts import SCRIPTS
from wavecrew.cli.globals import echo, with_globals
from wavecrew.errors import ExitCode


@click.command()
@click.argument("shell", type=click.Choice(list(SCRIPTS)))
@with_globals
def completion(shell: str) -> int:
    """Print the script that makes SHELL (bash, zsh or fish) complete commands, options, phases, runs, locks and more.

    To switch it on for good, once:

    \b
      bash  echo 'source <(wavecrew completion bash)' >> ~/.bashrc
      zsh   echo 'source <(wavecrew completion zsh)' >> ~/.zshrc
      fish  wavecrew completion fish > ~/.config/fish/completions/wavecrew.fish

    It holds in shells that are started from then on. bash must be 4.4 or later (that of macOS is not); in zsh the line
    stands below compinit. Completing reads plan and state, and never writes, waits or complains.
    """
    echo(SCRIPTS[shell], end="")
    return ExitCode.OK
