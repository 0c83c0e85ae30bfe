#!/bin/sh
# Writes a manifest of a release's files into its directory, to find and repair damage later.
# Variables: home, staging, release, shown, source. Functions of the caller: die, say.

# The fact about the node compares these lines. Renaming the directory does not change them.
stat_lines() { (cd "$1" && find . ! -type d ! -path ./manifest.json -printf '%P %y %m %U:%G %s %T@ %C@\n' | sort); }

members() { (cd "$1" && find . ! -type d ! -path ./manifest.json -printf '%P\n' | sort); }

sums_of() { (cd "$1" && find . -type f ! -path ./manifest.json -printf '%P\0' | sort -z | xargs -0 -r sha256sum --); }

listed() { tr '\n' ',' | sed 's/,$//; s/,/, /g'; }

quoted() { sed 's/[\\"]/\\&/g; s/.*/"&"/'; }

pairs() { sed 's/^\([0-9a-f]*\)  \(.*\)$/"\2": "\1"/' | listed; } # checksums as members of a JSON object

stat_json() { stat_lines "$1" | quoted | sed 's/$/,/' | tr '\n' ' ' | sed 's/, $//'; }

write_manifest() { # $1 directory of the files, $2 file with their checksums; writes to $staging
    {
        printf '{"release": "%s", "source": %s, ' "$release" "$(say "$shown" | tr -d '\000-\037' | quoted)"
        printf '"sha512": {%s}, ' "$(pairs < "$staging/fetched")"
        printf '"installed_at": "%s", ' "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
        printf '"members": {%s}, "stat": [%s]}\n' "$(pairs < "$2")" "$(stat_json "$1")"
    } > "$staging/manifest.json"
    chmod 0644 "$staging/manifest.json"
}

intact() { # true if names, sizes, modes and times are those in the manifest; reads no content
    [ -d "$home" ] && [ ! -L "$home" ] && [ -f "$home/manifest.json" ] || return 1
    case "$(cat "$home/manifest.json")" in *"\"stat\": [$(stat_json "$home")]}") return 0 ;; esac
    return 1
}

recorded_sums() { # the checksums in the manifest, in the format of sha256sum
    sed -n 's/.*"members": {\([^}]*\)}.*/\1/p' "$home/manifest.json" | sed 's/, /\n/g' |
        sed -n 's/^"\([A-Za-z0-9._/+-]*\)": "\([0-9a-f]\{64\}\)"$/\2  \1/p'
}

recorded_modes() { # mode and name of each file in the manifest
    sed -n 's/.*"stat": \[\(.*\)\]}$/\1/p' "$home/manifest.json" | sed 's/", "/\n/g' |
        sed -n 's/^"\{0,1\}\([A-Za-z0-9._/+-]*\) f \([0-7]*\) .*/\2 \1/p'
}

same_content() { # true if every file has the recorded content and there are no other files
    [ -d "$home" ] && [ ! -L "$home" ] && [ -f "$home/manifest.json" ] && [ ! -L "$home/manifest.json" ] || return 1
    recorded_sums > "$staging/sums"
    [ -s "$staging/sums" ] || return 1
    if find "$home" ! -type d ! -type f | grep -q .; then return 1; fi
    [ "$(members "$home")" = "$(sed 's/^[^ ]*  //' "$staging/sums" | sort)" ] || return 1
    (cd "$home" && sha256sum -c --quiet --strict "$staging/sums") > /dev/null 2>&1
}

put_modes_right() { # repairs owners and modes where the content is right, then updates the manifest
    recorded_modes > "$staging/modes"
    chown -R 0:0 "$home"
    find "$home" -type d -exec chmod 0755 {} +
    while read -r mode name; do chmod "$mode" "$home/$name"; done < "$staging/modes"
    # Only the last part changes: source and time of the installation stay.
    sed 's/"stat": \[.*$/"stat": [/' "$home/manifest.json" | tr -d '\n' > "$staging/manifest.json"
    printf '%s]}\n' "$(stat_json "$home")" >> "$staging/manifest.json"
    chmod 0644 "$staging/manifest.json"
    sync "$staging/manifest.json"
    mv -f "$staging/manifest.json" "$home/manifest.json"
}

# Replaces file by file: sandboxes run from this directory, and every exec in them needs its runsc.
replace_members() {
    cp -r --attributes-only "$staging/tree" "$staging/wanted"
    if [ -L "$home" ] || [ ! -d "$home" ]; then rm -f "$home"; fi
    mkdir -p "$home"
    (cd "$staging/tree" && find . -mindepth 1 -type d -printf '%P\n' | sort) > "$staging/directories"
    while read -r name; do
        if [ -L "$home/$name" ] || [ ! -d "$home/$name" ]; then rm -f "$home/$name"; fi
        mkdir -p "$home/$name"
    done < "$staging/directories"
    members "$staging/tree" > "$staging/members"
    while read -r name; do replace_member "$name"; done < "$staging/members"
    # shellcheck disable=SC2016
    (cd "$home" && find . -mindepth 1 -depth ! -path ./manifest.json -exec sh -c \
        'for path; do [ -e "$0/$path" ] || rm -rf -- "$path"; done' "$staging/wanted" {} +)
    if [ -L "$home/manifest.json" ] || [ ! -f "$home/manifest.json" ]; then rm -rf "$home/manifest.json"; fi
    chown -R 0:0 "$home"
    find "$home" -type d -exec chmod 0755 {} +
}

replace_member() { # keeps a file with the right content, its inode too
    if [ -f "$home/$1" ] && [ ! -L "$home/$1" ] && cmp -s "$staging/tree/$1" "$home/$1"; then
        chmod "$(stat -c %a "$staging/tree/$1")" "$home/$1"
        return 0
    fi
    if [ -d "$home/$1" ] && [ ! -L "$home/$1" ]; then rm -rf "${home:?}/$1"; fi
    mv -fT "$staging/tree/$1" "$home/$1"
}
