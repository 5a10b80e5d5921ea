"""The command line around the hook: whatever happens in it, an agent sees a refusal with words, or a yes."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from wavecrew.agents.asking import asking_line

SHELLS = [shell for shell in ("sh", "bash", "dash", "zsh", "fish") if shutil.which(shell)]
BROKEN = {
    "says nothing": "import sys; sys.exit(1)",
    "prints garbage": 'import sys; print(\'{"decision": "allow"}\'); sys.exit(3)',
    "is killed": "import os; os.kill(os.getpid(), 9)",
    "is terminated": "import os; os.kill(os.getpid(), 15)",
}


def asked(program: str, shell: str = "sh", patience: float = 600) -> subprocess.CompletedProcess[str]:
    line = asking_line((sys.executable, "-I", "-c", program), patience)
    return subprocess.run([shell, "-c", line], input="the call", capture_output=True, text=True, check=False)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_yes_is_a_yes_and_says_nothing(shell: str) -> None:
    done = asked("import sys; sys.exit(0 if sys.stdin.read() == 'the call' else 7)", shell)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_refusal_keeps_its_words_alone(shell: str) -> None:
    done = asked('import sys; sys.stderr.write("it\'s held\\n"); sys.exit(2)', shell)

    assert (done.returncode, done.stderr) == (2, "it's held\n")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("way", BROKEN)
def test_what_is_broken_is_a_refusal_with_words(way: str, shell: str) -> None:
    """Codex goes on when there are none, and Gemini CLI when standard output says so."""
    done = asked(BROKEN[way], shell)

    assert (done.returncode, done.stdout) == (2, "")
    assert "the gate could not be asked, so nothing was written" in done.stderr


def test_a_program_that_is_not_there_is_a_refusal() -> None:
    done = subprocess.run(
        ["sh", "-c", asking_line(("/no/such program",), 600)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert "the gate could not be asked" in done.stderr


@pytest.mark.skipif(not shutil.which("timeout"), reason="there is no command timeout here")
def test_a_program_that_hangs_is_ended_before_the_patience_of_the_agent_is() -> None:
    done = asked(
        "import signal, time\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))\ntime.sleep(3600)", patience=6
    )

    assert done.returncode == 2
    assert "the gate could not be asked" in done.stderr
