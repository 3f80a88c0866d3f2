#!/bin/sh
# Makes ca.pem, server.pem and server.key anew, in this directory. The key of the authority is
# thrown away: nobody can sign anything with it again.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
names=$(sed 's/#.*//; /^ *$/d; s/^ */DNS:/; s/ *$//' names.txt | paste -sd,)

cat > "$work/openssl.cnf" <<END
[ca]
default_ca = made
[made]
database = $work/index.txt
new_certs_dir = $work
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = $names
END
touch "$work/index.txt"

request() {
    openssl ecparam -name prime256v1 -genkey -noout -out "$1"
    openssl req -new -config "$work/openssl.cnf" -key "$1" -subj "/CN=$2" -out "$work/$2.csr"
}
sign() {
    openssl ca -batch -notext -config "$work/openssl.cnf" -keyfile "$work/ca.key" \
        -startdate 20200101000000Z -enddate 20561231235959Z "$@"
}
request "$work/ca.key" battles-record-tests-only
request server.key stand-in
sign -selfsign -extensions authority -in "$work/battles-record-tests-only.csr" -out ca.pem
sign -cert ca.pem -extensions server -in "$work/stand-in.csr" -out server.pem
