#!/usr/bin/env bash
# rejoin.sh makes a PostgreSQL server a standby of the new primary: an example of
# a rejoin_command for warden.toml.
#
#   rejoin_command = "rejoin.sh --map nodes.map --user replicator"
#
# It stops the server, winds its data back with pg_rewind or, where that cannot
# be done, takes a base backup, and starts it as a standby. Nothing that only the
# loser had is deleted:
#
#   before pg_rewind   its WAL is copied to DATA.lost-TIME (every write that the new
#                      primary does not have is in there; read it with pg_waldump)
#   a base backup      its whole directory is renamed to DATA.aside-TIME
#
# Remove these once nobody needs them; the disk has to have room for them.
#
# Warden runs it on the leader's host with
#
#   WARDEN_NODE         host:port of the server to rejoin
#   WARDEN_NEW_PRIMARY  host:port of the primary
#
# Options:
#
#   --map FILE       lines "HOST:PORT DATA [CONFIG]": where the data of each server
#                    is, and its postgresql.conf if that is elsewhere (Debian's is)
#   --data DIR       instead of --map where it is the same on every host
#   --user ROLE      logs in to the new primary, now and as a standby. It needs
#                    REPLICATION and LOGIN, and for pg_rewind EXECUTE on pg_ls_dir(text,
#                    boolean, boolean), pg_stat_file(text, boolean), pg_read_binary_file(text)
#                    and pg_read_binary_file(text, bigint, bigint, boolean). With
#                    pg_checkpoint too (15 and later) it is quicker.
#   --passfile FILE  a .pgpass for it, on the host of the server
#   --sslmode MODE   as libpq knows it (default prefer)
#   --bin DIR        PostgreSQL's programs (default: PATH, else Debian's newest)
#   --log FILE       where the server's log goes (default DATA.log)
#   --stop COMMAND, --start COMMAND   instead of pg_ctl, as in
#                    --stop 'systemctl stop postgresql@15-main'
#   --ssh [USER]     do it on the server's own host, by ssh, as USER or as ssh says.
#                    --map and all other files are then those of that host
#
# It may be run again at any time, also after it was killed half-way. Raise
# rejoin_timeout to what a base backup takes: a killed one begins anew.
# Tablespaces are not supported.
set -euo pipefail

say() { echo "rejoin: $*" >&2; }
die() { say "$*"; exit 1; }

# ---- What is asked for ------------------------------------------------------

map='' data='' config='' user='postgres' passfile='' sslmode='prefer' bin='' log='' stop='' start='' ssh='' remote=''
args=("$@")
while (($# > 0)); do
    case $1 in
        --map | --data | --user | --passfile | --sslmode | --bin | --log | --stop | --start)
            (($# > 1)) || die "$1 needs a value"
            printf -v "${1#--}" '%s' "$2"
            shift 2
            ;;
        --ssh)
            ssh=yes
            shift
            if (($# > 0)) && [[ $1 != --* ]]; then
                remote=$1@
                shift
            fi
            ;;
        *) die "unknown option $1: see the head of this file" ;;
    esac
done

node=${WARDEN_NODE:?is the server to rejoin, as host:port}
primary=${WARDEN_NEW_PRIMARY:?is the primary, as host:port}
[[ $node == *:* && $primary == *:* ]] || die "WARDEN_NODE and WARDEN_NEW_PRIMARY are host:port"
[[ $node != "$primary" ]] || die "$node is to be rejoined to itself"
host_of() { local h=${1%:*}; h=${h#[}; echo "${h%]}"; }
host=$(host_of "$primary") port=${primary##*:}

if [[ $ssh ]]; then
    pass=()
    for ((i = 0; i < ${#args[@]}; i++)); do
        if [[ ${args[i]} == --ssh ]]; then
            [[ -z $remote ]] || i=$((i + 1))
            continue
        fi
        pass+=("${args[i]}")
    done
    # The other side gets this file as its input, and what it is told as one
    # command for its shell.
    printf -v line '%q ' env "WARDEN_NODE=$node" "WARDEN_NEW_PRIMARY=$primary" bash -s -- ${pass[@]+"${pass[@]}"}
    exec ssh -o BatchMode=yes -o ConnectTimeout=5 "$remote$(host_of "$node")" "$line" < "$0"
fi

if [[ $map ]]; then
    while read -r name dir conf _ || [[ $name ]]; do
        if [[ $name == "$node" ]]; then data=$dir config=$conf; fi
    done < "$map"
    [[ $data ]] || die "$node is not in $map: add a line with its data directory"
fi
[[ $data ]] || die "where is the data of $node? Give --map or --data"
data=${data%/}
log=${log:-$data.log}

if [[ -z $bin ]]; then
    if type -P pg_ctl > /dev/null; then
        bin=$(dirname "$(readlink -f "$(type -P pg_ctl)")")
    else
        bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
    fi
fi
for program in pg_ctl pg_rewind pg_basebackup psql; do
    [[ -x $bin/$program ]] || die "there is no $program in $bin: give --bin"
done

# PostgreSQL's programs do not run as root, but as the owner of the data.
as=()
base=$data
[[ -d $base ]] || base=$(dirname "$data")
if ((EUID == 0)); then
    uid=$(stat -c %u "$base")
    as=(env "HOME=$(getent passwd "$uid" | cut -d: -f6)" setpriv "--reuid=$uid" "--regid=$(stat -c %g "$base")" --init-groups)
fi
owner() { ${as[@]+"${as[@]}"} "$@"; }

# Only one at a time: a leader that has lost its lead may still be at it.
exec 9> "$data.rejoin.lock"
flock -n 9 || die "another rejoin of $node is under way"

# ---- The other side: is there a primary to follow? --------------------------

export PGCONNECT_TIMEOUT=3 PGAPPNAME=warden-rejoin PGSSLMODE=$sslmode
[[ -z $passfile ]] || export PGPASSFILE=$passfile
source="host=$host port=$port user=$user dbname=postgres"
ask() { owner "$bin/psql" -XAtqw -v ON_ERROR_STOP=1 -d "$source" -c "$1" 9>&-; }

# The reason is part of what is said last, as that is what Warden tells.
standby=$(ask 'SELECT pg_is_in_recovery()' 2>&1) || die "$primary cannot be asked, nothing was touched: ${standby//$'\n'/ }"
[[ ${standby##*$'\n'} == f ]] || die "$primary is no primary now: nothing was touched"

# ---- Stop -------------------------------------------------------------------

ctl=(owner "$bin/pg_ctl" -D "$data" -s -w)
running() { owner "$bin/pg_ctl" -D "$data" status > /dev/null 2>&1; }

# A leader that lost its lead finishes its rejoin, and the next one, who has not
# seen the standby yet, asks for another. Before version 16 pg_rewind does not know
# that it has just wound the same data back.
lately=$data.rejoin.done
if running && [[ -f $data/standby.signal && -f $lately && $(< "$lately") == "$primary" && $(find "$lately" -mmin -1) ]]; then
    say "$node was made a standby of $primary a moment ago"
    exit 0
fi
owner rm -f "$lately"

if [[ $stop ]]; then
    bash -c "$stop" 9>&-
elif running; then
    # Fast waits for the last WAL to be with standbys that may hang.
    "${ctl[@]}" -t 3 -m fast stop 9>&- || "${ctl[@]}" -t 3 -m immediate stop 9>&-
fi
! running || die "the server of $node does not stop"

# ---- Data -------------------------------------------------------------------

now=$(date -u +%Y%m%dT%H%M%S.%NZ)
files=(postgresql.conf postgresql.auto.conf pg_hba.conf pg_ident.conf)

# Both ways to new data bring the primary's configuration with them. The server's
# own is put aside first and, if this is a second attempt, not a second time.
saved=$data.rejoin.conf
save_configuration() {
    [[ ! -d $saved ]] || return 0
    owner rm -rf "$saved.new" && owner mkdir -m 700 "$saved.new" || die "cannot write beside $data"
    local f
    for f in "${files[@]}"; do
        if [[ -f $data/$f ]]; then owner cp -p "$data/$f" "$saved.new/" || die "cannot copy $f"; fi
    done
    owner mv -T "$saved.new" "$saved" || die "cannot write beside $data"
}

# rewind winds the data back to where the two lines of data parted.
rewind() {
    [[ -f $data/PG_VERSION && ! -e $data.rejoin.broken ]] || return 1
    # Two that were promoted at the same position bear one timeline, and pg_rewind
    # takes the one for the other.
    local line
    line=$(ask "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)") || return 1
    if [[ ! -f $data/standby.signal ]] && owner test -e "$data/pg_wal/$line.history"; then
        say "$node was a primary on the timeline of $primary too: its data cannot be wound back"
        return 1
    fi
    # Right after a promotion the primary's control file still names the line of
    # before, and pg_rewind would find nothing to do.
    ask CHECKPOINT > /dev/null 2>&1 || say "no right to CHECKPOINT on $primary: waiting for its own"
    local i
    for ((i = 0; ; i++)); do
        [[ $(ask "SELECT timeline_id = ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int FROM pg_control_checkpoint()") != t ]] || break
        ((i < 20)) || return 1
        sleep 0.25
    done
    owner mkdir -m 700 "$data.lost-$now" &&
        owner cp -a "$data/pg_wal" "$data/global/pg_control" "$data.lost-$now/" ||
        die "cannot keep the WAL of $node in $data.lost-$now: nothing was changed"
    save_configuration
    # From here on the data is neither the one nor the other until it has ended;
    # an attempt after this one will not try to wind it back again.
    owner touch "$data.rejoin.broken" || die "cannot write beside $data"
    local more=()
    [[ -z $config ]] || more=("--config-file=$config")
    owner "$bin/pg_rewind" --target-pgdata="$data" --source-server="$source" ${more[@]+"${more[@]}"} 9>&- || return 1
    owner rm -f "$data.rejoin.broken"
    say "wound back with pg_rewind; what only $node had is in the WAL in $data.lost-$now"
}

# copy replaces the data by a base backup once that is complete.
copy() {
    owner rm -rf "$data.rejoin.new" # a copy of ours that was not finished
    owner "$bin/pg_basebackup" -D "$data.rejoin.new" -d "$source" -w -X stream -c fast 9>&-
    save_configuration
    if [[ -e $data ]]; then
        owner mv -T "$data" "$data.aside-$now"
        say "the old data is in $data.aside-$now"
    fi
    owner mv -T "$data.rejoin.new" "$data"
    owner rm -f "$data.rejoin.broken"
    say "copied from $primary"
}

rewind || copy

# ---- Configuration ----------------------------------------------------------

for f in "${files[@]}"; do
    if [[ -f $saved/$f ]]; then owner cp -p "$saved/$f" "$data/"; fi
done
# Taken out: the fence, and whatever was said before about whom to follow. Kept:
# all else that ALTER SYSTEM has written, the epoch of Warden among it.
quote() { sed "s/[\\\\']/\\\\&/g" <<< "$1"; } # within a value of a connection string
words="host='$(quote "$host")' port='$port' user='$(quote "$user")' sslmode='$(quote "$sslmode")' application_name='$(quote "$node")'"
[[ -z $passfile ]] || words+=" passfile='$(quote "$passfile")'"
auto=$(sed -E '/^[[:space:]]*(primary_conninfo|primary_slot_name|default_transaction_read_only|warden\.fenced|recovery_min_apply_delay)[[:space:]]*=/d' "$data/postgresql.auto.conf")
printf '%s\n' "$auto" "primary_conninfo = '$(sed "s/'/''/g" <<< "$words")'" | owner tee "$data/postgresql.auto.conf.new" > /dev/null
owner chmod 600 "$data/postgresql.auto.conf.new"
owner mv -T "$data/postgresql.auto.conf.new" "$data/postgresql.auto.conf"
owner touch "$data/standby.signal"

# ---- Start ------------------------------------------------------------------

if [[ $start ]]; then
    bash -c "$start" 9>&-
else
    options=()
    [[ -z $config ]] || options=(-o "-c config_file=$config")
    # pg_ctl gives the server a session of its own, so it stays when we end.
    "${ctl[@]}" -t 60 -l "$log" ${options[@]+"${options[@]}"} start 9>&- < /dev/null > /dev/null ||
        die "the server of $node does not start: see $log"
fi
owner rm -rf "$saved"
owner tee "$lately" <<< "$primary" > /dev/null
say "$node is a standby of $primary"
