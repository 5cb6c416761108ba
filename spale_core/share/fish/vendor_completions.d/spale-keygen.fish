# SPDX-License-Identifier: MIT
# fish completion for spale-keygen; written by tools/share.py

# Whether the words after the command begin with $argv.
function __spale_keygen_is
    set -l words (commandline -opc)
    set -l last (math (count $argv) + 1)
    test (count $words) -ge $last; and test "$words[2..$last]" = "$argv"
end

# Whether $argv are all the words so far.
function __spale_keygen_ends
    set -l words (commandline -opc)
    test "$words[2..]" = "$argv"
end

# Whether there is no sub-command, only options.
function __spale_keygen_bare
    set -l words (commandline -opc)
    test (count $words) -eq 1; or string match -q -- '-*' $words[2]
end

function __spale_keygen_profiles
    for root in "$XDG_CONFIG_HOME" ~/.config ~/Library/Application\ Support
        for file in $root/spale/*/config
            basename (dirname $file)
        end
    end
end

function __spale_keygen_clients
    for file in /etc/spale/clients/*.pem
        basename $file .pem
    end
end

complete -c spale-keygen -f


# spale-keygen
complete -c spale-keygen -n '__spale_keygen_ends' -a server -d 'make server.key and server.key.pub'
complete -c spale-keygen -n '__spale_keygen_ends' -a client -d 'make NAME.key and NAME.pem'
complete -c spale-keygen -n '__spale_keygen_ends' -a show -d 'say what is in a key file'
complete -c spale-keygen -n __spale_keygen_bare -s h -l help -d 'show this help message and exit'
complete -c spale-keygen -n __spale_keygen_bare -l version -d 'print the version and exit'

# spale-keygen server
complete -c spale-keygen -n '__spale_keygen_is server' -s h -l help -d 'show this help message and exit'
complete -c spale-keygen -n '__spale_keygen_is server' -l out -x -a '(__fish_complete_directories)' -d 'folder to write to'
complete -c spale-keygen -n '__spale_keygen_is server' -l install -d 'put what the server needs where it looks for it'
complete -c spale-keygen -n '__spale_keygen_is server' -l config-root -x -a '(__fish_complete_directories)' -d 'where the server looks for keys'
complete -c spale-keygen -n '__spale_keygen_is server' -l force -d 'replace files that exist'

# spale-keygen client
complete -c spale-keygen -n '__spale_keygen_is client' -s h -l help -d 'show this help message and exit'
complete -c spale-keygen -n '__spale_keygen_is client' -l name -x -d 'how configuration and log call the client'
complete -c spale-keygen -n '__spale_keygen_is client' -l bundle -d 'put the server\'s public key into NAME.key too'
complete -c spale-keygen -n '__spale_keygen_is client' -l server-pub -r -F -d 'the server\'s public key'
complete -c spale-keygen -n '__spale_keygen_is client' -l qr -d 'print the bundle as a QR code, too, for a phone to read'
complete -c spale-keygen -n '__spale_keygen_is client' -l out -x -a '(__fish_complete_directories)' -d 'folder to write to'
complete -c spale-keygen -n '__spale_keygen_is client' -l install -d 'put what the server needs where it looks for it'
complete -c spale-keygen -n '__spale_keygen_is client' -l config-root -x -a '(__fish_complete_directories)' -d 'where the server looks for keys'
complete -c spale-keygen -n '__spale_keygen_is client' -l force -d 'replace files that exist'

# spale-keygen show
complete -c spale-keygen -n '__spale_keygen_is show' -s h -l help -d 'show this help message and exit'
complete -c spale-keygen -n '__spale_keygen_is show' -l json -d 'print JSON instead of text'
complete -c spale-keygen -n '__spale_keygen_is show' -l qr -d 'print a bundle as a QR code, for a phone to read'
complete -c spale-keygen -n '__spale_keygen_is show' -l config-root -x -a '(__fish_complete_directories)' -d 'where the server looks for keys'
complete -c spale-keygen -n '__spale_keygen_is show' -F
