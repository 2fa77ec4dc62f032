#compdef heartbeatd
# Completion of heartbeatd for zsh. The program itself says what may come next.
_heartbeatd() {
    local -a typed lines candidates
    local line
    typed=("${(@Q)words[1,CURRENT]}")
    # Only the shell knows what a tilde is.
    typed=("${(@)typed/#\~\//$HOME/}")
    lines=("${(@f)$("${typed[1]}" complete -- "${(@)typed}" 2>/dev/null)}")
    for line in "${(@)lines}"; do
        case $line in
            '') ;;
            :files*) compset -P '--*='; _files ;;
            :folders*) compset -P '--*='; _files -/ ;;
            *) candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
        esac
    done
    (( ! $#candidates )) || _describe heartbeatd candidates
}
if [ "${funcstack[1]}" = _heartbeatd ]; then
    _heartbeatd "$@"
else
    compdef _heartbeatd heartbeatd
fi
