#!/bin/sh
# Builds an image whose one step reads the version of its kernel. Read before proof/look.sh and prove.sh, which set the
# other variables used here. Variables: build_program (docker_api.pl and proof/build.pl).
set -eu
: "${build_program:?}"

divert_sweeps() { :; } # addresses of probes; the image and its container have the names and labels of the proof

divert_begins() { divert_build > "$work/build" 2>&1; }

divert_build() { # prints what the step saw
    context=$work/context
    step=/pyinfra-gvisor-dd
    mkdir -p "$context"
    cp -L /usr/bin/dd "$context$step"
    for file in $(ldd /usr/bin/dd | grep -o '/[^ ]*'); do
        mkdir -p "$context${file%/*}"
        cp -L "$file" "$context$file"
    done
    printf '%s\n' 'FROM scratch' 'COPY . /' "RUN [\"$step\", \"if=/proc/version\", \"of=/seen\", \"status=none\"]" > "$context/Dockerfile"
    tar -C "$context" -cf "$work/context.tar" .
    rm -rf "$context"
    built=$name:build-$tag
    why=$(divert_docker "$work/cache" "$work/context.tar" "$built" 2>&1) || why=${why:-ended}
    if [ -n "$why" ]; then
        say "the build failed: $why"
    else
        container=$(docker create --label "$label=$tag" --name "$name-build-$tag" "$built" "$step")
        docker cp "$container:/seen" - | tar -xO
        docker rm "$container" > /dev/null
        docker rmi -f "$built" > /dev/null
    fi
    divert_docker "$work/cache" > /dev/null
}

divert_docker() { /usr/bin/perl -e "$build_program" build "$docker_socket" "$@"; }

divert_tries() { :; } # runtime

divert_ends() {
    # shellcheck disable=SC2086
    docker exec "$name-runc-$tag" $perl -pe '' /proc/version > "$work/no-build" 2>&1 || :
    for runtime in $started; do
        seen=$work/build
        if [ "$runtime" = runc ]; then seen=$work/no-build; fi
        see "$runtime" build_kernel "$(tr '\n\t' '  ' < "$seen" | cut -c1-300)"
    done
}
