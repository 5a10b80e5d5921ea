"""Speaks and behaves as the program `claude` does towards wavecrew, without a model: its prompt is its script.

A line `WRITE PATH: TEXT` is a tool call. The hook of `--settings` is asked first; what it refuses is not written, but
tried once more. `SHELL COMMAND` is carried out without asking. `WAIT PATH` waits until a file exists, `FAIL` ends with
an error. Each refusal is told in the stream, as a result of the tool.
"""

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


def say(**event: object) -> None:
    sys.stdout.write(json.dumps({"session_id": "s-1", **event}) + "\n")
    sys.stdout.flush()


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


say(type="system", subtype="init", model="fake-1", claude_code_version="2.9.9")
failed = False
for line in sys.stdin.read().splitlines():
    word, _, rest = line.strip().partition(" ")
    if word == "WRITE":
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
