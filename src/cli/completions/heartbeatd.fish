# Completion of heartbeatd for fish. The program itself says what may come next.
function __heartbeatd_complete
    set -l current (commandline -ct)
    # Only the shell knows what a tilde is.
    set -l words (string replace -r '^~/' "$HOME/" -- (commandline -opc) "$current")
    set -l lines ($words[1] complete -- $words 2>/dev/null)
    switch "$lines[1]"
        case ':files*'
            __fish_complete_path "$current"
        case ':folders*'
            __fish_complete_directories "$current"
        case '*'
            string join \n -- $lines
    end
end
complete -c heartbeatd -f -a '(__heartbeatd_complete)'
