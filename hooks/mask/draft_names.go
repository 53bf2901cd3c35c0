package mask

import (
	"slices"
	"strings"
)

// The last word of a column's name tells what it is about: status of orders is a
// status, and status_changed_by is somebody. The words are English and, where they
// are plain enough, of other languages, Greek in Latin letters, all without accents.

// grade is how much a name's last word promises.
type grade uint8

const (
	unknownWord grade = iota
	// thingWord says that the values are of a few kinds, if they are few.
	thingWord
	// kindWord says that the values tell a kind, a state or a format.
	kindWord
	// personWord says that the values name somebody.
	personWord
	// titleWord says that the values name whatever the table is about.
	titleWord
)

var lastWords = func() map[string]grade {
	m := map[string]grade{}
	for g, list := range map[grade]string{
		kindWord: `status statuses kind kinds type types typ tipo typen typos typo currency waehrung wahrung moneda devise valuta moeda waluta nomisma country land pays pais paese kraj xora chora ulke
			locale locales language languages lang sprache idioma langue taal jezyk lingua glossa dil timezone tz mime mimetype format formats formato encoding charset version versions revision
			level severity priority priorita prioritaet prioridad prioridade priorite visibility environment env unit units einheit unidad unidade unite birim monada color colour colours colors farbe kleur couleur cor colore renk xroma theme mode modus
			algorithm protocol scope scopes sku icon layout orientation alignment frequency period cycle phase stage outcome result verdict direction role roles rolle permission permissions weekday
			katastasi eidos zustand stato statut estatus situacao situacion durum tropos xrisi granularity cardinality shape rodzaj fasl year years jahr annee ano anno rok yil etos`,
		thingWord: `state region province provincia provincie estado etat code codes source action actions event events channel provider plan tier category categories kategorie kategoria categoria categorie group groups gruppe segment label labels tag tags etiquetas
			keyword keywords genre genres section team queue platform os browser device model brand make marke marca material size groesse talla series edition carrier courier gateway medium origin destination warehouse
			shelf bin rating grade symbol key namespace module component feature class classification slug method pago pagamento paiement zahlung pliromis betaling familia familie rubro gender_code topic_code
			kuerzel abbreviation acronym abteilung department departement reparto afdeling dzial tmima emoji raum room sala plotka dimension mime_group flavor flavour finish pattern style trim fuel transmission
			beziehung relationship relation typologia subtype subcategory subject_code sector branche industry kundengruppe tarif tariff rate_plan campaign variant operation operator_code activity trigger reason_code cause_code
			bereich hat linie line route_code track_code product_code zone area district_code schedule terms condition conditions allergens ingredients capabilities features tax_class vat_class sort filter
			oncelik kategori birim_kodu kanal kaynak origem origen fuente origine herkunft bron canal canale kanaal katigoria typologie nivel niveau livello nivel_acesso poziom specialty specialties speciality specialities specialization fachgebiet fachrichtung specjalnosc specjalnosci especialidad especialidades specialite specialites gabinet prefecture`,
		personWord: `by durch von por par da door przez apo author autor auteur autore owner creator approver assignee member members person people user users customer client contact doctor doctors nurse nurses physician manager managers supervisor
			leader lead head agent rep representative seller buyer sender recipient recipients receiver holder signatory signer witness guardian parent mother father spouse child children teacher student tutor coach driver
			technician engineer inspector auditor reviewer reviewers editor translator caller patient tenant landlord guest attendee attendees participant participants applicant candidate employee staff crew handler requester requestor reporter
			submitter uploader poster commenter actor initiator invitee inviter referrer sponsor beneficiary payee payer debtor creditor shareholder director ceo cfo secretary accountant lawyer attorney judge initials alias aliases signature
			composer performer artist who whom moderator moderators admin administrator organizer organiser speaker speakers watcher watchers follower followers subscriber subscribers mentor trainee passenger pilot captain sitter nanny neighbour neighbor
			leitung leiter leiterin arzt aerzte pfleger pflegekraft ansprechpartner bearbeiter sachbearbeiter betreuer kunde kundin mitarbeiter mitarbeiterin fahrer lehrer lehrerin schueler mieter vermieter empfaenger absender inhaber
			unterzeichner verantwortlicher vertreter kontakt notfallkontakt angehoerige elternteil vormund
			medico enfermera enfermero comercial comercial_asignado responsable encargado cliente empleado revisor firmante titular propietario conductor profesor profesora alumno contacto vendedor asignado
			medecin infirmier infirmiere redacteur proprietaire locataire chauffeur titulaire vendeur enseignant eleve salarie responsable_legal tuteur
			proprietario responsabile referente titolare conducente insegnante alunno dipendente venditore medico_curante firmatario
			responsavel motorista professor aluno funcionario vendedora paciente enfermeiro
			eigenaar medewerker klant behandelaar docent leerling huurder verhuurder contactpersoon bestuurder verpleger
			lekarz wlasciciel pracownik klient kierowca nauczyciel uczen opiekun najemca pacjent
			ypallilos ypeythynos ypefthinos giatros pelatis idioktitis idioktisia odigos mathitis kathigitis dikaiouchos aitwn aiton
			doktor musteri calisan sahibi sofor ogretmen ogrenci kiraci hasta yetkili sorumlu`,
		titleWord: `name names title titles bezeichnung benennung titel titulo titre titolo nom nombre nome naam nazwa ad adi baslik titlos onomasia caption headline denomination denominacion descripcion_corta libelle`,
	} {
		for w := range strings.FieldsSeq(list) {
			m[w] = g
		}
	}
	return m
}()

// wordEnds are what compound words of German and its like end in.
var wordEnds = []struct {
	end   string
	grade grade
}{
	{"status", kindWord},
	{"typ", kindWord},
	{"waehrung", kindWord},
	{"sprache", kindWord},
	{"prioritaet", kindWord},
	{"einheit", kindWord},
	{"art", thingWord},
	{"gruppe", thingWord},
	{"kategorie", thingWord},
	{"klasse", thingWord},
	{"soort", thingWord},
	{"arzt", personWord},
	{"leiter", personWord},
	{"partner", personWord},
	{"nehmer", personWord},
	{"geber", personWord},
	{"bearbeiter", personWord},
	{"betreuer", personWord},
	{"kontakt", personWord},
}

// nameGrade judges a column's name, in snake case, by its last word. What only
// numbers it, or says which of two it is, does not count.
func nameGrade(name string) grade {
	words := strings.FieldsFunc(plainLetters(name), func(r rune) bool { return r == '_' })
	for len(words) > 1 {
		last := words[len(words)-1]
		if strings.Trim(last, "0123456789") != "" && !slices.Contains([]string{"old", "new", "previous", "prev", "current", "original", "orig", "default", "value", "raw", "json", "text", "list", "en", "fr", "es", "it", "el"}, last) {
			break
		}
		words = words[:len(words)-1]
	}
	if len(words) == 0 {
		return unknownWord
	}
	last := strings.TrimRight(words[len(words)-1], "0123456789")
	for _, w := range []string{last, strings.TrimSuffix(last, "s"), strings.TrimSuffix(last, "es")} {
		if g := lastWords[w]; g != unknownWord {
			return g
		}
	}
	for _, e := range wordEnds {
		if len(last) >= len(e.end)+3 && strings.HasSuffix(last, e.end) {
			return e.grade
		}
	}
	return unknownWord
}

// namesSomebody reports whether one of a name's words stands for a person, so that the
// column is about somebody: customer_name, name_of_contact.
func namesSomebody(name string) bool {
	return slices.ContainsFunc(strings.FieldsFunc(plainLetters(name), func(r rune) bool { return r == '_' }), func(w string) bool {
		return lastWords[w] == personWord || lastWords[strings.TrimSuffix(w, "s")] == personWord
	})
}

// lookupTable matches tables that list what there is to choose from.
var lookupTable = nameWords(`(?:.*_)?(?:countr(?:y|ies)|currenc(?:y|ies)|languages?|locales?|categor(?:y|ies)|roles?|permissions?|status(?:es)?|types?|kinds?|units?|tags?|genres?|plans?|levels?|priorit(?:y|ies)|colou?rs?|sizes?|features?|stages?|media_types?` +
	`|kategorien?|laender|einheiten|rollen|station(?:en)?|abteilung(?:en)?|departments?|categorias?|paises|monedas|roles|categories|pays|unites|katigories|kategoriler|kategorie|afdelingen)`)
