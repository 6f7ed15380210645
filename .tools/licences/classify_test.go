package main

import (
	"errors"
	"slices"
	"testing"
)

func TestClassify(t *testing.T) {
	const (
		apache = "                                 Apache License\n                           Version 2.0, January 2004"
		bsd    = "// Redistribution and use in source and binary forms, with or without\n// modification, are permitted provided that"
		mit    = "Permission is hereby granted, free of charge, to any person obtaining a copy\nof this software and associated documentation files (the \"Software\")"
		gnu    = "GNU AFFERO GENERAL PUBLIC LICENSE\nVersion 3, 19 November 2007"
		mpl    = "Mozilla Public License Version 2.0\n\"Secondary License\" means either the GNU General Public License, Version 2.0"
	)
	for _, c := range []struct {
		text string
		want []string
		ok   bool
	}{
		{apache, []string{"Apache-2.0"}, true},
		{bsd + "\n" + mit, []string{"BSD", "MIT"}, true},
		{mpl, []string{"MPL-2.0"}, true},
		{mpl + " Commons Clause", []string{"MPL-2.0"}, false},
		{gnu, nil, false},
		{mit + "\n" + gnu, []string{"MIT"}, false},
		{bsd + " All advertising materials mentioning features", []string{"BSD"}, false},
	} {
		got, err := classify(c.text)
		if !slices.Equal(got, c.want) || (err == nil) != c.ok {
			t.Errorf("%q: %v, %v", c.text, got, err)
		}
	}
	if _, err := classify("do what you want"); !errors.Is(err, errUnknown) {
		t.Errorf("unknown: %v", err)
	}
}

func TestRoleOf(t *testing.T) {
	for name, want := range map[string]role{
		"LICENSE": licence, "License": licence, "LICENSE.txt": licence, "LICENCE-MIT": licence, "COPYING": licence,
		"NOTICE": notice, "PATENTS": notice,
		"license.go": other, "README.md": other,
	} {
		if got := roleOf(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
