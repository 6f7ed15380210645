package main

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"
)

// role is what a file is for.
type role int

const (
	other   role = iota
	licence      // is classified
	notice       // is passed on as it is
)

// roleOf knows a file by its name.
func roleOf(name string) role {
	if slices.Contains([]string{".go", ".s", ".h", ".c"}, path.Ext(name)) {
		return other
	}
	name = strings.ToLower(name)
	for _, prefix := range []string{"license", "licence", "copying", "unlicense"} {
		if strings.HasPrefix(name, prefix) {
			return licence
		}
	}
	for _, prefix := range []string{"notice", "patents"} {
		if strings.HasPrefix(name, prefix) {
			return notice
		}
	}
	return other
}

// known are the licences that may be linked with ours, each by a phrase that it has.
var known = []struct{ kind, phrase string }{
	{"Apache-2.0", "apache license version 2 0"},
	{"BSD", "redistribution and use in source and binary forms with or without modification are permitted"},
	{"CC0-1.0", "cc0 1 0 universal"},
	{"ISC", "permission to use copy modify and or distribute this software for any purpose with or without fee is hereby granted"},
	{"ISC", "permission to use copy modify and distribute this software for any purpose with or without fee is hereby granted"},
	{"MIT", "permission is hereby granted free of charge to any person obtaining a copy of this software and associated documentation files"},
	{mpl, "mozilla public license version 2 0"},
	{"Unlicense", "this is free and unencumbered software released into the public domain"},
}

const mpl = "MPL-2.0"

// refused are phrases of licences that may not, or of conditions added to others.
var refused = []string{
	"gnu affero general public license",
	"gnu general public license",
	"gnu lesser general public license",
	"gnu library general public license",
	"all advertising materials mentioning",
	"business source license",
	"commons clause",
	"elastic license",
	"server side public license",
}

var errUnknown = errors.New("a licence that is not known here")

// classify returns the licences in a text: there may be several, for parts of the code.
func classify(text string) ([]string, error) {
	words := " " + normal(text) + " "
	var kinds []string
	for _, l := range known {
		if strings.Contains(words, " "+l.phrase+" ") && !slices.Contains(kinds, l.kind) {
			kinds = append(kinds, l.kind)
		}
	}
	for _, phrase := range refused {
		// Mozilla's names the GNU licences as those that it may be replaced by.
		if strings.Contains(words, " "+phrase+" ") && (!strings.HasPrefix(phrase, "gnu ") || !slices.Contains(kinds, mpl)) {
			return kinds, fmt.Errorf("it speaks of %q", phrase)
		}
	}
	if len(kinds) == 0 {
		return nil, errUnknown
	}
	return kinds, nil
}

// normal is a text as words in lower case, whatever stood between them.
func normal(text string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}), " ")
}
