package mask

import "slices"

// Why a person is asked, as the draft's questions say it. Equal reasons are one
// question. Asked about is only what is kept on weak evidence, or lost; what is masked
// to be safe is not.
const (
	asksRefused    = "kept, because a CHECK constraint takes no mask: a constant or a choice of values may fit"
	asksForced     = "kept, because its type, indexes or partitions take no mask"
	asksDropped    = "its unique index is left out of the seed, since no mask that fits keeps all values apart"
	asksUncomputed = "its index is left out of the seed, since its expression cannot be computed of masks"
	asksSmall      = "permuted among few values, since other tables need its unique index: who knows most originals can tell the rest"
	asksDomain     = "masked within its own domain, as a CHECK constraint wants it: mail to that domain may reach somebody"
	asksFewKinds   = "kept, because name and values sound harmless: few, short and of nobody"
	asksLookup     = "kept, because the table lists what there is to choose from"
	asksNoRows     = "kept for the name alone: there are too few rows to look at"
	asksSensitive  = "says much about a person, and has few values: null, or choice with `by`"
	asksNumber     = "a number whose name says nothing"
	asksDate       = "a date whose name says nothing"
	asksBirth      = "of a birth"
	asksPersonal   = "looks personal"
	asksPaths      = "some paths are kept, because their names and values sound harmless"
	asksAttributes = "look at the attributes"
)

// proposeText proposes a rule for a text from the last word of its name, from byName,
// which is the rule that the whole name speaks for ("" for none), and from the sample.
// Where the evidence is weak the text is masked.
func proposeText(table Name, name, byName string, s *Sample) proposal {
	word := nameGrade(name)
	// Words of states and kinds, whatever the name speaks of besides: the kind of
	// an address, the status of a password.
	if p, kept := keepText(table, name, word, byName, s); kept {
		return p
	}
	content, share := s.looksLike()
	if byName == "ip" && content != "" && s.dotted > 0 {
		content = "ip"
	}
	switch {
	case byName == "credential" || byName == content && content != "":
		return proposal{byName, true, ""}
	case byName == sensitive:
		return proposal{sensitive, false, asksSensitive}
	case content != "" && (byName == "" || byName == "text" || share >= .8):
		return proposal{content, true, ""}
	case byName != "" && byName != "text":
		return proposal{byName, true, ""}
	}
	short := name == "name" || word == titleWord
	switch {
	case s != nil && s.share(s.handles) >= .5 && (word == personWord || namesSomebody(name)):
		return proposal{"username", true, ""}
	case s.sentences() || s.mentions():
		return proposal{"text", true, ""}
	case s != nil && s.values > 0 && s.share(s.surely) >= .3,
		(word == personWord || short && (personTable.MatchString(spoken(table.Name)) || namesSomebody(name))) && (s == nil || s.values == 0 || s.share(s.named) >= .5):
		return proposal{"full_name", true, ""}
	case identifier(name):
		return proposal{"hash", true, ""}
	case byName == "" && short && !personTable.MatchString(spoken(table.Name)) && !namesSomebody(name):
		return proposal{"product", true, ""}
	}
	return proposal{"text", true, ""}
}

// keepText proposes to keep a text whose name promises a kind, and whose values
// do not say otherwise.
func keepText(table Name, name string, word grade, byName string, s *Sample) (proposal, bool) {
	person := personTable.MatchString(spoken(table.Name))
	switch {
	case byName == sensitive, word == personWord, s.mentions():
		return proposal{}, false
	case s != nil && s.values > 0 && (s.share(s.surely) > .1 || s.share(s.within) > .1):
		return proposal{}, false
	case byName == "username" && name == "slug":
		return proposal{}, false
	}
	empty := s == nil || s.values == 0
	free := byName == "text" && word == unknownWord
	clean := !s.people() && !s.sentences()
	switch {
	case word == kindWord && empty:
		return proposal{"keep", byName == "", asksNoRows}, true
	case word == kindWord && (s.few() || s.knows()):
		return proposal{"keep", true, ""}, true
	case empty && word != thingWord, empty && name != "slug":
		return proposal{}, false
	case word == kindWord && s.values < enough && s.longest <= 40 && clean:
		return proposal{"keep", false, asksNoRows}, true
	case word == kindWord && byName == "" && clean && versionLike(name) && s.longest <= 64:
		return proposal{"keep", true, ""}, true // of many kinds
	case word == thingWord && name == "slug" && byName == "" && !person && (empty || clean):
		return proposal{"keep", empty || s.has(), asksNoRows}, true
	case word == thingWord && s.few() && s.knows() && (byName == "" || byName == "text"):
		return proposal{"keep", true, ""}, true
	case word == thingWord && s.few() && clean && (byName == "" || byName == "text"): // the code of a subject is a code
		return proposal{"keep", false, asksFewKinds}, true
	case word == titleWord && !person && !namesSomebody(name) && lookupTable.MatchString(spoken(table.Name)) && s.share(s.surely) == 0 && !s.sentences() && s.longest <= 40:
		return proposal{"keep", false, asksLookup}, true
	case word == unknownWord && s.few() && s.knows() && !free && byName == "":
		return proposal{"keep", true, ""}, true
	}
	return proposal{}, false
}

// versionLike names have many values, and none of them is somebody's.
func versionLike(name string) bool {
	return slices.ContainsFunc([]string{"sku", "version", "mime", "mimetype", "format", "locale", "timezone", "tz", "color", "colour", "icon"}, func(w string) bool {
		return name == w || len(name) > len(w) && name[len(name)-len(w)-1] == '_' && name[len(name)-len(w):] == w
	})
}

// proposeNumber proposes a rule for a number of any type.
func proposeNumber(name string, k kind, s *Sample) proposal {
	masked := map[kind]string{kindInt: "key", kindNumeric: "key"}[k]
	if masked == "" {
		masked = "null"
	}
	switch {
	case stateNumber.MatchString(name):
		return proposal{masked, true, ""}
	case identifier(name):
		return proposal{"keep", true, ""}
	case personalNumber.MatchString(name) && !plainNumber.MatchString(lastWord(name)):
		return proposal{masked, true, ""}
	case personalNumber.MatchString(name) && lastWord(name) == "number":
		return proposal{masked, true, ""}
	case birth.MatchString(name):
		return proposal{"keep", false, asksBirth}
	case plainNumber.MatchString(name), plainTime.MatchString(name), nameGrade(name) == kindWord:
		return proposal{"keep", true, ""}
	case s.has() && s.share(s.numbers) >= .5 && len(s.distinct)*2 > s.values:
		return proposal{masked, true, ""} // as long and as different as numbers of people are
	}
	return proposal{"keep", false, asksNumber}
}

// hired matches dates in tables of people that are not about their birth.
var hired = nameWords(`hired?_?date|hired|start_?date|end_?date|create_?date|update_?date|joined|registered|valid|due|date|datum|fecha|data|imerominia|tarih|alta|baja|eintritt|austritt|dienst`)

// proposeTime proposes a rule for a date or a time.
func proposeTime(name string, k kind, s *Sample) proposal {
	switch {
	case plainTime.MatchString(name):
		return proposal{"keep", true, ""}
	case s.has() && s.share(s.old) >= .7:
		return proposal{"year_only", true, ""} // most likely when people were born
	case k == kindDate && s.scattered() && !hired.MatchString(name):
		return proposal{"year_only", true, ""} // of children, most likely
	case s.has():
		return proposal{"keep", true, ""}
	case k == kindDate && !hired.MatchString(name):
		return proposal{"year_only", true, ""} // nothing says what it is, and it may be a birth
	}
	return proposal{"keep", false, asksDate}
}

// lastWord is the last word of a name in snake case.
func lastWord(name string) string {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '_' {
			return name[i+1:]
		}
	}
	return name
}

// identifier reports whether a name in snake case is that of an identifier.
func identifier(name string) bool {
	switch lastWord(name) {
	case "id", "uuid", "guid", "ulid":
		return true
	}
	return len(name) > 3 && name[:3] == "id_"
}
