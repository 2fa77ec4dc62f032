# Completion of heartbeatd for bash. The program itself says what may come next.
_heartbeatd() {
    local -a words=() lines
    local line word glued=
    for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
        # They come as they are typed, and divided at colons: the program knows no quotes, and takes an address whole.
        word=${word//[\"\'\\]/}
        if [[ $glued || $word == : ]]; then words[-1]+=$word; else words+=("$word"); fi
        if [[ $word == : ]]; then glued=yes; else glued=; fi
    done
    # Only the shell knows what a tilde is.
    words=("${words[@]/#\~\//$HOME/}")
    mapfile -t lines < <("${words[0]}" complete -- "${words[@]}" 2>/dev/null)
    COMPREPLY=()
    for line in "${lines[@]}"; do
        case $line in
            :files*) compopt -o default ;;
            :folders*) compopt -o dirnames ;;
            *) COMPREPLY+=("${line%%$'\t'*}") ;;
        esac
    done
}
complete -F _heartbeatd heartbeatd
