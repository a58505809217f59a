#!/usr/bin/env bash
# redis-cli in a script, as operators write them: ask a Warden for the address,
# use it until that fails, ask again.
#
# Arguments: NAME GROUP PORT... (of the Wardens, on 127.0.0.1). The lines of
# output are those of node/tell.mjs; a read also tells the role of its server.
set -u
name=$1 group=$2
shift 2

milliseconds() { now=$((${EPOCHREALTIME/[.,]/} / 1000)); }
complain() { printf '{"kind":"error","text":"%s"}\n' "${1//[^a-zA-Z0-9 .:-]/ }"; }

# ask runs a SENTINEL command on the first Warden that answers.
ask() {
  local port
  for port in "${wardens[@]}"; do
    redis-cli -h 127.0.0.1 -p "$port" SENTINEL "$@" 2>/dev/null && return 0
  done
  return 1
}

# replica prints host and port of a replica that is up.
replica() {
  ask replicas "$group" | awk '
    { value[NR] = $0 }
    $0 == "name" { delete field }
    NR % 2 == 0 { field[value[NR - 1]] = $0 }
    $0 != "" && NR % 2 == 0 && value[NR - 1] == "flags" && $0 == "slave" { print field["ip"], field["port"]; exit }'
}

wardens=("$@")
printf '{"kind":"version","text":"%s"}\n' "$(redis-cli --version)"
host= acknowledged=0
for ((id = 1; ; id++)); do
  if [ -z "$host" ]; then
    { read -r host && read -r port; } < <(ask get-master-addr-by-name "$group") || { complain "no primary is known"; host=; }
  fi
  if [ -n "$host" ]; then
    milliseconds
    sent=$now
    answer=$(redis-cli -h "$host" -p "$port" SET "w:$name:$id" "$id" 2>&1)
    if [ "$answer" = OK ]; then
      milliseconds
      acknowledged=$id
      printf '{"kind":"write","id":%d,"sent":%d,"done":%d}\n' "$id" "$sent" "$now"
    else
      complain "$answer"
      host=
    fi
  fi
  if ((id % 10 == 0 && acknowledged > 0)) && read -r rhost rport < <(replica); then
    mapfile -t answer < <(printf 'ROLE\nGET w:%s:%d\n' "$name" "$acknowledged" | redis-cli -h "$rhost" -p "$rport" 2>&1)
    if [ "${answer[*]: -1}" = "$acknowledged" ]; then
      printf '{"kind":"read","id":%d,"role":"%s"}\n' "$acknowledged" "${answer[0]}"
    fi
  fi
  sleep 0.03
done
