"""The program that an agent starts before each tool call. Standard library only; run with `-I -S`.

What it does: reads the call that the agent is about to make (JSON on standard input), asks the coordinator of the run
whether it may, and waits for the answer. 0 and no output: go on. 2 and a sentence on standard error: the call is
refused, which Claude Code, Codex, Gemini CLI and our opencode plugin take as such, and the model reads the sentence.
What it does not know: which paths a call writes, locks and who holds them. It imports nothing of wavecrew.

Usage: `hook.py PASS SECONDS`. PASS is the file that `write_gate` made for the attempt (who it is, and its token); the
socket lies beside it. SECONDS is how long an answer may take, and has to end before the agent's own patience does,
because most agents write when their hook is late, has crashed or was killed. So whatever goes wrong here, a signal
and a bug included, is a refusal; a kill -9, and a start that hangs, are turned into one by the command line around it.

Modules are imported inside of the functions: one that cannot be loaded is a refusal too, and the start stays short.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

ALLOWED, REFUSED = 0, 2
SOCKET = "socket"
MAX_BYTES = 32 << 20
_CHUNK = 65536

# fmt: off
HARMLESS = frozenset((
    # Claude Code
    "Read", "Glob", "Grep", "LS", "NotebookRead", "WebFetch", "WebSearch", "TodoWrite", "TodoRead", "Task", "Agent",
    "TaskCreate", "TaskGet", "TaskList", "TaskOutput", "TaskStop", "TaskUpdate", "BashOutput", "KillShell", "KillBash",
    "AskUserQuestion", "EnterPlanMode", "ExitPlanMode", "Skill", "ToolSearch", "SendMessage", "ListMcpResourcesTool",
    "ReadMcpResourceTool", "SlashCommand", "StructuredOutput", "ListAgents", "ReportFindings", "CronList", "CronDelete",
    "DeferredToolPlaceholder",
    # Codex
    "update_plan", "view_image", "web_search", "request_user_input", "list_mcp_resources", "read_mcp_resource",
    "list_mcp_resource_templates", "spawn_agent", "send_input", "wait_agent", "close_agent", "resume_agent",
    "multi_agent_v1/spawn_agent", "multi_agent_v1/send_input", "multi_agent_v1/wait_agent",
    "multi_agent_v1/close_agent", "multi_agent_v1spawn_agent", "multi_agent_v1send_input", "multi_agent_v1wait_agent",
    "multi_agent_v1close_agent", "multi_agent_v1resume_agent", "wait", "tool_search", "get_goal", "create_goal",
    "update_goal", "collaborationspawn_agent", "collaborationwait_agent", "collaborationlist_agents",
    "collaborationsend_message", "collaborationfollowup_task", "collaborationinterrupt_agent", "clocksleep",
    "request_user_input_async",
    # Gemini CLI
    "read_file", "read_many_files", "list_directory", "glob", "search_file_content", "grep_search", "google_web_search",
    "web_fetch", "write_todos", "invoke_agent", "delegate_to_agent", "codebase_investigator", "get_internal_docs",
    "activate_skill", "ask_user", "enter_plan_mode", "exit_plan_mode", "complete_task", "update_topic",
    "list_background_processes", "read_background_output",
    # opencode
    "read", "list", "grep", "webfetch", "websearch", "codesearch", "todowrite", "todoread", "task", "skill", "question",
    "lsp",
    # Our own tools (docs/mcp.md), as these programs call them
    "mcp__wavecrew__progress", "mcp__wavecrew__ask_human", "mcp__wavecrew__lock_request",
    "mcp_wavecrew_progress", "mcp_wavecrew_ask_human", "mcp_wavecrew_lock_request",
    "wavecrew_progress", "wavecrew_ask_human", "wavecrew_lock_request",
))
# fmt: on
"""Tools that write nothing themselves. What a sub-agent does comes to its own hook."""

TRY_LATER = "Nothing was written. Go on with work that writes no file, and try this once more later."


def end(code: int, sentence: str = "") -> NoReturn:
    """Leave at once: no exit handler or buffer of ours may change the code."""
    import os

    try:
        if sentence:
            os.write(2, f"wavecrew: {sentence}\n".encode("utf-8", "replace"))
    finally:
        os._exit(code)


def expect_trouble(seconds: float) -> None:
    """A refusal when the time is over, and for every signal that can be caught."""
    import signal

    def late(number: int, frame: object) -> None:
        why = f"no answer within {seconds:g} s" if number == signal.SIGALRM else f"stopped by signal {number}"
        end(REFUSED, f"{why}. {TRY_LATER}")

    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def question(pass_file: str, call: dict[str, Any]) -> bytes:
    """What is sent: who asks, the call, and the folder that its relative paths mean."""
    import json
    import os

    with open(pass_file, "rb") as file:
        who = json.load(file)
    cwd = call.get("cwd")
    asked = {
        "owner": who["owner"],
        "token": who["token"],
        "tool": call.get("tool_name"),
        "input": call.get("tool_input"),
        "cwd": cwd if isinstance(cwd, str) and cwd.startswith("/") else os.getcwd(),
    }
    text = json.dumps(asked).encode()
    return len(text).to_bytes(4, "big") + text


def answer_to(message: bytes, folder: str) -> dict[str, Any]:
    """Ask, and wait. From inside of the folder, because the name of a socket must be short. Raises OSError when
    nobody is there, or whoever was there went away, and ValueError for an answer that is none."""
    import json
    import os
    from _socket import AF_UNIX, SOCK_STREAM, socket  # the C module: `socket` would double the time of the start

    os.chdir(folder)
    channel = socket(AF_UNIX, SOCK_STREAM)
    channel.connect(SOCKET)
    channel.sendall(message)
    text = b""
    while chunk := channel.recv(_CHUNK):
        text += chunk
    if not text:
        raise ConnectionResetError(0, "it went away without an answer")
    answer = json.loads(text)
    if not isinstance(answer, dict):
        raise ValueError("the answer is no object")
    return answer


def ask(arguments: list[str]) -> tuple[int, str]:
    """The code to end with, and the sentence for the model."""
    import json
    import os

    pass_file, seconds = arguments
    expect_trouble(float(seconds))
    text = sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(text) > MAX_BYTES:
        return REFUSED, "this tool call is too large to be looked at. Write the file in several smaller steps."
    try:
        call = json.loads(text)
        harmless = call["tool_name"] in HARMLESS
    except (ValueError, TypeError, KeyError, RecursionError):
        return REFUSED, f"the agent described its tool call in a way that cannot be read. {TRY_LATER}"
    if harmless:
        return ALLOWED, ""
    try:
        answer = answer_to(question(pass_file, call), os.path.dirname(pass_file) or ".")
    except OSError as error:
        why = error.strerror or error
        return REFUSED, f"nobody is in charge of this run at the moment, so no file may be written ({why}). {TRY_LATER}"
    if answer.get("verdict") == "allow":
        return ALLOWED, ""
    return REFUSED, str(answer["reason"])


def main(arguments: list[str]) -> NoReturn:
    try:
        code, sentence = ask(arguments)
    except BaseException as error:
        code, sentence = REFUSED, f"the call could not be asked about ({type(error).__name__}: {error}). {TRY_LATER}"
    end(code, sentence)


if __name__ == "__main__":
    main(sys.argv[1:])
