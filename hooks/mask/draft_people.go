package mask

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// peopleNames are frequent given and family names, in lower case, those of the
// maskers' lists included. They tell names from other values of the same shape.
var peopleNames = func() map[string]bool {
	m := map[string]bool{}
	for _, list := range [][]string{givenNames, familyNames, strings.Fields(`
aarav abdul abdullah agata agnieszka ahmet akira aleksandr aleksandra alejandro alessandro alexander alexandra alexandre alexei ali alicja
amina anastasia andrea andreas andrei andrzej angelos anja anke annika antoine antonio antonis arjun arturo asja ayse barbora beata benoit
bernd birgit bjorn bogdan camille carla carlos carolina caterina cathrine celine charlotte chiara christian christina christos claudia clement
dagmar daniela daniele davide deniz dieter dimitra dimitris dirk dmitri dominik dorota eduardo eirini ekaterina eleni elias elif elisabeth
emilia emmanuel emre enrique erik eszter eva fabio fatma federico fernando filip florian francesca francesco francisco francois franziska
friedrich gabriel georgios gerhard giorgos giovanni giulia giuseppe grzegorz guillaume gunter gustav hakan hans heike heinz helena helga
henrik hiroshi holger huseyin ioanna ioannis irina isabel isabella jakub jan javier jens jerzy jiri joao joaquin jorg jose josef joseph
juergen julien jurgen kaja karl karolina katarina katarzyna katerina katharina kostas krzysztof lars laszlo laurent leonardo lorenzo lotte
ludmila luigi luisa lukas magdalena magnus malgorzata manuel manuela marcel marcin margarita marie mariana marta martina massimo mathieu
matteo matthias maximilian mehmet meryem michael michal miguel mikhail mohamed mohammed monika mustafa nadezhda natalia nikos nikolai nikolaos
nicolas olga olivier oksana ozge panagiotis paolo pascal patrick pavel pawel pedro petra petros philippe pierre piotr priya rafael raj ralf
renate ricardo roberto rodrigo rolf rosa sabine salvatore santiago sergei sergio sigrid silvia sofia sophie spyros stavros stefania stephane
susanne svetlana sylvie tatiana thierry thomas tomasz tomas torsten ulrich ute uwe valentina vasilis veronique viktor vincenzo vladimir
wolfgang wojciech yannick yannis yasemin yiannis yuki yusuf zeynep zofia
bianchi bauer becker bernard brandt castro colombo conti costa dubois dupont dupuis durand esposito fernandes fernandez ferrari ferreira
fischer fontana fournier gallo garcia giordano girard gomes gonzalez greco hoffmann hofmann ivanov ivanova jansen janssen jovanovic kaya
keller klein koch kowalski kowalska kozlov kruger lambert lefebvre leroy lewandowski lopez lorenz marino martinez mayer meier mercier meyer
moreau moretti muller nagy neumann nilsson nowak oliveira papadopoulos papadopoulou papadakis pereira perez petersen petrov petrova popov
ricci richter rizzo rodrigues rodriguez romano rossi roussel russo sanchez santos schafer schmid schmidt schmitt schneider schroder schulz
schwarz silva smirnov sokolov sousa svensson szabo tanaka suzuki sato watanabe yamamoto takahashi tran nguyen virtanen visser vries wagner
weber wieczorek wisniewski wojcik yilmaz demir celik sahin zimmermann zielinski
αθανάσιος αικατερίνη αλέξανδρος αναστασία ανδρέας άννα αντώνης βασίλης βασιλική γεώργιος γιάννης γιώργος δήμητρα δημήτρης ειρήνη ελένη
ιωάννα ιωάννης κατερίνα κώστας κωνσταντίνος μαρία μιχάλης νίκος νικόλαος παναγιώτης σοφία σταύρος χρήστος παπαδόπουλος παπαδοπούλου
александр александра алексей анастасия андрей анна валентина василий виктор владимир дмитрий екатерина елена иван ирина людмила мария
михаил наталья николай ольга павел светлана сергей татьяна юлия иванов иванова петров петрова смирнов смирнова кузнецов попов соколов`)} {
		for _, n := range list {
			m[strings.ToLower(n)] = true
		}
	}
	return m
}()

// isPersonsName reports whether a word is a frequent name of people.
func isPersonsName(word string) bool { return peopleNames[plainLetters(strings.ToLower(word))] }

var accents = strings.NewReplacer("á", "a", "à", "a", "â", "a", "ä", "a", "ã", "a", "å", "a", "ą", "a", "ç", "c", "č", "c", "ć", "c", "é", "e", "è", "e", "ê", "e", "ë", "e", "ę", "e",
	"í", "i", "ì", "i", "î", "i", "ï", "i", "ı", "i", "ł", "l", "ñ", "n", "ń", "n", "ó", "o", "ò", "o", "ô", "o", "ö", "o", "õ", "o", "ø", "o", "ř", "r", "ś", "s", "š", "s", "ş", "s", "ß", "ss",
	"ú", "u", "ù", "u", "û", "u", "ü", "u", "ý", "y", "ż", "z", "ź", "z", "ž", "z", "ğ", "g")

// plainLetters writes Latin letters without their accents.
func plainLetters(s string) string { return accents.Replace(s) }

// nameParticles stand in names in lower case, and titles before them.
var (
	nameParticles = strings.Fields("van von de der den del della di da do dos das du la le los el al bin ibn ter ten zu zum y e af av")
	nameTitles    = strings.Fields("mr mrs ms miss dr prof herr frau hr fr sr sra mme mlle m ing dipl mag med phd md jr")
)

// namedLike is how much a value looks like the name of somebody.
type namedLike uint8

const (
	notNamed    namedLike = iota
	maybeNamed            // it has a name's shape: a few words that begin with capitals
	surelyNamed           // and holds one that is frequent
)

// nameLike judges a value as the name of a person, whatever the script.
func nameLike(v string) namedLike {
	if len(v) > 80 || !utf8.ValidString(v) || strings.ContainsAny(v, "0123456789:;/\\_@{}[]<>=+*#%$|\"") {
		return notNamed
	}
	words := strings.FieldsFunc(v, func(r rune) bool { return r == ' ' || r == ',' || r == '\u00a0' || r == '\u3000' || r == '・' })
	given, shaped, titled := 0, 0, false
	var last string
	for i, w := range words {
		w = strings.Trim(w, ".()'’-")
		lower := strings.ToLower(w)
		switch r, _ := utf8.DecodeRuneInString(w); {
		case w == "":
		case i == 0 && slices.Contains(nameTitles, lower):
			titled = true
		case slices.Contains(nameParticles, lower) || slices.Contains(nameTitles, lower):
		case strings.ContainsFunc(w, func(r rune) bool {
			return !unicode.IsLetter(r) && !unicode.IsMark(r) && r != '-' && r != '\'' && r != '’' && r != '.'
		}):
			return notNamed
		case unicode.IsUpper(r), unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Arabic, unicode.Hebrew, unicode.Thai, unicode.Devanagari, unicode.Georgian):
			shaped++
			last = w
			if isPersonsName(w) {
				given++
			}
		default:
			return notNamed
		}
	}
	switch {
	case shaped == 0 || shaped > 5:
		return notNamed
	case given > 0 && (shaped > 1 || titled), titled && shaped > 1:
		return surelyNamed
	case shaped > 1 || titled:
		return maybeNamed
	case given > 0:
		return surelyNamed
	}
	if r, _ := utf8.DecodeRuneInString(last); unicode.In(r, unicode.Han, unicode.Hangul) && utf8.RuneCountInString(last) <= 5 {
		return maybeNamed // written without spaces
	}
	return notNamed
}

// namesWithin reports whether a text of several words has what looks like somebody's
// name in it: two words that begin with capitals behind one that does not, or a
// frequent name of people.
func namesWithin(v string) bool {
	words := strings.FieldsFunc(v, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsMark(r) && r != '\'' && r != '’' && r != '-'
	})
	if len(words) < 3 || len(v) > 1000 {
		return false
	}
	capital := func(w string) bool {
		r, size := utf8.DecodeRuneInString(w)
		return unicode.IsUpper(r) && len(w) > size && !knownWords[plainLetters(strings.ToLower(w))] && strings.ToUpper(w) != w
	}
	for i, w := range words[1:] { // the first word of a sentence is no sign
		if capital(w) && (isPersonsName(w) || i+2 < len(words) && capital(words[i+2])) {
			return true
		}
	}
	return false
}

// handleLike reports whether a value looks like a user's name made of a
// person's: anna.koch, koch_a, a-koch.
func handleLike(v string) bool {
	words := strings.FieldsFunc(v, func(r rune) bool { return r == '.' || r == '_' || r == '-' })
	if len(words) > 3 || strings.ContainsAny(v, " /:@") {
		return false
	}
	return slices.ContainsFunc(words, func(w string) bool {
		return len(w) > 2 && isPersonsName(strings.TrimRight(w, "0123456789"))
	})
}
