# SPDX-License-Identifier: MIT
# fish completion for spale-send; written by tools/share.py

# Whether the words after the command begin with $argv.
function __spale_send_is
    set -l words (commandline -opc)
    set -l last (math (count $argv) + 1)
    test (count $words) -ge $last; and test "$words[2..$last]" = "$argv"
end

# Whether $argv are all the words so far.
function __spale_send_ends
    set -l words (commandline -opc)
    test "$words[2..]" = "$argv"
end

# Whether there is no sub-command, only options.
function __spale_send_bare
    set -l words (commandline -opc)
    test (count $words) -eq 1; or string match -q -- '-*' $words[2]
end

function __spale_send_profiles
    for root in "$XDG_CONFIG_HOME" ~/.config ~/Library/Application\ Support
        for file in $root/spale/*/config
            basename (dirname $file)
        end
    end
end

function __spale_send_clients
    for file in /etc/spale/clients/*.pem
        basename $file .pem
    end
end

complete -c spale-send -f


# spale-send
complete -c spale-send -n '__spale_send_ends' -a profile -d 'keep what is needed to knock, under a name'
complete -c spale-send -n __spale_send_bare -s h -l help -d 'show this help message and exit'
complete -c spale-send -n __spale_send_bare -l version -d 'print the version and exit'
complete -c spale-send -n __spale_send_bare -s p -l profile -x -a '(__spale_send_profiles)' -d 'take what follows from a profile, unless it is given here too'
complete -c spale-send -n __spale_send_bare -l key -r -F -d 'the server\'s public and your private key in PEM, in any order'
complete -c spale-send -n __spale_send_bare -l host -x -a '(__fish_print_hostnames)' -d 'name or address to knock at'
complete -c spale-send -n __spale_send_bare -l port -x -d 'its SPA port'
complete -c spale-send -n __spale_send_bare -l bind-source -x -a 'auto off' -d 'open only for the address that is claimed here'
complete -c spale-send -n __spale_send_bare -l services -x -d 'ask only for these, such as 22/tcp,51820/udp'
complete -c spale-send -n __spale_send_bare -l idle-sec -x -d 'ask for a shorter idle window than the server\'s'
complete -c spale-send -n __spale_send_bare -l source -x -d 'local address to send from'
complete -c spale-send -n __spale_send_bare -l count -x -d 'knock N times, 0.2 s apart, where datagrams get lost'
complete -c spale-send -n __spale_send_bare -l step -x -d 'length of a time step'
complete -c spale-send -n __spale_send_bare -l wire -x -a 'v2 v1' -d 'version of the datagram'
complete -c spale-send -n __spale_send_bare -s 4 -d 'knock at IPv4 addresses only'
complete -c spale-send -n __spale_send_bare -s 6 -d 'knock at IPv6 addresses only'
complete -c spale-send -n __spale_send_bare -l wait -x -d 'return when a TCP connection to PORT succeeds'
complete -c spale-send -n __spale_send_bare -l connect -x -a '(__fish_print_hostnames)' -d 'wait so, then relay between that connection and standard input and output'
complete -c spale-send -n __spale_send_bare -l wait-sec -x -d 'how long to wait for either'
complete -c spale-send -n __spale_send_bare -l dry-run -d 'say what would be sent where, and send nothing'
complete -c spale-send -n __spale_send_bare -s v -l verbose -d 'say what is sent where, and what follows'
complete -c spale-send -n 'contains -- -- (commandline -opc)' -a '(__fish_complete_command)'

# spale-send profile
complete -c spale-send -n '__spale_send_ends profile' -a create -d 'make a profile'
complete -c spale-send -n '__spale_send_ends profile' -a list -d 'list all'
complete -c spale-send -n '__spale_send_ends profile' -a show -d 'say what is in one'
complete -c spale-send -n '__spale_send_ends profile' -a set -d 'change one'
complete -c spale-send -n '__spale_send_ends profile' -a delete -d 'remove one'
complete -c spale-send -n '__spale_send_is profile' -s h -l help -d 'show this help message and exit'

# spale-send profile create
complete -c spale-send -n '__spale_send_is profile create' -s h -l help -d 'show this help message and exit'
complete -c spale-send -n '__spale_send_is profile create' -l key -r -F -d 'the server\'s public and your private key in PEM, in any order'
complete -c spale-send -n '__spale_send_is profile create' -l host -x -a '(__fish_print_hostnames)' -d 'name or address to knock at'
complete -c spale-send -n '__spale_send_is profile create' -l port -x -d 'its SPA port'
complete -c spale-send -n '__spale_send_is profile create' -l bind-source -x -a 'auto off' -d 'open only for the address that is claimed here'
complete -c spale-send -n '__spale_send_is profile create' -l services -x -d 'ask only for these, such as 22/tcp,51820/udp'
complete -c spale-send -n '__spale_send_is profile create' -l idle-sec -x -d 'ask for a shorter idle window than the server\'s'
complete -c spale-send -n '__spale_send_is profile create' -l source -x -d 'local address to send from'
complete -c spale-send -n '__spale_send_is profile create' -l count -x -d 'knock N times, 0.2 s apart, where datagrams get lost'
complete -c spale-send -n '__spale_send_is profile create' -l step -x -d 'length of a time step'
complete -c spale-send -n '__spale_send_is profile create' -l wire -x -a 'v2 v1' -d 'version of the datagram'

# spale-send profile list
complete -c spale-send -n '__spale_send_is profile list' -s h -l help -d 'show this help message and exit'
complete -c spale-send -n '__spale_send_is profile list' -l json -d 'print JSON'

# spale-send profile show
complete -c spale-send -n '__spale_send_is profile show' -s h -l help -d 'show this help message and exit'
complete -c spale-send -n '__spale_send_is profile show' -l json -d 'print JSON'
complete -c spale-send -n '__spale_send_is profile show' -a '(__spale_send_profiles)'

# spale-send profile set
complete -c spale-send -n '__spale_send_is profile set' -s h -l help -d 'show this help message and exit'
complete -c spale-send -n '__spale_send_is profile set' -l key -r -F -d 'the server\'s public and your private key in PEM, in any order'
complete -c spale-send -n '__spale_send_is profile set' -l host -x -a '(__fish_print_hostnames)' -d 'name or address to knock at'
complete -c spale-send -n '__spale_send_is profile set' -l port -x -d 'its SPA port'
complete -c spale-send -n '__spale_send_is profile set' -l bind-source -x -a 'auto off' -d 'open only for the address that is claimed here'
complete -c spale-send -n '__spale_send_is profile set' -l services -x -d 'ask only for these, such as 22/tcp,51820/udp'
complete -c spale-send -n '__spale_send_is profile set' -l idle-sec -x -d 'ask for a shorter idle window than the server\'s'
complete -c spale-send -n '__spale_send_is profile set' -l source -x -d 'local address to send from'
complete -c spale-send -n '__spale_send_is profile set' -l count -x -d 'knock N times, 0.2 s apart, where datagrams get lost'
complete -c spale-send -n '__spale_send_is profile set' -l step -x -d 'length of a time step'
complete -c spale-send -n '__spale_send_is profile set' -l wire -x -a 'v2 v1' -d 'version of the datagram'
complete -c spale-send -n '__spale_send_is profile set' -a '(__spale_send_profiles)'

# spale-send profile delete
complete -c spale-send -n '__spale_send_is profile delete' -s h -l help -d 'show this help message and exit'
complete -c spale-send -n '__spale_send_is profile delete' -s y -l yes -d 'do not ask'
complete -c spale-send -n '__spale_send_is profile delete' -a '(__spale_send_profiles)'
