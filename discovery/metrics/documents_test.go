package metrics

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spineldb/warden/warden"
)

const docs = "../../docs"

func readDocument(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(docs, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// full is a Warden in which everything has happened, so that every metric shows.
func full(t *testing.T) *bench {
	t.Helper()
	b := newBench(t, sample("g"))
	for _, e := range append(slices.Clone(eventNames), "+odown", "+try-failover", "+elected-leader", "-failover-abort") {
		b.Observe(warden.Event{Group: "g", Name: e})
	}
	b.Looked("g", "10.0.0.1:5432", warden.HealthGood, warden.Millisecond)
	b.text() // some counters are there from the first scrape on
	return b
}

// queried are the names in queries that anything of ours could have. What is in
// quotes is no name.
func queried(queries []string) (names []string) {
	for _, q := range queries {
		q = regexp.MustCompile(`"[^"]*"`).ReplaceAllString(q, `""`)
		names = append(names, regexp.MustCompile(`\b(?:warden|go|process)_[a-z_]+`).FindAllString(q, -1)...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// unknown are the names that a Warden does not show.
func unknown(b *bench, names []string) (bad []string) {
	shown := map[string]bool{}
	for series := range b.series() {
		name, _, _ := strings.Cut(series, "{")
		shown[name] = true
	}
	for _, n := range names {
		if !shown[n] {
			bad = append(bad, n)
		}
	}
	return bad
}

// alertQueries are the expressions of the alerts, by the alerts' names.
func alertQueries(t *testing.T) (names, queries []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`- alert: (\w+)\n +expr: (.+)\n`).FindAllStringSubmatch(readDocument(t, "alerts.yml"), -1) {
		names, queries = append(names, m[1]), append(queries, m[2])
	}
	if len(names) < 20 || len(names) != strings.Count(readDocument(t, "alerts.yml"), "- alert:") {
		t.Fatalf("%d alerts were read: %q", len(names), names)
	}
	return names, queries
}

// dashboardQueries are the queries of the dashboard.
func dashboardQueries(t *testing.T) (queries []string) {
	t.Helper()
	var dashboard any
	if err := json.Unmarshal([]byte(readDocument(t, "grafana/warden.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				walk(x)
			}
		case map[string]any:
			for key, x := range v {
				if text, is := x.(string); is && (key == "expr" || key == "query" && strings.HasPrefix(text, "label_values(")) {
					queries = append(queries, text)
				}
				walk(x)
			}
		}
	}
	walk(dashboard)
	if len(queries) < 30 {
		t.Fatalf("only %d queries were found", len(queries))
	}
	return queries
}

// Goal: docs/metrics.md lists every metric of ours and no other, and each has a
// HELP of a sentence.
func TestMetricsAreDocumented(t *testing.T) {
	b := full(t)
	shown := b.names()
	var documented []string
	for line := range strings.Lines(readDocument(t, "metrics.md")) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			documented = append(documented, regexp.MustCompile("^ `(warden_[a-z_]+)` $").ReplaceAllString(cells[1], "$1"))
		}
	}
	documented = slices.DeleteFunc(documented, func(s string) bool { return !strings.HasPrefix(s, "warden_") })
	slices.Sort(documented)
	slices.Sort(shown)
	if len(shown) < 60 || !slices.Equal(documented, shown) {
		t.Errorf("docs/metrics.md lists\n%q\nand a Warden shows\n%q", documented, shown)
	}
	for _, m := range regexp.MustCompile(`(?m)^# HELP (warden_\w+) ?(.*)$`).FindAllStringSubmatch(b.text(), -1) {
		if len(m[2]) < 15 || !strings.HasSuffix(m[2], ".") {
			t.Errorf("HELP of %s: %q", m[1], m[2])
		}
	}
}

// Goal: alerts and dashboard ask for what exists, and this test would notice if not.
func TestQueriesNameWhatExists(t *testing.T) {
	b := full(t)
	_, alerts := alertQueries(t)
	for name, queries := range map[string][]string{"alerts.yml": alerts, "grafana/warden.json": dashboardQueries(t)} {
		names := queried(queries)
		if bad := unknown(b, names); len(bad) > 0 || len(names) < 15 {
			t.Errorf("%s asks for %q, which no Warden shows (of %d names)", name, bad, len(names))
		}
	}
	if bad := unknown(b, queried([]string{`rate(warden_look_seconds_bucket{group="warden_no_name"}[1m]) > warden_made_up`})); !slices.Equal(bad, []string{"warden_made_up"}) {
		t.Errorf("names that do not exist: %q", bad)
	}
}

// Goal: every alert has a runbook, and a test of when it fires and when not.
func TestAlertsHaveRunbooksAndTests(t *testing.T) {
	rules, tests, page := readDocument(t, "alerts.yml"), readDocument(t, "alerts_test.yml"), readDocument(t, "operations.md")
	names, _ := alertQueries(t)
	for _, name := range names {
		if !strings.Contains(rules, "runbook: docs/operations.md#"+strings.ToLower(name)+"\n") || !strings.Contains(page, "\n### "+name+"\n\n") {
			t.Errorf("alert %s has no runbook: name a heading of docs/operations.md", name)
		}
		for _, kind := range []string{"fires", "quiet"} {
			_, test, found := strings.Cut(tests, "- name: "+name+" "+kind+"\n")
			test, _, _ = strings.Cut(test, "\n  - name: ")
			if fires := strings.Contains(test, "- exp_labels: "); !found || !strings.Contains(test, "alertname: "+name+"\n") || fires != (kind == "fires") {
				t.Errorf("alerts_test.yml does not say when %s %s", name, kind)
			}
		}
	}
	for _, heading := range regexp.MustCompile(`(?m)^### (Warden[A-Z]\w+)$`).FindAllStringSubmatch(page, -1) {
		if !slices.Contains(names, heading[1]) {
			t.Errorf("docs/operations.md has a runbook for %s, which alerts.yml does not know", heading[1])
		}
	}
}

// promtool runs Prometheus's own checker in the directory of the documents.
func promtool(t *testing.T, words ...string) (string, error) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "promtool", words...)
	c.Dir = docs
	said, err := c.CombinedOutput()
	return string(said), err
}

// Goal: Prometheus itself takes the alerts, finds that they fire when they have
// to, takes every query of the dashboard, and likes our names.
func TestPrometheusTakesThem(t *testing.T) {
	if testing.Short() {
		return // the quick tests do without Prometheus
	}
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Fatalf("promtool is missing: install prometheus (scripts/test does): %v", err)
	}
	for _, words := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		if said, err := promtool(t, words...); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(words, " "), err, said)
		}
	}
	rules := "groups:\n  - name: dashboard\n    rules:\n"
	for i, q := range dashboardQueries(t) {
		if strings.HasPrefix(q, "label_values(") {
			continue
		}
		q = strings.NewReplacer("$group", ".*", "$__rate_interval", "5m", "$__range", "1h").Replace(q)
		rules += fmt.Sprintf("      - {record: %q, expr: %q}\n", fmt.Sprintf("query:%d", i), q)
	}
	file := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := promtool(t, "check", "rules", file); err != nil {
		t.Errorf("queries of the dashboard: %v\n%s", err, said)
	}
	c := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
	c.Stdin = strings.NewReader(full(t).text())
	if said, err := c.CombinedOutput(); err != nil {
		t.Errorf("promtool check metrics: %v\n%s", err, said)
	}
}
