package mask

import (
	"regexp"
	"slices"
	"strings"

	"github.com/seedling-dev/seedling/hooks/recognize"
)

// namePattern proposes a rule for columns whose name looks like something.
type namePattern struct {
	name nameRegexp
	rule string
	// kinds, when set, are the only ones it is for.
	kinds []kind
}

// nameWords matches a column's name that holds one of the words, however they are
// joined (snake_case, camelCase, kebab-case).
func nameWords(alternatives string) nameRegexp {
	return nameRegexp{regexp.MustCompile(`(?:^|_)(?:` + alternatives + `)(?:_|$)`)}
}

// nameRegexp matches names in snake case, those with accents also without them:
// téléphone as telephone, Vergütung as vergutung and verguetung.
type nameRegexp struct{ plain *regexp.Regexp }

// MatchString reports whether one of the name's spellings matches.
func (r nameRegexp) MatchString(name string) bool {
	if r.plain.MatchString(name) {
		return true
	}
	if recognize.ASCII([]byte(name)) {
		return false
	}
	name = strings.ToLower(name)
	return r.plain.MatchString(plainLetters(name)) || r.plain.MatchString(plainLetters(umlauts.Replace(name)))
}

var umlauts = strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "ß", "ss", "å", "aa", "ø", "oe", "æ", "ae")

// sensitive is the rule for what says much about a person and has few values, whose
// frequency gives them away whatever the mask.
const sensitive = "null"

// secrets are what opens something.
const secrets = `passwords?|passwd|pwd|pass|pass(?:word)?_?(?:hash|salt|digest)|encrypted_password|secret|secrets|token|tokens|api_?key|access_key|private_key|refresh_token|session_token|otp|totp|salt|credential|credentials|signature|nonce|csrf` +
	`|contrasena|clave(?:_?(?:acceso|secreta))?|senha|chave(?:_?(?:acesso|secreta|api))?|mot_?de_?passe|mdp|jeton|parola|haslo|wachtwoord|sifre|kennwort|passwort|geheimnis|kodikos_?prosvasis|parol|losenord|pin|pin_?code|seed_?phrase|(?:api|access|private|signing|encryption|master|license|licence)_?keys?` +
	`|(?:security|verification|activation|confirmation|recovery|backup|reset|access|auth(?:orization)?)_?codes?|cvv2?|cvc2?`

// The names stand in English and, where they are plain enough, in other languages,
// Greek in Latin letters.
var namePatterns = []namePattern{
	{nameWords(secrets), "credential", []kind{kindText, kindBytea, kindJSON, kindArray}},
	{nameWords(`e_?mails?|e_?mail_?address(?:es)?|mail|correo(?:_?electronico)?|courriel`), "email", []kind{kindText}},
	{nameWords(`first_?names?|given_?names?|forename|fname|middle_?name|vornamen?|prenoms?|onoma`), "first_name", []kind{kindText}},
	{nameWords(`last_?names?|family_?names?|surname|lname|maiden_?name|nachname|familienname|apellidos?|eponymo|cognome|sobrenome`), "last_name", []kind{kindText}},
	{nameWords(`full_?name|display_?name|real_?name|contact_?name|customer_?name|person_?name|recipient|cardholder|holder_?name|author_?name|(?:ship|shipping|bill|billing|delivery|recipient|sender|receiver)(?:_to)?_?name`), "full_name", []kind{kindText}},
	{nameWords(`user_?name|login|login_?(?:id|name)|nick|nick_?name|screen_?name|handle`), "username", []kind{kindText}},
	{nameWords(`phones?|phone_?numbers?|mobile|mobile_?number|cell|cell_?phone|telephone|tel|fax|msisdn|` + foreignPhones), "phone", []kind{kindText}},
	{nameWords(`iban`), "iban", []kind{kindText}},
	{nameWords(`card_?number|credit_?card|pan|cc_?number|ccnum`), "card", []kind{kindText}},
	{nameWords(`street|street_?address|address|addr|address_?line_?[0-9]?|address_?[0-9]|line_?[12]|stra(?:ss|ß)e|adresse|direccion|indirizzo|endereco|odos|dieythynsi|diefthynsi`), "street", []kind{kindText}},
	{nameWords(`city|town|locality|ville|ciudad|cidade|wohnort|poli`), "city", []kind{kindText}},
	{nameWords(`zip|zip_?code|post_?code|postal_?code|postcode|plz|postleitzahl|code_?postal|codigo_?postal|taxydromikos_?kodikas`), "postcode", []kind{kindText}},
	{nameWords(`company|company_?name|organi[sz]ation|employer|organisation_?name|organization_?name`), "company", []kind{kindText}},
	{nameWords(`url|website|homepage|web_?site|avatar_?url|link`), "url", []kind{kindText}},
	{nameWords(`ip|ip_?addr|ip_?address|remote_?addr|client_?ip|last_?ip|remote_?ip`), "ip", []kind{kindText, kindInet}},
	{nameWords(`mac|mac_?addr|mac_?address`), "mac", []kind{kindText, kindMAC}},
	{nameWords(`lat|latitude|lng|lon|long|longitude`), "latlong", []kind{kindNumeric, kindFloat}},
	{nameWords(`ssn|social_?security(?:_?number)?|tax_?id|vat_?id|national_?id(?:_?(?:number|no))?|passport(?:_?(?:number|no))?|driver_?licen[cs]e|account_?number|insurance_?number`), "hash", []kind{kindText}},
	{nameWords(`birth_?date|birthday|date_?of_?birth|dob|born|born_?on|geburts(?:datum|tag)|(?:date_?(?:de_?)?)?naissance|(?:fecha_?(?:de_?)?)?nacimiento|geb_?dat(?:um)?|geb|(?:data_?(?:de_?)?)?nascimento|data_?(?:di_?)?nascita|geboortedatum|data_?urodzenia|data_?rozhdeniya|dogum_?(?:tarihi|gunu)|fodelse(?:datum|dag)|syntyma_?aika|(?:imerominia|hmeromhnia)_?genn?[ih]s[ih]s`), "year_only", []kind{kindDate, kindTimestamp}},
	{nameWords(`gender|sex|marital_?status|religion|denomination|ethnicity|ethnic_?(?:group|origin)|nationality|race|blood_?(?:type|group)|disabilit(?:y|ies)|sexual_orientation|political_?(?:party|views?)|diagnos[ie]s|` +
		`religious(?:_?affiliation)?|party_?affiliation|caste|citizenship|immigration_?status|skin_?colou?r|union_?member(?:ship)?|hiv|pregnan(?:t|cy)|health_?(?:status|condition)|medical_?(?:condition|history)|vaccinat(?:ed|ion)|` +
		`geschlecht|sexe|sexo|genero|geslacht|fylo|konfession|familienstand|estado_?civil|etat_?civil|stato_?civile|staatsangeh(?:oe|ö)rigkeit|nationali(?:taet|tät|te)|nacionalidade?|ithageneia|thriskeia|oikogeneiaki_?katastasi|(?:burgerlijke_?staat|geloof|godsdienst|etniciteit)|stan_?cywilny|plec|wyznanie|narodowosc|obywatelstwo|medeni_?(?:durum|hal)|cinsiyet|uyruk|civilstand|religiao|raca(?:_?cor)?|etnia|cor_?raca|razza|religione|cittadinanza|raza|origen_?etnico|discapacidad|deficiencia|handicap|behinderung|schwerbehinder(?:t|ung)|vozrast_?gruppa|natsionalnost|semeinoe_?polozhenie|konfessiya|engelli|kan_?grubu|tipo_?sanguineo|grupo_?sanguineo|groupe_?sanguin|gruppo_?sanguigno|blutgruppe|bloedgroep|omada_?aimatos`), sensitive, []kind{kindText, kindEnum, kindBool, kindInt, kindNumeric}},
	{nameWords(`salary|salaries|income|wages?|remuneration|compensation|bonus|gehalt|lohn|verguetung|einkommen|salaire|revenus?|salario|sueldo|nomina|ingresos|stipendio|retribuzione|reddito|vencimento|ordenado|renda|misthos|eisodima|salaris|loon|inkomen|wynagrodzenie|pensja|zarobki|maas|ucret|gelir|zarplata|oklad|dokhod|lon|inkomst|palkka`), "number_noise", []kind{kindInt, kindNumeric, kindFloat, kindMoney}},
	{nameWords(`notes?|comments?|description|bio|about|message|body|text|content|remarks?|memo|reason|subject|title`), "text", []kind{kindText}},
}

// personTable matches tables whose column "name" is a person's.
var personTable = nameWords(`users?|persons?|people|customers?|clients?|contacts?|employees?|members?|patients?|students?|accounts?|authors?|profiles?|guests?|subscribers?|leads?|owners?|players?|tenants?|staff|drivers?|doctors?|nurses?|teachers?|pupils?|residents?|citizens?|applicants?|candidates?|participants?|attendees?|beneficiar(?:y|ies)|donors?|passengers?|buyers?|sellers?|recipients?|` +
	`kund(?:e|en|in|innen)|mitarbeiter|patienten|personen|benutzer|nutzer|mitglied(?:er)?|schueler|lehrer|mieter|kontakte?|ansprechpartner|` +
	`client[e]s?|usuarios?|empleados?|personas?|pacientes?|alumnos?|contactos?|socios?|utilisateurs?|salaries|employes?|eleves?|personnes?|adherents?|utenti|clienti|dipendenti|persone|pazienti|alunni|artisti|soci|funcionarios?|pessoas?|` +
	`klanten|medewerkers|gebruikers|leden|leerlingen|klienci|pracownicy|uczniowie|osoby|pacjenci|uzytkownicy|polites|pelates|pelatis|ypalliloi|astheneis|mathites|xristes|musteriler|calisanlar|kullanicilar|kisiler|hastalar|ogrenciler|klienty|sotrudniki|patsienty|lyudi|zhiltsy|polzovateli|kunder|anstallda|medlemmar`)

// The names of columns that describe things, not people.
var (
	plainNumber = nameWords(`count|quantity|qty|position|version|sort|rank|total|size|status|type|amount|price|cents|tax|rate|cost|discount|weight|score|year|month|day|number|order|level|duration|width|height|length|percent|stock|balance|points|priority|seq|sequence|attempts|retries|ms|milliseconds|seconds|minutes|bytes`)
	plainTime   = nameWords(`created|updated|deleted|modified|inserted|expires|started|finished|completed|published|archived|at|on|since|until|time|timestamp|last_login|last_seen`)
	birth       = nameWords(`birth|born`)
)

const foreignPhones = `telefon|telefone|telefono|tilefono|handy(?:nummer)?|kinito|whatsapp`

// Numbers that stand for a person, under the names that some registers have for them.
// They are not quantities, whatever their type.
var (
	personalNumber = nameWords(`phones?|mobile|cell|telephone|tel|fax|msisdn|` + foreignPhones + `|ssn|social_?(?:security|insurance)(?:_?(?:number|no))?|tax_?(?:id|number|no)|passport|national_?id|iban|imei|imsi|mrn|` +
		`(?:contact|account|card|cc|nhs|patient|health|insurance|(?:driver_?s?_?)?licen[cs]e|personal|identity)_?(?:number|no|num|nr)|` +
		`cpf|cnpj|dni|nie|nif|rut|curp|amka|afm|bsn|pesel|personnummer|steuer_?(?:nummer|id)|kontonummer`)
	// stateNumber matches what ends in id and is none of a row.
	stateNumber = nameRegexp{regexp.MustCompile(`(?:^|_)(?:national|tax|fiscal|steuer|citizen)_?id$`)}
	secret      = nameWords(secrets)
)

// proposal is a rule for a column, as it would stand in a policy.
type proposal struct {
	rule string
	sure bool
	why  string // why a person is asked
}

// propose proposes a rule for a column from its name, type and, where there is
// one, a sample. Where it is not sure, it masks rather than keeps what may be
// personal.
func propose(table Name, c *Column, s *Sample) proposal {
	k := c.kind()
	switch {
	case k == kindComposite:
		return proposeComposite(table, c, 0)
	case k == kindText && c.Listed && nameGrade(spoken(c.Name)) != personWord && (s == nil || s.share(s.surely) <= .1):
		// An enum by another name; what it says of people is judged by its name.
		return proposeFor(table, c.Name, kindEnum, c.NotNull, s)
	case k != kindArray:
		return proposeFor(table, c.Name, k, c.NotNull, s)
	}
	var p proposal
	if c.elementKind() == kindComposite {
		p = proposeComposite(table, c, 0)
	} else {
		p = proposeFor(table, c.Name, c.elementKind(), false, s)
	}
	switch p.rule {
	case "keep", "null", "credential":
	default:
		p.rule = "{mask: array, of: " + p.rule + "}"
	}
	return p
}

// proposeComposite proposes a rule for each attribute. None has a sample.
func proposeComposite(table Name, c *Column, depth int) proposal {
	var rules []string
	for i := range c.Attributes {
		a := &c.Attributes[i]
		var p proposal
		if a.kind() == kindComposite && depth < maxAttributeDepth {
			p = proposeComposite(table, a, depth+1)
		} else {
			p = propose(table, a, nil)
		}
		rules = append(rules, yamlKey(a.Name)+": "+p.rule)
	}
	return proposal{"{mask: composite, attributes: {" + strings.Join(rules, ", ") + "}}", false, asksAttributes}
}

// maxAttributeDepth bounds composite types within composite types.
const maxAttributeDepth = 8

func proposeFor(table Name, column string, k kind, notNull bool, s *Sample) proposal {
	name := spoken(column)
	byName := ""
	for _, g := range namePatterns {
		if slices.Contains(g.kinds, k) && g.name.MatchString(name) {
			byName = g.rule
			break
		}
	}
	if byName == "" && k == kindText && name == "slug" && personTable.MatchString(spoken(table.Name)) {
		byName = "username"
	}
	if byName == "" && k == kindText && (name == "name" || strings.HasSuffix(name, "_name")) && personTable.MatchString(spoken(table.Name)) {
		byName = "full_name"
	}
	if k == kindText {
		return proposeText(table, name, byName, s)
	}
	switch {
	case byName == sensitive:
		return proposal{sensitive, false, asksSensitive}
	case byName != "":
		return proposal{byName, true, ""}
	}
	switch k {
	case kindBool, kindEnum:
		return proposal{"keep", true, ""}
	case kindInt, kindNumeric, kindFloat, kindMoney:
		return proposeNumber(name, k, s)
	case kindUUID:
		if secret.MatchString(name) && !identifier(name) {
			return proposal{"uuid", true, ""}
		}
		return proposal{"keep", true, ""}
	case kindDate, kindTimestamp:
		return proposeTime(name, k, s)
	case kindRange:
		return proposal{"keep", plainTime.MatchString(name) || plainNumber.MatchString(name), "a range"}
	case kindInterval:
		return proposal{"keep", plainNumber.MatchString(name) || plainTime.MatchString(name), "a span of time"}
	case kindXML:
		return proposal{"xml", true, ""}
	case kindJSON:
		return proposeJSON(table, s)
	case kindBytea:
		return proposal{"bytea", true, ""}
	case kindInet:
		return proposal{"ip", true, ""}
	case kindMAC:
		return proposal{"mac", true, ""}
	case kindHstore:
		return proposal{"hstore", true, ""}
	case kindPoint:
		return proposal{"latlong", true, ""}
	case kindTime:
		return proposal{"keep", false, "a time"}
	case kindGeometry:
		return proposal{"geometry", true, ""}
	case kindVector:
		if notNull {
			return proposal{"vector", true, ""}
		}
		return proposal{"null", true, ""}
	case kindTSVector:
		if notNull {
			return proposal{`{mask: constant, value: ""}`, false, "made from other columns: see masker rebuild"}
		}
		return proposal{"null", true, ""}
	}
	if notNull {
		return proposal{"keep", false, "no masker takes this type"}
	}
	return proposal{"null", false, "no masker takes this type"}
}
