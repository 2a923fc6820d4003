#compdef holdfast
# Completion of holdfast for zsh: holdfast itself says what may come next.
#
#   source <(holdfast completion zsh)         in ~/.zshrc, after compinit, or, for everybody:
#   holdfast completion zsh >/usr/share/zsh/site-functions/_holdfast

_holdfast() {
    local line files
    local -a candidates
    while IFS= read -r line; do
        case $line in
        :files) files=1 ;;
        *$'\t'*) candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
        *) candidates+=("${line//:/\\:}") ;;
        esac
    done < <("${words[1]}" __complete -- "${(@Q)words[2,CURRENT]}" 2>/dev/null)
    (( $#candidates )) && _describe holdfast candidates
    [[ -n $files ]] && _files
}

# As a file of fpath it is called; sourced, it is made known.
if [[ ${funcstack[1]} == _holdfast ]]; then
    _holdfast "$@"
else
    compdef _holdfast holdfast
fi
