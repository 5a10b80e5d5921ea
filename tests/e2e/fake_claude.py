"""Speaks and behaves as the program `claude` does towards wavecrew, without a model: its prompt is its script.

A line `WRITE PATH: TEXT` is a tool call. The hook of `--settings` is asked first; what it refuses is not written, but
tried once more. `TOOL NAME` calls another tool; what the hook says of it is kept in `~/.claude/tools`. `SHELL
COMMAND` is carried out without asking. `WAIT PATH` waits until a file exists, `FAIL` ends with an error. `LIMIT
SECONDS` ends because the account is used up for some seconds, but only the first that anybody comes to. What follows
`FIRST` is done in a new session alone, what follows `THEN` in one that goes on. Each refusal is told in the stream, as
a result of the tool.

Sessions are kept in `$HOME/.claude/sessions`, prompts in `$HOME/.claude/prompts`. As with the real program, a session
is known only in the folder in which it began.
"""

import contextlib
import json
import os
import subprocess
import sys
import time

if sys.argv[1:] == ["--version"]:
    sys.stdout.write("2.9.9 (nobody)\n")
    sys.exit(0)
settings = json.loads(sys.argv[sys.argv.index("--settings") + 1]) if "--settings" in sys.argv else {}
HOOKS = [one["command"] for group in settings.get("hooks", {}).get("PreToolUse", []) for one in group["hooks"]]


PHASE, ATTEMPT, HOME = (os.environ[name] for name in ("WAVECREW_PHASE", "WAVECREW_ATTEMPT_NUMBER", "HOME"))
RESUMED = sys.argv[sys.argv.index("--resume") + 1] if "--resume" in sys.argv else ""
SESSION = RESUMED or f"s-{ATTEMPT}"


def say(**event: object) -> None:
    sys.stdout.write(json.dumps({"session_id": SESSION, **event}) + "\n")
    sys.stdout.flush()


def file_at_home(*names: str) -> str:
    path = os.path.join(os.environ.get("CLAUDE_CONFIG_DIR", os.path.join(HOME, ".claude")), *names)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return path


def take_up_session() -> None:
    """Begin a session, or go on with one that was begun in this folder."""
    kept = file_at_home("sessions", f"{PHASE}-{SESSION}")
    if not RESUMED:
        with open(kept, "w", encoding="utf-8") as file:
            file.write(os.getcwd())
        return
    with contextlib.suppress(FileNotFoundError), open(kept, encoding="utf-8") as file:
        if file.read() == os.getcwd():
            return
    sys.stderr.write(f"No conversation found with session ID: {RESUMED}\n")
    sys.exit(1)


def end_for_limit(seconds: float) -> None:
    """Say that the account is used up, unless somebody has said so before."""
    try:
        os.close(os.open(file_at_home("limited"), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    told = {"status": "rejected", "resetsAt": time.time() + seconds}
    say(type="rate_limit_event", rate_limit_info=told)
    say(type="result", subtype="success", is_error=True, result="You have hit your limit", api_error_status=429)
    sys.exit(1)


def asked(tool: str, given: dict[str, str]) -> str:
    """Why the hooks refuse a call; empty if they do not."""
    call = {"hook_event_name": "PreToolUse", "tool_name": tool, "tool_input": given, "cwd": os.getcwd()}
    for hook in HOOKS:
        done = subprocess.run(["sh", "-c", hook], input=json.dumps(call), capture_output=True, text=True, check=False)
        if done.returncode:
            return done.stderr.strip() or "refused"
    return ""


def write(path: str, text: str) -> None:
    path = os.path.join(os.getcwd(), os.path.expandvars(path))
    for number in range(2):
        given = {"file_path": path, "content": text}
        say(type="assistant", message={"content": [{"type": "tool_use", "id": "t", "name": "Write", "input": given}]})
        refused = asked("Write", given)
        if not refused:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "a", encoding="utf-8") as file:
                file.write(text + "\n")
        result = {"type": "tool_result", "tool_use_id": "t", "is_error": bool(refused), "content": refused}
        say(type="user", message={"content": [result]})
        if not refused or number:
            return


prompt = sys.stdin.read()
with open(file_at_home("prompts", f"{PHASE}-{ATTEMPT}"), "w", encoding="utf-8") as kept_prompt:
    kept_prompt.write(prompt)
take_up_session()
model = sys.argv[sys.argv.index("--model") + 1] if "--model" in sys.argv else "fake-1"
say(type="system", subtype="init", model=model, claude_code_version="2.9.9")
failed = False
for line in prompt.splitlines():
    word, _, rest = line.strip().partition(" ")
    if word in ("FIRST", "THEN"):
        if (word == "THEN") != bool(RESUMED):
            continue
        word, _, rest = rest.partition(" ")
    if word == "LIMIT":
        end_for_limit(float(rest))
    elif word == "TOOL":
        with open(file_at_home("tools", rest), "w", encoding="utf-8") as answer:
            answer.write(asked(rest, {}))
    elif word == "WRITE":
        write(*rest.split(": ", 1))
    elif word == "SHELL":
        subprocess.run(["sh", "-c", rest], check=False)
    elif word == "WAIT":
        while not os.path.exists(os.path.expandvars(rest)):
            time.sleep(0.02)
    elif word == "FAIL":
        failed = True
used = {"inputTokens": 100, "cacheCreationInputTokens": 0, "cacheReadInputTokens": 0, "outputTokens": 10}
models = {"fake-1": {**used, "costUSD": 0.25}}
say(type="result", subtype="success", is_error=failed, result="done", model_usage_since_last_result=models)
sys.exit(failed)
