# Completion of holdfast for fish: holdfast itself says what may come next.
#
#   holdfast completion fish | source         in ~/.config/fish/config.fish, or, for everybody:
#   holdfast completion fish >/usr/share/fish/vendor_completions.d/holdfast.fish

function __holdfast_complete
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    for line in ($words[1] __complete -- $words[2..-1] "$typed" 2>/dev/null)
        if test "$line" = :files
            __fish_complete_path "$typed"
        else
            printf '%s\n' $line
        end
    end
end

complete -c holdfast -f -a '(__holdfast_complete)'
