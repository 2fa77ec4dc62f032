# Completion of heartbeatd for fish. The program itself says what may come next.
function __heartbeatd_complete
    set -l current (commandline -ct)
    # Only the shell knows what a tilde is.
    set -l words (string replace -r '^~/' "$HOME/" -- (commandline -opc) "$current")
    set -l lines ($words[1] complete -- $words 2>/dev/null)
    switch "$lines[1]"
        case ':files*' ':folders*'
            # Of `--config=x` the shell is asked for x alone.
            set -l option (string match -r '^--[^=]*=' -- "$current")
            set -l begun (string replace -r '^--[^=]*=' '' -- "$current")
            set -l paths
            if string match -q ':files*' -- "$lines[1]"
                set paths (__fish_complete_path "$begun")
            else
                set paths (__fish_complete_directories "$begun")
            end
            string join \n -- "$option"$paths
        case '*'
            string join \n -- $lines
    end
end
complete -c heartbeatd -f -a '(__heartbeatd_complete)'
