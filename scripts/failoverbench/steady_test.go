package main

import "testing"

func TestSteadyBarsCountFromAHundredGroupsOn(t *testing.T) {
	we := []usage{{groups: 1, cpu: 9, memory: 90}, {groups: 100, cpu: 2, memory: 90}, {groups: 500, cpu: 4, memory: 65}}
	they := []usage{{groups: 1, cpu: 1, memory: 9}, {groups: 100, cpu: 2, memory: 9}, {groups: 500, cpu: 3, memory: 33}}
	bars := steadyBars(map[string][]usage{ours: we, sentinel: they})
	if len(bars) != 3 || !bars[0].Holds || bars[1].Holds || !bars[2].Holds {
		t.Errorf("%+v", bars)
	}
}
