# Completion of holdfast for bash: holdfast itself says what may come next.
#
#   source <(holdfast completion bash)        in ~/.bashrc, or, for everybody:
#   holdfast completion bash >/usr/share/bash-completion/completions/holdfast

_holdfast() {
    local line words candidate
    # Not COMP_WORDS, which is cut at = and : too.
    line=${COMP_LINE:0:COMP_POINT}
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=('')
    local last=${words[${#words[@]}-1]} cut=
    [[ $last == *[=:]* ]] && cut=${last%"${last##*[=:]}"}
    COMPREPLY=()
    while IFS= read -r candidate; do
        case $candidate in
        :files) compopt -o default 2>/dev/null ;;
        *)
            candidate=${candidate%%$'\t'*}
            COMPREPLY+=("${candidate#"$cut"}")
            ;;
        esac
    done < <("${words[0]}" __complete -- "${words[@]:1}" 2>/dev/null)
    # A flag that waits for its value.
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[=/] ]] && compopt -o nospace 2>/dev/null
    return 0
}

complete -F _holdfast holdfast
