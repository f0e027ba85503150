#!/bin/sh
# Makes the certificates of the tests for TLS to instances anew: two authorities, "ours" and "foreign", and files that
# hold a key and its certificate. The keys of the authorities are thrown away.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
start=20200101000000Z
never=21200101000000Z

: >"$work/index"
cat >"$work/config" <<CONFIG
[ca]
default_ca = default
[default]
database = $work/index
new_certs_dir = $work
rand_serial = yes
unique_subject = no
default_md = sha256
policy = policy
[policy]
commonName = supplied
CONFIG

request() { # name
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$1" \
        -keyout "$work/$1.key" -out "$work/$1.request"
}

authority() { # name
    request "$1"
    printf '%s\n' "basicConstraints=critical,CA:TRUE" "keyUsage=critical,keyCertSign" "subjectKeyIdentifier=hash" \
        >"$work/extensions"
    openssl ca -batch -notext -config "$work/config" -selfsign -keyfile "$work/$1.key" -in "$work/$1.request" \
        -startdate $start -enddate $never -extfile "$work/extensions" -out "$1-authority.pem"
}

certificate() { # name, authority, alternative names, end
    request "$1"
    printf '%s\n' "basicConstraints=CA:FALSE" "subjectAltName=$3" "keyUsage=critical,digitalSignature" \
        "subjectKeyIdentifier=hash" "authorityKeyIdentifier=keyid" >"$work/extensions"
    openssl ca -batch -notext -config "$work/config" -cert "$2-authority.pem" -keyfile "$work/$2.key" \
        -in "$work/$1.request" -startdate $start -enddate "$4" -extfile "$work/extensions" -out "$work/certificate"
    cat "$work/$1.key" "$work/certificate" >"$1.pem"
}

authority ours
authority foreign
certificate instance ours "DNS:localhost,IP:127.0.0.1" $never
certificate elsewhere ours "DNS:elsewhere.internal,IP:10.255.255.1" $never
certificate expired ours "DNS:localhost,IP:127.0.0.1" 20210101000000Z
certificate client ours "DNS:client" $never
certificate stranger foreign "DNS:localhost,IP:127.0.0.1" $never
