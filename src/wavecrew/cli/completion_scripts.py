"""The scripts by which shells ask what could stand at the cursor.

What it does: holds one script for each shell. Each hands over the line up to the cursor in variables, never as
arguments: whatever stands in for `wavecrew` on somebody's machine could take arguments for a command to carry out.
What it does not know: which words there are, and how they are quoted for bash; zsh and fish quote what they insert.

The answer has a line for each word: its kind, the word and what it is, with tabs in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

VARIABLE: Final = "_WAVECREW_COMPLETE"
"""The variable that makes `wavecrew` answer a shell, as click names it for a program of this name."""
WORDS: Final = "_WAVECREW_WORDS"
"""The words of the line, the one at the cursor last, with `SEPARATOR` in between (zsh, fish)."""
LINE: Final = "_WAVECREW_LINE"
"""The line up to the cursor as it stands (bash)."""
TYPED: Final = "_WAVECREW_TYPED"
"""What bash is going to replace: the end of the line, since the last `=`, `:`, open quote or blank."""
PATIENCE: Final = "_WAVECREW_PATIENCE"
"""For slow machines: how many seconds an answer may take before there is none."""
SEPARATOR: Final = "\x1f"

_BASH: Final = r"""# Completion of wavecrew for bash. Switch it on: source <(wavecrew completion bash)
if [ "${BASH_VERSINFO[0]:-0}" -lt 4 ] || { [ "${BASH_VERSINFO[0]}" -eq 4 ] && [ "${BASH_VERSINFO[1]}" -lt 4 ]; }; then
    printf 'wavecrew: completion needs bash 4.4 or later, and this is %s; nothing was switched on\n' \
        "${BASH_VERSION:-another shell}" >&2
else
    _wavecrew_completion() {
        local - line IFS=$'\n'
        set -f
        COMPREPLY=()
        for line in $(_WAVECREW_COMPLETE=bash_complete _WAVECREW_LINE="${COMP_LINE:0:COMP_POINT}" _WAVECREW_TYPED="$2" \
            command wavecrew 2>/dev/null </dev/null); do
            case $line in
                word$'\t'*) COMPREPLY+=("${line#word$'\t'}") ;;
                file$'\t'*) compopt -o default ;;
                dir$'\t'*) compopt -o dirnames ;;
            esac
        done
    }
    complete -o nosort -F _wavecrew_completion wavecrew
fi
"""

_ZSH: Final = r"""#compdef wavecrew
# Completion of wavecrew for zsh. Switch it on, after compinit: source <(wavecrew completion zsh)
_wavecrew_completion() {
    local line kind word
    local -a said given found shown
    given=("${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}")
    said=("${(@f)$(_WAVECREW_COMPLETE=zsh_complete _WAVECREW_WORDS="${(pj:\x1f:)given}" \
        command wavecrew 2>/dev/null </dev/null)}")
    for line in $said; do
        kind=${line%%$'\t'*} line=${line#*$'\t'}
        word=${line%%$'\t'*} line=${line#*$'\t'}
        case $kind in
            word) found+=("$word") shown+=("$line") ;;
            file) compset -P '--*='; _files ;;
            dir) compset -P '--*='; _files -/ ;;
        esac
    done
    (( $#found )) && compadd -l -V wavecrew -d shown -a -- found
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _wavecrew_completion "$@"
elif (( $+functions[compdef] )); then
    compdef _wavecrew_completion wavecrew
else
    print -u2 'wavecrew: completion needs compinit first: autoload -U compinit && compinit; nothing was switched on'
fi
"""

_FISH: Final = r"""# Completion of wavecrew for fish. Switch it on: wavecrew completion fish | source
function __wavecrew_completion
    set -l before (commandline -opc)
    set -l typed (commandline -ct)
    set -l given (string join -- \x1f $before "$typed" | string collect)
    for line in (env _WAVECREW_COMPLETE=fish_complete _WAVECREW_WORDS="$given" wavecrew 2>/dev/null </dev/null)
        set -l parts (string split -m 2 -- \t $line)
        set -l head (string match -r -- '^--[^=]*=' "$typed")
        set -l rest (string replace -r -- '^--[^=]*=' '' "$typed")
        switch $parts[1]
            case word
                printf '%s\t%s\n' $parts[2] $parts[3]
            case file
                for one in (__fish_complete_path "$rest" '')
                    printf '%s%s\n' "$head" $one
                end
            case dir
                for one in (__fish_complete_directories "$rest" '')
                    printf '%s%s\n' "$head" $one
                end
        end
    end
end
complete --no-files --keep-order --command wavecrew --arguments '(__wavecrew_completion)'
"""

SCRIPTS: Final[Mapping[str, str]] = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
