# SPDX-License-Identifier: MIT
# fish completion for spale; written by tools/share.py

# Whether the words after the command begin with $argv.
function __spale_is
    set -l words (commandline -opc)
    set -l last (math (count $argv) + 1)
    test (count $words) -ge $last; and test "$words[2..$last]" = "$argv"
end

# Whether $argv are all the words so far.
function __spale_ends
    set -l words (commandline -opc)
    test "$words[2..]" = "$argv"
end

# Whether there is no sub-command, only options.
function __spale_bare
    set -l words (commandline -opc)
    test (count $words) -eq 1; or string match -q -- '-*' $words[2]
end

function __spale_profiles
    for root in "$XDG_CONFIG_HOME" ~/.config ~/Library/Application\ Support
        for file in $root/spale/*/config
            basename (dirname $file)
        end
    end
end

function __spale_clients
    for file in /etc/spale/clients/*.pem
        basename $file .pem
    end
end

complete -c spale -f


# spale
complete -c spale -n '__spale_ends' -a run -d 'protect the ports: the daemon, in the foreground'
complete -c spale -n '__spale_ends' -a check -d 'validate the configuration, say what would run, attach nothing'
complete -c spale -n '__spale_ends' -a detach -d 'open the ports: remove what is attached'
complete -c spale -n '__spale_ends' -a plugins -d 'what is installed, by whom, and what is in use'
complete -c spale -n '__spale_ends' -a demo -d 'show the whole story in two network namespaces (as root)'
complete -c spale -n '__spale_ends' -a doctor -d 'what this host allows, each with the remedy'
complete -c spale -n '__spale_ends' -a list -d 'what the running daemon holds'
complete -c spale -n '__spale_ends' -a authorize -d 'grant by hand'
complete -c spale -n '__spale_ends' -a revoke -d 'end a client\'s grants'
complete -c spale -n '__spale_ends' -a allowlist -d 'change what needs no knock'
complete -c spale -n '__spale_ends' -a status -d 'how the running daemon is'
complete -c spale -n '__spale_ends' -a explain -d 'what a packet would meet, and why'
complete -c spale -n '__spale_ends' -a reload -d 'read the configuration again'
complete -c spale -n '__spale_ends' -a confirm -d 'keep what `run --trial` started'
complete -c spale -n __spale_bare -s h -l help -d 'show this help message and exit'
complete -c spale -n __spale_bare -l version -d 'print the version and exit'
complete -c spale -n __spale_bare -s c -l config -r -F -d 'configuration file'
complete -c spale -n __spale_bare -s i -l interface -x -a '(__fish_print_interfaces)' -d 'interfaces to protect, separated by commas'
complete -c spale -n __spale_bare -s m -l mode -l dataplane -x -a 'tc xdp' -d 'what enforces'
complete -c spale -n __spale_bare -s S -l listen-port -x -d 'UDP port of the knocks'
complete -c spale -n __spale_bare -l listen-addr -x -d 'IPv4 address to listen on'
complete -c spale -n __spale_bare -l listen-addr6 -x -d 'IPv6 address to listen on'
complete -c spale -n __spale_bare -l protect -x -d 'ports to protect, separated by commas'
complete -c spale -n __spale_bare -s t -l idle-sec -x -d 'seconds that a grant stays live after its last packet'
complete -c spale -n __spale_bare -s g -l grace-sec -x -d 'seconds after the last packet in which a new connection revives the grant'
complete -c spale -n __spale_bare -l max-sec -x -d 'seconds after its knock at which a grant ends however busy'
complete -c spale -n __spale_bare -l session-sec -x -d 'seconds of silence that a TCP session survives'
complete -c spale -n __spale_bare -l server-key -r -F -d 'the server\'s private key'
complete -c spale -n __spale_bare -l clients -x -a '(__fish_complete_directories)' -d 'folder of the clients\' public keys, NAME.pem'
complete -c spale -n __spale_bare -l always-allow -x -d 'addresses and prefixes that need no knock, separated by commas'
complete -c spale -n __spale_bare -l rate -x -d 'knocks per second and source'
complete -c spale -n __spale_bare -l burst -x -d 'knocks of one source that may come at once'
complete -c spale -n __spale_bare -l auth -x -d 'schemes of authentication, separated by commas'
complete -c spale -n __spale_bare -l store -x -a 'sqlite memory' -d 'what remembers grants and used knocks'
complete -c spale -n __spale_bare -l max-skew-sec -x -d 'seconds that a client\'s clock may be off'
complete -c spale -n __spale_bare -l require-source-binding -d '1'
complete -c spale -n __spale_bare -s p -l pin -d '1'
complete -c spale -n __spale_bare -l pin-dir -x -a '(__fish_complete_directories)' -d 'folder of the pins, if it is in a bpffs'
complete -c spale -n __spale_bare -s n -l log-only -d '1'
complete -c spale -n __spale_bare -l drop-privs -x -a '(__fish_complete_users)' -d 'user'
complete -c spale -n __spale_bare -l on-exit -x -a 'keep detach' -d 'what SIGTERM does'
complete -c spale -n __spale_bare -l loader -x -a 'libbpf bcc' -d 'where the programs come from'
complete -c spale -n __spale_bare -l xdp-mode -x -a 'auto native generic' -d 'how XDP is attached'
complete -c spale -n __spale_bare -l wait-interface -d '1'
complete -c spale -n __spale_bare -l state-dir -r -F -d 'folder of what must survive a restart'
complete -c spale -n __spale_bare -l socket -r -F -d 'management socket'
complete -c spale -n __spale_bare -l socket-group -x -a '(__fish_complete_groups)' -d 'group whose members may read over the socket'
complete -c spale -n __spale_bare -l log-level -x -a 'debug info warning error' -d 'debug, info, warning or error'
complete -c spale -n __spale_bare -l syslog -d '1'
complete -c spale -n __spale_bare -l adopt -d '1'
complete -c spale -n __spale_bare -l no-adopt -d '[ADOPT=0]'
complete -c spale -n __spale_bare -l trial -x -d 'open again after SEC seconds unless `spale confirm` comes'
complete -c spale -n __spale_bare -l name -x -d 'name of this daemon among several on one host, which its folders then have too'

# spale run
complete -c spale -n '__spale_is run' -s h -l help -d 'show this help message and exit'
complete -c spale -n '__spale_is run' -s c -l config -r -F -d 'configuration file'
complete -c spale -n '__spale_is run' -s i -l interface -x -a '(__fish_print_interfaces)' -d 'interfaces to protect, separated by commas'
complete -c spale -n '__spale_is run' -s m -l mode -l dataplane -x -a 'tc xdp' -d 'what enforces'
complete -c spale -n '__spale_is run' -s S -l listen-port -x -d 'UDP port of the knocks'
complete -c spale -n '__spale_is run' -l listen-addr -x -d 'IPv4 address to listen on'
complete -c spale -n '__spale_is run' -l listen-addr6 -x -d 'IPv6 address to listen on'
complete -c spale -n '__spale_is run' -l protect -x -d 'ports to protect, separated by commas'
complete -c spale -n '__spale_is run' -s t -l idle-sec -x -d 'seconds that a grant stays live after its last packet'
complete -c spale -n '__spale_is run' -s g -l grace-sec -x -d 'seconds after the last packet in which a new connection revives the grant'
complete -c spale -n '__spale_is run' -l max-sec -x -d 'seconds after its knock at which a grant ends however busy'
complete -c spale -n '__spale_is run' -l session-sec -x -d 'seconds of silence that a TCP session survives'
complete -c spale -n '__spale_is run' -l server-key -r -F -d 'the server\'s private key'
complete -c spale -n '__spale_is run' -l clients -x -a '(__fish_complete_directories)' -d 'folder of the clients\' public keys, NAME.pem'
complete -c spale -n '__spale_is run' -l always-allow -x -d 'addresses and prefixes that need no knock, separated by commas'
complete -c spale -n '__spale_is run' -l rate -x -d 'knocks per second and source'
complete -c spale -n '__spale_is run' -l burst -x -d 'knocks of one source that may come at once'
complete -c spale -n '__spale_is run' -l auth -x -d 'schemes of authentication, separated by commas'
complete -c spale -n '__spale_is run' -l store -x -a 'sqlite memory' -d 'what remembers grants and used knocks'
complete -c spale -n '__spale_is run' -l max-skew-sec -x -d 'seconds that a client\'s clock may be off'
complete -c spale -n '__spale_is run' -l require-source-binding -d '1'
complete -c spale -n '__spale_is run' -s p -l pin -d '1'
complete -c spale -n '__spale_is run' -l pin-dir -x -a '(__fish_complete_directories)' -d 'folder of the pins, if it is in a bpffs'
complete -c spale -n '__spale_is run' -s n -l log-only -d '1'
complete -c spale -n '__spale_is run' -l drop-privs -x -a '(__fish_complete_users)' -d 'user'
complete -c spale -n '__spale_is run' -l on-exit -x -a 'keep detach' -d 'what SIGTERM does'
complete -c spale -n '__spale_is run' -l loader -x -a 'libbpf bcc' -d 'where the programs come from'
complete -c spale -n '__spale_is run' -l xdp-mode -x -a 'auto native generic' -d 'how XDP is attached'
complete -c spale -n '__spale_is run' -l wait-interface -d '1'
complete -c spale -n '__spale_is run' -l state-dir -r -F -d 'folder of what must survive a restart'
complete -c spale -n '__spale_is run' -l socket -r -F -d 'management socket'
complete -c spale -n '__spale_is run' -l socket-group -x -a '(__fish_complete_groups)' -d 'group whose members may read over the socket'
complete -c spale -n '__spale_is run' -l log-level -x -a 'debug info warning error' -d 'debug, info, warning or error'
complete -c spale -n '__spale_is run' -l syslog -d '1'
complete -c spale -n '__spale_is run' -l adopt -d '1'
complete -c spale -n '__spale_is run' -l no-adopt -d '[ADOPT=0]'
complete -c spale -n '__spale_is run' -l trial -x -d 'open again after SEC seconds unless `spale confirm` comes'
complete -c spale -n '__spale_is run' -l name -x -d 'name of this daemon among several on one host, which its folders then have too'

# spale check
complete -c spale -n '__spale_is check' -s h -l help -d 'show this help message and exit'
complete -c spale -n '__spale_is check' -l json -d 'print JSON instead of text'
complete -c spale -n '__spale_is check' -s c -l config -r -F -d 'configuration file'
complete -c spale -n '__spale_is check' -s i -l interface -x -a '(__fish_print_interfaces)' -d 'interfaces to protect, separated by commas'
complete -c spale -n '__spale_is check' -s m -l mode -l dataplane -x -a 'tc xdp' -d 'what enforces'
complete -c spale -n '__spale_is check' -s S -l listen-port -x -d 'UDP port of the knocks'
complete -c spale -n '__spale_is check' -l listen-addr -x -d 'IPv4 address to listen on'
complete -c spale -n '__spale_is check' -l listen-addr6 -x -d 'IPv6 address to listen on'
complete -c spale -n '__spale_is check' -l protect -x -d 'ports to protect, separated by commas'
complete -c spale -n '__spale_is check' -s t -l idle-sec -x -d 'seconds that a grant stays live after its last packet'
complete -c spale -n '__spale_is check' -s g -l grace-sec -x -d 'seconds after the last packet in which a new connection revives the grant'
complete -c spale -n '__spale_is check' -l max-sec -x -d 'seconds after its knock at which a grant ends however busy'
complete -c spale -n '__spale_is check' -l session-sec -x -d 'seconds of silence that a TCP session survives'
complete -c spale -n '__spale_is check' -l server-key -r -F -d 'the server\'s private key'
complete -c spale -n '__spale_is check' -l clients -x -a '(__fish_complete_directories)' -d 'folder of the clients\' public keys, NAME.pem'
complete -c spale -n '__spale_is check' -l always-allow -x -d 'addresses and prefixes that need no knock, separated by commas'
complete -c spale -n '__spale_is check' -l rate -x -d 'knocks per second and source'
complete -c spale -n '__spale_is check' -l burst -x -d 'knocks of one source that may come at once'
complete -c spale -n '__spale_is check' -l auth -x -d 'schemes of authentication, separated by commas'
complete -c spale -n '__spale_is check' -l store -x -a 'sqlite memory' -d 'what remembers grants and used knocks'
complete -c spale -n '__spale_is check' -l max-skew-sec -x -d 'seconds that a client\'s clock may be off'
complete -c spale -n '__spale_is check' -l require-source-binding -d '1'
complete -c spale -n '__spale_is check' -s p -l pin -d '1'
complete -c spale -n '__spale_is check' -l pin-dir -x -a '(__fish_complete_directories)' -d 'folder of the pins, if it is in a bpffs'
complete -c spale -n '__spale_is check' -s n -l log-only -d '1'
complete -c spale -n '__spale_is check' -l drop-privs -x -a '(__fish_complete_users)' -d 'user'
complete -c spale -n '__spale_is check' -l on-exit -x -a 'keep detach' -d 'what SIGTERM does'
complete -c spale -n '__spale_is check' -l loader -x -a 'libbpf bcc' -d 'where the programs come from'
complete -c spale -n '__spale_is check' -l xdp-mode -x -a 'auto native generic' -d 'how XDP is attached'
complete -c spale -n '__spale_is check' -l wait-interface -d '1'
complete -c spale -n '__spale_is check' -l state-dir -r -F -d 'folder of what must survive a restart'
complete -c spale -n '__spale_is check' -l socket -r -F -d 'management socket'
complete -c spale -n '__spale_is check' -l socket-group -x -a '(__fish_complete_groups)' -d 'group whose members may read over the socket'
complete -c spale -n '__spale_is check' -l log-level -x -a 'debug info warning error' -d 'debug, info, warning or error'
complete -c spale -n '__spale_is check' -l syslog -d '1'
complete -c spale -n '__spale_is check' -l adopt -d '1'
complete -c spale -n '__spale_is check' -l no-adopt -d '[ADOPT=0]'
complete -c spale -n '__spale_is check' -l trial -x -d 'open again after SEC seconds unless `spale confirm` comes'
complete -c spale -n '__spale_is check' -l name -x -d 'name of this daemon among several on one host, which its folders then have too'

# spale detach
complete -c spale -n '__spale_is detach' -s h -l help -d 'show this help message and exit'
complete -c spale -n '__spale_is detach' -s i -l interface -x -a '(__fish_print_interfaces)' -d 'only from this interface'

# spale plugins
complete -c spale -n '__spale_is plugins' -s h -l help -d 'show this help message and exit'
complete -c spale -n '__spale_is plugins' -l json -d 'print JSON instead of text'
complete -c spale -n '__spale_is plugins' -s c -l config -r -F -d 'configuration file'

# spale demo
complete -c spale -n '__spale_is demo' -s h -l help -d 'show this help message and exit'
complete -c spale -n '__spale_is demo' -l dataplane -x -a 'tc xdp' -d 'the enforcer to use'
complete -c spale -n '__spale_is demo' -l keep -d 'leave daemon and namespaces for a look, and say how to remove them'

# spale doctor
complete -c spale -n '__spale_is doctor' -s h -l help -d 'show this help message and exit'
complete -c spale -n '__spale_is doctor' -l json -d 'print JSON instead of text'
complete -c spale -n '__spale_is doctor' -s c -l config -r -F -d 'configuration file'
complete -c spale -n '__spale_is doctor' -s i -l interface -x -a '(__fish_print_interfaces)' -d 'examine this interface'

# spale list
complete -c spale -n '__spale_is list' -s h -l help -d 'show this help message and exit'
complete -c spale -n '__spale_is list' -l json -d 'print JSON instead of text'
complete -c spale -n '__spale_is list' -l socket -r -F -d 'the daemon\'s socket'
complete -c spale -n '__spale_is list' -l name -x -d 'the daemon\'s name, if it has one'
complete -c spale -n '__spale_is list' -s c -l config -r -F -d 'configuration file'
complete -c spale -n '__spale_is list' -a 'authorized allowlist ports ratelimit sessions clients dropped'

# spale authorize
complete -c spale -n '__spale_ends authorize' -a add -d 'Let an address in, as if it had knocked'
complete -c spale -n '__spale_ends authorize' -a del -d 'End what was granted to an address by hand'
complete -c spale -n '__spale_is authorize' -s h -l help -d 'show this help message and exit'

# spale authorize add
complete -c spale -n '__spale_is authorize add' -s h -l help -d 'show this help message and exit'
complete -c spale -n '__spale_is authorize add' -l ip -x -d 'the address, such as 192.0.2.7 or fe80::7%eth0'
complete -c spale -n '__spale_is authorize add' -l ports -x -d 'to which services'
complete -c spale -n '__spale_is authorize add' -l json -d 'print JSON instead of text'
complete -c spale -n '__spale_is authorize add' -l socket -r -F -d 'the daemon\'s socket'
complete -c spale -n '__spale_is authorize add' -l name -x -d 'the daemon\'s name, if it has one'
complete -c spale -n '__spale_is authorize add' -s c -l config -r -F -d 'configuration file'
complete -c spale -n '__spale_is authorize add' -l idle-sec -x -d 'seconds that a grant stays live after its last packet'
complete -c spale -n '__spale_is authorize add' -l grace-sec -x -d 'seconds after the last packet in which a new connection revives the grant'

# spale authorize del
complete -c spale -n '__spale_is authorize del' -s h -l help -d 'show this help message and exit'
complete -c spale -n '__spale_is authorize del' -l ip -x -d 'the address, such as 192.0.2.7 or fe80::7%eth0'
complete -c spale -n '__spale_is authorize del' -l ports -x -d 'for which services'
complete -c spale -n '__spale_is authorize del' -l json -d 'print JSON instead of text'
complete -c spale -n '__spale_is authorize del' -l socket -r -F -d 'the daemon\'s socket'
complete -c spale -n '__spale_is authorize del' -l name -x -d 'the daemon\'s name, if it has one'
complete -c spale -n '__spale_is authorize del' -s c -l config -r -F -d 'configuration file'

# spale revoke
complete -c spale -n '__spale_is revoke' -s h -l help -d 'show this help message and exit'
complete -c spale -n '__spale_is revoke' -l client -x -a '(__spale_clients)' -d 'as `spale list clients` has it'
complete -c spale -n '__spale_is revoke' -l json -d 'print JSON instead of text'
complete -c spale -n '__spale_is revoke' -l socket -r -F -d 'the daemon\'s socket'
complete -c spale -n '__spale_is revoke' -l name -x -d 'the daemon\'s name, if it has one'
complete -c spale -n '__spale_is revoke' -s c -l config -r -F -d 'configuration file'

# spale allowlist
complete -c spale -n '__spale_is allowlist' -s h -l help -d 'show this help message and exit'
complete -c spale -n '__spale_is allowlist' -l json -d 'print JSON instead of text'
complete -c spale -n '__spale_is allowlist' -l socket -r -F -d 'the daemon\'s socket'
complete -c spale -n '__spale_is allowlist' -l name -x -d 'the daemon\'s name, if it has one'
complete -c spale -n '__spale_is allowlist' -s c -l config -r -F -d 'configuration file'
complete -c spale -n '__spale_is allowlist' -a 'add del'

# spale status
complete -c spale -n '__spale_is status' -s h -l help -d 'show this help message and exit'
complete -c spale -n '__spale_is status' -l json -d 'print JSON instead of text'
complete -c spale -n '__spale_is status' -l socket -r -F -d 'the daemon\'s socket'
complete -c spale -n '__spale_is status' -l name -x -d 'the daemon\'s name, if it has one'
complete -c spale -n '__spale_is status' -s c -l config -r -F -d 'configuration file'

# spale explain
complete -c spale -n '__spale_is explain' -s h -l help -d 'show this help message and exit'
complete -c spale -n '__spale_is explain' -l json -d 'print JSON instead of text'
complete -c spale -n '__spale_is explain' -l socket -r -F -d 'the daemon\'s socket'
complete -c spale -n '__spale_is explain' -l name -x -d 'the daemon\'s name, if it has one'
complete -c spale -n '__spale_is explain' -s c -l config -r -F -d 'configuration file'

# spale reload
complete -c spale -n '__spale_is reload' -s h -l help -d 'show this help message and exit'
complete -c spale -n '__spale_is reload' -l json -d 'print JSON instead of text'
complete -c spale -n '__spale_is reload' -l socket -r -F -d 'the daemon\'s socket'
complete -c spale -n '__spale_is reload' -l name -x -d 'the daemon\'s name, if it has one'
complete -c spale -n '__spale_is reload' -s c -l config -r -F -d 'configuration file'

# spale confirm
complete -c spale -n '__spale_is confirm' -s h -l help -d 'show this help message and exit'
complete -c spale -n '__spale_is confirm' -l json -d 'print JSON instead of text'
complete -c spale -n '__spale_is confirm' -l socket -r -F -d 'the daemon\'s socket'
complete -c spale -n '__spale_is confirm' -l name -x -d 'the daemon\'s name, if it has one'
complete -c spale -n '__spale_is confirm' -s c -l config -r -F -d 'configuration file'
