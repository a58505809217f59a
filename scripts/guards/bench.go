package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// bench has the compiled tests of the instrumented core.
type bench struct{ stages []stage }

// stage is one set of tests. A cut that one stage notices is not given to the
// next.
type stage struct {
	name string
	dir  string
	test string // compiled
	run  string // which tests
	skip string // but not these
	env  []string
}

// stageLimit bounds one stage: taking out a guard may leave a loop without an end.
const stageLimit = 5 * time.Minute

// build compiles the tests of the core and of the simulator over the
// instrumented files.
func build(ctx context.Context, tmp string, files map[string][]byte, seeds int) (*bench, error) {
	replace := map[string]string{}
	for path, text := range files {
		to := filepath.Join(tmp, strings.ReplaceAll(path, "/", "_"))
		if err := os.WriteFile(to, text, 0o600); err != nil {
			return nil, fmt.Errorf("write the instrumented core: %w", err)
		}
		from, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		replace[from] = to
	}
	overlay := filepath.Join(tmp, "overlay.json")
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		return nil, fmt.Errorf("write the instrumented core: %w", err)
	}
	compiled := map[string]string{}
	for _, dir := range append([]string{simulator}, core...) {
		test := filepath.Join(tmp, strings.ReplaceAll(dir, "/", "_")+".test")
		out, err := exec.CommandContext(ctx, "go", "test", "-c", "-overlay", overlay, "-o", test, "./"+dir).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("compile the instrumented %s: %w\n%s", dir, err, out)
		}
		compiled[dir] = test
	}
	b := &bench{}
	for _, dir := range core {
		b.stages = append(b.stages, stage{name: dir, dir: dir, test: compiled[dir], run: "^Test", skip: "IsPure$"})
	}
	b.stages = append(b.stages,
		stage{name: "conversations of the whole", dir: simulator, test: compiled[simulator], run: "^TestConversations$"},
		stage{name: "seeds", dir: simulator, test: compiled[simulator], run: "^Test(Append)?Seeds$", env: []string{fmt.Sprintf("WARDEN_SIM_SEEDS=%d", seeds)}})
	return b, nil
}

// missed is the first stage that fails while a guard is out, "" if all pass. The
// stage of the guard's own package comes first.
func (b *bench) missed(ctx context.Context, c cut) (string, error) {
	stages := slices.Clone(b.stages)
	slices.SortStableFunc(stages, func(x, y stage) int {
		own := filepath.Dir(c.file)
		return strings.Compare(strconv.FormatBool(y.dir == own), strconv.FormatBool(x.dir == own))
	})
	for _, s := range stages {
		ctx, cancel := context.WithTimeout(ctx, stageLimit)
		cmd := exec.CommandContext(ctx, s.test, "-test.run", s.run, "-test.skip", s.skip, "-test.short", "-test.failfast")
		cmd.Dir = s.dir
		cmd.Env = append(os.Environ(), append(s.env, fmt.Sprintf("WARDEN_GUARD_OUT=%d", c.number), "GOMAXPROCS=1")...)
		out, err := cmd.CombinedOutput()
		late := ctx.Err() != nil
		cancel()
		var failed *exec.ExitError
		switch {
		case c.number == 0 && err != nil:
			return s.name, fmt.Errorf("%w\n%s", err, out)
		case errors.As(err, &failed) || late:
			return s.name, nil
		case err != nil:
			return s.name, fmt.Errorf("run the tests of %s: %w\n%s", s.dir, err, out)
		}
	}
	return "", nil
}
