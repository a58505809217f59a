package archive

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spineldb/warden/warden"
)

func report(group warden.GroupName, n int) warden.Report {
	return warden.Report{ID: fmt.Sprintf("%d-w", n), Group: group, Times: 1, Took: warden.Second, Story: []string{fmt.Sprint("story ", n)}}
}

func list(t *testing.T, r *Reports, group warden.GroupName) string {
	t.Helper()
	all, err := r.List(group)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, x := range all {
		ids = append(ids, fmt.Sprintf("%s/%d", x.ID, x.Times))
	}
	return strings.Join(ids, " ")
}

// Goal: reports are there in the next run, by group, each as it was told last, and
// no more than are to be kept.
func TestReports(t *testing.T) {
	o := ReportsOptions{Dir: t.TempDir(), Most: 3}
	r := OpenReports(o)
	for n := 1; n <= 2; n++ {
		r.Keep(report("g", n))
	}
	r.Keep(report("other", 1))
	again := report("g", 1)
	again.Times = 5
	r.Keep(again)
	end(t, r)
	r = OpenReports(o)
	if got := list(t, r, "g"); got != "1-w/5 2-w/1" {
		t.Errorf("of g: %s", got)
	}
	if got := list(t, r, "other"); got != "1-w/1" {
		t.Errorf("of other: %s", got)
	}
	if got := list(t, r, "nobody"); got != "" {
		t.Errorf("of a group without: %s", got)
	}
	if x, found, err := r.Get("g", "2-w"); err != nil || !found || x.Story[0] != "story 2" || x.UnixMS == 0 {
		t.Errorf("%+v %v %v", x, found, err)
	}
	if _, found, err := r.Get("g", "3-w"); err != nil || found {
		t.Errorf("a report that there is not: %v %v", found, err)
	}
	for n := 3; n <= 100; n++ {
		r.Keep(report("g", n))
	}
	end(t, r)
	if got := list(t, r, "g"); got != "98-w/1 99-w/1 100-w/1" {
		t.Errorf("of g: %s", got)
	}
	for _, name := range []string{"g.log", "g.log.1"} {
		text, err := os.ReadFile(filepath.Join(o.Dir, ReportsDir, name))
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(text, []byte("\n")); n > versions*o.Most {
			t.Errorf("%s has %d lines", name, n)
		}
	}
}

// Goal: a list is not that of another group, nor of before the last write, and what a
// reader does with it is nobody else's business.
func TestReportsAreRead(t *testing.T) {
	r := OpenReports(ReportsOptions{Dir: t.TempDir()})
	defer end(t, r)
	for n := 1; n <= 3; n++ {
		r.Keep(report("g", n))
		await(t, "it is listed", func() bool { return strings.Contains(list(t, r, "g"), fmt.Sprintf("%d-w/1", n)) })
		if got := list(t, r, "h"); got != "" {
			t.Errorf("of h: %s", got)
		}
		all, err := r.List("g")
		if err != nil || len(all) != n {
			t.Fatalf("%d reports, %v", len(all), err)
		}
		all[0].ID = "mine"
	}
	if got := list(t, r, "g"); got != "1-w/1 2-w/1 3-w/1" {
		t.Errorf("of g: %s", got)
	}
}

// Goal: a name that is no group's leads to no file.
func TestReportsOfNoGroup(t *testing.T) {
	r := OpenReports(ReportsOptions{Dir: t.TempDir()})
	defer end(t, r)
	for _, name := range []warden.GroupName{"", "../x", "a/b"} {
		if _, err := r.List(name); err == nil {
			t.Errorf("%q is a name", name)
		}
	}
}

// Goal: damage of one group's reports is set aside with a warning when the next one
// is written, reading it before does no harm, and other groups are not touched.
func TestDamagedReports(t *testing.T) {
	o := ReportsOptions{Dir: t.TempDir()}
	r := OpenReports(o)
	for n := 1; n <= 3; n++ {
		r.Keep(report("g", n))
		r.Keep(report("h", n))
	}
	end(t, r)
	path := filepath.Join(o.Dir, ReportsDir, "g.log")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[bytes.Index(text, []byte("story 2"))] = 'x'
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	j := &journal{}
	o.Logger = j.logger()
	r = OpenReports(o)
	if got := list(t, r, "g"); got != "1-w/1 3-w/1" {
		t.Errorf("of g: %s", got)
	}
	r.Keep(report("g", 4))
	r.Keep(report("h", 4))
	end(t, r)
	if got := list(t, r, "g") + ", " + list(t, r, "h"); got != "1-w/1 3-w/1 4-w/1, 1-w/1 2-w/1 3-w/1 4-w/1" {
		t.Errorf("of both: %s", got)
	}
	if n := strings.Count(j.String(), "WARN"); n != 1 {
		t.Errorf("%d warnings: %s", n, j)
	}
	if aside, _ := filepath.Glob(path + ".damaged-*"); len(aside) != 1 {
		t.Errorf("set aside: %q", aside)
	}
}
