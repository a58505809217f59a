package resp

import (
	"slices"
	"testing"

	"github.com/spineldb/warden/discovery/acl"
)

// Goal: COMMAND tells the categories that access rules go by, for every
// command and subcommand there is, so that nobody writes a rule for another.
func TestCategoriesAreThoseOfTheRules(t *testing.T) {
	rules, err := acl.New(acl.Options{})
	if err != nil {
		t.Fatal(err)
	}
	table := newCommandTable()
	for name := range table.byName {
		told, ruled := traitsOf(name).categories, rules.CategoriesOf(name)
		slices.Sort(ruled)
		slices.Sort(told)
		if !slices.Equal(told, ruled) {
			t.Errorf("%s: COMMAND tells %q, the rules go by %q", name, told, ruled)
		}
	}
	if len(table.byName) < 80 {
		t.Errorf("only %d commands", len(table.byName))
	}
}
