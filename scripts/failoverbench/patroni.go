package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/postgreslab"
	"github.com/spineldb/warden/warden"
)

// patroniInstalled says what is missing to measure Patroni, nil: nothing.
func patroniInstalled() error {
	for _, program := range []string{"patroni", "etcd", "haproxy"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is not installed (apt-get install patroni etcd-server haproxy)", program)
		}
	}
	return nil
}

// patroniLimit bounds the bootstrap of three nodes.
const patroniLimit = 90 * time.Second

// patroniRig is Patroni on three nodes, with one etcd, and HAProxy that asks
// Patroni where the primary is. Clients know HAProxy.
type patroniRig struct {
	b     *bench
	tuned bool
	name  string
	dir   string
	all   []*postgreslab.Server
	nodes []*process // Patroni itself; its port is that of the REST API
	rest  []*process // etcd and HAProxy
	proxy warden.NodeID
}

func (r *patroniRig) servers() []*postgreslab.Server { return r.all }

func (r *patroniRig) where() func(context.Context) (warden.NodeID, error) {
	return func(context.Context) (warden.NodeID, error) { return r.proxy, nil }
}

func (r *patroniRig) setUp(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, patroniLimit)
	defer cancel()
	r.b.made++
	r.name = "patroni" + strconv.Itoa(r.b.made)
	if r.dir, err = r.b.inside(r.name); err != nil {
		return err
	}
	ports, err := freePorts(2*nodeCount + 3)
	if err != nil {
		return err
	}
	sql, rest, etcd, peer, proxy := ports[:nodeCount], ports[nodeCount:2*nodeCount], ports[2*nodeCount], ports[2*nodeCount+1], ports[2*nodeCount+2]
	r.proxy = nodeOf(proxy)
	client, peers := "http://"+address(etcd), "http://"+address(peer)
	err = r.run("etcd", etcd, "etcd", "--data-dir", filepath.Join(r.dir, "etcd"), "--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", "default="+peers, "--unsafe-no-fsync")
	if err != nil {
		return err
	}
	for i := range nodeCount {
		if err := r.startNode(ctx, i, sql[i], rest[i], etcd); err != nil {
			return err
		}
	}
	if err := r.startProxy(sql, rest, proxy); err != nil {
		return err
	}
	return r.prepare(ctx)
}

// run starts a program as the account of the servers.
func (r *patroniRig) run(name string, port int, program string, args ...string) error {
	p, err := r.launch(name, port, program, args...)
	if err == nil {
		r.rest = append(r.rest, p)
	}
	return err
}

func (r *patroniRig) launch(name string, port int, program string, args ...string) (*process, error) {
	argv := append(append(r.b.postgres.AsAccount(), program), args...)
	c, err := r.b.launch.run(r.dir, name, []string{"HOME=" + r.dir}, argv[0], argv[1:]...)
	if err != nil {
		return nil, err
	}
	return &process{c, address(port), port}, nil
}

// startNode starts Patroni on one node and waits until its server runs: the
// first makes the cluster, the others copy it.
func (r *patroniRig) startNode(ctx context.Context, i, sql, rest, etcd int) error {
	name := r.name + "-" + strconv.Itoa(i)
	s := r.b.postgres.Foreign(name, nodeOf(sql))
	file := filepath.Join(r.dir, "node"+strconv.Itoa(i)+".yml")
	if err := os.WriteFile(file, []byte(r.config(i, s, rest, etcd)), 0o644); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	p, err := r.launch("node"+strconv.Itoa(i), rest, "patroni", file)
	if err != nil {
		return err
	}
	r.all, r.nodes = append(r.all, s), append(r.nodes, p)
	want := "replica"
	if i == 0 {
		want = "master"
	}
	return pgUntil(ctx, fmt.Sprintf("Patroni has made node %d a %s", i, want), func() bool {
		role, state := r.ask(ctx, p)
		return role == want && state == "running"
	})
}

// ask asks Patroni about its node.
func (r *patroniRig) ask(ctx context.Context, p *process) (role, state string) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.addr+"/patroni", nil)
	if err != nil {
		return "", ""
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		_ = pause(ctx, pollEvery) // it is not there yet
		return "", ""
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<16))
	return statusOf(text)
}

// config is what Patroni is told: its defaults, or times as short as it allows.
func (r *patroniRig) config(i int, s *postgreslab.Server, rest, etcd int) string {
	ttl, loop, retry := 30, 10, 10
	if r.tuned {
		ttl, loop, retry = 5, 1, 2
	}
	return fmt.Sprintf(`scope: %[1]s
name: node%[2]d
restapi: {listen: '%[3]s', connect_address: '%[3]s'}
etcd3: {host: '%[4]s'}
bootstrap:
  dcs:
    ttl: %[5]d
    loop_wait: %[6]d
    retry_timeout: %[7]d
    maximum_lag_on_failover: 1048576
    postgresql:
      use_pg_rewind: true
      use_slots: true
      parameters: {fsync: 'off', shared_buffers: 16MB, max_connections: 60, wal_log_hints: 'on', wal_keep_size: 64MB, autovacuum: 'off'}
  initdb: [{encoding: UTF8}, {locale: C}, {wal-segsize: '1'}]
  pg_hba: [host all all 127.0.0.1/32 trust, host replication all 127.0.0.1/32 trust]
postgresql:
  listen: '%[8]s'
  connect_address: '%[8]s'
  data_dir: '%[9]s'
  bin_dir: '%[10]s'
  pgpass: '%[11]s'
  authentication:
    replication: {username: replicator, password: unused}
    superuser: {username: postgres, password: unused}
  parameters: {unix_socket_directories: '%[12]s'}
`, r.name, i, address(rest), address(etcd), ttl, loop, retry, s.Addr, s.Dir, r.b.postgres.Bin, filepath.Join(r.dir, "pgpass"+strconv.Itoa(i)), r.dir)
}

// startProxy starts HAProxy as Patroni's documentation shows it, or with short
// intervals.
func (r *patroniRig) startProxy(sql, rest []int, port int) error {
	check := "inter 3s fall 3 rise 2"
	if r.tuned {
		check = "inter 500ms fall 1 rise 1"
	}
	text := fmt.Sprintf(`global
    maxconn 200
defaults
    mode tcp
    retries 2
    timeout client 30m
    timeout connect 4s
    timeout server 30m
    timeout check 1s
listen primary
    bind %s
    option httpchk OPTIONS /primary
    http-check expect status 200
    default-server %s on-marked-down shutdown-sessions
`, address(port), check)
	for i := range sql {
		text += fmt.Sprintf("    server node%d %s maxconn 100 check port %d\n", i, address(sql[i]), rest[i])
	}
	file := filepath.Join(r.dir, "haproxy.cfg")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return r.run("haproxy", port, "haproxy", "-f", file)
}

// prepare makes the table and waits until all is as it should be.
func (r *patroniRig) prepare(ctx context.Context) error {
	return pgUntil(ctx, "HAProxy sends clients to the primary, and both standbys stream", func() bool {
		s, err := postgreslab.Connect(ctx, r.proxy, postgreslab.Superuser, "prepare")
		if err != nil {
			_ = pause(ctx, pollEvery)
			return false
		}
		defer s.Close()
		rows, err := s.Query(ctx, "CREATE TABLE IF NOT EXISTS records (id bigint); "+
			"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'app') THEN CREATE ROLE app LOGIN; END IF; END $$; GRANT ALL ON records TO PUBLIC; "+
			"SELECT pid FROM pg_stat_replication WHERE state = 'streaming'")
		return err == nil && len(rows) == nodeCount-1
	})
}

func (r *patroniRig) strike(kind string) error {
	// Patroni first, or it would start its server again.
	if err := r.nodes[0].signal(syscall.SIGSTOP); err != nil {
		return err
	}
	if kind == "stop" {
		r.all[0].Pause()
		return nil
	}
	err := r.all[0].Kill()
	r.nodes[0].kill()
	return err
}

func (r *patroniRig) wake() {
	r.all[0].Resume()
	_ = r.nodes[0].signal(syscall.SIGCONT) // what it does then is what is measured
}

func (r *patroniRig) takeDown(failed bool) error {
	var errs []error
	for _, p := range append(append([]*process{}, r.nodes...), r.rest...) {
		p.kill()
		if failed {
			r.b.say("--- %s\n%s\n", p.log, p.tail())
		}
	}
	for _, s := range r.all {
		errs = append(errs, s.Kill(), s.Remove())
	}
	if r.dir != "" && !r.b.keep {
		errs = append(errs, os.RemoveAll(r.dir))
	}
	return errors.Join(errs...)
}
